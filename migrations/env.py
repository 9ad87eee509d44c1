"""How Alembic runs here: as the owner role, under time-outs, in one transaction."""

from typing import cast

from alembic import context
from sqlalchemy import Connection, text


def run(connection: Connection) -> None:
    """Apply the migrations on the caller's connection."""
    connection.execute(text("set local role sallyport_owner"))
    connection.execute(text("set local lock_timeout = '5s'"))
    connection.execute(text("set local statement_timeout = '120s'"))
    context.configure(connection=connection, transactional_ddl=True)
    context.run_migrations()
    connection.execute(text("reset role"))


run(cast("Connection", context.config.attributes["connection"]))

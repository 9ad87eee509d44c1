"""Bringing a database to the current shape, as its owner."""

from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

import migrations
from core.errors import Misconfigured

_MIGRATIONS = Path(migrations.__file__).parent
_LOCK = 5_411_000
_ROLES = {
    "sallyport_owner": sql.SQL("nologin"),
    "sallyport_app": sql.SQL("login"),
    "sallyport_directory": sql.SQL("nologin"),
}
_CREATE_ROLE = sql.SQL("create role {} {} nosuperuser nobypassrls nocreatedb nocreaterole")


def migrate(privileged_url: str, *, app_password: str | None = None) -> None:
    """Create the roles where they are missing and apply every migration, under a lock.

    ``privileged_url`` is a libpq URL of a login that may create roles (or belongs to
    ``sallyport_owner`` where they are there). ``app_password`` is set for ``sallyport_app``.

    Raises:
        Misconfigured: ``migration_failed`` where the login may not do it.
    """
    try:
        with psycopg.connect(privileged_url, autocommit=True) as connection:
            # Roles are the cluster's: two databases migrated at once meet here.
            connection.execute("select pg_advisory_lock(%s)", [_LOCK])
            _ensure_roles(connection, app_password=app_password)
            _upgrade(privileged_url)
    except (psycopg.Error, SQLAlchemyError) as error:
        detail = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise Misconfigured("migration_failed", detail=detail) from error


def head() -> str:
    """Return the newest migration's name, with which its file's begins."""
    return max(path.name for path in _MIGRATIONS.glob("versions/[0-9]*.py")).partition("_")[0]


def _ensure_roles(connection: psycopg.Connection, *, app_password: str | None) -> None:
    there = {row[0] for row in connection.execute("select rolname from pg_roles")}
    for role, login in _ROLES.items():
        if role not in there:
            try:
                connection.execute(_CREATE_ROLE.format(sql.Identifier(role), login))
            except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
                continue  # another database's migration was quicker
            # A login that is no superuser may only be what it has been granted.
            connection.execute(sql.SQL("grant {} to current_user").format(sql.Identifier(role)))
    if app_password is not None:
        connection.execute(
            sql.SQL("alter role sallyport_app password {}").format(sql.Literal(app_password))
        )
    connection.execute("grant create, usage on schema public to sallyport_owner with grant option")
    connection.execute("grant usage on schema public to sallyport_app, sallyport_directory")


def _upgrade(privileged_url: str) -> None:
    # A seventh of the time that a command takes to start: only what migrates pays for it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(privileged_url),
        poolclass=NullPool,
    )
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.execute(text("grant select on alembic_version to sallyport_app"))

"""Whether a process may be sent work: the database answers, and has the shape that we expect."""

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from core.errors import Misconfigured
from core.store.database import Database
from core.store.migrate import head

_VERSION = text("select version_num from alembic_version")


class Readiness:
    """Asks the database, each time anew."""

    def __init__(self, database: Database) -> None:
        """Take the database; which migration is the newest is looked up now."""
        self._database = database
        self._wanted = head()

    async def check(self) -> None:
        """Return where all is well.

        Raises:
            Unavailable: ``database_unavailable``.
            Misconfigured: ``migration_needed``.
        """
        try:
            async with self._database.without_tenant() as connection:
                found = (await connection.execute(_VERSION)).scalar_one_or_none()
        except ProgrammingError as error:
            raise Misconfigured("migration_needed") from error
        if found != self._wanted:
            raise Misconfigured("migration_needed")

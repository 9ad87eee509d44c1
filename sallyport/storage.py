"""A database to work on: the embedded one, started and migrated, or any other by its URL."""

import asyncio
import fcntl
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql

from core.durable import client as durable
from core.errors import Misconfigured, Unavailable
from core.store.database import APP_ROLE, look_in
from core.store.embedded import EmbeddedPostgres
from core.store.migrate import head, migrate
from sallyport.settings import StoreSettings

_DATABASE = "sallyport"
_ADMIN = "sallyport_admin"


class Storage:
    """The database of this process, for as long as it is entered."""

    def __init__(self, settings: StoreSettings) -> None:
        """Take where data lives; touch nothing yet."""
        self._settings = settings
        self._embedded = None if settings.database_url else EmbeddedPostgres(settings.data_dir)

    async def __aenter__(self) -> Self:
        """Have the database there and migrated.

        Raises:
            Misconfigured: ``migration_needed`` for one that is not ours to migrate,
                ``database_login_refused``, ``role_not_granted``, and whatever the embedded server
                says of its folder.
            Unavailable: ``database_unavailable``.
        """
        if self._embedded is None:
            await _check(self._external())
            return self
        try:
            await asyncio.to_thread(self._prepare, self._embedded)
        except OSError as error:
            folder = str(self._settings.data_dir)
            detail = error.strerror or type(error).__name__
            raise Misconfigured("data_dir_not_usable", folder=folder, detail=detail) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop the embedded server where this process was the last to use it."""
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.stop)

    @property
    def url(self) -> str:
        """The app's own way to the database, as a libpq URL."""
        if self._embedded is None:
            return self._external()
        return self._embedded.url(user=APP_ROLE, password=self._app_password(), database=_DATABASE)

    async def supervise(self) -> None:
        """Keep the embedded server running until cancelled; nothing to do for any other."""
        if self._embedded is not None:
            await self._embedded.supervise()

    async def migrate(self) -> str:
        """Bring the database to the newest shape and return the migration's name.

        An external one is migrated with the login in its URL, which must be its owner's.

        Raises:
            Misconfigured: ``migration_failed``, ``database_login_refused``.
            Unavailable: ``database_unavailable``.
        """
        if self._embedded is None:
            url = self._external()
            await _version_at(url)
            await asyncio.to_thread(migrate, url)
            await asyncio.to_thread(durable.migrate, url, application_role=APP_ROLE)
        return head()

    def _prepare(self, embedded: EmbeddedPostgres) -> None:
        embedded.start()
        with _locked(self._settings.data_dir / "migrate.lock"):
            admin = _privileged(embedded, database="postgres")
            ours = _privileged(embedded, database=_DATABASE)
            with psycopg.connect(admin, autocommit=True) as connection:
                if not connection.execute(
                    "select 1 from pg_database where datname = %s", [_DATABASE]
                ).fetchone():
                    connection.execute(f"create database {_DATABASE}")  # pyright: ignore[reportArgumentType,reportCallIssue] - our constant
            # Written last: whoever is killed half-way, or brings a newer DBOS, migrates again.
            mark = self._settings.data_dir / "migrated"
            if not self._app_password_file.exists():
                mark.unlink(missing_ok=True)  # only a migration tells the database a new one
            wanted = f"{head()}, dbos {version('dbos')}"
            current = _version(ours) == head()
            if not current or not mark.exists() or mark.read_text() != wanted:
                migrate(ours, app_password=self._app_password())
                durable.migrate(ours, application_role=APP_ROLE)
                mark.write_text(wanted)

    def _external(self) -> str:
        url = self._settings.database_url
        return url.get_secret_value() if url else ""

    @property
    def _app_password_file(self) -> Path:
        return self._settings.data_dir / "app-password"

    def _app_password(self) -> str:
        path = self._app_password_file
        if not path.exists():
            # Moved into its place whole: half a password would lock everybody out for good.
            made = path.with_suffix(".new")
            made.touch(mode=0o600)
            made.write_text(secrets.token_urlsafe(32))
            made.replace(path)
        return path.read_text()


def _privileged(embedded: EmbeddedPostgres, *, database: str) -> str:
    return embedded.url(user=_ADMIN, password=embedded.superuser_password, database=database)


async def _check(url: str) -> None:
    """Look at once whether everything later would fail."""
    found = await _version_at(url, role=APP_ROLE)
    if found != head():
        raise Misconfigured("migration_needed", found=found, wanted=head())


async def _version_at(url: str, *, role: str | None = None) -> str | None:
    """Return the migration that the database is at, as ``role`` sees it; None where it is none."""
    if not url.startswith(("postgresql://", "postgres://")):
        raise _invalid_url("it must begin with postgresql://")
    try:
        return await asyncio.to_thread(_version, url, role=role)
    except psycopg.ProgrammingError as error:
        raise _invalid_url(str(error).splitlines()[0]) from error
    except Unavailable:
        # psycopg cannot tell a wrong password from a server that is away; the other driver can.
        await look_in(url)
        raise


def _version(url: str, *, role: str | None = None) -> str | None:
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            if role is not None:
                connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
            row = connection.execute("select version_num from alembic_version").fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidParameterValue):
        return None  # no such table, no such role
    except psycopg.errors.InsufficientPrivilege as error:
        if role is None:
            return None
        raise Misconfigured("role_not_granted", role=role) from error
    except psycopg.OperationalError as error:
        raise Unavailable("database_unavailable") from error
    return str(row[0]) if row else None


def _invalid_url(detail: str) -> Misconfigured:
    return Misconfigured("invalid_setting", key="SALLYPORT_DATABASE_URL", detail=detail)


@contextmanager
def _locked(path: Path) -> Generator[None]:
    """Hold a file's lock: one process creates and migrates, the others find it done."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

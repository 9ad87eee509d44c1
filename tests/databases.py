"""Databases of tests: built by the real migrations, each for one test, and used again."""

import base64
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

import psycopg
from psycopg import sql

from core.durable import client as durable
from core.store.database import Database
from core.store.embedded import EmbeddedPostgres
from core.store.migrate import migrate

_PASSWORD = "app-password-of-the-tests"
_MASTER_KEY = base64.b64encode(b"the master key of the tests, 32.").decode()
_TEMPLATE = "template_of_tests"
_TERMINATE = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
and not (application_name = 'sallyport' and state = 'idle')
"""  # idle ones are kept: see ``database_on``
_ENDING_SECONDS = 5.0
# What is there beside rows: a test that made, changed or granted anything changes one of these.
# What is new or changed has a later transaction than all that was there, which the sum shows; a
# row that only went is missed by the count.
_SHAPE = " union all ".join(
    f"select concat(count(*), ' ', sum(xmin::text::bigint)) from {catalog} where {which}"  # noqa: S608 - our own words
    for catalog, which in (
        ("pg_class", "relnamespace >= 16384 or oid >= 16384"),
        ("pg_attribute", "attrelid >= 16384"),
        ("pg_proc", "oid >= 16384"),
        ("pg_policy", "true"),
        ("pg_trigger", "oid >= 16384"),
        ("pg_constraint", "oid >= 16384"),
        ("pg_namespace", "oid >= 16384"),
        ("pg_db_role_setting", "true"),
        ("alembic_version", "true"),
    )
)
_ROLES = "select concat(rolname, rolsuper, rolbypassrls, rolcanlogin) from pg_roles order by 1"
_KEPT_ROWS = ("alembic_version", "dbos_migrations", "queues")
_TABLES = """
select oid::regclass::text from pg_class
where relkind = 'r' and oid >= 16384 and relname <> all(%s)
"""
# Making and dropping databases waits for the disk otherwise; the tests that kill PostgreSQL have
# servers of their own, with the settings of the product.
_HASTY = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    # What makes a stolen password hash slow to guess makes each of thousands of connections slow.
    "scram_iterations": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Urls:
    """Two ways into one test's database: as the cluster's owner, and as the app."""

    privileged: str
    app: str

    @property
    def settings(self) -> dict[str, str]:
        """What a command is told of a database that is not in its data folder."""
        return {"SALLYPORT_DATABASE_URL": self.app, "SALLYPORT_MASTER_KEY": _MASTER_KEY}


_idle: dict[tuple[str, int], list[Database]] = {}


@asynccontextmanager
async def database_on(urls: Urls, *, pool_size: int = 10) -> AsyncGenerator[Database]:
    """Give the app's own way to a database; nobody else has this one meanwhile.

    The next test has it again, with its connections: what a new one must learn of tables, functions
    and statements takes longer than most tests.
    """
    idle = _idle.setdefault((urls.app, pool_size), [])
    database = idle.pop() if idle else Database(urls.app, pool_size=pool_size)
    try:
        yield database
    finally:
        if database.connections_in_use:
            await database.close()
        idle.append(database)


async def close_kept() -> None:
    """Close the connections that were kept for a next test."""
    for idle in _idle.values():
        while idle:
            await idle.pop().close()


class CleanDatabases:
    """Databases to be used again: emptied after a test, dropped where it changed their shape."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._numbers = count()
        self._free: list[str] = []
        self._made: dict[str, _Database] = {}

    def take(self) -> str:
        """Return the name of a database as the migrations left it."""
        if self._free:
            return self._free.pop()
        name = f"test_{next(self._numbers)}"
        _create(self._server, name, template=_TEMPLATE)
        self._made[name] = _Database(_privileged(self._server, name))
        return name

    def urls(self, name: str) -> Urls:
        """Return the ways into a database."""
        return Urls(
            privileged=_privileged(self._server, name),
            app=self._server.url(user="sallyport_app", password=_PASSWORD, database=name),
        )

    def give_back(self, name: str) -> None:
        """End whoever still does something, and take every row away."""
        if self._made[name].empty():
            self._free.append(name)
            return
        self._made.pop(name).leave()
        with psycopg.connect(_privileged(self._server, "postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
            )

    def leave(self) -> None:
        """Close our own connections."""
        for made in self._made.values():
            made.leave()


class _Database:
    """One database, and a connection that stays: a new one costs more than what it is for."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute("set session_replication_role = replica")  # no trigger objects
        tables = [row[0] for row in self._connection.execute(_TABLES, [list(_KEPT_ROWS)])]
        self._filled = " union all ".join(
            f"(select '{table}' from {table} limit 1)"  # noqa: S608 - our own tables
            for table in tables
        )
        self._made = self._shape()

    def empty(self) -> bool:
        """End whoever still works and take every row away; whether it is as it was made."""
        try:
            self._end_others()
            if self._shape() != self._made:
                return False
            # Row by row, and only where there are rows: a truncation makes every file anew.
            deletions = [f"delete from {table}" for table in self._ask(self._filled)]  # noqa: S608
            self._connection.execute("; ".join(deletions).encode())
        except psycopg.Error:
            return False  # the test has dropped it, or what is looked at
        return True

    def leave(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _shape(self) -> list[str]:
        return [*self._ask(_SHAPE), *self._ask(_ROLES)]

    def _end_others(self) -> None:
        """End whoever else still works, and see them gone."""
        until = time.monotonic() + _ENDING_SECONDS
        # With a time to wait given, the function looks every 100 ms only: longer than most tests.
        while self._ask(_TERMINATE):
            assert time.monotonic() < until, "somebody stays connected"
            self._connection.execute("select pg_sleep(0.002)")

    def _ask(self, query: str) -> list[str]:
        return [str(row[0]) for row in self._connection.execute(query.encode(), prepare=True)]


def build_template(server: EmbeddedPostgres) -> None:
    """Have the server hurry, and build the database that all others are copies of."""
    _hurry(server)
    _create(server, _TEMPLATE, template="template1")
    url = _privileged(server, _TEMPLATE)
    migrate(url, app_password=_PASSWORD)
    durable.migrate(url, application_role="sallyport_app")


def _privileged(server: EmbeddedPostgres, database: str) -> str:
    return server.url(user="sallyport_admin", password=server.superuser_password, database=database)


def _hurry(server: EmbeddedPostgres) -> None:
    url = _privileged(server, "postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        for setting, value in _HASTY.items():
            connection.execute(
                sql.SQL("alter system set {} = {}").format(
                    sql.Identifier(setting), sql.Literal(value)
                )
            )
        connection.execute("select pg_reload_conf()")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("alter role current_user password {}").format(
                sql.Literal(server.superuser_password)
            )
        )


def _create(server: EmbeddedPostgres, name: str, *, template: str) -> None:
    with psycopg.connect(_privileged(server, "postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )

"""Real PostgreSQL for every test that touches data: one server a worker, one database a test."""

from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from core.durable import client as durable
from core.store.database import Database
from core.store.embedded import EmbeddedPostgres
from core.store.migrate import migrate
from tests.builders import SteadyClock

_PASSWORD = "app-password-of-the-tests"
_TEMPLATE = "template_of_tests"
_numbers = count()
# Making and dropping databases waits for the disk otherwise; the tests that kill PostgreSQL have
# servers of their own, with the settings of the product.
_HASTY = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    # What makes a stolen password hash slow to guess makes each of thousands of connections slow.
    "scram_iterations": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Urls:
    """Two ways into one test's database: as the cluster's owner, and as the app."""

    privileged: str
    app: str


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Generator[EmbeddedPostgres]:
    """One embedded server for this worker, with a migrated template database."""
    server = EmbeddedPostgres(Path(tmp_path_factory.mktemp("pg")))
    server.start()
    try:
        _hurry(server)
        _create(server, _TEMPLATE, template="template1")
        url = _privileged(server, _TEMPLATE)
        migrate(url, app_password=_PASSWORD)
        durable.migrate(url, application_role="sallyport_app")
        yield server
    finally:
        server.stop()
        server.remove()


@pytest.fixture
def urls(postgres: EmbeddedPostgres) -> Generator[Urls]:
    """Give the test a fresh database of its own, and drop it afterwards."""
    name = f"test_{next(_numbers)}"
    _create(postgres, name, template=_TEMPLATE)
    yield Urls(
        privileged=_privileged(postgres, name),
        app=postgres.url(user="sallyport_app", password=_PASSWORD, database=name),
    )
    with psycopg.connect(_privileged(postgres, "postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
        )


@pytest.fixture
async def database(urls: Urls) -> AsyncGenerator[Database]:
    """Give the test the app's own way to its database."""
    opened = Database(urls.app, pool_size=5)
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> SteadyClock:
    """Give the test a clock that moves only when it is told to."""
    return SteadyClock()


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

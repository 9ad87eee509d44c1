"""What every test may ask for: real PostgreSQL, a clock in its hand, servers of others."""

from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from core.store.database import Database
from core.store.embedded import EmbeddedPostgres
from tests.builders import SteadyClock
from tests.databases import CleanDatabases, Urls, build_template, close_kept, database_on
from tests.snapshot_files import Snapshots
from tests.upstreams import UpstreamServers


@pytest.fixture
def snapshot(request: pytest.FixtureRequest) -> Snapshots:
    """Give the test what was kept of earlier answers."""
    return Snapshots(update=bool(request.config.getoption("--update-snapshots")))


@pytest.fixture(scope="session", autouse=True)
def no_cluster_is_left(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """Remove the clusters of the tests' data folders: below closed folders they live elsewhere."""
    yield
    for record in tmp_path_factory.getbasetemp().rglob("postgres/cluster.path"):
        EmbeddedPostgres(record.parents[1]).remove()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Generator[EmbeddedPostgres]:
    """One embedded server for this worker, with a migrated template database."""
    server = EmbeddedPostgres(Path(tmp_path_factory.mktemp("pg")))
    server.start()
    try:
        build_template(server)
        yield server
    finally:
        server.stop()
        server.remove()


@pytest.fixture(scope="session")
def clean_databases(postgres: EmbeddedPostgres) -> Generator[CleanDatabases]:
    """Give out this worker's databases, each without a row of an earlier test's."""
    databases = CleanDatabases(postgres)
    yield databases
    databases.leave()


@pytest.fixture(scope="session")
async def kept_connections(clean_databases: CleanDatabases) -> AsyncGenerator[None]:
    """Have tests hand on their connections to each other, and close them before the server ends."""
    assert clean_databases
    yield
    await close_kept()


@pytest.fixture
def urls(
    clean_databases: CleanDatabases,
    kept_connections: None,  # noqa: ARG001 - closed after the last of these
) -> Generator[Urls]:
    """Give the test a database that the real migrations have built, for itself alone."""
    yield from _lent(clean_databases)


@pytest.fixture(scope="module")
def module_urls(
    clean_databases: CleanDatabases,
    kept_connections: None,  # noqa: ARG001 - closed after the last of these
) -> Generator[Urls]:
    """Give the module a database that its tests hand on to each other."""
    yield from _lent(clean_databases)


def _lent(databases: CleanDatabases) -> Generator[Urls]:
    name = databases.take()
    yield databases.urls(name)
    databases.give_back(name)


@pytest.fixture
async def database(urls: Urls) -> AsyncGenerator[Database]:
    """Give the test the app's own way to its database."""
    async with database_on(urls, pool_size=5) as opened:
        yield opened


@pytest.fixture(scope="session")
def upstream_servers(tmp_path_factory: pytest.TempPathFactory) -> Generator[UpstreamServers]:
    """Give out this worker's upstream server, as it was made."""
    servers = UpstreamServers(Path(tmp_path_factory.mktemp("upstream")))
    yield servers
    servers.end()


@pytest.fixture
def clock() -> SteadyClock:
    """Give the test a clock that moves only when it is told to."""
    return SteadyClock()

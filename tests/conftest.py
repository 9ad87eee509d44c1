"""What every test may ask for: real PostgreSQL, a clock in its hand, servers of others."""

import gc
from asyncio import AbstractEventLoop
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from core.store.database import Database
from core.store.embedded import EmbeddedPostgres
from tests.builders import SteadyClock
from tests.databases import CleanDatabases, Urls, build_template, close_kept, database_on
from tests.snapshot_files import Snapshots
from tests.upstreams import UpstreamServers

# Neither how fast something is nor how fast examples are made is for a test to say.
_UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("few", _UNTIMED, max_examples=20)
settings.register_profile("many", _UNTIMED, max_examples=1000)
settings.load_profile("few")

_PARTS = 4  # as many as the Makefile asks for workers
_LONG = (
    "scenarios/crash/",
    "scenarios/test_isolation",
    "scenarios/test_one_decision",
    "scenarios/test_waiting_is_free",
    "integration/test_mcp_processes",
    "integration/test_takeover",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take what has snapshots and pictures made anew."""
    parser.addoption("--update-snapshots", action="store_true", help="write snapshots anew")
    parser.addoption("--update-pictures", action="store_true", help="take pictures anew")


@pytest.fixture
def snapshot(request: pytest.FixtureRequest) -> Snapshots:
    """Give the test what was kept of earlier answers."""
    return Snapshots(update=bool(request.config.getoption("--update-snapshots")))


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """Have tests run on the loop that the product runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the collector from going through thousands of modules, then and later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests that are marked as together next to one another, in the order they have."""
    places: dict[str, int] = {}
    wanted: list[tuple[int, pytest.Item]] = []
    for place, item in enumerate(items):
        mark = item.get_closest_marker("together")
        wanted.append((places.setdefault(str(mark.args[0]), place) if mark else place, item))
    wanted.sort(key=lambda each: each[0])
    items[:] = _long_ones_first([item for _, item in wanted])


def _long_ones_first(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests with those that wait longest at the front of each worker's part of them.

    Begun last, one of them would be waited for by everybody.
    """
    long = [item for item in items if any(part in item.nodeid for part in _LONG)]
    chosen = set(long)
    others = [item for item in items if item not in chosen]
    share = -(-len(others) // _PARTS)
    parts = ([*long[at::_PARTS], *others[at * share : (at + 1) * share]] for at in range(_PARTS))
    return [item for part in parts for item in part]


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
    name = clean_databases.take()
    yield clean_databases.urls(name)
    clean_databases.give_back(name)


@pytest.fixture(scope="module")
def module_urls(
    clean_databases: CleanDatabases,
    kept_connections: None,  # noqa: ARG001 - closed after the last of these
) -> Generator[Urls]:
    """Give the module a database that its tests hand on to each other."""
    name = clean_databases.take()
    yield clean_databases.urls(name)
    clean_databases.give_back(name)


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

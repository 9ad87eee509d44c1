"""How the tests are run: their order, their loop, and how many examples of a property."""

import gc
from asyncio import AbstractEventLoop
from collections.abc import Callable, Generator, Mapping

import pytest
import uvloop
from hypothesis import HealthCheck, settings

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


def pytest_configure(config: pytest.Config) -> None:
    """Have the fixtures where tests are run; who only hands them out would import much for none."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", default=None):
        config.pluginmanager.import_plugin("tests.fixtures")


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

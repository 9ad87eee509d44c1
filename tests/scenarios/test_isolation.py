"""Nothing of one company reaches another: not by any id, in any argument, through any door."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import structlog.testing
from hypothesis import HealthCheck, given, settings

from tests.databases import Urls
from tests.mcp_door import mcp_door
from tests.rest import served
from tests.scenarios.break_in import (
    ATTEMPTS,
    SCRIPT,
    AppDoor,
    Attempt,
    FrontDoor,
    Planted,
    Way,
    aim,
    everything_of,
    plant,
)
from tests.scenarios.doors import Commands, McpSide, RestDoor
from tests.world import world_on

ONE, OTHER = "quartzcorp", "zephyrworks"


class Scene:
    """Two companies and one front door between them."""

    def __init__(self, urls: Urls, door: FrontDoor, one: Planted, other: Planted) -> None:
        self.urls = urls
        self.door = door
        self.one = one
        self.other = other

    async def attack(
        self, attempt: Attempt, caplog: pytest.LogCaptureFixture, *, both_ways: bool = True
    ) -> None:
        """Make the attempt, each company on the other; nothing may come of it."""
        pairs = [(self.one, self.other), (self.other, self.one)]
        for attacker, victim in pairs if both_ways else pairs[:1]:
            before = everything_of(self.urls, victim.company)
            with structlog.testing.capture_logs() as logs:
                told = await self.door.make(aim(attempt, attacker=attacker, victim=victim))
            assert victim.name not in told
            assert victim.name not in str(logs)
            assert victim.name not in caplog.text
            assert victim.name not in everything_of(self.urls, attacker.company)
            assert everything_of(self.urls, victim.company) == before


@pytest.fixture
async def scene(urls: Urls, tmp_path: Path) -> AsyncGenerator[Scene]:
    """No front door."""
    async with world_on(urls, tmp_path, script=SCRIPT) as world:
        one, other = await plant(world, ONE), await plant(world, OTHER)
        yield Scene(urls, AppDoor(world), one, other)


@pytest.fixture
async def rest_scene(urls: Urls, tmp_path: Path) -> AsyncGenerator[Scene]:
    async with served(urls, tmp_path, script=SCRIPT) as http:
        one, other = await plant(http.world, ONE), await plant(http.world, OTHER)
        yield Scene(urls, RestDoor(http, urls), one, other)


@pytest.fixture
async def mcp_scene(urls: Urls, tmp_path: Path) -> AsyncGenerator[Scene]:
    async with world_on(urls, tmp_path, script=SCRIPT) as world:
        one, other = await plant(world, ONE), await plant(world, OTHER)
        async with mcp_door(world, wait_seconds=0.2) as door:
            yield Scene(urls, McpSide(door, urls), one, other)


@pytest.fixture
async def cli_scene(urls: Urls, tmp_path: Path) -> AsyncGenerator[Scene]:
    async with world_on(urls, tmp_path, script=SCRIPT) as world:
        one, other = await plant(world, ONE), await plant(world, OTHER)
        yield Scene(urls, Commands(urls, tmp_path, one, other), one, other)


async def test_the_companies_have_things_to_find(scene: Scene) -> None:
    for planted, other in ((scene.one, scene.other), (scene.other, scene.one)):
        kept = everything_of(scene.urls, planted.company)
        assert kept.count(planted.name) > 50
        assert other.name not in kept
        assert len(planted.ids["approval"]) == 2
        assert all(str(one) in kept for one in planted.every_id)


async def test_who_asks_for_their_own_gets_it(scene: Scene) -> None:
    attempt = Attempt(
        way=Way.SEE_RUN, role="member", tool=0, place=1, is_nested=False, on_own=False
    )
    told = await scene.door.make(aim(attempt, attacker=scene.one, victim=scene.one))
    assert scene.one.name in told


def often(examples: int) -> settings:
    """How often a front door is tried."""
    return settings(
        deadline=None,
        max_examples=examples,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@often(25)
@given(attempt=ATTEMPTS)
async def test_nothing_crosses(
    scene: Scene, caplog: pytest.LogCaptureFixture, attempt: Attempt
) -> None:
    await scene.attack(attempt, caplog)


@often(8)
@given(attempt=ATTEMPTS)
async def test_nothing_crosses_over_rest(
    rest_scene: Scene, caplog: pytest.LogCaptureFixture, attempt: Attempt
) -> None:
    await rest_scene.attack(attempt, caplog)


@often(8)
@given(attempt=ATTEMPTS)
async def test_nothing_crosses_over_mcp(
    mcp_scene: Scene, caplog: pytest.LogCaptureFixture, attempt: Attempt
) -> None:
    await mcp_scene.attack(attempt, caplog)


@pytest.mark.parametrize("way", [Way.CALL, Way.SEE_RUN])
async def test_nothing_crosses_on_the_command_line(
    cli_scene: Scene, caplog: pytest.LogCaptureFixture, way: Way
) -> None:
    kind = "run" if way is Way.SEE_RUN else "document"
    ids = cli_scene.other.every_id
    place = ids.index(cli_scene.other.ids[kind][0])
    attempt = Attempt(way=way, role="admin", tool=8, place=place, is_nested=False, on_own=False)
    await cli_scene.attack(attempt, caplog, both_ways=False)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@often(400)
@given(attempt=ATTEMPTS)
async def test_nothing_crosses_however_often_it_is_tried(
    rest_scene: Scene, caplog: pytest.LogCaptureFixture, attempt: Attempt
) -> None:
    await rest_scene.attack(attempt, caplog)

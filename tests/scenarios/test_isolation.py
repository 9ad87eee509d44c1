"""Nothing of one company reaches another: not by any id, in any argument, through any door."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog.testing
from hypothesis import HealthCheck, given, settings

from tests.conftest import Urls
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
from tests.world import world_on

ONE, OTHER = "quartzcorp", "zephyrworks"


class Scene:
    """Two companies and one front door between them."""

    def __init__(self, urls: Urls, door: FrontDoor, one: Planted, other: Planted) -> None:
        self.urls = urls
        self.door = door
        self.one = one
        self.other = other

    async def attack(self, attempt: Attempt, caplog: pytest.LogCaptureFixture) -> None:
        """Make the attempt both ways round; nothing may come of it."""
        for attacker, victim in ((self.one, self.other), (self.other, self.one)):
            before = everything_of(self.urls, victim.company)
            with structlog.testing.capture_logs() as logs:
                told = await self.door.make(aim(attempt, attacker=attacker, victim=victim))
            assert victim.name not in told
            assert victim.name not in str(logs)
            assert victim.name not in caplog.text
            assert victim.name not in everything_of(self.urls, attacker.company)
            assert everything_of(self.urls, victim.company) == before


@asynccontextmanager
async def app_scene(urls: Urls, folder: Path) -> AsyncGenerator[Scene]:
    async with world_on(urls, folder, script=SCRIPT) as world:
        one, other = await plant(world, ONE), await plant(world, OTHER)
        yield Scene(urls, AppDoor(world), one, other)


@pytest.fixture
async def scene(urls: Urls, tmp_path: Path) -> AsyncGenerator[Scene]:
    async with app_scene(urls, tmp_path) as made:
        yield made


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


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(attempt=ATTEMPTS)
async def test_nothing_crosses(
    scene: Scene, caplog: pytest.LogCaptureFixture, attempt: Attempt
) -> None:
    await scene.attack(attempt, caplog)

"""Killed at any moment and started again, workers finish every run, and nothing is done twice."""

import asyncio
import os
import random
from collections.abc import AsyncGenerator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.databases import Urls
from tests.scenarios.crash.invariants import SCRIPT, task_of
from tests.scenarios.crash.scene import Scene, scene_on
from tests.world import Company


@pytest.fixture
async def scene(urls: Urls, tmp_path: Path) -> AsyncGenerator[Scene]:
    async with scene_on(urls, tmp_path, script=SCRIPT) as made:
        yield made


@pytest.mark.parametrize(
    ("runs", "workers", "kills"), [(10, 2, 5), pytest.param(100, 3, 60, marks=pytest.mark.soak)]
)
async def test_every_run_ends_once_although_workers_are_killed_at_random(
    scene: Scene, runs: int, workers: int, kills: int
) -> None:
    chance = random.Random(os.urandom(4).hex())  # noqa: S311 - whom it hits is no secret
    living = [await scene.processes.start_ready(scene.life) for _ in range(workers)]
    companies = [await scene.world.company(f"tenant-{at}") for at in range(runs)]
    async with asyncio.TaskGroup() as group:
        for company in companies:
            group.create_task(_start_and_approve(scene, company, chance=chance, kills=kills))
        await _kill_now_and_then(scene, living, chance=chance, kills=kills)

    problems = {
        company.tenant.name: found
        for company in companies
        if (found := await scene.problems(company))
    }

    assert not problems, "\n".join(f"{at}: {found}" for at, found in problems.items())


async def _start_and_approve(
    scene: Scene, company: Company, *, chance: random.Random, kills: int
) -> None:
    await asyncio.sleep(chance.uniform(0, kills))
    await scene.door.start_run(company.member, task=task_of(company.tenant.id))
    await scene.approve_until_ended(company, seconds=120)


async def _kill_now_and_then(
    scene: Scene, living: list[BaseProcess], *, chance: random.Random, kills: int
) -> None:
    """Kill one of the workers every second or so, and start another in its place."""
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(0.2, 1.8))
        victim = living.pop(chance.randrange(len(living)))
        victim.kill()
        living.append(scene.processes.start(scene.life))

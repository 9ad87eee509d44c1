"""PostgreSQL killed under the runs and started again: all end, and nothing is done twice."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from core.durable import client as durable
from core.store.embedded import EmbeddedPostgres
from core.store.migrate import migrate
from tests.databases import Urls
from tests.scenarios.crash.invariants import SCRIPT, task_of
from tests.scenarios.crash.scene import Scene, scene_on
from tests.waiting import until

_PASSWORD = "app-password-of-the-tests"
_SUPERVISED_SECONDS = 2.0
"""Between two looks: long enough for the runs to notice that the server is away."""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[EmbeddedPostgres]:
    """A migrated server of the test's own, supervised, to kill."""
    own = EmbeddedPostgres(tmp_path / "own")
    own.start()
    try:
        migrate(_privileged(own), app_password=_PASSWORD)
        durable.migrate(_privileged(own), application_role="sallyport_app")
        async with asyncio.TaskGroup() as group:
            supervision = group.create_task(own.supervise(poll_seconds=_SUPERVISED_SECONDS))
            yield own
            supervision.cancel()
    finally:
        own.stop()
        own.remove()


@pytest.fixture
async def scene(server: EmbeddedPostgres, tmp_path: Path) -> AsyncGenerator[Scene]:
    urls = Urls(
        privileged=_privileged(server),
        app=server.url(user="sallyport_app", password=_PASSWORD, database="postgres"),
    )
    async with scene_on(urls, tmp_path, script=SCRIPT) as made:
        yield made


def _privileged(server: EmbeddedPostgres) -> str:
    return server.url(
        user="sallyport_admin", password=server.superuser_password, database="postgres"
    )


@pytest.mark.parametrize(("runs", "crashes"), [(6, 1), pytest.param(30, 5, marks=pytest.mark.soak)])
async def test_every_run_ends_once_although_postgresql_is_killed(
    scene: Scene, server: EmbeddedPostgres, runs: int, crashes: int
) -> None:
    await scene.processes.start_ready(scene.life)
    await scene.processes.start_ready(scene.life)
    companies = [await scene.world.company(f"tenant-{at}") for at in range(runs)]
    each = runs // (crashes + 1)
    async with asyncio.TaskGroup() as group:
        for at, company in enumerate(companies):
            await scene.door.start_run(company.member, task=task_of(company.tenant.id))
            group.create_task(scene.approve_until_ended(company, seconds=100))
            if at % each == each - 1 and at // each < crashes:
                await _kill(scene, server, steps=5 * at)

    problems = {
        company.tenant.name: found
        for company in companies
        if (found := await scene.problems(company))
    }

    assert not problems, "\n".join(f"{at}: {found}" for at, found in problems.items())


async def _kill(scene: Scene, server: EmbeddedPostgres, *, steps: int) -> None:
    """Kill the server in the midst of the runs, and wait until supervision has started it again."""

    async def are_under_way() -> bool:
        return len(scene.diary.read(what="asked")) > steps

    await until(are_under_way, seconds=60)
    life = await asyncio.to_thread(server.keep_running)
    assert life is not None
    os.kill(life.pid, signal.SIGKILL)

    async def is_away() -> bool:
        return not await asyncio.to_thread(server.is_alive)

    async def is_back() -> bool:
        return await asyncio.to_thread(server.is_alive)

    await until(is_away, seconds=60)
    await until(is_back, seconds=60)

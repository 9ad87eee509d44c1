"""Killed at any boundary, a worker's run is finished by another, and nothing is done twice."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.databases import Urls
from tests.scenarios.crash.diary import Note
from tests.scenarios.crash.fate import Moment
from tests.scenarios.crash.figures import tell
from tests.scenarios.crash.invariants import SCRIPT
from tests.scenarios.crash.processes import exit_of
from tests.scenarios.crash.scene import Scene, scene_on
from tests.world import Company

_AT_ONCE = 5
_TAKEN_OVER_SECONDS = 30.0

FIRST = (
    Moment(boundary="enqueue", when="before", nth=1),
    Moment(boundary="take", when="after", nth=1),
    Moment(boundary="model", when="after", nth=1),
    Moment(boundary="answer", when="after", nth=1),
    Moment(boundary="read", when="after", nth=1),
    Moment(boundary="running", when="after", nth=1),
    Moment(boundary="effect", when="before", nth=1),
    Moment(boundary="effect", when="after", nth=1),
    Moment(boundary="settle", when="after", nth=1),
    Moment(boundary="ask", when="before", nth=1),
    Moment(boundary="ask", when="after", nth=1),
    Moment(boundary="results", when="after", nth=1),
    Moment(boundary="park", when="before", nth=1),
    Moment(boundary="park", when="after", nth=1),
    Moment(boundary="decision", when="after", nth=1),
    Moment(boundary="take", when="after", nth=2),
    Moment(boundary="effect", when="after", nth=2),
    Moment(boundary="finish", when="before", nth=1),
)
ALL = (
    *FIRST,
    Moment(boundary="take", when="before", nth=1),
    Moment(boundary="answer", when="before", nth=1),
    Moment(boundary="answer", when="after", nth=3),
    Moment(boundary="running", when="before", nth=1),
    Moment(boundary="settle", when="before", nth=1),
    Moment(boundary="results", when="before", nth=1),
    Moment(boundary="decision", when="before", nth=1),
    Moment(boundary="enqueue", when="before", nth=2),
    Moment(boundary="enqueue", when="after", nth=2),
    Moment(boundary="running", when="after", nth=2),
    Moment(boundary="effect", when="before", nth=2),
    Moment(boundary="settle", when="before", nth=2),
    Moment(boundary="settle", when="after", nth=2),
    Moment(boundary="model", when="after", nth=5),
    Moment(boundary="finish", when="after", nth=1),
)


@pytest.fixture
async def scene(urls: Urls, tmp_path: Path) -> AsyncGenerator[Scene]:
    async with scene_on(urls, tmp_path, script=SCRIPT) as made:
        yield made


@pytest.mark.parametrize(
    "moments",
    [pytest.param(FIRST, id="first"), pytest.param(ALL, id="all", marks=pytest.mark.soak)],
)
async def test_a_kill_at_any_boundary_costs_nothing_but_seconds(
    scene: Scene, moments: tuple[Moment, ...]
) -> None:
    await scene.processes.start_ready(scene.life)
    room = asyncio.Semaphore(_AT_ONCE)
    companies = [await scene.world.company(f"tenant-{at}") for at in range(len(moments))]
    async with asyncio.TaskGroup() as group:
        for company, moment in zip(companies, moments, strict=True):
            group.create_task(_die(scene, company, moment=moment, room=room))

    problems = {
        str(moment): found
        for company, moment in zip(companies, moments, strict=True)
        if (found := await scene.problems(company))
    }

    assert not problems, "\n".join(f"{at}: {found}" for at, found in problems.items())
    waits = _takeovers(scene.diary.read())
    tell("takeover in seconds", waits)
    assert max(waits) < _TAKEN_OVER_SECONDS


async def _die(scene: Scene, company: Company, *, moment: Moment, room: asyncio.Semaphore) -> None:
    async with room:
        process = scene.processes.start(replace(scene.journey(company), moment=moment))
        assert await exit_of(process) == -signal.SIGKILL, f"{moment} was never reached"
    await scene.approve_until_ended(company)


def _takeovers(notes: list[Note]) -> list[float]:
    """Return how long each run lay still whose driver was killed, in seconds."""
    killed = {note.pid: note.at for note in notes if note.what == "struck"}
    driver: dict[str, Note] = {}
    waits: list[float] = []
    for note in notes:
        if note.what != "took":
            continue
        before = driver.get(note.about)
        # Whoever took it before its driver's death took it after a wait for people.
        if before is not None and 0 < killed.get(before.pid, 0) < note.at:
            waits.append((note.at - killed[before.pid]) / 1e9)
        driver[note.about] = note
    return waits

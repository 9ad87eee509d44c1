"""Runs that wait for people are rows: workers do not grow by them, and each goes on when asked."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.domain.approval import Answer, Approval, ApprovalState
from core.domain.ids import ApprovalId
from core.domain.run import RunStatus
from tests.databases import Urls
from tests.scenarios.crash.figures import tell
from tests.scenarios.crash.invariants import connect
from tests.scenarios.crash.scene import Scene, scene_on
from tests.waiting import until
from tests.world import Company

SCRIPT = """
scripts:
  - match: (?i)tell (?P<whom>\\S+)$
    turns:
      - say: I have to ask somebody first.
        calls:
          - tool: send_message_to_user
            arguments: {recipient: "${{ match.whom }}", text: All is well.}
      - when: {tool: send_message_to_user, outcome: succeeded}
        say: Told.
"""

_TENANTS = 10
_AT_ONCE = 16
_PAGE = 50
_LOOK_SECONDS = 0.1
_READY_SECONDS = 5.0


@pytest.fixture
async def scene(urls: Urls, tmp_path: Path) -> AsyncGenerator[Scene]:
    async with scene_on(urls, tmp_path, script=SCRIPT) as made:
        yield made


@pytest.mark.parametrize(
    ("runs", "sample"),
    [
        (100, 20),
        pytest.param(10_000, 200, marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
    ],
)
async def test_thousands_wait_and_a_worker_is_no_larger_and_no_slower(
    scene: Scene, runs: int, sample: int
) -> None:
    with _worker(scene) as idle:
        await _ready(scene, idle)
        without = await _settled_megabytes(idle)
    companies = [await scene.world.company(f"tenant-{at}") for at in range(_TENANTS)]
    began = time.monotonic()
    await _park(scene, companies, runs=runs)
    tell("parked a second", [runs / (time.monotonic() - began)])
    _assert_all_wait(scene, runs=runs)

    with _worker(scene) as process:
        ready_seconds = await _ready(scene, process)
        with_all = await _settled_megabytes(process)
        tell("worker in megabytes with none and with all waiting", [without, with_all])
        tell("ready in seconds", [ready_seconds])
        assert abs(with_all - without) < 0.1 * without
        assert ready_seconds < _READY_SECONDS or runs < 10_000  # the small one shares its machine

        waits = await _go_on(scene, companies, sample=sample)

    tell("decision to resume in seconds", waits)
    with connect(scene.urls.privileged) as connection:
        (sent,) = connection.execute("select count(*) from messages").fetchall()
        (waiting,) = connection.execute(
            "select count(*) from runs where dispatch = 'parked'"
        ).fetchall()
    assert (sent, waiting) == ((sample,), (runs - sample,))


@contextmanager
def _worker(scene: Scene) -> Generator[subprocess.Popen[bytes]]:
    """Run a worker that has imported everything by itself, as one in production has."""
    life = scene.life
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.scenarios.crash.processes",
            life.url,
            str(life.folder),
            str(life.script),
        ]
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def _ready(scene: Scene, process: subprocess.Popen[bytes]) -> float:
    """Wait until the worker works and return how long that took from here."""
    began = time.monotonic()

    async def is_ready() -> bool:
        return any(note.pid == process.pid for note in scene.diary.read(what="ready"))

    await until(is_ready, seconds=60)
    return time.monotonic() - began


async def _settled_megabytes(process: subprocess.Popen[bytes]) -> float:
    """Return how much memory the worker holds, once that has stopped to change for a second."""
    before, now = 0.0, _megabytes(process)
    while abs(now - before) > 0.005 * now:
        await asyncio.sleep(1.5)
        before, now = now, _megabytes(process)
    return now


def _megabytes(process: subprocess.Popen[bytes]) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    (resident,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(resident.split()[1]) / 1024


async def _park(scene: Scene, companies: Sequence[Company], *, runs: int) -> None:
    """Drive so many runs until each of them waits, with the real loop through the real door."""
    world, room = scene.world, asyncio.Semaphore(_AT_ONCE)

    async def park(company: Company) -> None:
        async with room:
            run_id = await world.app.start_run(
                company.member, task=f"Please tell {company.admin.principal.email}"
            )
            await world.loop.drive(company.tenant.id, run_id, 1)

    async with asyncio.TaskGroup() as group:
        for at in range(runs):
            group.create_task(park(companies[at % len(companies)]))


def _assert_all_wait(scene: Scene, *, runs: int) -> None:
    with connect(scene.urls.privileged) as connection:
        found = connection.execute(
            "select r.dispatch, r.status, a.state, count(*) from runs r join approvals a "
            "on a.tenant_id = r.tenant_id and a.run_id = r.id group by 1, 2, 3"
        ).fetchall()
    assert found == [("parked", "awaiting_approval", "pending", runs)]


async def _go_on(scene: Scene, companies: Sequence[Company], *, sample: int) -> list[float]:
    """Decide some, one after the other; return how long each took from decision to resume."""
    each = sample // len(companies)
    waits: list[float] = []
    for company in companies:
        for question in (await _questions(scene, company, count=each))[:each]:
            waits.append(await _resumed(scene, company, question=question))  # noqa: PERF401 - one after the other
    return waits


async def _questions(scene: Scene, company: Company, *, count: int) -> list[Approval]:
    found: list[Approval] = []
    before = None
    while len(found) < count:
        page, before = await scene.door.approvals(
            company.approver, state=ApprovalState.PENDING, before=before, limit=_PAGE
        )
        found.extend(page)
    return found


async def _resumed(scene: Scene, company: Company, *, question: Approval) -> float:
    """Approve, wait for the run to end, and return how long it lay still in between."""
    await scene.door.decide(
        company.approver,
        approval_id=ApprovalId(question.id),
        answer=Answer.APPROVE,
        digest=question.digest,
    )
    decided = time.time_ns()

    async def has_ended() -> bool:
        await asyncio.sleep(_LOOK_SECONDS)
        run = await scene.door.run(company.member, run_id=question.run_id)
        assert run.status is not RunStatus.FAILED
        return run.status is RunStatus.COMPLETED

    await until(has_ended)
    took = scene.diary.read(what="took", about=str(question.run_id))
    return (took[-1].at - decided) / 1e9

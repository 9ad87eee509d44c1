"""Two questions of one step, decided in two processes at the same moment: one resume, each once."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path

import pytest

from core.domain.approval import ApprovalState
from core.domain.ids import ApprovalId
from core.domain.principal import Caller
from core.domain.run import RunStatus
from tests.databases import Urls
from tests.scenarios.crash.invariants import Ledger, connect
from tests.scenarios.crash.processes import exit_of
from tests.scenarios.crash.scene import Scene, scene_on
from tests.scenarios.deciders import Appointment, Calendar, keep
from tests.waiting import until
from tests.world import Company

SCRIPT = """
scripts:
  - contains: both
    turns:
      - calls: [{tool: list_projects}]
      - calls:
          - tool: list_tasks_in_project
            arguments: {project_id: "${{ results.list_projects.projects[name=Inbox].id }}"}
      - calls:
          - tool: delete_task
            arguments:
              task_id: "${{ results.list_tasks_in_project.tasks[title=Old draft].id }}"
          - tool: delete_task
            arguments:
              task_id: "${{ results.list_tasks_in_project.tasks[title=Call the customer].id }}"
      - when: {tool: delete_task, outcome: succeeded}
        say: Deleted both.
"""


@pytest.fixture
async def scene(urls: Urls, tmp_path: Path) -> AsyncGenerator[Scene]:
    async with scene_on(urls, tmp_path, script=SCRIPT) as made:
        yield made


@pytest.mark.parametrize("runs", [5, pytest.param(30, marks=pytest.mark.soak)])
async def test_the_run_goes_on_once_when_two_decide_its_two_questions_at_once(
    scene: Scene, runs: int
) -> None:
    await scene.processes.start_ready(scene.life)
    companies = [await scene.world.company(f"tenant-{at}") for at in range(runs)]
    for company in companies:
        await scene.door.start_run(company.member, task="Delete both")
    pairs = [await _both_asked(scene, company) for company in companies]

    await _decide_at_once(
        scene, [tuple(first for first, _ in pairs), tuple(second for _, second in pairs)]
    )
    async with asyncio.TaskGroup() as group:
        for company in companies:
            group.create_task(scene.approve_until_ended(company))

    with connect(scene.urls.privileged) as connection:
        problems = {
            company.tenant.name: found
            for company in companies
            if (found := list(_problems(Ledger(connection, tenant_id=company.tenant.id))))
        }
    assert not problems, "\n".join(f"{at}: {found}" for at, found in problems.items())
    drives = Counter(note.about for note in scene.diary.read(what="took"))
    assert set(drives.values()) == {2}


async def _both_asked(scene: Scene, company: Company) -> tuple[Appointment, Appointment]:
    """Wait until both questions are asked and the run is parked; return who decides which."""
    asked: dict[ApprovalId, str] = {}

    async def is_parked() -> bool:
        runs = await scene.door.runs(company.admin, before=None, limit=1)
        shown, _ = await scene.door.approvals(
            company.admin, state=ApprovalState.PENDING, before=None, limit=10
        )
        asked.update({one.id: one.digest for one in shown})
        return runs[0].status is RunStatus.AWAITING_APPROVAL

    await until(is_parked, seconds=60)
    (one, one_digest), (other, other_digest) = asked.items()
    return (
        _appointment(company, company.approver, approval_id=one, digest=one_digest),
        _appointment(company, company.second_approver, approval_id=other, digest=other_digest),
    )


def _appointment(
    company: Company, person: Caller, *, approval_id: ApprovalId, digest: str
) -> Appointment:
    return Appointment(
        tenant_id=company.tenant.id,
        person=person.principal.id,
        approval_id=approval_id,
        digest=digest,
    )


async def _decide_at_once(scene: Scene, lists: Sequence[tuple[Appointment, ...]]) -> None:
    """Have each list kept by a process of its own, entry by entry at the same moments."""
    calendars = [
        Calendar(url=scene.life.url, folder=scene.life.folder, appointments=each) for each in lists
    ]
    keeping = [scene.processes.start_other(keep, calendar) for calendar in calendars]
    diary = calendars[0].diary

    async def are_ready() -> bool:
        return len(diary.read(what="ready")) == len(keeping)

    await until(are_ready, seconds=60)
    diary.write("go")
    for process in keeping:
        assert await exit_of(process) == 0


def _problems(ledger: Ledger) -> Iterator[str]:
    runs = ledger.rows("select status, result, segment, lease from runs where tenant_id = %s")
    if runs != [("completed", "Deleted both.", 2, 2)]:
        yield f"run: {runs}"
    gone = ledger.rows(
        "select title from tasks where tenant_id = %s and deleted_at is not null order by title"
    )
    if gone != [("Call the customer",), ("Old draft",)]:
        yield f"deleted: {gone}"
    calls = ledger.rows(
        "select state, attempts from tool_calls where tenant_id = %s and tool = 'delete_task'"
    )
    if calls != [("succeeded", 1)] * 2:
        yield f"calls: {calls}"
    audited = Counter(ledger.rows("select action from audit_records where tenant_id = %s"))
    if audited["approval.decided",] != 2 or audited["run.ended",] != 1:
        yield f"audited: {audited}"

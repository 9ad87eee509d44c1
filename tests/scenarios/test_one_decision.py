"""However many decide at once, one decision closes a question, and one call is made of it."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from core.cedar import CedarPolicy
from core.domain.approval import Answer, Approval, ApprovalState
from core.domain.ids import PrincipalId
from core.domain.principal import Caller, Principal, Role, scopes_held
from core.domain.run import RunStatus
from core.errors import Forbidden, NotFound, Refused, Unauthenticated
from core.ports import Policy
from sallyport.assembly import Assembly
from tests.builders import make_person
from tests.databases import Urls
from tests.scenarios.crash.invariants import Ledger, connect
from tests.scenarios.crash.processes import Processes, exit_of, processes
from tests.scenarios.deciders import Crowd, decide
from tests.waiting import until
from tests.world import Company, World, caller_of, world_on

SCRIPT = """
scripts:
  - contains: delete
    turns:
      - calls: [{tool: list_projects}]
      - calls:
          - tool: list_tasks_in_project
            arguments: {project_id: "${{ results.list_projects.projects[name=Inbox].id }}"}
      - calls:
          - tool: delete_task
            arguments:
              task_id: "${{ results.list_tasks_in_project.tasks[title=Old draft].id }}"
      - when: {tool: delete_task, outcome: succeeded}
        say: Deleted.
      - when: {tool: delete_task}
        say: Left alone.
"""

TWO_MUST_AGREE = """
@id("two")
@reason("Two people have to agree.")
@approval
@needed("2")
permit (principal is User, action == Action::"call", resource is Tool)
when { resource.risk == "destructive" };
"""


class TwoMustAgree(Assembly):
    """The application with a rule by which two people have to agree."""

    def build_policy(self) -> Policy:
        return CedarPolicy(added=TWO_MUST_AGREE)


@pytest.fixture
async def world(urls: Urls, tmp_path: Path) -> AsyncGenerator[World]:
    async with world_on(urls, tmp_path, script=SCRIPT) as made:
        yield made


@pytest.fixture
async def strict_world(urls: Urls, tmp_path: Path) -> AsyncGenerator[World]:
    async with world_on(urls, tmp_path, script=SCRIPT, kind=TwoMustAgree) as made:
        yield made


async def _asked(world: World, company: Company, *, by: Caller | None = None) -> Approval:
    """Have a run ask for a deletion, and return the question."""
    run = await world.run(by or company.member, "Please delete the old draft")
    assert run.status is RunStatus.AWAITING_APPROVAL
    (question,) = await world.pending(company.admin)
    return question


async def _approve(world: World, caller: Caller, question: Approval) -> Approval:
    return await world.app.decide(
        caller, approval_id=question.id, answer=Answer.APPROVE, digest=question.digest
    )


async def _six_people(world: World, company: Company) -> list[Caller]:
    database = world.assembly.database
    others = [
        await make_person(database, company.tenant, f"approver-{at}@acme.test", Role.APPROVER)
        for at in range(2)
    ]
    admin = await make_person(database, company.tenant, "root@acme.test", Role.ADMIN)
    return [
        company.approver,
        company.second_approver,
        company.admin,
        *map(caller_of, (*others, admin)),
    ]


async def test_of_a_thousand_decisions_at_once_one_closes_the_question_and_one_call_is_made(
    world: World, urls: Urls, tmp_path: Path
) -> None:
    acme = await world.company()
    people = await _six_people(world, acme)
    question = await _asked(world, acme)
    crowd = Crowd(
        url=urls.app,
        folder=tmp_path,
        tenant_id=acme.tenant.id,
        approval_id=question.id,
        digest=question.digest,
        people=tuple(caller.principal.id for caller in people),
        decisions=334,
    )

    with processes() as started:
        await _rush(started, crowd, count=3)

    outcomes = Counter(note.about for note in crowd.diary.read(what="outcome"))
    assert outcomes == {"approved": 1, "approval_closed": 1001}
    await world.loop.drive(acme.tenant.id, question.run_id, 2)
    run = await world.app.run(acme.member, run_id=question.run_id)
    assert (run.status, run.result) == (RunStatus.COMPLETED, "Deleted.")
    with connect(urls.privileged) as connection:
        ledger = Ledger(connection, tenant_id=acme.tenant.id)
        assert ledger.one("select answer from decisions where tenant_id = %s") == "approve"
        assert ledger.one("select tool from tool_effects where tenant_id = %s") == "delete_task"
        assert ledger.one("select segment from runs where tenant_id = %s") == 2
        audited = Counter(
            ledger.rows("select action, tool from audit_records where tenant_id = %s")
        )
        assert audited["approval.decided", "delete_task"] == 1
        assert audited["call.executed", "delete_task"] == 1


async def _rush(started: Processes, crowd: Crowd, *, count: int) -> None:
    """Start ``count`` processes of the crowd, let them begin at once, and wait for their end."""
    running = [started.start_other(decide, crowd) for _ in range(count)]

    async def are_ready() -> bool:
        return len(crowd.diary.read(what="ready")) == count

    await until(are_ready, seconds=60)
    crowd.diary.write("go")
    for process in running:
        assert await exit_of(process) == 0


async def test_yes_and_no_at_once_are_one_answer_and_the_run_obeys_it(world: World) -> None:
    acme = await world.company()
    people = await _six_people(world, acme)
    question = await _asked(world, acme)

    async def answer(caller: Caller, which: Answer) -> str:
        try:
            closed = await world.app.decide(
                caller, approval_id=question.id, answer=which, digest=question.digest
            )
        except Refused as refusal:
            return refusal.code
        return closed.state.value

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(answer(caller, (Answer.APPROVE, Answer.DENY)[at % 2]))
            for at, caller in enumerate(people * 5)
        ]

    outcomes = Counter(task.result() for task in tasks)
    closed = (await world.app.approval(acme.admin, approval_id=question.id)).state
    assert closed in {ApprovalState.APPROVED, ApprovalState.DENIED}
    assert outcomes == {closed.value: 1, "approval_closed": 29}
    await world.drive()
    run = await world.app.run(acme.member, run_id=question.run_id)
    expected = {ApprovalState.APPROVED: "Deleted.", ApprovalState.DENIED: "Left alone."}
    assert run.result == expected[closed]


async def test_where_two_must_agree_two_different_people_do(strict_world: World) -> None:
    acme = await strict_world.company()
    people = await _six_people(strict_world, acme)
    question = await _asked(strict_world, acme)
    assert question.approvers.needed == 2

    async def approve(caller: Caller) -> str:
        try:
            return (await _approve(strict_world, caller, question)).state.value
        except Refused as refusal:
            return refusal.code

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(approve(caller)) for caller in people * 5]

    outcomes = Counter(task.result() for task in tasks)
    assert outcomes["pending"] == outcomes["approved"] == 1
    assert outcomes["approval_closed"] + outcomes["already_decided"] == 28
    decided = await strict_world.app.approval(acme.admin, approval_id=question.id)
    assert len({decision.principal.id for decision in decided.decisions}) == 2
    assert len(strict_world.dispatcher.due) == 1
    await strict_world.drive()
    run = await strict_world.app.run(acme.member, run_id=question.run_id)
    assert run.result == "Deleted."


async def test_the_same_person_twice_is_one_of_two(strict_world: World) -> None:
    acme = await strict_world.company()
    question = await _asked(strict_world, acme)
    await _approve(strict_world, acme.approver, question)

    with pytest.raises(Refused) as refused:
        await _approve(strict_world, acme.approver, question)

    assert refused.value.code == "already_decided"
    assert not strict_world.dispatcher.due
    await _approve(strict_world, acme.second_approver, question)
    await strict_world.drive()
    run = await strict_world.app.run(acme.member, run_id=question.run_id)
    assert run.result == "Deleted."


async def test_a_member_may_not_decide_whatever_the_token_says(world: World) -> None:
    acme = await world.company()
    question = await _asked(world, acme)
    other = await make_person(world.assembly.database, acme.tenant, "dan@acme.test", Role.MEMBER)
    forged = frozenset({"approvals:decide"})

    refusals = [
        (caller_of(other), "missing_scope"),
        (replace(caller_of(other), scopes=forged), "missing_scope"),
        (replace(acme.member, scopes=forged), "missing_scope"),
    ]
    await _all_refused(world, acme, question, refusals=refusals)


@pytest.mark.parametrize("role", [Role.APPROVER, Role.ADMIN])
async def test_nobody_decides_for_themselves(world: World, role: Role) -> None:
    acme = await world.company()
    asker = {Role.APPROVER: acme.approver, Role.ADMIN: acme.admin}[role]
    question = await _asked(world, acme, by=asker)
    await _all_refused(world, acme, question, refusals=[(asker, "self_approval")])


async def test_strangers_and_other_companies_decide_nothing(world: World) -> None:
    acme, globex = await world.company("acme"), await world.company("globex")
    question = await _asked(world, acme)
    unknown = Principal(
        id=PrincipalId(uuid4()),
        tenant_id=acme.tenant.id,
        email="eve@acme.test",
        roles=frozenset({Role.ADMIN}),
        groups=frozenset(),
    )
    stranger = Caller(principal=unknown, scopes=scopes_held(unknown), via="api")
    refusals = [(globex.admin, "not_found"), (globex.approver, "not_found")]
    await _all_refused(world, acme, question, refusals=[*refusals, (stranger, "invalid_token")])


async def test_who_was_disabled_since_they_came_in_decides_nothing(
    world: World, urls: Urls
) -> None:
    acme = await world.company()
    question = await _asked(world, acme)
    with connect(urls.privileged) as connection:
        connection.execute(
            "update principals set disabled_at = now() where id = %s", [acme.approver.principal.id]
        )
    await _all_refused(world, acme, question, refusals=[(acme.approver, "invalid_token")])


async def _all_refused(
    world: World, company: Company, question: Approval, *, refusals: Sequence[tuple[Caller, str]]
) -> None:
    """Expect each refusal, and the question as open as before."""
    for caller, code in refusals:
        with pytest.raises((Forbidden, NotFound, Unauthenticated)) as refused:
            await _approve(world, caller, question)
        assert refused.value.code == code
    still = await world.app.approval(company.admin, approval_id=question.id)
    assert (still.state, still.decisions) == (ApprovalState.PENDING, ())
    assert not world.dispatcher.due

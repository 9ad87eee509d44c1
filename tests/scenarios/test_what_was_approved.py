"""What was approved is what runs: whatever changes in between is asked anew, refused or denied."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from approvals.expiry import Expiry
from core.cedar import CedarPolicy
from core.domain.approval import Answer, Approval, ApprovalState
from core.domain.principal import Caller, Role
from core.domain.run import CallRecord, Run, RunStatus
from core.domain.tool import CallState, Failed
from core.errors import Conflict
from core.ports import Policy
from core.tools.authoring import BoundPack, Pack
from core.tools.builtin.documents.pack import DOCUMENTS
from core.tools.builtin.tasks.delete_task import delete_task
from core.tools.builtin.tasks.pack import TASKS
from core.tools.builtin.tasks.store import TaskStore
from sallyport.assembly import Assembly
from tests.builders import SteadyClock
from tests.databases import Urls
from tests.scenarios.crash.invariants import Ledger, connect
from tests.scenarios.test_one_decision import SCRIPT, TwoMustAgree
from tests.world import Company, World, world_on

_NO_TASK = "00000000-0000-4000-8000-000000000000"

_NEW_DELETE: Pack[TaskStore] = Pack(
    name="tasks",
    tools=tuple(
        replace(delete_task, terms={**delete_task.terms, "version": 2})
        if each is delete_task
        else each
        for each in TASKS.tools
    ),
)


class NewerTools(Assembly):
    """The application after an upgrade: its delete_task means something else."""

    def packs(self) -> Sequence[BoundPack]:
        return (_NEW_DELETE.bound(self.tasks), DOCUMENTS.bound(self.documents))


class NobodyDeletes(Assembly):
    """The application with a rule by which nothing is destroyed any more."""

    def build_policy(self) -> Policy:
        return CedarPolicy(
            added="""
            @id("freeze")
            @reason("Nothing is destroyed this week.")
            forbid (principal is User, action == Action::"call", resource is Tool)
            when { resource.risk == "destructive" };
            """
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """A run whose deletion is approved and not made yet: its next segment is due."""

    world: World
    acme: Company
    run: Run
    question: Approval
    urls: Urls
    folder: Path

    def sql(self, statement: str, *values: object) -> None:
        """Change rows behind everybody's back, as the cluster's owner."""
        with connect(self.urls.privileged) as connection:
            connection.execute(statement, values)  # pyright: ignore[reportArgumentType,reportCallIssue] - constants of this file

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with connect(self.urls.privileged) as connection:
            return Ledger(connection, tenant_id=self.acme.tenant.id).rows(query)

    async def resumed(self, *, by: World | None = None) -> Run:
        """Drive what is due, by another installation if one is given, and return the run."""
        due = self.world.dispatcher.due
        driving = by or self.world
        while due:
            await driving.loop.drive(*due.popleft())
        return await self.world.app.run(self.acme.member, run_id=self.run.id)

    async def resumed_by(self, kind: type[Assembly]) -> Run:
        async with world_on(self.urls, self.folder, script=SCRIPT, kind=kind) as other:
            return await self.resumed(by=other)

    async def approve(self, caller: Caller) -> None:
        """Approve the question that is open."""
        (question,) = await self.world.pending(self.acme.admin)
        await self.world.app.decide(
            caller, approval_id=question.id, answer=Answer.APPROVE, digest=question.digest
        )

    def retitle(self, title: str) -> None:
        self.sql("update tasks set title = %s where id = %s", title, self.acme.task_ids[1])

    def assert_nothing_was_done(self) -> None:
        """Neither the task nor any other is gone, and the audit knows of no deletion."""
        assert not self.rows("select key from tool_effects where tenant_id = %s")
        assert not self.rows("select id from tasks where tenant_id = %s and deleted_at is not null")
        assert ("call.executed",) not in self.audited()

    def audited(self) -> list[tuple[object, ...]]:
        """Return what the audit says about the deletion, in order."""
        return self.rows(
            "select action from audit_records where tenant_id = %s and tool = 'delete_task' "
            "order by seq"
        )


@pytest.fixture
async def approved(urls: Urls, tmp_path: Path) -> AsyncGenerator[Approved]:
    async with world_on(urls, tmp_path, script=SCRIPT) as world:
        acme = await world.company()
        run = await world.run(acme.member, "Please delete the old draft")
        (question,) = await world.pending(acme.approver)
        made = Approved(
            world=world, acme=acme, run=run, question=question, urls=urls, folder=tmp_path
        )
        await made.approve(acme.approver)
        yield made


def _deletion(run: Run) -> CallRecord:
    return run.steps[2].calls[0]


async def test_untouched_it_runs_once(approved: Approved) -> None:
    run = await approved.resumed()
    assert (run.status, run.result) == (RunStatus.COMPLETED, "Deleted.")
    assert approved.audited() == [("approval.asked",), ("approval.decided",), ("call.executed",)]


Interference = Callable[[Approved], Awaitable[Run]]


async def _other_arguments(approved: Approved) -> Run:
    approved.sql(
        "update tool_calls set arguments = jsonb_build_object('task_id', %s::text) where id = %s",
        str(approved.acme.task_ids[0]),
        approved.question.call_id,
    )
    return await approved.resumed()


async def _other_title(approved: Approved) -> Run:
    approved.retitle("Do not delete this")
    return await approved.resumed()


async def _other_tool_version(approved: Approved) -> Run:
    return await approved.resumed_by(NewerTools)


async def _more_people_needed(approved: Approved) -> Run:
    return await approved.resumed_by(TwoMustAgree)


async def _approver_demoted(approved: Approved) -> Run:
    await approved.world.assembly.people.change_roles(
        approved.acme.tenant.id,
        principal_id=approved.acme.approver.principal.id,
        roles=[Role.MEMBER],
    )
    return await approved.resumed()


async def _approver_gone(approved: Approved) -> Run:
    approved.sql(
        "update principals set disabled_at = now() where id = %s",
        approved.acme.approver.principal.id,
    )
    return await approved.resumed()


async def _question_forged(approved: Approved) -> Run:
    approved.sql("update approvals set digest = 'forged' where id = %s", approved.question.id)
    return await approved.resumed()


async def _answer_forged(approved: Approved) -> Run:
    approved.sql("update decisions set digest = 'x' where approval_id = %s", approved.question.id)
    return await approved.resumed()


async def _answer_removed(approved: Approved) -> Run:
    approved.sql("delete from decisions where approval_id = %s", approved.question.id)
    return await approved.resumed()


async def _answer_of_the_requester(approved: Approved) -> Run:
    approved.sql(
        "update decisions set principal_id = %s where approval_id = %s",
        approved.acme.member.principal.id,
        approved.question.id,
    )
    return await approved.resumed()


@pytest.mark.parametrize(
    "interference",
    [
        _other_arguments,
        _other_title,
        _other_tool_version,
        _more_people_needed,
        _approver_demoted,
        _approver_gone,
        _question_forged,
        _answer_forged,
        _answer_removed,
        _answer_of_the_requester,
    ],
)
async def test_what_changed_after_the_approval_is_asked_anew(
    approved: Approved, interference: Interference
) -> None:
    run = await interference(approved)

    assert run.status is RunStatus.AWAITING_APPROVAL
    (question,) = await approved.world.pending(approved.acme.admin)
    assert question.id != approved.question.id
    assert question.call_id == approved.question.call_id
    assert not question.decisions
    approved.assert_nothing_was_done()
    assert approved.audited() == [("approval.asked",), ("approval.decided",), ("approval.asked",)]


async def test_what_is_asked_anew_shows_what_would_happen_now(approved: Approved) -> None:
    await _other_arguments(approved)
    (question,) = await approved.world.pending(approved.acme.admin)
    assert question.arguments == {"task_id": str(approved.acme.task_ids[0])}
    assert "Write the report" in str(question.preview["summary"])
    await approved.approve(approved.acme.second_approver)
    await approved.resumed()
    gone = approved.rows("select title from tasks where tenant_id = %s and deleted_at is not null")
    assert gone == [("Write the report",)]


async def test_it_is_asked_anew_twice_and_then_denied(approved: Approved) -> None:
    for title in ("One name", "Another name"):
        approved.retitle(title)
        run = await approved.resumed()
        assert run.status is RunStatus.AWAITING_APPROVAL
        await approved.approve(approved.acme.approver)
    approved.retitle("A third name")

    run = await approved.resumed()

    assert (run.status, run.result) == (RunStatus.COMPLETED, "Left alone.")
    deletion = _deletion(run)
    assert deletion.state is CallState.DENIED
    assert isinstance(deletion.result, Failed)
    assert deletion.result.code == "changed_too_often"
    approved.assert_nothing_was_done()
    assert approved.audited() == [
        *[("approval.asked",), ("approval.decided",)] * 3,
        ("call.refused",),
    ]


async def _tool_switched_off(approved: Approved) -> Run:
    await approved.world.assembly.people.set_tool(
        approved.acme.tenant.id, tool="delete_task", enabled=False
    )
    return await approved.resumed()


async def _policy_forbids(approved: Approved) -> Run:
    return await approved.resumed_by(NobodyDeletes)


async def _target_gone(approved: Approved) -> Run:
    approved.sql("delete from tasks where id = %s", approved.acme.task_ids[1])
    return await approved.resumed()


async def _arguments_broken(approved: Approved) -> Run:
    approved.sql(
        "update tool_calls set arguments = '{}'::jsonb where id = %s", approved.question.call_id
    )
    return await approved.resumed()


async def _target_unknown(approved: Approved) -> Run:
    approved.sql(
        "update tool_calls set arguments = jsonb_build_object('task_id', %s::text) where id = %s",
        _NO_TASK,
        approved.question.call_id,
    )
    return await approved.resumed()


@pytest.mark.parametrize(
    ("interference", "code", "state"),
    [
        (_tool_switched_off, "tool_disabled", CallState.DENIED),
        (_policy_forbids, "policy_denied", CallState.DENIED),
        (_target_gone, "not_found", CallState.FAILED),
        (_target_unknown, "not_found", CallState.FAILED),
        (_arguments_broken, "invalid_arguments", CallState.FAILED),
    ],
)
async def test_what_may_not_happen_any_more_does_not_although_it_was_approved(
    approved: Approved, interference: Interference, code: str, state: CallState
) -> None:
    run = await interference(approved)

    deletion = _deletion(run)
    assert isinstance(deletion.result, Failed)
    assert (deletion.result.code, deletion.state) == (code, state)
    assert (run.status, run.result) == (RunStatus.COMPLETED, "Left alone.")
    approved.assert_nothing_was_done()
    assert approved.audited() == [("approval.asked",), ("approval.decided",), ("call.refused",)]


async def test_a_requester_who_is_gone_gets_nothing_done(approved: Approved) -> None:
    approved.sql(
        "update principals set disabled_at = now() where id = %s",
        approved.acme.member.principal.id,
    )
    await approved.resumed()
    run = await approved.world.app.run(approved.acme.admin, run_id=approved.run.id)
    assert run.status is RunStatus.FAILED
    assert run.error is not None
    assert run.error.code == "requester_gone"
    approved.assert_nothing_was_done()


async def test_an_expired_question_is_a_no_and_the_run_goes_on(urls: Urls, tmp_path: Path) -> None:
    script = SCRIPT.replace(
        "      - when: {tool: delete_task}\n",
        "      - when: {tool: delete_task, outcome: expired}\n"
        "        say: Nobody decided in time.\n"
        "      - when: {tool: delete_task}\n",
    )
    async with world_on(urls, tmp_path, script=script) as world:
        acme = await world.company()
        run = await world.run(acme.member, "Please delete the old draft")
        (question,) = await world.pending(acme.approver)
        clock = SteadyClock()
        expiry = Expiry(
            records=world.assembly.approvals,
            deadlines=world.assembly.directory,
            dispatcher=world.dispatcher,
            clock=clock,
        )
        early = question.expires_at - timedelta(seconds=1) - clock.now()
        clock.move(seconds=early.total_seconds())
        assert await expiry.sweep() == 0
        clock.move(seconds=2)

        assert await expiry.sweep() == 1
        assert await expiry.sweep() == 0

        await world.drive()
        run = await world.app.run(acme.member, run_id=run.id)
        assert (run.status, run.result) == (RunStatus.COMPLETED, "Nobody decided in time.")
        deletion = _deletion(run)
        assert deletion.state is CallState.EXPIRED
        assert isinstance(deletion.result, Failed)
        assert deletion.result.code == "expired"
        closed = await world.app.approval(acme.admin, approval_id=question.id)
        assert closed.state is ApprovalState.EXPIRED
        with pytest.raises(Conflict, match="approval_closed"):
            await world.app.decide(
                acme.approver,
                approval_id=question.id,
                answer=Answer.APPROVE,
                digest=question.digest,
            )
        approved = Approved(
            world=world, acme=acme, run=run, question=question, urls=urls, folder=tmp_path
        )
        approved.assert_nothing_was_done()
        assert approved.audited() == [
            ("approval.asked",),
            ("approval.expired",),
            ("call.refused",),
        ]

"""A call that an approver changes is another call: judged anew, and approved anew."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.cedar import CedarPolicy
from core.domain.approval import Answer, Approval, ApprovalState, GrantScope, Question
from core.domain.canonical import JsonObject, canonical_json
from core.domain.event import EventKind
from core.domain.principal import Caller, Role
from core.domain.run import CallRecord, Run, RunStatus
from core.domain.tool import CallState, Edited, Succeeded
from core.domain.verdict import Allow, RequireApproval, Verdict
from core.errors import Refused
from core.ports import Facts, Policy
from core.runs.context import result_block
from sallyport.assembly import Assembly
from tests.databases import Urls
from tests.scenarios.crash.invariants import Ledger, connect
from tests.scenarios.test_one_decision import SCRIPT, TWO_MUST_AGREE, TwoMustAgree
from tests.world import Company, World, world_on

_NO_TASK = "00000000-0000-4000-8000-000000000000"


class Nobody(Assembly):
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


class OnlyAdmins(Assembly):
    """The application with a rule by which an admin has to agree."""

    def build_policy(self) -> Policy:
        return CedarPolicy(added=TWO_MUST_AGREE.replace("@approval", '@approval("admin")'))


class LetsAll(CedarPolicy):
    """The rules, but that nobody is asked any more."""

    def judge(self, facts: Facts) -> Verdict:
        verdict = super().judge(facts)
        asks = isinstance(verdict, RequireApproval)
        return Allow(rules=verdict.rules) if asks else verdict


class Lenient(Assembly):
    """The application with those rules."""

    def build_policy(self) -> Policy:
        return LetsAll()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A run that waits for leave to delete the old draft; the report is what else there is."""

    world: World
    acme: Company
    question: Approval
    urls: Urls
    folder: Path

    @property
    def report(self) -> JsonObject:
        return {"task_id": str(self.acme.task_ids[0])}

    @property
    def draft(self) -> JsonObject:
        return {"task_id": str(self.acme.task_ids[1])}

    @property
    def customer(self) -> JsonObject:
        return {"task_id": str(self.acme.task_ids[2])}

    async def now(self) -> Approval:
        return await self.world.app.approval(self.acme.admin, approval_id=self.question.id)

    async def decide(
        self,
        caller: Caller,
        *,
        arguments: JsonObject | None = None,
        answer: Answer = Answer.APPROVE,
        digest: str | None = None,
        by: World | None = None,
        **beside: Any,  # noqa: ANN401 - whatever else decide takes
    ) -> Approval:
        return await (by or self.world).app.decide(
            caller,
            approval_id=self.question.id,
            answer=answer,
            digest=digest or (await self.now()).digest,
            arguments=arguments,
            **beside,
        )

    async def refused(self, caller: Caller, **said: Any) -> str:  # noqa: ANN401 - what decide takes
        with pytest.raises(Refused) as refusal:
            await self.decide(caller, **said)
        return refusal.value.code

    async def driven(self) -> Run:
        await self.world.drive()
        return await self.world.app.run(self.acme.member, run_id=self.question.run_id)

    def ledger(self, query: str) -> list[tuple[object, ...]]:
        with connect(self.urls.privileged) as connection:
            return Ledger(connection, tenant_id=self.acme.tenant.id).rows(query)

    def change(self, statement: str, *values: object) -> None:
        """Change rows behind everybody's back, as the cluster's owner."""
        with connect(self.urls.privileged) as connection:
            connection.execute(statement, values)  # pyright: ignore[reportArgumentType,reportCallIssue] - constants of this file

    def deleted(self) -> list[str]:
        rows = self.ledger(
            "select title from tasks where tenant_id = %s and deleted_at is not null"
        )
        return [str(title) for (title,) in rows]

    def title(self, arguments: JsonObject) -> str:
        """Return the title of the task that a call is about."""
        rows = self.ledger("select id::text, title from tasks where tenant_id = %s")
        return str(next(title for task_id, title in rows if task_id == arguments["task_id"]))

    def audited(self, action: str) -> Mapping[str, Any]:
        """Return what the audit says of the one thing done that is called so."""
        of_deletions = "tenant_id = %s and tool = 'delete_task' and action"
        ((content, actor),) = self.ledger(
            f"select content, actor from audit_records where {of_deletions} = '{action}'"  # noqa: S608 - names of this file
        )
        told: dict[str, Any] = json.loads(str(content))  # Any: JSON
        return {**told, "actor": actor}


@pytest.fixture
async def asked(urls: Urls, tmp_path: Path) -> AsyncGenerator[Asked]:
    async with world_on(urls, tmp_path, script=SCRIPT) as world:
        yield await _asked(world, urls, tmp_path)


@pytest.fixture
async def two_needed(urls: Urls, tmp_path: Path) -> AsyncGenerator[Asked]:
    async with world_on(urls, tmp_path, script=SCRIPT, kind=TwoMustAgree) as world:
        yield await _asked(world, urls, tmp_path)


async def _asked(world: World, urls: Urls, folder: Path) -> Asked:
    acme = await world.company()
    await world.run(acme.member, "Please delete the old draft")
    (question,) = await world.pending(acme.admin)
    return Asked(world=world, acme=acme, question=question, urls=urls, folder=folder)


def _deletion(run: Run) -> CallRecord:
    return run.steps[2].calls[0]


async def test_the_edited_call_is_made_and_no_other(asked: Asked) -> None:
    closed = await asked.decide(asked.acme.approver, arguments=asked.report)

    assert closed.state is ApprovalState.APPROVED
    assert closed.arguments == asked.report
    assert "Write the report" in str(closed.preview["summary"])
    assert closed.digest != asked.question.digest
    assert [one.digest for one in closed.decisions] == [closed.digest]
    run = await asked.driven()
    assert (run.status, run.result) == (RunStatus.COMPLETED, "Deleted.")
    assert asked.deleted() == ["Write the report"]


async def test_both_are_kept_shown_and_audited(asked: Asked) -> None:
    bob = asked.acme.approver.principal.email
    await asked.decide(asked.acme.approver, arguments=asked.report)
    run = await asked.driven()

    edited = Edited(by=bob, before=asked.draft)
    deletion = _deletion(run)
    assert (deletion.call.arguments, deletion.call.edited) == (asked.report, edited)
    assert (await asked.now()).edited == edited
    events = await asked.world.app.events(asked.acme.member, run_id=run.id, after=0)
    (told,) = [event.data for event in events if event.kind is EventKind.APPROVAL_EDITED]
    assert (told["by"], told["before"], told["after"]) == (bob, asked.draft, asked.report)
    said = asked.audited("approval.edited")
    assert (said["actor"], said["before"], said["after"]) == (bob, asked.draft, asked.report)
    assert said["digest_before"] == asked.question.digest
    assert asked.audited("approval.decided")["digest"] == said["digest"] != said["digest_before"]
    done = asked.audited("call.executed")
    assert done["input"] == asked.report
    assert done["edited"] == {"by": bob, "before": asked.draft}


async def test_the_model_is_told_beside_the_result(asked: Asked) -> None:
    await asked.decide(asked.acme.approver, arguments=asked.report)
    deletion = _deletion(await asked.driven())
    block = result_block(deletion)
    assert isinstance(deletion.result, Succeeded)
    assert "changed the arguments" not in block.content
    told = canonical_json(asked.report)
    by = "bob@acme.test changed the arguments of this call before it was decided"
    assert block.notes == (f"{by}: {told}",)


async def test_a_preview_of_an_edit_changes_nothing_and_can_be_held_to(asked: Asked) -> None:
    app, bob = asked.world.app, asked.acme.approver
    seen = await app.preview_edit(bob, approval_id=asked.question.id, arguments=asked.report)
    assert "Write the report" in str(seen.preview["summary"])
    assert await asked.now() == asked.question

    other = await app.preview_edit(bob, approval_id=asked.question.id, arguments=asked.customer)
    code = await asked.refused(bob, arguments=asked.report, edited_digest=other.digest)
    assert code == "wrong_digest"
    assert await asked.now() == asked.question
    closed = await asked.decide(bob, arguments=asked.report, edited_digest=seen.digest)
    assert closed.digest == seen.digest


async def test_the_same_arguments_are_no_edit(asked: Asked) -> None:
    closed = await asked.decide(asked.acme.approver, arguments=asked.draft)
    assert (closed.edited, closed.digest) == (None, asked.question.digest)
    assert (
        asked.ledger(
            "select 1 from audit_records where tenant_id = %s and action = 'approval.edited'"
        )
        == []
    )
    await asked.driven()
    assert asked.deleted() == ["Old draft"]


def _bob(asked: Asked) -> Caller:
    return asked.acme.approver


def _alice(asked: Asked) -> Caller:
    return asked.acme.member


@pytest.mark.parametrize(
    ("who", "said", "code"),
    [
        (_bob, {"arguments": {"task_id": _NO_TASK}}, "not_found"),
        (_bob, {"arguments": {"task_id": "x"}}, "invalid_arguments"),
        (_bob, {"arguments": {}}, "invalid_arguments"),
        (_bob, {"arguments": {"task_id": "\x00"}}, "invalid_arguments"),
        (_bob, {"arguments": {}, "digest": "another"}, "wrong_digest"),
        (_bob, {"arguments": {}, "answer": Answer.DENY}, "wrong_answer"),
        (_bob, {"arguments": {}, "scope": GrantScope.RUN}, "only_once"),
        (_alice, {"arguments": {}}, "missing_scope"),
    ],
)
async def test_what_cannot_be_approved_so_leaves_all_as_it_was(
    asked: Asked, who: Callable[[Asked], Caller], said: dict[str, Any], code: str
) -> None:  # Any: what decide takes
    assert await asked.refused(who(asked), **said) == code
    assert await asked.now() == asked.question
    assert not asked.world.dispatcher.due


async def test_nobody_edits_their_own_call_or_another_companys(asked: Asked) -> None:
    world = asked.world
    globex = await world.company("globex")
    await world.run(asked.acme.approver, "Please delete the old draft")
    mine = next(one for one in await world.pending(asked.acme.admin) if one.id != asked.question.id)
    with pytest.raises(Refused, match="self_approval"):
        await world.app.preview_edit(_bob(asked), approval_id=mine.id, arguments=asked.report)
    assert await asked.refused(globex.approver, arguments=asked.report) == "not_found"
    theirs = {"task_id": str(globex.task_ids[0])}
    assert await asked.refused(asked.acme.approver, arguments=theirs) == "not_found"
    with pytest.raises(Refused, match="missing_scope"):
        await world.app.preview_edit(
            asked.acme.member, approval_id=asked.question.id, arguments=asked.report
        )
    assert await asked.now() == asked.question


async def test_a_policy_that_now_denies_is_obeyed(asked: Asked) -> None:
    async with world_on(asked.urls, asked.folder, script=SCRIPT, kind=Nobody) as other:
        code = await asked.refused(asked.acme.approver, arguments=asked.report, by=other)
    assert code == "policy_denied"
    assert await asked.now() == asked.question


async def test_a_policy_that_now_asks_more_people_asks_them(asked: Asked) -> None:
    async with world_on(asked.urls, asked.folder, script=SCRIPT, kind=TwoMustAgree) as other:
        still = await asked.decide(asked.acme.approver, arguments=asked.report, by=other)
        assert (still.state, still.approvers.needed) == (ApprovalState.PENDING, 2)
        assert not other.dispatcher.due
        closed = await asked.decide(asked.acme.second_approver, by=other)
        assert closed.state is ApprovalState.APPROVED


async def test_a_policy_that_now_asks_others_takes_no_edit_of_whom_it_does_not_ask(
    asked: Asked,
) -> None:
    async with world_on(asked.urls, asked.folder, script=SCRIPT, kind=OnlyAdmins) as other:
        code = await asked.refused(asked.acme.approver, arguments=asked.report, by=other)
        assert code == "not_eligible"
        assert await asked.now() == asked.question
        still = await asked.decide(asked.acme.admin, arguments=asked.report, by=other)
        assert (still.approvers.role, still.state) == (Role.ADMIN, ApprovalState.PENDING)


async def test_voices_given_to_what_it_was_count_no_more(two_needed: Asked) -> None:
    bob, beth = two_needed.acme.approver, two_needed.acme.second_approver
    await two_needed.decide(bob)

    edited = await two_needed.decide(beth, arguments=two_needed.report)

    assert edited.state is ApprovalState.PENDING
    assert [one.principal.email for one in edited.voices] == [beth.principal.email]
    assert len((await two_needed.now()).decisions) == 2
    assert not two_needed.world.dispatcher.due
    assert await two_needed.refused(bob, digest=two_needed.question.digest) == "wrong_digest"
    closed = await two_needed.decide(bob)
    assert closed.state is ApprovalState.APPROVED
    await two_needed.driven()
    assert two_needed.deleted() == ["Write the report"]
    executed = two_needed.audited("call.executed")
    assert executed["approval"]["approved_by"] == [beth.principal.email, bob.principal.email]


async def test_the_editor_is_one_of_two(two_needed: Asked) -> None:
    beth = two_needed.acme.second_approver
    await two_needed.decide(beth, arguments=two_needed.report)
    assert await two_needed.refused(beth) == "already_decided"
    assert not two_needed.world.dispatcher.due


async def test_an_edit_of_an_edit_keeps_what_was_asked_for(two_needed: Asked) -> None:
    bob, beth = two_needed.acme.approver, two_needed.acme.second_approver
    await two_needed.decide(beth, arguments=two_needed.report)
    still = await two_needed.decide(bob, arguments=two_needed.customer)
    assert still.edited == Edited(by=bob.principal.email, before=two_needed.draft)
    await two_needed.decide(beth)
    await two_needed.driven()
    assert two_needed.deleted() == ["Call the customer"]


async def test_an_edited_call_that_is_then_denied_is_not_made(two_needed: Asked) -> None:
    bob, beth = two_needed.acme.approver, two_needed.acme.second_approver
    await two_needed.decide(beth, arguments=two_needed.report)
    await two_needed.decide(bob, answer=Answer.DENY)
    run = await two_needed.driven()
    assert _deletion(run).state is CallState.DENIED
    assert run.result == "Left alone."
    assert two_needed.deleted() == []


async def test_an_edited_call_that_nobody_need_be_asked_about_waits_for_its_approval(
    two_needed: Asked,
) -> None:
    """The requester has asked for something else: that the policy lets them is not enough."""
    beth = two_needed.acme.second_approver
    edited = await two_needed.decide(beth, arguments=two_needed.report)

    world = two_needed.world
    async with world_on(two_needed.urls, two_needed.folder, script=SCRIPT, kind=Lenient) as other:
        tenant_id, run_id = two_needed.acme.tenant.id, two_needed.question.run_id
        two_needed.change("update runs set dispatch = 'queued' where id = %s", run_id)
        await other.loop.drive(tenant_id, run_id, 1)
        run = await world.app.run(two_needed.acme.member, run_id=run_id)
    assert run.status is RunStatus.AWAITING_APPROVAL
    assert two_needed.deleted() == []
    assert edited.state is ApprovalState.PENDING


async def test_an_edit_while_the_run_is_at_work_waits(asked: Asked) -> None:
    asked.change("update runs set dispatch = 'driving' where id = %s", asked.question.run_id)
    assert await asked.refused(asked.acme.approver, arguments=asked.report) == "run_at_work"
    assert await asked.now() == asked.question


async def test_a_call_that_was_begun_cannot_become_another(asked: Asked) -> None:
    asked.change("update tool_calls set attempts = 1 where id = %s", asked.question.call_id)
    assert await asked.refused(asked.acme.approver, arguments=asked.report) == "call_begun"
    assert await asked.now() == asked.question


async def test_what_somebody_asked_who_is_gone_cannot_be_changed(asked: Asked) -> None:
    asked.change(
        "update principals set disabled_at = now() where id = %s", asked.acme.member.principal.id
    )
    assert await asked.refused(asked.acme.approver, arguments=asked.report) == "requester_left"


async def test_what_became_of_a_call_cannot_be_edited(asked: Asked) -> None:
    asked.change(
        "update approvals set question = %s where id = %s",
        Question.OUTCOME.value,
        asked.question.id,
    )
    assert await asked.refused(asked.acme.approver, arguments=asked.report) == "wrong_answer"


async def test_an_edit_and_an_approval_at_once_are_one_of_the_two(asked: Asked) -> None:
    people = [asked.acme.approver, asked.acme.second_approver, asked.acme.admin]
    choices = [None, asked.report, asked.customer]

    async def say(caller: Caller, arguments: JsonObject | None) -> str:
        try:
            closed = await asked.decide(caller, arguments=arguments, digest=asked.question.digest)
        except Refused as refusal:
            return refusal.code
        return closed.state.value

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(say(caller, choice)) for choice in choices for caller in people]

    outcomes = Counter(task.result() for task in tasks)
    assert outcomes == {"approved": 1, "approval_closed": 8}
    closed = await asked.now()
    await asked.driven()
    assert asked.deleted() == [asked.title(closed.arguments)]

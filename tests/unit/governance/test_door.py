"""The door by itself: what it does when a process stood still, or when nobody answers."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from core.cedar import CedarPolicy
from core.domain.approval import Answer
from core.domain.audit import AuditRecord
from core.domain.ids import PrincipalId, TenantId
from core.domain.journal import Entry
from core.domain.principal import Tenant, Tier, scopes_held
from core.domain.run import CallRecord, Lease
from core.domain.tool import CallState, Failed, Succeeded
from core.errors import LeaseLost, NotFound, StaleEpoch
from core.governance.budget import RunBudget
from core.governance.door import Door
from core.governance.held import HeldWrites
from core.governance.judge import Judge
from core.governance.passage import Passage
from core.governance.spending import Spending
from core.ports import Covered, Declined, Question, Settled, Standing, Waiting, Written
from core.tools.registry import Registry
from tests.builders import SteadyClock
from tests.nouns import TENANT, a_person, a_request
from tests.purse import Purse
from tests.workshop import HASTY, Bench, Hook, never


class Pages:
    """The Journal port, remembering; ``before`` is what happens before each write."""

    def __init__(self) -> None:
        self.epoch = 1
        self.entries: list[Entry] = []
        self.recorded: list[AuditRecord] = []
        self.before: Callable[[], None] = lambda: None

    async def write(self, lease: Lease, *, entry: Entry, epoch: int | None = None) -> Written:
        del lease
        self.before()
        if epoch not in {None, self.epoch}:
            raise StaleEpoch("stale_epoch")
        self.entries.append(entry)
        return Written(cancel_requested=False, epoch=self.epoch)

    async def record_call(self, record: CallRecord, *, audit: AuditRecord, epoch: int) -> None:
        raise NotImplementedError

    async def record(self, *records: AuditRecord) -> None:
        self.recorded += records


async def nothing() -> None:
    """Have nothing happen."""


class Crowd:
    """The Approvals port: people who say what the test says."""

    def __init__(self) -> None:
        self.says: Covered | Declined | Waiting = Covered(by=("bob",), how="approval", reference="")
        self.saw: Settled | Declined | Waiting = Declined(code="expired")
        self.meanwhile: Hook = nothing

    async def put(self, question: Question) -> Covered | Declined | Waiting:
        del question
        await self.meanwhile()
        return self.says

    async def covers(self, question: Question) -> bool:
        del question
        return isinstance(self.says, Covered)

    async def put_outcome(self, question: Question) -> Settled | Declined | Waiting:
        assert question.verdict.approvers.needed == 1
        return self.saw


STANDING = Standing(
    tenant=Tenant(id=TENANT, name="acme", tier=Tier.PRO, epoch=1),
    principal=a_person(),
    disabled_tools=frozenset(),
)


class Everybody:
    """The People port: one person, as they always were, until they are ``gone``."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self.gone = False

    async def standing(self, tenant_id: TenantId, *, principal_id: PrincipalId) -> Standing:
        assert (tenant_id, principal_id) == (TENANT, STANDING.principal.id)
        if self.gone:
            raise NotFound("not_found", noun="person")
        return replace(STANDING, tenant=replace(STANDING.tenant, epoch=self._pages.epoch))


class Threshold:
    """A door with everything behind it and around it in a test's hand."""

    def __init__(self) -> None:
        self.bench, self.pages, self.crowd = Bench(), Pages(), Crowd()
        self.clock, self.people = SteadyClock(), Everybody(self.pages)
        registry = Registry([HASTY.bound(self.bench)], clock=self.clock)
        self.door = Door(
            judge=Judge(toolbox=registry, policy=CedarPolicy(), clock=self.clock),
            toolbox=registry,
            approvals=self.crowd,
            people=self.people,
            journal=self.pages,
            spending=Spending(Purse(), clock=self.clock),
            clock=self.clock,
        )

    async def take(self, record: CallRecord) -> CallRecord | Waiting:
        return await self.door.take(record, passage=self.passage_of(record))

    def passage_of(self, record: CallRecord) -> Passage:
        call = record.call
        assert call.run_id is not None
        lease = Lease(tenant_id=TENANT, run_id=call.run_id, segment=1, number=1)
        return Passage(
            lease=lease,
            journal=HeldWrites(self.pages, lease=lease),
            standing=STANDING,
            scopes=scopes_held(STANDING.principal),
            budget=RunBudget(limit_micros=100, spent_micros=0),
            approval_days=7,
        )


def asked_for(tool: str, state: CallState = CallState.REQUESTED) -> CallRecord:
    return CallRecord(call=a_request({"name": "a"}, tool=tool), state=state)


async def test_a_settled_call_is_only_returned() -> None:
    at = Threshold()
    record = replace(asked_for("push", CallState.SUCCEEDED), result=Succeeded(output={}))
    assert await at.take(record) is record
    assert at.pages.entries == []


async def test_who_stood_still_before_an_effect_looks_whether_the_run_is_still_theirs() -> None:
    at = Threshold()

    def stand_still() -> None:
        at.clock.move(seconds=5)
        at.pages.before = lose

    def lose() -> None:
        raise LeaseLost("lease_lost")

    at.pages.before = stand_still
    with pytest.raises(LeaseLost):
        await at.take(asked_for("push"))
    assert at.bench.made == []


async def test_who_did_not_goes_straight_on() -> None:
    at = Threshold()
    settled = await at.take(asked_for("push"))
    assert isinstance(settled, CallRecord)
    assert settled.state is CallState.SUCCEEDED
    assert len(at.pages.entries) == 2


@pytest.mark.parametrize(("tool", "times"), [("push", 3), ("fire", 1)])
async def test_only_what_is_idempotent_is_tried_again_and_not_for_ever(
    tool: str, times: int
) -> None:
    at = Threshold()
    tried: list[str] = []

    async def hang() -> None:
        tried.append(tool)
        await never()

    at.bench.hooks["a"] = hang
    settled = await at.take(asked_for(tool))
    assert isinstance(settled, CallRecord)
    assert (len(tried), settled.attempts) == (times, times)


async def test_a_call_that_was_cut_off_is_not_judged_as_new_where_the_configuration_changed() -> (
    None
):
    at = Threshold()

    async def change_and_hang() -> None:
        at.pages.epoch += 1
        at.bench.hooks["preview"] = refuse
        del at.bench.hooks["a"]
        await never()

    async def refuse() -> None:
        raise NotFound("not_found", noun="thing")

    at.bench.hooks["a"] = change_and_hang
    settled = await at.take(asked_for("push"))
    assert isinstance(settled, CallRecord)
    assert (settled.state, settled.attempts) == (CallState.SUCCEEDED, 2)


@pytest.mark.parametrize("tool", ["smash", "make_coffee"])
async def test_what_was_begun_and_can_be_made_no_more_is_unknown_and_was_not_refused(
    tool: str,
) -> None:
    at = Threshold()

    async def refuse() -> None:
        raise NotFound("not_found", noun="thing")

    at.bench.hooks["preview"] = refuse
    settled = await at.take(replace(asked_for(tool, CallState.PENDING_APPROVAL), attempts=1))
    assert isinstance(settled, CallRecord)
    assert isinstance(settled.result, Failed)
    assert (settled.state, settled.result.code) == (CallState.FAILED, "outcome_unknown")
    assert at.bench.made == []


async def test_a_verdict_counts_for_the_configuration_that_it_was_made_under() -> None:
    at = Threshold()
    record = asked_for("smash")
    passage = at.passage_of(record)
    judged: list[int] = []

    async def another_call_finds_that_it_changed() -> None:
        judged.append(at.pages.epoch)
        if len(judged) == 1:
            at.pages.epoch += 1
            await passage.renew(at.people)

    at.crowd.meanwhile = another_call_finds_that_it_changed
    settled = await at.door.take(record, passage=passage)
    assert isinstance(settled, CallRecord)
    assert settled.state is CallState.SUCCEEDED
    assert judged == [1, 2], "who was let in under the old one is looked at under the new one"


async def test_a_no_to_somebody_who_is_gone_is_for_who_let_them_in_to_say() -> None:
    at = Threshold()
    call = replace(asked_for("make_coffee").call, run_id=None)
    scopes = scopes_held(STANDING.principal)
    with pytest.raises(NotFound):
        await at.door.answer(call, standing=STANDING, scopes=scopes)
    at.people.gone = True
    with pytest.raises(StaleEpoch):
        await at.door.answer(call, standing=STANDING, scopes=scopes)
    assert [record.action for record in at.pages.recorded] == ["call.refused"]


async def test_an_outcome_that_nobody_told_in_time_is_unknown() -> None:
    at = Threshold()
    settled = await at.take(replace(asked_for("fire", CallState.UNKNOWN), attempts=1))
    assert isinstance(settled, CallRecord)
    assert isinstance(settled.result, Failed)
    assert (settled.state, settled.result.code) == (CallState.FAILED, "outcome_unknown")
    assert at.bench.made == []


@pytest.mark.parametrize("says", [Waiting, Declined, Covered])
async def test_a_retry_of_what_needs_people_passes_only_with_them(says: type) -> None:
    at = Threshold()
    at.crowd.saw = Settled(answer=Answer.RETRY, by="bob")
    if says is Waiting:
        waiting = CallRecord(call=a_request({"name": "a"}), state=CallState.REQUESTED).call.id
        at.crowd.says = Waiting(approval_id=waiting)  # pyright: ignore[reportArgumentType] - any id
    elif says is Declined:
        at.crowd.says = Declined(code="denied", by="bob", reason="no")
    record = replace(asked_for("smash", CallState.UNKNOWN), attempts=1, digest="another call's")
    outcome = await at.take(record)
    assert isinstance(outcome, Waiting) is (says is Waiting)
    assert bool(at.bench.made) is (says is Covered)


@pytest.mark.parametrize(
    ("declined", "state", "message"),
    [
        (Declined(code="denied", by="bob", reason="no"), CallState.DENIED, "bob denied this: no."),
        (Declined(code="denied", by="bob"), CallState.DENIED, "bob denied this."),
        (Declined(code="expired"), CallState.EXPIRED, "Nobody decided in time"),
        (Declined(code="changed_too_often"), CallState.DENIED, "kept changing"),
    ],
)
async def test_each_no_has_its_state_and_its_words(
    declined: Declined, state: CallState, message: str
) -> None:
    at = Threshold()
    at.crowd.says = declined
    settled = await at.take(asked_for("smash"))
    assert isinstance(settled, CallRecord)
    assert isinstance(settled.result, Failed)
    assert (settled.state, settled.result.code) == (state, declined.code)
    assert message in settled.result.message
    assert at.bench.made == []

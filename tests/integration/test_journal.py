"""The journal and the lease: only the run's driver writes, all of it or nothing, in order."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from core.domain.approval import ApprovalState
from core.domain.audit import audit_record
from core.domain.event import EventKind
from core.domain.ids import CallId, PrincipalId, RunId, TenantId
from core.domain.journal import Answered, CallUpdate, Entry, Happened, ToolUsage
from core.domain.model import ToolUse
from core.domain.principal import Role, Tier
from core.domain.run import CallRecord, Lease, RunStatus, StopCause
from core.domain.tool import CallState, Failed, Inverse, Succeeded, ToolCall
from core.errors import Conflict, LeaseLost, NotFound, StaleEpoch
from core.governance.held import HeldWrites
from core.ports import Ending
from core.store.database import Database
from core.store.events import StoredText
from core.store.tables import audit_records, run_events, run_text, steps, tool_calls, usage_events
from tests.builders import SteadyClock
from tests.databases import Urls
from tests.nouns import an_answer, an_approval
from tests.workshop import Workplace, use, workplace_on
from tests.world import Company

WELL = Ending(status=RunStatus.COMPLETED, cost_micros=0, result="Done.")


@pytest.fixture
async def place(urls: Urls, tmp_path: Path) -> AsyncGenerator[Workplace]:
    async with workplace_on(urls, tmp_path) as made:
        yield made


async def started(place: Workplace, acme: Company) -> Lease:
    """Start a run and take its lease."""
    run_id = await place.app.start_run(acme.member, task="Work.")
    place.dispatcher.due.clear()
    return await taken(place, acme, run_id)


async def taken(place: Workplace, acme: Company, run_id: RunId, *, segment: int = 1) -> Lease:
    driven = await place.assembly.driven_runs.take(acme.tenant.id, run_id=run_id, segment=segment)
    assert driven is not None
    return driven.lease


def a_call_of(lease: Lease, acme: Company, *, index: int = 0) -> ToolCall:
    return ToolCall(
        id=CallId(uuid4()),
        tenant_id=lease.tenant_id,
        requester=acme.member.principal,
        tool="push",
        arguments={"name": "a"},
        run_id=lease.run_id,
        step=1,
        index=index,
    )


def answered_with(*calls: ToolCall) -> Entry:
    uses = tuple(ToolUse(handle="h", name=one.tool, arguments=one.arguments) for one in calls)
    return Entry(
        answered=Answered(number=1, agent="default", answer=an_answer("", *uses), calls=calls)
    )


def moved(call: ToolCall, state: CallState, **changes: object) -> Entry:
    update = CallUpdate(call_id=call.id, state=state)
    return Entry(calls=(replace(update, **changes),))  # pyright: ignore[reportArgumentType] - its fields


def told(kind: EventKind, *, count: int = 1) -> tuple[Happened, ...]:
    return tuple(Happened(kind=kind, data={"n": at}) for at in range(count))


Write = Callable[[Workplace, Company, Lease], Awaitable[object]]


def _question(acme: Company, lease: Lease) -> Callable[[Workplace], Awaitable[object]]:
    approval = an_approval(
        tenant_id=acme.tenant.id, run_id=lease.run_id, requester=acme.member.principal
    )
    record = audit_record(
        acme.tenant.id, at=approval.created_at, action="approval.asked", actor="x", content={}
    )

    async def ask(place: Workplace) -> object:
        (event,) = told(EventKind.APPROVAL_ASKED)
        return await place.assembly.approvals.ask(
            approval, lease=lease, verdict={}, event=event, audit=record, withdraw=None
        )

    return ask


WRITES: dict[str, Write] = {
    "nothing at all": lambda place, _, lease: place.assembly.journal.write(lease, entry=Entry()),
    "an answer": lambda place, acme, lease: place.assembly.journal.write(
        lease, entry=answered_with(a_call_of(lease, acme))
    ),
    "events": lambda place, _, lease: place.assembly.journal.write(
        lease, entry=Entry(events=told(EventKind.RESUMED))
    ),
    "a question": lambda place, acme, lease: _question(acme, lease)(place),
    "parking": lambda place, _, lease: place.assembly.driven_runs.park(lease, active_ms=1),
    "the end": lambda place, _, lease: place.assembly.driven_runs.finish(
        lease, ending=WELL, entry=Entry()
    ),
    "a look": lambda place, _, lease: place.assembly.driven_runs.pulse(lease),
}


@pytest.mark.parametrize("how", ["taken again", "requeued", "ended"])
async def test_who_has_lost_the_run_writes_nothing(place: Workplace, how: str) -> None:
    acme = await place.company()
    lease = await started(place, acme)
    driven = place.assembly.driven_runs
    match how:
        case "taken again":
            await taken(place, acme, lease.run_id)
        case "requeued":
            await driven.requeue(acme.tenant.id, run_id=lease.run_id, segment=1)
        case _:
            await driven.finish(lease, ending=WELL, entry=Entry())
    tables = (steps, tool_calls, run_events, audit_records, usage_events)
    before = [await place.rows(acme.admin, table) for table in tables]
    run = await place.app.run(acme.admin, run_id=lease.run_id)
    for write in WRITES.values():
        with pytest.raises(LeaseLost):
            await write(place, acme, lease)
    assert [await place.rows(acme.admin, table) for table in tables] == before
    assert await place.app.run(acme.admin, run_id=lease.run_id) == run


async def test_a_verdict_of_yesterday_begins_no_effect_and_keeps_no_call(
    place: Workplace,
) -> None:
    acme = await place.company()
    lease = await started(place, acme)
    call = a_call_of(lease, acme)
    journal = place.assembly.journal
    written = await journal.write(lease, entry=answered_with(call))
    await place.assembly.people.set_tool(acme.tenant.id, tool="push", enabled=True)
    with pytest.raises(StaleEpoch):
        await journal.write(lease, entry=moved(call, CallState.RUNNING), epoch=written.epoch)
    record = CallRecord(
        call=replace(call, id=CallId(uuid4()), run_id=None),
        state=CallState.SUCCEEDED,
        result=Succeeded(output={}),
        cost_micros=5,
    )
    note = audit_record(
        acme.tenant.id, at=SteadyClock().now(), action="call.executed", actor="x", content={}
    )
    with pytest.raises(StaleEpoch):
        await journal.record_call(record, audit=note, epoch=written.epoch)
    (row,) = await place.rows(acme.admin, tool_calls)
    assert row["state"] == "requested"
    fresh = (await journal.write(lease, entry=Entry())).epoch
    assert fresh > written.epoch
    await journal.record_call(record, audit=note, epoch=fresh)
    await journal.write(lease, entry=moved(call, CallState.RUNNING, attempt=True), epoch=fresh)
    rows = {row["id"]: row for row in await place.rows(acme.admin, tool_calls)}
    assert (rows[call.id]["state"], rows[call.id]["attempts"]) == ("running", 1)
    assert rows[call.id]["started_at"] is not None


@pytest.mark.parametrize(
    "settled",
    [
        CallState.SUCCEEDED,
        CallState.FAILED,
        CallState.DENIED,
        CallState.EXPIRED,
        CallState.CANCELLED,
    ],
)
async def test_a_settled_call_never_changes(place: Workplace, settled: CallState) -> None:
    acme = await place.company()
    lease = await started(place, acme)
    call = a_call_of(lease, acme)
    journal = place.assembly.journal
    await journal.write(lease, entry=answered_with(call))
    result = Failed(code="x", message="No.")
    await journal.write(lease, entry=moved(call, settled, result=result, cost_micros=7))
    before = await place.rows(acme.admin, tool_calls)
    for state in CallState:
        entry = moved(call, state, result=Succeeded(output={}), cost_micros=1, attempt=True)
        await journal.write(lease, entry=entry)
    assert await place.rows(acme.admin, tool_calls) == before


async def test_an_entry_is_kept_whole_or_not_at_all(place: Workplace) -> None:
    acme = await place.company()
    lease = await started(place, acme)
    call = a_call_of(lease, acme)
    record = audit_record(acme.tenant.id, at=SteadyClock().now(), action="x", actor="x", content={})
    twice = replace(answered_with(call, call), audit=(record,), events=told(EventKind.THOUGHT))
    with pytest.raises(Exception, match="duplicate key"):
        await place.assembly.journal.write(lease, entry=twice)
    for table in (steps, tool_calls, usage_events):
        assert await place.rows(acme.admin, table) == []
    assert len(await place.rows(acme.admin, run_events)) == 1
    assert (await place.app.run(acme.member, run_id=lease.run_id)).cost_micros == 0


async def test_everything_that_is_written_is_read_back(place: Workplace) -> None:
    acme = await place.company()
    lease = await started(place, acme)
    first, second = a_call_of(lease, acme), a_call_of(lease, acme, index=1)
    entry = replace(answered_with(first, second), active_ms=1500)
    await place.assembly.journal.write(lease, entry=entry)
    inverse = Inverse(tool="pull", arguments={"name": "a"})
    done = moved(
        first,
        CallState.SUCCEEDED,
        result=Succeeded(output={"name": "a"}, inverse=inverse),
        inverse=inverse,
        tool_version=1,
        verdict={"verdict": "allow"},
        preview={"summary": "Push."},
        digest="d",
        attempt=True,
        cost_micros=5,
        duration_ms=9,
    )
    used = ToolUsage(call_id=first.id, tool="push", agent="default", step=1, cost_micros=5)
    await place.assembly.journal.write(lease, entry=replace(done, usage=(used,)))
    run = await place.app.run(acme.member, run_id=lease.run_id)
    assert (run.cost_micros, run.active_ms) == (6, 1500)
    (step,) = run.steps
    assert entry.answered is not None
    assert step.answer == entry.answered.answer
    kept, open_one = step.calls
    assert kept.result == Succeeded(output={"name": "a"}, inverse=inverse)
    assert (kept.digest, kept.verdict, kept.preview) == (
        "d",
        {"verdict": "allow"},
        {"summary": "Push."},
    )
    assert (kept.attempts, kept.cost_micros, kept.duration_ms) == (1, 5, 9)
    assert open_one.state is CallState.REQUESTED
    driven = await place.assembly.driven_runs.take(acme.tenant.id, run_id=lease.run_id, segment=1)
    assert driven is not None
    assert driven.run.steps == run.steps


async def test_a_run_is_parked_only_while_somebody_is_waited_for(place: Workplace) -> None:
    place.lines.lines = ([use("smash", name="a")],)
    acme = await place.company()
    run = await place.run(acme.member, "Smash.")
    assert run.status is RunStatus.AWAITING_APPROVAL
    lease = await started(place, acme)
    assert await place.assembly.driven_runs.park(lease, active_ms=5) is False
    run = await place.app.run(acme.member, run_id=lease.run_id)
    assert (run.status, run.active_ms) == (RunStatus.RUNNING, 0)


async def test_only_the_segment_that_is_due_is_taken_or_requeued(place: Workplace) -> None:
    acme = await place.company()
    lease = await started(place, acme)
    driven, tenant_id, run_id = place.assembly.driven_runs, acme.tenant.id, lease.run_id
    assert await driven.take(tenant_id, run_id=run_id, segment=2) is None
    assert await driven.requeue(tenant_id, run_id=run_id, segment=2) is None
    assert await driven.requeue(tenant_id, run_id=run_id, segment=1) == 2
    assert await driven.requeue(tenant_id, run_id=run_id, segment=1) is None
    again = await taken(place, acme, run_id, segment=2)
    assert again.number > lease.number + 1
    await driven.finish(again, ending=WELL, entry=Entry())
    assert await driven.take(tenant_id, run_id=run_id, segment=2) is None
    assert await driven.requeue(tenant_id, run_id=run_id, segment=2) is None
    assert await driven.take(tenant_id, run_id=RunId(uuid4()), segment=1) is None


async def test_the_end_leaves_nothing_open(place: Workplace) -> None:
    acme = await place.company()
    lease = await started(place, acme)
    calls = [a_call_of(lease, acme, index=at) for at in range(4)]
    await place.assembly.journal.write(lease, entry=answered_with(*calls))
    states = (CallState.RUNNING, CallState.UNKNOWN, CallState.SUCCEEDED)
    for call, state in zip(calls, states, strict=False):
        await place.assembly.journal.write(lease, entry=moved(call, state))
    asked = an_approval(
        tenant_id=acme.tenant.id,
        run_id=lease.run_id,
        call_id=calls[3].id,
        requester=acme.member.principal,
    )
    note = audit_record(acme.tenant.id, at=asked.created_at, action="x", actor="x", content={})
    (event,) = told(EventKind.APPROVAL_ASKED)
    await place.assembly.approvals.ask(
        asked, lease=lease, verdict={}, event=event, audit=note, withdraw=None
    )
    stopped = StopCause(code="max_steps", message="Too many.")
    ending = Ending(status=RunStatus.FAILED, cost_micros=1, error=stopped)
    await place.assembly.driven_runs.finish(lease, ending=ending, entry=Entry(active_ms=7))
    run = await place.app.run(acme.member, run_id=lease.run_id)
    assert (run.status, run.error, run.active_ms) == (RunStatus.FAILED, stopped, 7)
    became = [record.state for record in run.steps[0].calls]
    assert became == [
        CallState.FAILED,
        CallState.FAILED,
        CallState.SUCCEEDED,
        CallState.CANCELLED,
    ]
    closed = await place.app.approval(acme.approver, approval_id=asked.id)
    assert closed.state is ApprovalState.WITHDRAWN


async def test_events_are_numbered_without_a_gap_whoever_writes_them(place: Workplace) -> None:
    acme = await place.company()
    lease = await started(place, acme)
    journal = place.assembly.journal
    entries = [Entry(events=told(EventKind.RESUMED, count=1 + at % 3)) for at in range(24)]
    bad = replace(answered_with(*[a_call_of(lease, acme)] * 2), events=told(EventKind.THOUGHT))
    outcomes = await asyncio.gather(
        *(journal.write(lease, entry=entry) for entry in [*entries, bad, bad]),
        *(place.app.cancel(acme.member, run_id=lease.run_id) for _ in range(2)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, BaseException) for one in outcomes) == 2
    events = await place.app.events(acme.member, run_id=lease.run_id, after=0)
    assert [event.seq for event in events] == list(range(1, 2 + 48))
    assert (await journal.write(lease, entry=Entry())).cancel_requested
    assert await place.assembly.driven_runs.pulse(lease)
    behind = await place.app.events(acme.member, run_id=lease.run_id, after=47)
    assert [event.seq for event in behind] == [48, 49]


async def test_what_is_held_goes_with_the_next_write_and_survives_a_failed_one(
    place: Workplace,
) -> None:
    acme = await place.company()
    lease = await started(place, acme)
    held = HeldWrites(place.assembly.journal, lease=lease)
    assert await held.flush() is None
    held.hold(Entry(events=told(EventKind.RESUMED), active_ms=1))
    held.hold(Entry(events=told(EventKind.THOUGHT), active_ms=2))
    with pytest.raises(StaleEpoch):
        await held.write(Entry(events=told(EventKind.CALL_ALLOWED)), epoch=0)

    async def kinds() -> list[EventKind]:
        events = await place.app.events(acme.member, run_id=lease.run_id, after=1)
        return [event.kind for event in events]

    assert await kinds() == []
    await held.write(Entry(events=told(EventKind.CALL_SUCCEEDED)))
    assert await kinds() == [EventKind.RESUMED, EventKind.THOUGHT, EventKind.CALL_SUCCEEDED]
    run = await place.app.run(acme.member, run_id=lease.run_id)
    assert run.active_ms == 3
    await place.app.cancel(acme.member, run_id=lease.run_id)
    assert not held.cancel_requested
    held.hold(Entry(events=told(EventKind.RESUMED)))
    assert await held.flush() is not None
    assert held.cancel_requested
    assert held.with_held(Entry()) == Entry()


async def test_what_is_held_while_a_write_fails_keeps_its_place(place: Workplace) -> None:
    acme = await place.company()
    lease = await started(place, acme)
    held = HeldWrites(place.assembly.journal, lease=lease)
    held.hold(Entry(events=told(EventKind.RESUMED)))
    outcomes = await asyncio.gather(
        held.write(Entry(), epoch=0), _hold(held), return_exceptions=True
    )
    assert isinstance(outcomes[0], StaleEpoch)
    kinds = [event.kind for event in held.with_held(Entry()).events]
    assert kinds == [EventKind.RESUMED, EventKind.THOUGHT]


async def _hold(held: HeldWrites) -> None:
    held.hold(Entry(events=told(EventKind.THOUGHT)))


async def test_text_is_sent_in_pieces_and_a_later_driver_speaks_after_an_earlier_one(
    place: Workplace, clock: SteadyClock
) -> None:
    acme = await place.company()
    lease = await started(place, acme)
    sink = StoredText(place.assembly.database, clock=clock)
    for piece in ("Hel", "lo\x00", " wor"):
        await sink.append(lease, step=1, text=piece)
        clock.move(seconds=0.15)
    await sink.append(lease, step=1, text="ld")
    await sink.append(lease, step=2, text="lost")
    await sink.flush(lease)
    await sink.flush(lease)
    later = await taken(place, acme, lease.run_id)
    await sink.append(later, step=1, text="Hel")
    clock.move(seconds=0.2)
    await sink.append(later, step=1, text="lo again")
    events = place.assembly.events
    chunks = await events.text_after(acme.tenant.id, run_id=lease.run_id, step=0, seq=0)
    assert [chunk.text for chunk in chunks] == ["Hello\ufffd wor", "Hello again"]
    rest = await events.text_after(
        acme.tenant.id, run_id=lease.run_id, step=chunks[0].step, seq=chunks[0].seq
    )
    assert rest == chunks[1:]
    async with place.assembly.database.for_tenant(acme.tenant.id) as connection:
        await connection.execute(
            text("update run_text set at = now() - interval '2 hours' where seq = :seq"),
            {"seq": chunks[0].seq},
        )
    await events.forget_text([acme.tenant.id])
    assert [row["text"] for row in await place.rows(acme.admin, run_text)] == ["Hello again"]


async def test_text_that_cannot_be_sent_is_lost_and_nothing_else(
    place: Workplace, clock: SteadyClock, tmp_path: Path
) -> None:
    acme = await place.company()
    lease = await started(place, acme)
    nowhere = Database(f"postgresql://nobody@/none?host={tmp_path}")
    sink = StoredText(nowhere, clock=clock)
    await sink.append(lease, step=1, text="Hello")
    clock.move(seconds=1)
    await sink.append(lease, step=1, text=".")
    await nowhere.close()


async def test_people_and_tenants_are_who_they_are_once(place: Workplace) -> None:
    acme = await place.company()
    people, tenant_id = place.assembly.people, acme.tenant.id
    with pytest.raises(Conflict) as refused:
        await people.create_tenant("acme", tier=Tier.FREE)
    assert refused.value.code == "tenant_exists"
    with pytest.raises(Conflict) as refused:
        await people.create_principal(tenant_id, email="ALICE@acme.test", roles=[Role.MEMBER])
    assert refused.value.facts["email"] == "alice@acme.test"
    with pytest.raises(NotFound):
        await people.by_email(tenant_id, email="dave@acme.test")
    with pytest.raises(NotFound):
        await people.change_roles(tenant_id, principal_id=PrincipalId(uuid4()), roles=[Role.ADMIN])
    with pytest.raises(NotFound):
        await people.standing(tenant_id, principal_id=PrincipalId(uuid4()))
    globex = await place.company("globex")
    with pytest.raises(NotFound):
        await people.standing(tenant_id, principal_id=globex.member.principal.id)
    assert (await people.tenant(tenant_id)).name == "acme"
    with pytest.raises(NotFound):
        await people.tenant(TenantId(uuid4()))
    await people.set_tool(tenant_id, tool="look", enabled=False)
    assert await people.disabled_tools(tenant_id) == {"look"}
    assert await people.disabled_tools(globex.tenant.id) == frozenset()

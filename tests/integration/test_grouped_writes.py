"""Group commit: what runs write at the same time goes together, and nobody pays for another."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from sqlalchemy import Table, select, update

from core.domain.audit import audit_record
from core.domain.event import EventKind
from core.domain.ids import call_id_of
from core.domain.journal import Answered, CallUpdate, Entry, Happened, ToolUsage
from core.domain.model import ToolUse
from core.domain.run import Lease
from core.domain.tool import CallState, Succeeded, ToolCall
from core.errors import LeaseLost, StaleEpoch, Unavailable
from core.ports import Written
from core.store.columns import Ended, Write
from core.store.database import Database
from core.store.grouped import GroupedWrites
from core.store.tables import audit_records, run_events, runs, steps, tool_calls, usage_events
from tests.databases import Urls
from tests.driving import Runs
from tests.nouns import NOON, a_person, an_answer
from tests.waiting import until

ENDED: Final = Ended(status="completed", result="Done.", code=None, message=None, lost={})
TABLES: Final = {
    steps: steps.c.number,
    tool_calls: tool_calls.c.id,
    usage_events: usage_events.c.id,
    run_events: run_events.c.seq,
    audit_records: audit_records.c.seq,
}
LONGEST: Final = 20.0
"""Seconds after which a write counts as one that never returns."""

Outcome = Written | Exception
Sent = asyncio.Task[Outcome]
# Any: a row has columns of all types.
Row = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Ways:
    """A tenant with a group under way: what is sent now queues up."""

    group: asyncio.TaskGroup
    place: "Place"
    blocked: AsyncExitStack
    first: Sent = field(init=False)
    afterwards: list[Callable[[], object]] = field(default_factory=list[Callable[[], object]])
    """What the first of them does in the moment in which it is done."""

    async def queue(self, *writes: Write | Lease) -> list[Sent]:
        """Have each written by a task of its own, in this order."""
        tasks = [self.group.create_task(self.place.outcome_of(write)) for write in writes]
        await asyncio.sleep(0)  # each has run up to where it waits
        return tasks

    async def let_go(self) -> None:
        """Let the group under way be done."""
        await self.blocked.aclose()
        await self.first

    async def write_first(self, write: Lease) -> Outcome:
        """Write, and do what is to be done afterwards before anybody else goes on."""
        outcome = await self.place.outcome_of(write)
        for act in self.afterwards:
            act()
        return outcome


class Place:
    """A database with runs that are driven, and one process that writes."""

    def __init__(self, database: Database, *, urls: Urls) -> None:
        self.database = database
        self.urls = urls
        # One group at a time, however long it takes: what is sent meanwhile is the next.
        self.writes = GroupedWrites(database, slow_seconds=inf)
        self.runs = Runs(database)

    async def leases(self, count: int, *, name: str = "acme") -> list[Lease]:
        """Return leases of a new tenant's runs, the last in the order of their ids first."""
        tenant_id = await self.runs.tenant(name)
        ids = await self.runs.start(tenant_id, count=count)
        async with self.database.for_tenant(tenant_id) as connection:
            await connection.execute(
                update(runs).values(dispatch="driving", status="running", lease=7)
            )
        return [
            Lease(tenant_id=tenant_id, run_id=run_id, segment=1, number=7)
            for run_id in sorted(ids, reverse=True)
        ]

    async def outcome_of(self, write: Write | Lease) -> Outcome:
        """Return what the writer is told; of a lease, something is written under it."""
        try:
            if isinstance(write, Lease):
                write = Write(lease=write, entry=told(write))
            return await self.writes.write(write)
        except Exception as error:  # noqa: BLE001 - an outcome that the test looks at
            return error

    @asynccontextmanager
    async def holding(self, lease: Lease) -> AsyncGenerator[None]:
        """Hold the run's row, so that whoever writes about it waits."""
        connection = await psycopg.AsyncConnection.connect(self.urls.privileged)
        try:
            await connection.execute("select from runs where id = %s for update", [lease.run_id])
            yield
        finally:
            await connection.close()

    @asynccontextmanager
    async def busy(self, first: Lease) -> AsyncGenerator[Ways]:
        """Keep a group with one write of this run under way."""
        async with (
            asyncio.timeout(LONGEST),
            asyncio.TaskGroup() as group,
            AsyncExitStack() as blocked,
        ):
            await blocked.enter_async_context(self.holding(first))
            ways = Ways(group=group, place=self, blocked=blocked)
            ways.first = group.create_task(ways.write_first(first))
            await self.until_blocked(1)
            yield ways

    async def until_blocked(self, count: int) -> None:
        """Wait until so many transactions wait for a row."""

        async def are_blocked() -> bool:
            return len(await self._blocked()) == count

        await until(are_blocked)

    async def end_blocked(self) -> None:
        """Have the server end every connection that waits for a row."""
        for pid in await self._blocked():
            await self._ask("select pg_terminate_backend(%s)", pid)

    async def rows(self, lease: Lease, table: Table) -> list[Row]:
        """Return the run's rows, in the order in which they were written where there is one."""
        query = select(table).where(table.c.run_id == lease.run_id).order_by(TABLES[table])
        async with self.database.for_tenant(lease.tenant_id) as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]

    async def run(self, lease: Lease) -> Row:
        """Return the run's own row."""
        query = select(runs).where(runs.c.id == lease.run_id)
        async with self.database.for_tenant(lease.tenant_id) as connection:
            return dict((await connection.execute(query)).mappings().one())

    async def everything(self, lease: Lease) -> list[object]:
        """Return all that is kept of the run."""
        return [await self.run(lease), *[await self.rows(lease, table) for table in TABLES]]

    async def transactions(self, *leases: Lease) -> list[str]:
        """Return the transaction of each entry of the runs: one has one audit record."""
        kept = [await self.rows(lease, audit_records) for lease in leases]
        return [row["xact"] for rows in kept for row in rows]

    async def goes_on(self, *leases: Lease) -> bool:
        """Return whether each run can still be written about."""
        async with asyncio.timeout(LONGEST):
            outcomes = await asyncio.gather(*map(self.outcome_of, leases))
        return all(isinstance(outcome, Written) for outcome in outcomes)

    async def _blocked(self) -> list[int]:
        return await self._ask(
            "select pid from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock'"
        )

    async def _ask(self, query: str, *arguments: object) -> list[int]:
        connection = await psycopg.AsyncConnection.connect(self.urls.privileged)
        try:
            found = await connection.execute(query.encode(), arguments)
            return [row[0] for row in await found.fetchall()]
        finally:
            await connection.close()


@pytest.fixture
def place(database: Database, urls: Urls) -> Place:
    return Place(database, urls=urls)


def told(lease: Lease, *notes: str) -> Entry:
    """Return an entry with an audit record, and an event for each note."""
    record = audit_record(
        lease.tenant_id, at=NOON, action="x", actor="x", content={}, run_id=lease.run_id
    )
    events = tuple(Happened(kind=EventKind.RESUMED, data={"note": note}) for note in notes)
    return Entry(audit=(record,), events=events)


def a_step_of(lease: Lease, *, number: int = 1, events: int = 2) -> Entry:
    """Return an entry with something of everything, all of it naming its run and step."""
    said = f"{lease.run_id}/{number}"
    calls = tuple(
        ToolCall(
            id=call_id_of(lease.run_id, step=number, index=index),
            tenant_id=lease.tenant_id,
            requester=a_person(),
            tool="push",
            arguments={"of": said, "index": index},
            run_id=lease.run_id,
            step=number,
            index=index,
        )
        for index in range(2)
    )
    uses = [ToolUse(handle="h", name=call.tool, arguments=call.arguments) for call in calls]
    done, answer = calls[0].id, an_answer(said, *uses)
    return replace(
        told(lease, *[f"{said}/{at}" for at in range(events)]),
        answered=Answered(number=number, agent="walker", answer=answer, calls=calls),
        calls=(moved(lease, number=number, result=Succeeded(output={"of": said})),),
        usage=(ToolUsage(call_id=done, tool="push", agent="walker", step=number, cost_micros=5),),
        active_ms=10,
    )


def moved(lease: Lease, *, number: int = 1, result: Succeeded | None = None) -> CallUpdate:
    """Return that the step's first call has succeeded."""
    call_id = call_id_of(lease.run_id, step=number, index=0)
    return CallUpdate(
        call_id=call_id, state=CallState.SUCCEEDED, result=result, attempt=True, cost_micros=5
    )


async def assert_whole(place: Place, lease: Lease, *, events: Sequence[int]) -> None:
    """Assert that the run has a step for each figure, with so many events, and nothing else."""
    run = await place.run(lease)
    count = len(events)
    assert (run["current_step"], run["cost_micros"], run["active_ms"]) == (
        count,
        6 * count,
        10 * count,
    )
    said = [f"{lease.run_id}/{number}" for number in range(1, count + 1)]
    notes = [f"{of}/{at}" for of, figure in zip(said, events, strict=True) for at in range(figure)]
    happened = await place.rows(lease, run_events)
    assert [(row["seq"], row["data"]["note"]) for row in happened] == list(enumerate(notes, 1))
    assert run["event_seq"] == len(notes)
    kept = await place.rows(lease, steps)
    assert [(row["number"], row["text"]) for row in kept] == list(enumerate(said, 1))
    calls = {row["id"]: row for row in await place.rows(lease, tool_calls)}
    assert len(calls) == 2 * count
    for number, of in enumerate(said, 1):
        first, second = (
            calls[call_id_of(lease.run_id, step=number, index=index)] for index in range(2)
        )
        assert first["arguments"] == {"of": of, "index": 0}
        assert second["arguments"] == {"of": of, "index": 1}
        assert (first["state"], first["result"]) == ("succeeded", {"of": of})
        assert (second["state"], second["result"]) == ("requested", None)
    used = await place.rows(lease, usage_events)
    charged = sorted((row["step"], row["kind"], row["cost_micros"]) for row in used)
    assert charged == [
        (number, kind, cost)
        for number in range(1, count + 1)
        for kind, cost in (("model", 1), ("tool", 5))
    ]
    assert len(await place.rows(lease, audit_records)) == count


async def test_what_many_runs_write_at_once_takes_few_transactions_and_each_is_whole(
    place: Place,
) -> None:
    leases = await place.leases(20)
    for number in (1, 2, 3):
        outcomes = await asyncio.gather(
            *(
                place.outcome_of(
                    Write(lease=lease, entry=a_step_of(lease, number=number, events=at % 4))
                )
                for at, lease in enumerate(leases, start=number)
            )
        )
        assert outcomes == [Written(cancel_requested=False, epoch=1)] * len(leases)
    # One goes at once; by the time that it is done, all the others are in the queue.
    assert len(set(await place.transactions(*leases))) == 3 * 2
    for at, lease in enumerate(leases):
        await assert_whole(place, lease, events=[(at + number) % 4 for number in (1, 2, 3)])


async def test_what_waits_goes_in_one_transaction_whatever_is_in_each(place: Place) -> None:
    one, plain, stepping, ending, empty, asked = await place.leases(6)
    await place.runs.change(asked.tenant_id, run_id=asked.run_id, cancel_requested=True)
    async with place.busy(one) as ways:
        sent = await ways.queue(
            plain,
            Write(lease=stepping, entry=a_step_of(stepping), epoch=1),
            Write(lease=ending, entry=a_step_of(ending, events=1), ended=ENDED),
            Write(lease=empty, entry=Entry()),
            asked,
        )
        await ways.let_go()
        cancels = [
            await task == Written(cancel_requested=task is sent[4], epoch=1) for task in sent
        ]
        assert cancels == [True] * 5
    assert len(set(await place.transactions(plain, stepping, ending, asked))) == 1
    await assert_whole(place, stepping, events=[2])
    run = await place.run(ending)
    assert (run["status"], run["dispatch"], run["result"]) == ("completed", "ended", "Done.")
    assert {row["state"] for row in await place.rows(ending, tool_calls)} == {
        "succeeded",
        "cancelled",
    }
    dispatch = [(await place.run(lease))["dispatch"] for lease in (plain, stepping, empty, asked)]
    assert dispatch == ["driving"] * 4


async def test_what_is_too_much_for_one_group_goes_with_the_next(place: Place) -> None:
    one, *leases = await place.leases(1 + 64 + 3)
    async with place.busy(one) as ways:
        sent = await ways.queue(*leases)
        await ways.let_go()
        assert all([isinstance(await task, Written) for task in sent])
    xacts = await place.transactions(*leases)
    assert (len(set(xacts[:64])), len(set(xacts[64:])), len(set(xacts))) == (1, 1, 2)


async def test_who_may_not_write_is_refused_alone_and_keeps_nothing(place: Place) -> None:
    one, good, lost, stale, ended, current, last = await place.leases(7)
    refused = (lost, stale, ended)
    for lease in refused:
        entry = replace(a_step_of(lease), calls=())
        assert isinstance(await place.writes.write(Write(lease=lease, entry=entry)), Written)
    await place.runs.change(ended.tenant_id, run_id=ended.run_id, dispatch="parked")
    before = [await place.everything(lease) for lease in refused]
    again = [
        replace(a_step_of(lease, number=2), calls=(moved(lease), moved(lease, number=2)))
        for lease in refused
    ]
    async with place.busy(one) as ways:
        sent = await ways.queue(
            Write(lease=good, entry=a_step_of(good)),
            Write(lease=replace(lost, number=6), entry=again[0], ended=ENDED),
            Write(lease=stale, entry=again[1], epoch=2, ended=ENDED),
            Write(lease=ended, entry=again[2], epoch=1, ended=ENDED),
            Write(lease=current, entry=a_step_of(current), epoch=1),
            Write(lease=last, entry=a_step_of(last)),
        )
        await ways.let_go()
        kinds = [type(await task) for task in sent]
        assert kinds == [Written, LeaseLost, StaleEpoch, LeaseLost, Written, Written]
    for lease in (good, current, last):
        await assert_whole(place, lease, events=[2])
    assert [await place.everything(lease) for lease in refused] == before
    assert len(set(await place.transactions(good, current, last))) == 1


async def test_writes_of_one_run_that_wait_are_kept_in_order_and_never_together(
    place: Place,
) -> None:
    one, leader, run = await place.leases(3)
    async with place.busy(one) as ways:
        sent = await ways.queue(
            leader,
            *(Write(lease=run, entry=a_step_of(run, number=at, events=at)) for at in (1, 2, 3)),
            leader,
        )
        await ways.let_go()
        assert [type(await task) for task in sent] == [Written] * 5
    await assert_whole(place, run, events=[1, 2, 3])
    xacts = await place.transactions(run)
    assert len(set(xacts)) == 3
    assert await place.transactions(leader) == xacts[:2]


async def test_behind_a_slow_group_others_go_but_never_one_of_the_same_run(place: Place) -> None:
    place.writes = GroupedWrites(place.database, slow_seconds=-1.0)
    run, other = await place.leases(2)
    async with asyncio.timeout(LONGEST), asyncio.TaskGroup() as group:
        async with place.holding(run):
            sent = [
                group.create_task(
                    place.outcome_of(Write(lease=run, entry=a_step_of(run, number=at)))
                )
                for at in (1, 2)
            ]
            await place.until_blocked(1)
            assert await place.goes_on(other)
            await place.until_blocked(1)
            assert not any(task.done() for task in sent)
        assert all([isinstance(await task, Written) for task in sent])
    await assert_whole(place, run, events=[2, 2])
    assert len(set(await place.transactions(run))) == 2


async def test_what_waits_behind_a_slow_group_goes_though_nobody_comes_after_it(
    place: Place,
) -> None:
    place.writes = GroupedWrites(place.database, slow_seconds=0.2)
    run, other = await place.leases(2)
    async with asyncio.timeout(LONGEST), asyncio.TaskGroup() as group:
        async with place.holding(run):
            stuck = group.create_task(place.outcome_of(run))
            behind = group.create_task(place.outcome_of(other))
            assert isinstance(await behind, Written)
            assert not stuck.done()
        assert isinstance(await stuck, Written)


async def test_no_more_than_four_groups_of_a_tenant_are_under_way(place: Place) -> None:
    place.writes = GroupedWrites(place.database, slow_seconds=-1.0)
    leases = await place.leases(6)
    async with asyncio.timeout(LONGEST), asyncio.TaskGroup() as group, AsyncExitStack() as rest:
        async with place.holding(leases[0]):
            for lease in leases[1:4]:
                await rest.enter_async_context(place.holding(lease))
            sent = [group.create_task(place.outcome_of(lease)) for lease in leases]
            await place.until_blocked(4)
            assert not any(task.done() for task in sent)
        assert [type(await sent[at]) for at in (0, 4, 5)] == [Written] * 3
        assert not any(task.done() for task in sent[1:4])
    assert len(set(await place.transactions(*leases[4:]))) == 1


async def test_a_run_waits_for_its_write_that_another_has_taken_along(place: Place) -> None:
    place.writes = GroupedWrites(place.database, slow_seconds=-1.0)
    first, second, *full, leader, taken, other = await place.leases(7)
    async with asyncio.timeout(LONGEST), asyncio.TaskGroup() as group, AsyncExitStack() as rest:
        async with place.holding(second):
            async with place.holding(first):
                for lease in (*full, taken):
                    await rest.enter_async_context(place.holding(lease))
                leases = (first, second, *full, leader, taken)
                sent = [group.create_task(place.outcome_of(lease)) for lease in leases]
                await place.until_blocked(4)
            assert isinstance(await sent[0], Written)
        assert isinstance(await sent[1], Written)
        again = group.create_task(place.outcome_of(taken))
        assert await place.goes_on(other)
        await place.until_blocked(3)
        assert not any(task.done() for task in (*sent[2:], again))
    xacts = await place.transactions(taken)
    assert await place.transactions(leader) == xacts[:1]
    assert len(set(xacts)) == 2


def _with_nul(entry: Entry) -> Entry:
    (event, *_) = entry.events
    return replace(entry, events=(replace(event, data={"note": "a\x00b"}),))


def _with_half_a_character(entry: Entry) -> Entry:
    (event, *_) = entry.events
    return replace(entry, events=(replace(event, data={"note": "\ud800"}),))


def _with_a_call_twice(entry: Entry) -> Entry:
    assert entry.answered is not None
    calls = entry.answered.calls
    return replace(entry, answered=replace(entry.answered, calls=(*calls, calls[0])))


UNSTORABLE: dict[str, Callable[[Entry], Entry]] = {
    "text that PostgreSQL has no room for": _with_nul,
    "text that is none": _with_half_a_character,
    "a number that is too large": lambda entry: replace(entry, active_ms=2**63),
    "a number that is too large together": lambda entry: replace(entry, active_ms=2**63 - 1),
    "a call twice": _with_a_call_twice,
}


@pytest.mark.parametrize("what", UNSTORABLE)
async def test_what_cannot_be_stored_fails_alone(place: Place, what: str) -> None:
    one, leads, good, bad, last = await place.leases(5)
    for lease in (leads, bad):
        await place.runs.change(lease.tenant_id, run_id=lease.run_id, active_ms=1)
    before = [await place.everything(lease) for lease in (leads, bad)]
    unstorable = UNSTORABLE[what]
    async with place.busy(one) as ways:
        sent = await ways.queue(
            Write(lease=leads, entry=unstorable(a_step_of(leads))),
            Write(lease=good, entry=a_step_of(good)),
            Write(lease=bad, entry=unstorable(a_step_of(bad))),
            Write(lease=last, entry=a_step_of(last)),
        )
        await ways.let_go()
        failed, kept, also_failed, also_kept = [await task for task in sent]
    for error in (failed, also_failed):
        assert isinstance(error, Exception)
        assert not isinstance(error, Unavailable | LeaseLost | StaleEpoch), (
            "it would be tried again"
        )
    assert failed is not also_failed
    assert isinstance(kept, Written)
    assert isinstance(also_kept, Written)
    for lease in (good, last):
        await assert_whole(place, lease, events=[2])
    assert [await place.everything(lease) for lease in (leads, bad)] == before
    assert await place.goes_on(good, last)


async def test_tenants_never_share_a_group_nor_wait_for_each_other(place: Place) -> None:
    one, *acme = await place.leases(5, name="acme")
    globex = await place.leases(4, name="globex")
    async with place.busy(one) as ways:
        sent = await ways.queue(
            *(Write(lease=lease, entry=a_step_of(lease)) for lease in (*acme, *globex))
        )
        outcomes = [await task for task in sent[4:]]
        assert outcomes == [Written(cancel_requested=False, epoch=1)] * 4
        assert not any(task.done() for task in sent[:4])
        await ways.let_go()
        assert [isinstance(await task, Written) for task in sent] == [True] * 8
    for lease in (*acme, *globex):
        await assert_whole(place, lease, events=[2])
    apart = set(await place.transactions(*acme)) & set(await place.transactions(*globex))
    assert apart == set()


async def test_a_run_of_another_tenant_is_out_of_reach(place: Place) -> None:
    one, good = await place.leases(2, name="acme")
    (theirs,) = await place.leases(1, name="globex")
    entry = replace(a_step_of(theirs), calls=())
    assert isinstance(await place.writes.write(Write(lease=theirs, entry=entry)), Written)
    before = await place.everything(theirs)
    reaching = replace(theirs, tenant_id=good.tenant_id)
    theft = replace(a_step_of(theirs, number=2), calls=(moved(theirs),))
    mine = replace(a_step_of(good), calls=(*a_step_of(good).calls, moved(theirs)))
    async with place.busy(one) as ways:
        refused, kept = await ways.queue(
            Write(lease=reaching, entry=theft, ended=ENDED), Write(lease=good, entry=mine)
        )
        await ways.let_go()
        assert isinstance(await refused, LeaseLost)
        assert isinstance(await kept, Written)
    await assert_whole(place, good, events=[2])
    assert await place.everything(theirs) == before
    assert await place.rows(reaching, audit_records) == []
    assert await place.goes_on(theirs)


async def test_who_goes_with_a_leader_that_is_cancelled_is_told_and_the_queue_goes_on(
    place: Place,
) -> None:
    one, leader, held, follower, later = await place.leases(5)
    async with place.busy(one) as ways, AsyncExitStack() as holding:
        await holding.enter_async_context(place.holding(held))
        sent = await ways.queue(leader, held, follower)
        await ways.let_go()
        await place.until_blocked(1)
        # One that has come meanwhile, and one of a run that is under way.
        behind = await ways.queue(later, leader)
        sent[0].cancel()
        assert [type(await task) for task in sent[1:]] == [Unavailable, Unavailable]
        assert [type(await task) for task in behind] == [Written, Written]
        await asyncio.wait(sent)
        assert sent[0].cancelled()
    assert await place.goes_on(one, leader, held, follower, later)


async def test_who_goes_away_while_it_waits_is_forgotten_alone(place: Place) -> None:
    one, leader, gone, last = await place.leases(4)
    async with place.busy(one) as ways:
        sent = await ways.queue(leader, gone, last)
        sent[1].cancel()
        await asyncio.wait(sent[1:2])
        again = await ways.queue(Write(lease=gone, entry=a_step_of(gone)))
        await ways.let_go()
        outcomes = [await task for task in (sent[0], sent[2], *again)]
        assert [type(outcome) for outcome in outcomes] == [Written] * 3
    await assert_whole(place, gone, events=[2])
    assert await place.goes_on(leader, gone, last)


async def test_who_goes_away_after_it_was_taken_along_breaks_nothing_off(place: Place) -> None:
    one, leader, held, gone = await place.leases(4)
    async with place.busy(one) as ways, AsyncExitStack() as holding:
        await holding.enter_async_context(place.holding(held))
        sent = await ways.queue(leader, held, gone)
        await ways.let_go()
        await place.until_blocked(1)
        sent[2].cancel()
        await asyncio.wait(sent[2:])
        # Written ahead of the one under way, it would come before it in the journal.
        again = await ways.queue(gone)
        await place.until_blocked(1)
        assert not again[0].done()
        await holding.aclose()
        assert [type(await task) for task in (*sent[:2], *again)] == [Written] * 3
    assert await place.goes_on(leader, held, gone)


async def test_who_goes_away_when_just_called_to_lead_leaves_the_lead_to_another(
    place: Place,
) -> None:
    one, gone, other, last = await place.leases(4)
    async with place.busy(one) as ways:
        called, *sent = await ways.queue(
            gone, Write(lease=gone, entry=a_step_of(gone)), other, last
        )
        ways.afterwards.append(called.cancel)
        await ways.let_go()
        assert [type(await task) for task in sent] == [Written] * 3
        assert called.cancelled()
    await assert_whole(place, gone, events=[2])
    assert await place.goes_on(one, gone, other, last)


async def test_who_goes_away_last_leaves_a_queue_that_works(place: Place) -> None:
    (lease,) = await place.leases(1)
    async with asyncio.TaskGroup() as group, place.holding(lease):
        sent = [group.create_task(place.outcome_of(lease)) for _ in range(3)]
        await place.until_blocked(1)
        for task in sent:
            task.cancel()
        await asyncio.wait(sent)
    assert await place.transactions(lease) == []
    assert await place.goes_on(lease, lease)


async def test_a_settled_call_stays_and_so_does_another_runs(place: Place) -> None:
    one, settled, other = await place.leases(3)
    for lease in (settled, other):
        entry = a_step_of(lease) if lease is settled else replace(a_step_of(lease), calls=())
        assert isinstance(await place.writes.write(Write(lease=lease, entry=entry)), Written)
    before = [await place.rows(lease, tool_calls) for lease in (settled, other)]
    changed = [
        replace(moved(settled), state=state, result=Succeeded(output={"later": True}))
        for state in CallState
    ]
    async with place.busy(one) as ways:
        sent = await ways.queue(
            Write(lease=settled, entry=replace(told(settled), calls=(*changed, moved(other)))),
            Write(lease=other, entry=replace(told(other), calls=(moved(settled),))),
        )
        await ways.let_go()
        assert [type(await task) for task in sent] == [Written] * 2
    assert [await place.rows(lease, tool_calls) for lease in (settled, other)] == before


async def test_of_a_database_that_goes_away_everybody_in_the_group_is_told(place: Place) -> None:
    one, leader, held, follower = await place.leases(4)
    async with place.busy(one) as ways, place.holding(held):
        sent = await ways.queue(leader, held, follower)
        await ways.let_go()
        await place.until_blocked(1)
        await place.end_blocked()
        outcomes = [await task for task in sent]
        assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
        assert {str(outcome) for outcome in outcomes} == {"database_unavailable"}
    assert await place.transactions(leader, held, follower) == []
    assert await place.goes_on(one, leader, held, follower)


async def test_without_a_database_everybody_is_told(place: Place, tmp_path: Path) -> None:
    leases = await place.leases(6)
    nowhere = GroupedWrites(Database(f"postgresql://nobody@/none?host={tmp_path}"))
    outcomes = await asyncio.gather(
        *(nowhere.write(Write(lease=lease, entry=told(lease))) for lease in leases),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 6

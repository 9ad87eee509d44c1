"""What arrives is a row first: handled once, in order, whoever dies on the way."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from bots.inbox import Inbox
from core.domain.delivery import Arrival
from core.domain.principal import Principal, Role
from core.errors import Conflict, NotFound, Unavailable
from core.ports import Clock
from core.store.chat_directory import ChatDirectory
from core.store.chat_inbox import StoredInbox
from core.store.database import Database
from sallyport.clock import SystemClock
from tests.builders import make_person, make_tenant
from tests.chat_platform import WORKSPACE, keep_workspace
from tests.databases import Urls
from tests.waiting import until


@pytest.fixture
async def admin(database: Database) -> Principal:
    person = await make_person(database, await make_tenant(database), "carol@acme.test", Role.ADMIN)
    await keep_workspace(database, person)
    return person


@dataclass
class Handled:
    """What a handler has seen; it fails as often as it is told to."""

    seen: list[str] = field(default_factory=list[str])
    fails: dict[str, int] = field(default_factory=dict[str, int])

    async def __call__(self, arrival: Arrival) -> None:
        left = self.fails.get(arrival.external_id, 0)
        if left:
            self.fails[arrival.external_id] = left - 1
            raise Conflict("approval_closed")
        self.seen.append(arrival.external_id)

    def has(self, count: int) -> "asyncio.Future[bool]":
        return asyncio.ensure_future(self._has(count))

    async def _has(self, count: int) -> bool:
        return len(self.seen) >= count


class Ahead:
    """The clock that goes as the database's does, until a test turns it on."""

    def __init__(self) -> None:
        self._real = SystemClock()
        self._ahead = timedelta()

    def now(self) -> datetime:
        return self._real.now() + self._ahead

    def monotonic(self) -> float:
        return self._real.monotonic() + self._ahead.total_seconds()

    def move(self, *, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)


def inbox_on(database: Database, *, clock: Clock | None = None) -> Inbox:
    return Inbox(
        surface="slack",
        records=StoredInbox(database),
        directory=ChatDirectory(database),
        clock=clock or SystemClock(),
        look_seconds=0.02,
    )


async def take(
    inbox: Inbox,
    name: str,
    *,
    conversation: str = "C1/1",
    position: str = "",
    urgent: bool = False,
) -> bool:
    return await inbox.take(
        workspace=WORKSPACE,
        conversation=conversation,
        position=position or name,
        external_id=name,
        payload={"name": name},
        urgent=urgent,
    )


@asynccontextmanager
async def handling(handled: Handled, *inboxes: Inbox) -> AsyncGenerator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one.run(handled)) for one in inboxes]
        yield
        for task in tasks:
            task.cancel()


@pytest.mark.usefixtures("admin")
async def test_the_same_thing_however_often_it_arrives_is_handled_once(database: Database) -> None:
    inbox, handled = inbox_on(database), Handled()
    taken = await asyncio.gather(*(take(inbox, "e1") for _ in range(20)))
    assert sum(taken) == 1
    async with handling(handled, inbox):
        await until(lambda: handled.has(1))
        assert not await take(inbox, "e1")
        assert await take(inbox, "e2")
        await until(lambda: handled.has(2))
    assert handled.seen == ["e1", "e2"]


@pytest.mark.usefixtures("admin")
async def test_a_conversation_is_handled_in_its_order_and_clicks_come_first(
    database: Database,
) -> None:
    inbox, handled = inbox_on(database), Handled()
    for name in ("3", "1", "4", "2"):
        await take(inbox, name)
    await take(inbox, "click", conversation="click", urgent=True)
    async with handling(handled, inbox):
        await until(lambda: handled.has(5))
    assert handled.seen[0] == "click"
    assert handled.seen[1:] == ["1", "2", "3", "4"]


@pytest.mark.usefixtures("admin")
async def test_one_conversation_waits_for_what_fails_in_it_and_the_others_go_on(
    database: Database,
) -> None:
    inbox, handled = inbox_on(database), Handled(fails={"a1": 2})
    await take(inbox, "a1", conversation="a")
    await take(inbox, "a2", conversation="a")
    await take(inbox, "b1", conversation="b")
    async with handling(handled, inbox):
        await until(lambda: handled.has(3))
    assert handled.seen == ["b1", "a1", "a2"]


async def test_what_cannot_be_handled_is_given_up_and_can_be_replayed(
    database: Database, admin: Principal
) -> None:
    clock = Ahead()
    inbox, handled = inbox_on(database, clock=clock), Handled(fails={"e1": 8})
    records = StoredInbox(database)
    await take(inbox, "e1")

    async def is_dead() -> bool:
        clock.move(seconds=120)
        return bool(await records.dead_letters(admin.tenant_id, limit=10))

    async with handling(handled, inbox):
        await until(is_dead)
        (letter,) = await records.dead_letters(admin.tenant_id, limit=10)
        assert (letter.what, letter.error, letter.attempts) == ("e1", "approval_closed", 8)
        await records.replay(admin.tenant_id, letter=letter.id, at=clock.now())
        await until(lambda: handled.has(1))
    with pytest.raises(NotFound):
        await records.replay(admin.tenant_id, letter=letter.id, at=clock.now())


async def test_what_a_dead_process_had_claimed_is_handled_by_another(
    database: Database, admin: Principal
) -> None:
    clock = Ahead()
    inbox, records, handled = inbox_on(database, clock=clock), StoredInbox(database), Handled()
    await take(inbox, "e1")
    now = clock.now()
    claimed = await records.claim(
        admin.tenant_id, surface="slack", now=now, until=now + timedelta(seconds=90), limit=5
    )
    assert [one.external_id for one in claimed] == ["e1"]
    later = now + timedelta(seconds=89)
    assert not await records.claim(
        admin.tenant_id, surface="slack", now=later, until=later, limit=5
    )
    clock.move(seconds=91)
    async with handling(handled, inbox):
        await until(lambda: handled.has(1))


@pytest.mark.usefixtures("admin")
async def test_several_processes_handle_each_arrival_once(database: Database) -> None:
    inboxes, handled = [inbox_on(database) for _ in range(3)], Handled()
    for number in range(60):
        await take(inboxes[number % 3], f"e{number:02}", conversation=str(number % 7))
    async with handling(handled, *inboxes):
        await until(lambda: handled.has(60))
    assert sorted(handled.seen) == [f"e{number:02}" for number in range(60)]
    for conversation in range(7):
        mine = [name for name in handled.seen if int(name[1:]) % 7 == conversation]
        assert mine == sorted(mine)


@pytest.mark.usefixtures("admin")
async def test_a_crowd_is_handled_though_keeping_it_becomes_slow_meanwhile(
    database: Database,
) -> None:
    clock = Ahead()
    inbox, gate = inbox_on(database, clock=clock), asyncio.Event()
    handled = Handled()

    async def slowly(arrival: Arrival) -> None:
        await gate.wait()
        await handled(arrival)

    async with asyncio.TaskGroup() as group:
        running = group.create_task(inbox.run(slowly))
        for number in range(30):
            await take(inbox, f"c{number:02}", conversation=str(number))
        taking = group.create_task(take(inbox, "slow", conversation="slow"))
        await asyncio.sleep(0)  # it has begun
        clock.move(seconds=0.5)  # and seems to have taken long
        await taking
        gate.set()
        await until(lambda: handled.has(31))
        running.cancel()


@pytest.mark.usefixtures("admin")
async def test_a_workspace_that_is_nobodys_is_refused(database: Database) -> None:
    inbox = inbox_on(database)
    with pytest.raises(NotFound, match="unknown_workspace"):
        await inbox.take(
            workspace="T404", conversation="c", position="1", external_id="e", payload={}
        )


@pytest.mark.usefixtures("admin")
async def test_what_arrives_together_is_kept_together_and_told_apart(database: Database) -> None:
    inbox = inbox_on(database)
    taken = await asyncio.gather(*(take(inbox, f"e{number % 100}") for number in range(300)))
    assert sum(taken) == 100
    assert not any(await asyncio.gather(*(take(inbox, f"e{number}") for number in range(100))))


@pytest.mark.usefixtures("admin")
async def test_whoever_hangs_up_holds_up_nobody_else(database: Database) -> None:
    inbox = inbox_on(database)
    await take(inbox, "first")
    async with asyncio.TaskGroup() as group:
        taking = [group.create_task(take(inbox, f"e{number}")) for number in range(40)]
        for one in taking[::3]:
            await asyncio.sleep(0)
            one.cancel()
        stayed = [one for number, one in enumerate(taking) if number % 3]
        # Whoever was taken along by one that hung up is told so, and sends it again.
        told = await asyncio.gather(*stayed, return_exceptions=True)
    assert {type(one) for one in told} <= {bool, Unavailable}
    assert await take(inbox, "last")


async def test_no_more_is_claimed_than_there_is_room_for_whatever_the_database_knows_of_its_tables(
    database: Database, admin: Principal
) -> None:
    inbox, records = inbox_on(database), StoredInbox(database)
    for number in range(60):
        await take(inbox, f"e{number:02}", conversation=str(number), urgent=number % 2 == 0)
    now = SystemClock().now()
    claimed = await records.claim(
        admin.tenant_id, surface="slack", now=now, until=now + timedelta(seconds=90), limit=16
    )
    assert len(claimed) == 16
    assert all(one.urgent for one in claimed)


async def test_what_waits_is_not_read_anew_for_each_that_is_claimed(
    urls: Urls, admin: Principal
) -> None:
    # One connection: PostgreSQL's own figures are those of a session until it has handed them on.
    database = Database(urls.app, pool_size=1)
    inbox, records = inbox_on(database), StoredInbox(database)
    waiting = [take(inbox, f"e{number:03}", conversation=str(number)) for number in range(400)]
    await asyncio.gather(*waiting)
    before = await rows_read(database)
    now = SystemClock().now()
    claimed = await records.claim(
        admin.tenant_id, surface="slack", now=now, until=now + timedelta(seconds=90), limit=16
    )
    assert len(claimed) == 16
    assert await rows_read(database) - before < 2 * 400
    await database.close()


async def rows_read(database: Database) -> int:
    """Return how many entries of the inbox's indexes were read until now."""
    async with database.without_tenant() as connection:
        await connection.execute(text("select pg_stat_force_next_flush()"))
    read = "select sum(idx_tup_read) from pg_stat_user_indexes where relname = 'inbox'"
    async with database.without_tenant() as connection:
        return int((await connection.execute(text(read))).scalar_one() or 0)


@pytest.mark.usefixtures("admin")
async def test_a_crowd_at_once_is_handled_and_the_inbox_goes_on(database: Database) -> None:
    inbox, handled = inbox_on(database), Handled()
    async with handling(handled, inbox):
        await asyncio.gather(
            *(take(inbox, f"c{number:02}", conversation=str(number)) for number in range(50))
        )
        await until(lambda: handled.has(50))
        await take(inbox, "after")
        await until(lambda: handled.has(51))

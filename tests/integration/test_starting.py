"""Starting a run at the same moment as somebody else: the slower one joins the quicker one's."""

import asyncio

import psycopg

from core.domain.principal import Role
from core.governance.spending import Spending
from core.starting import Starter
from core.store.capabilities import StoredCapabilities
from core.store.database import Database
from core.store.runs import StoredRuns
from tests.builders import SteadyClock, make_person, make_tenant
from tests.databases import Urls
from tests.nouns import AGENT
from tests.waiting import until
from tests.world import HeldDispatcher, caller_of


class Hesitant(Database):
    """Holds the transaction of a hot function open, with all its work done, until it may end."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.done = asyncio.Event()
        self.may_end = asyncio.Event()

    async def hot(self, query: str, *arguments: object) -> object:
        pool = await self.open()
        async with pool.acquire() as connection, connection.transaction():
            value: object = await connection.fetchval(query, *arguments)
            self.done.set()
            await self.may_end.wait()
            return value


async def test_the_slower_of_two_that_start_the_same_run_at_once_joins_it(
    urls: Urls, database: Database, clock: SteadyClock
) -> None:
    tenant = await make_tenant(database)
    alice = caller_of(await make_person(database, tenant, "alice@acme.test", Role.MEMBER))
    dispatcher, hesitant = HeldDispatcher(), Hesitant(urls.app)

    async def started(where: Database) -> tuple[object, bool]:
        starter = Starter(
            runs=StoredRuns(where, clock=clock),
            dispatcher=dispatcher,
            spending=Spending(StoredCapabilities(where), clock=clock),
            clock=clock,
            agent=AGENT,
        )
        begun = await starter.start(
            alice, task="Tidy up.", agent=None, conversation=None, client_key="monday"
        )
        return begun.run_id, begun.joined

    async def somebody_waits() -> bool:
        return await asyncio.to_thread(_is_blocked, urls.privileged)

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        quicker = group.create_task(started(hesitant))
        await hesitant.done.wait()
        slower = group.create_task(started(database))
        await until(somebody_waits)
        hesitant.may_end.set()
    await hesitant.close()
    run_id, joined = quicker.result()
    assert not joined
    assert slower.result() == (run_id, True)
    assert {due[1] for due in dispatcher.due} == {run_id}


def _is_blocked(url: str) -> bool:
    query = (
        "select exists (select from pg_stat_activity where datname = current_database()"
        " and wait_event_type = 'Lock')"
    )
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchone() == (True,)

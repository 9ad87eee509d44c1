import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from core.domain.ids import RunId, TenantId
from core.durable.client import QueueClient
from core.durable.disconnect import Connections
from core.durable.dispatch import SegmentWorker
from core.durable.segment import workflow_id
from core.errors import LeaseLost, Misconfigured, Unavailable
from core.store.database import APP_ROLE, Database
from tests.databases import Urls
from tests.driving import Runs, Script, SystemClock, worker
from tests.waiting import until

_NOWHERE = "postgresql://nobody@/nowhere?host=/nonexistent"


class HoursAhead(SystemClock):
    def now(self):  # noqa: ANN201 - as the port says
        return super().now() + timedelta(hours=2)


class Leaping(SystemClock):
    """Lets eleven minutes pass between two looks, for all but the heart."""

    def __init__(self) -> None:
        self._looks = 0

    def monotonic(self) -> float:
        self._looks += 1
        return super().monotonic() + self._looks * 660


class Failing(Runs):
    """Raises each of ``errors`` once before it drives; cannot record a crash."""

    errors: tuple[Exception, ...] = ()

    async def fail(
        self, tenant_id: TenantId, run_id: RunId, segment: int, error: Exception
    ) -> None:
        del tenant_id, run_id, segment, error
        raise ValueError

    async def drive(self, tenant_id: TenantId, run_id: RunId, segment: int) -> None:
        if self.errors:
            error, *rest = self.errors
            self.errors = tuple(rest)
            raise error
        await super().drive(tenant_id, run_id, segment)


class Starting(Runs):
    """Starts and enqueues another run from inside each first one."""

    worker: SegmentWorker | None = None
    started: RunId | None = None

    async def drive(self, tenant_id: TenantId, run_id: RunId, segment: int) -> None:
        if self.worker is not None and self.started is None:
            [self.started] = await self.start(tenant_id)
            await self.worker.enqueue(tenant_id, run_id=self.started, segment=1)
        await super().drive(tenant_id, run_id, segment)


class Gauge(Runs):
    """Notes how many segments of each tenant were driven at once, and how many in all."""

    def __init__(self, database: Database, *, executor_id: str) -> None:
        super().__init__(database, executor_id=executor_id)
        self.now: dict[TenantId, int] = {}
        self.most = 0
        self.most_in_all = 0

    async def drive(self, tenant_id: TenantId, run_id: RunId, segment: int) -> None:
        self.now[tenant_id] = self.now.get(tenant_id, 0) + 1
        self.most = max(self.most, self.now[tenant_id])
        self.most_in_all = max(self.most_in_all, sum(self.now.values()))
        try:
            await super().drive(tenant_id, run_id, segment)
        finally:
            self.now[tenant_id] -= 1


@pytest.fixture
def executor_id() -> str:
    return f"worker-{uuid4().hex[:8]}"


@pytest.fixture
def runs(database: Database, executor_id: str) -> Runs:
    return Runs(database, executor_id=executor_id)


@pytest.fixture
async def dispatch(
    urls: Urls, database: Database, runs: Runs, executor_id: str
) -> AsyncGenerator[SegmentWorker]:
    async with worker(urls.app, runs=runs, database=database, executor_id=executor_id) as entered:
        yield entered


async def _all_ended(runs: Runs, tenant_id: TenantId, *, count: int) -> None:
    async def ended() -> bool:
        return await runs.ended(tenant_id) == count

    await until(ended)


async def test_enqueued_segment_is_driven_to_its_end(dispatch: SegmentWorker, runs: Runs) -> None:
    tenant_id = await runs.tenant("acme")
    [run_id] = await runs.start(tenant_id, script=Script(steps=2))

    await dispatch.enqueue(tenant_id, run_id=run_id, segment=1)

    await _all_ended(runs, tenant_id, count=1)
    assert runs.driven == [(run_id, 1)]


async def test_segment_enqueued_many_times_is_driven_once(
    dispatch: SegmentWorker, runs: Runs, urls: Urls
) -> None:
    tenant_id = await runs.tenant("acme")
    [run_id] = await runs.start(tenant_id, script=Script(step_seconds=0.3))

    async with QueueClient(url=urls.app, role=APP_ROLE) as client:
        for _ in range(3):
            await dispatch.enqueue(tenant_id, run_id=run_id, segment=1)
            await client.enqueue(tenant_id, run_id=run_id, segment=1)
    await _all_ended(runs, tenant_id, count=1)

    await dispatch.enqueue(tenant_id, run_id=run_id, segment=1)
    assert runs.driven == [(run_id, 1)]


async def test_client_without_a_worker_queues_for_the_worker_that_comes(
    urls: Urls, database: Database, runs: Runs, executor_id: str
) -> None:
    tenant_id = await runs.tenant("acme")
    [run_id] = await runs.start(tenant_id)

    async with QueueClient(url=urls.app, role=APP_ROLE) as client:
        await client.enqueue(tenant_id, run_id=run_id, segment=1)
    async with worker(urls.app, runs=runs, database=database, executor_id=executor_id):
        await _all_ended(runs, tenant_id, count=1)

    assert runs.driven == [(run_id, 1)]


async def test_worker_whose_login_is_privileged_works_as_the_app_role(
    urls: Urls, database: Database, runs: Runs, executor_id: str
) -> None:
    tenant_id = await runs.tenant("acme")
    [run_id] = await runs.start(tenant_id)

    async with worker(urls.privileged, runs=runs, database=database, executor_id=executor_id) as it:
        await it.enqueue(tenant_id, run_id=run_id, segment=1)
        await _all_ended(runs, tenant_id, count=1)

    with Connections(urls.privileged, role=APP_ROLE).connect() as connection:
        assert connection.execute("select current_user").fetchone() == (APP_ROLE,)


async def test_small_tenant_is_not_kept_waiting_by_a_big_one(
    urls: Urls, database: Database, executor_id: str
) -> None:
    runs = Gauge(database, executor_id=executor_id)
    big, small = await runs.tenant("big"), await runs.tenant("small")
    script = Script(step_seconds=0.05)
    many = await runs.start(big, count=30, script=script)
    few = await runs.start(small, count=4, script=script)

    async with worker(
        urls.app, runs=runs, database=database, executor_id=executor_id, tenant_concurrency=3
    ) as it:
        for run_id in many:
            await it.enqueue(big, run_id=run_id, segment=1)
        async with QueueClient(url=urls.app, role=APP_ROLE) as client:
            for run_id in few:
                await client.enqueue(small, run_id=run_id, segment=1)
        await _all_ended(runs, small, count=4)
        assert await runs.ended(big) < 30
        await _all_ended(runs, big, count=30)


async def test_direct_starts_stop_at_the_tenants_share_and_at_the_workers_room(
    urls: Urls, database: Database, executor_id: str
) -> None:
    runs = Gauge(database, executor_id=executor_id)
    tenants = [await runs.tenant(f"tenant-{number}") for number in range(9)]
    async with worker(
        urls.app,
        runs=runs,
        database=database,
        executor_id=executor_id,
        concurrency=4,
        tenant_concurrency=2,
    ) as it:
        for tenant_id in tenants:
            for run_id in await runs.start(tenant_id, count=4, script=Script(step_seconds=0.2)):
                await it.enqueue(tenant_id, run_id=run_id, segment=1)
        for tenant_id in tenants:
            await _all_ended(runs, tenant_id, count=4)

    # Two from the queue and two direct starts of one tenant; four and four in all, and DBOS, which
    # counts by polling, may claim early. Bounded by tenant alone, 36 would run at once.
    assert runs.most <= 4
    assert runs.most_in_all <= 24


async def test_unforeseen_error_fails_its_run_and_no_other(
    dispatch: SegmentWorker, runs: Runs
) -> None:
    tenant_id = await runs.tenant("acme")
    [bad] = await runs.start(tenant_id, script=Script(act="crash"))
    [good] = await runs.start(tenant_id)

    await dispatch.enqueue(tenant_id, run_id=bad, segment=1)
    await dispatch.enqueue(tenant_id, run_id=good, segment=1)

    await _all_ended(runs, tenant_id, count=2)
    assert (await runs.states(tenant_id))[bad][2] == "1:ValueError"


async def test_segment_waits_for_a_database_that_is_away(
    urls: Urls, database: Database, executor_id: str
) -> None:
    runs = Failing(database, executor_id=executor_id)
    runs.errors = (Unavailable("database_unavailable"), Unavailable("database_unavailable"))
    tenant_id = await runs.tenant("acme")
    [run_id] = await runs.start(tenant_id)

    async with worker(urls.app, runs=runs, database=database, executor_id=executor_id) as it:
        await it.enqueue(tenant_id, run_id=run_id, segment=1)
        await _all_ended(runs, tenant_id, count=1)

    assert (await runs.states(tenant_id))[run_id][1] == 1


async def test_segment_that_waited_too_long_for_its_database_is_renewed(
    urls: Urls, database: Database, executor_id: str
) -> None:
    runs = Failing(database, executor_id=executor_id)
    runs.errors = (Unavailable("database_unavailable"),)
    tenant_id = await runs.tenant("acme")
    [run_id] = await runs.start(tenant_id)

    async with worker(
        urls.app, runs=runs, database=database, executor_id=executor_id, clock=Leaping()
    ) as it:
        await it.enqueue(tenant_id, run_id=run_id, segment=1)
        await _all_ended(runs, tenant_id, count=1)

    assert (await runs.states(tenant_id))[run_id][1] == 2


async def test_crash_that_could_not_be_recorded_is_driven_again(
    urls: Urls, database: Database, executor_id: str
) -> None:
    runs = Failing(database, executor_id=executor_id)
    tenant_id = await runs.tenant("acme")
    [run_id] = await runs.start(tenant_id, script=Script(act="crash once"))

    async with worker(urls.app, runs=runs, database=database, executor_id=executor_id) as it:
        await it.enqueue(tenant_id, run_id=run_id, segment=1)
        await _all_ended(runs, tenant_id, count=1)

    assert (await runs.states(tenant_id))[run_id][1] == 2


async def test_worker_that_leaves_lets_go_of_its_segments_for_the_next(
    urls: Urls, database: Database, runs: Runs, executor_id: str
) -> None:
    tenant_id = await runs.tenant("acme")
    [run_id] = await runs.start(tenant_id, script=Script(act="linger"))

    async with worker(urls.app, runs=runs, database=database, executor_id=executor_id) as it:
        await it.enqueue(tenant_id, run_id=run_id, segment=1)

        async def driven() -> bool:
            return (await runs.states(tenant_id))[run_id][0] == "driving"

        await until(driven)
    assert (await runs.states(tenant_id))[run_id][:2] == ("driving", 1)

    later = Runs(database, executor_id="later")
    async with worker(urls.app, runs=later, database=database, executor_id="later"):
        await _all_ended(runs, tenant_id, count=1)
    assert (await runs.states(tenant_id))[run_id] == ("ended", 2, "later")


async def test_lost_lease_ends_the_segment_without_failing_the_run(
    urls: Urls, database: Database, executor_id: str
) -> None:
    runs = Failing(database, executor_id=executor_id)
    runs.errors = (LeaseLost("lease_lost"),)
    tenant_id = await runs.tenant("acme")
    [run_id] = await runs.start(tenant_id)

    async with worker(urls.app, runs=runs, database=database, executor_id=executor_id) as it:
        await it.enqueue(tenant_id, run_id=run_id, segment=1)
        # The queue is done with segment 1 while the run is still due: the sweep renews it.
        await _all_ended(runs, tenant_id, count=1)

    assert (await runs.states(tenant_id))[run_id] == ("ended", 2, executor_id)


async def test_run_started_inside_a_run_is_dispatched_like_any_other(
    urls: Urls, database: Database, executor_id: str
) -> None:
    runs = Starting(database, executor_id=executor_id)
    tenant_id = await runs.tenant("acme")
    [outer] = await runs.start(tenant_id)

    async with worker(urls.app, runs=runs, database=database, executor_id=executor_id) as it:
        runs.worker = it
        await it.enqueue(tenant_id, run_id=outer, segment=1)
        await _all_ended(runs, tenant_id, count=2)
        assert runs.started is not None
        ids = [workflow_id(run_id, segment=1) for run_id in (outer, runs.started)]

        async def both_known() -> bool:
            return set((await it.statuses(ids)).values()) == {"SUCCESS"}

        await until(both_known)


async def test_run_that_was_committed_and_never_enqueued_is_found(
    dispatch: SegmentWorker, runs: Runs
) -> None:
    tenant_id = await runs.tenant("acme")
    await runs.start(tenant_id, count=3)

    await _all_ended(runs, tenant_id, count=3)
    assert dispatch.driven_here() == frozenset()


async def test_caller_who_leaves_while_enqueueing_leaves_no_lost_segment(
    dispatch: SegmentWorker, runs: Runs
) -> None:
    tenant_id = await runs.tenant("acme")
    [run_id] = await runs.start(tenant_id)

    async with asyncio.TaskGroup() as group:
        caller = group.create_task(dispatch.enqueue(tenant_id, run_id=run_id, segment=1))
        await asyncio.sleep(0)
        caller.cancel()

    await _all_ended(runs, tenant_id, count=1)
    assert (await runs.states(tenant_id))[run_id][1] == 1


async def test_enqueueing_never_fails_its_caller(
    urls: Urls, database: Database, runs: Runs, executor_id: str
) -> None:
    tenant_id = await runs.tenant("acme")
    [run_id] = await runs.start(tenant_id)

    async with QueueClient(url=_NOWHERE, role=APP_ROLE) as nowhere:
        await nowhere.enqueue(tenant_id, run_id=run_id, segment=1)
    async with worker(urls.app, runs=runs, database=database, executor_id=executor_id) as left:
        pass
    await left.enqueue(tenant_id, run_id=run_id, segment=1)

    assert runs.driven == []


async def test_segment_that_could_not_be_enqueued_is_driven_once_it_can_be(
    dispatch: SegmentWorker, runs: Runs, urls: Urls
) -> None:
    tenant_id = await runs.tenant("acme")
    [run_id] = await runs.start(tenant_id)
    with psycopg.connect(urls.privileged, autocommit=True) as connection:
        connection.execute("alter table dbos.workflow_status rename to not_there")
        await dispatch.enqueue(tenant_id, run_id=run_id, segment=1)
        assert runs.driven == []
        connection.execute("alter table dbos.not_there rename to workflow_status")

    await _all_ended(runs, tenant_id, count=1)


async def test_finished_segments_are_forgotten_after_an_hour(
    urls: Urls, database: Database, runs: Runs, executor_id: str
) -> None:
    tenant_id = await runs.tenant("acme")
    [run_id] = await runs.start(tenant_id)
    known = [workflow_id(run_id, segment=1)]

    async with worker(urls.app, runs=runs, database=database, executor_id=executor_id) as it:
        await it.enqueue(tenant_id, run_id=run_id, segment=1)

        async def finished() -> bool:
            return set((await it.statuses(known)).values()) == {"SUCCESS"}

        await until(finished)
        await it.forget_finished()
        assert await finished()
    async with worker(
        urls.app, runs=runs, database=database, executor_id="later", clock=HoursAhead()
    ) as later:
        await later.forget_finished()
        assert await later.statuses(known) == {}


async def test_dispatch_tells_its_queue_ids_and_nothing_else(
    dispatch: SegmentWorker, runs: Runs, urls: Urls
) -> None:
    tenant_id = await runs.tenant("acme")
    [run_id] = await runs.start(tenant_id)
    await dispatch.enqueue(tenant_id, run_id=run_id, segment=1)
    await _all_ended(runs, tenant_id, count=1)

    with psycopg.connect(urls.privileged) as connection:
        told = connection.execute("select inputs from dbos.workflow_input").fetchall()
    assert [json.loads(inputs) for (inputs,) in told] == [
        {"positionalArgs": [str(tenant_id), str(run_id), "1"], "namedArgs": {}}
    ]


async def test_worker_refuses_a_database_without_the_queues_schema(
    urls: Urls, database: Database, runs: Runs, executor_id: str
) -> None:
    with psycopg.connect(urls.privileged, autocommit=True) as connection:
        connection.execute("drop schema dbos cascade")

    with pytest.raises(Misconfigured, match="not_migrated"):
        async with worker(urls.app, runs=runs, database=database, executor_id=executor_id):
            pass


async def test_worker_says_so_when_there_is_no_database(database: Database, runs: Runs) -> None:
    with pytest.raises(Unavailable, match="database_unavailable"):
        async with worker(
            _NOWHERE, runs=runs, database=database, executor_id="lonely", first_seconds=0.2
        ):
            pass

"""Runs that are rows and a drive that only walks them, for testing the dispatch of real workers.

``main`` is one worker, as a process: it says ``ready`` and ends on SIGTERM.
"""

import asyncio
import json
import logging
import signal
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import structlog
from sqlalchemy import insert, select, update

from core.domain.ids import RunId, TenantId
from core.domain.run import Lease
from core.durable.dispatch import SegmentWorker
from core.durable.takeover import Pace
from core.errors import LeaseLost
from core.ports import Clock
from core.store.database import APP_ROLE, Database
from core.store.directory import Directory
from core.store.driving import DrivenRuns
from core.store.grouped import GroupedWrites
from core.store.tables import principals, runs, steps, tenants
from core.store.workers import Heartbeat

# Half the waiting of a real worker.
BRISK = Pace(
    sweep_seconds=0.25,
    queued_seconds=0.5,
    stale_seconds=2.5,
    steady_seconds=1.5,
    orphan_seconds=1.0,
)


class SystemClock:
    """The machine's time."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - this is a clock

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What driving a run means: so many steps, so long each; or an act before the first."""

    steps: int = 1
    step_seconds: float = 0.0
    act: str = ""


class Runs:
    """The rows, and the four things that dispatch asks of whoever owns them."""

    def __init__(self, database: Database, *, executor_id: str = "nobody") -> None:
        self._database = database
        self._executor_id = executor_id
        self._rows = DrivenRuns(
            database, writes=GroupedWrites(database), driver=executor_id, clock=SystemClock()
        )
        self.driven: list[tuple[RunId, int]] = []

    async def tenant(self, name: str) -> TenantId:
        tenant_id = TenantId(uuid4())
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(insert(tenants).values(id=tenant_id, name=name, tier="free"))
            await connection.execute(
                insert(principals).values(
                    tenant_id=tenant_id, id=tenant_id, email=f"one@{name}.example", roles=["member"]
                )
            )
        return tenant_id

    async def start(
        self, tenant_id: TenantId, *, count: int = 1, script: Script | None = None
    ) -> list[RunId]:
        """Insert queued runs, as a front door does before it enqueues."""
        script = script or Script()
        task = json.dumps(
            {"steps": script.steps, "step_seconds": script.step_seconds, "act": script.act}
        )
        ids = [RunId(uuid4()) for _ in range(count)]
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(
                insert(runs),
                [
                    {
                        "tenant_id": tenant_id,
                        "id": run_id,
                        "requester_id": tenant_id,
                        "kind": "agent",
                        "agent": "walker",
                        "agent_version": 1,
                        "config": {},
                        "task": task,
                        "via": "test",
                        "scopes": [],
                        "status": "pending",
                        "dispatch": "queued",
                        "budget_micros": 0,
                        "max_steps": 100,
                    }
                    for run_id in ids
                ],
            )
        return ids

    async def change(self, tenant_id: TenantId, *, run_id: RunId, **values: object) -> None:
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(
                update(runs)
                .where(runs.c.tenant_id == tenant_id, runs.c.id == run_id)
                .values(**values)
            )

    async def states(self, tenant_id: TenantId) -> dict[RunId, tuple[str, int, str | None]]:
        """Return dispatch, segment and result of every run of the tenant."""
        async with self._database.for_tenant(tenant_id) as connection:
            rows = await connection.execute(
                select(runs.c.id, runs.c.dispatch, runs.c.segment, runs.c.result).where(
                    runs.c.tenant_id == tenant_id
                )
            )
            return {RunId(row.id): (row.dispatch, row.segment, row.result) for row in rows}

    async def ended(self, tenant_id: TenantId) -> int:
        return sum(state[0] == "ended" for state in (await self.states(tenant_id)).values())

    async def steps_of(self, tenant_id: TenantId) -> Mapping[RunId, Sequence[str]]:
        """Return who made each step of each run, in order."""
        found: dict[RunId, list[str]] = {}
        async with self._database.for_tenant(tenant_id) as connection:
            rows = await connection.execute(
                select(steps.c.run_id, steps.c.text)
                .where(steps.c.tenant_id == tenant_id)
                .order_by(steps.c.run_id, steps.c.number)
            )
            for row in rows:
                found.setdefault(RunId(row.run_id), []).append(row.text)
        return found

    async def drive(self, tenant_id: TenantId, run_id: RunId, segment: int) -> None:
        self.driven.append((run_id, segment))
        async with self._database.for_tenant(tenant_id) as connection:
            row = (
                await connection.execute(
                    update(runs)
                    .where(
                        runs.c.tenant_id == tenant_id,
                        runs.c.id == run_id,
                        runs.c.segment == segment,
                        runs.c.dispatch.in_(["queued", "driving"]),
                    )
                    .values(
                        dispatch="driving",
                        status="running",
                        driver=self._executor_id,
                        lease=runs.c.lease + 1,
                    )
                    .returning(runs.c.lease, runs.c.task, runs.c.current_step)
                )
            ).one_or_none()
        if row is None:
            return
        lease = Lease(tenant_id=tenant_id, run_id=run_id, segment=segment, number=row.lease)
        script = Script(**json.loads(row.task))
        await _act(script.act, segment=segment)
        for number in range(row.current_step + 1, script.steps + 1):
            await asyncio.sleep(script.step_seconds)
            await self._write_step(lease, number=number, is_last=number == script.steps)

    async def requeue(self, tenant_id: TenantId, run_id: RunId, segment: int) -> int | None:
        return await self._rows.requeue(tenant_id, run_id=run_id, segment=segment)

    async def fail(
        self, tenant_id: TenantId, run_id: RunId, segment: int, error: Exception
    ) -> None:
        await self.change(
            tenant_id,
            run_id=run_id,
            dispatch="ended",
            status="failed",
            result=f"{segment}:{type(error).__name__}",
        )

    async def _write_step(self, lease: Lease, *, number: int, is_last: bool) -> None:
        end = {"dispatch": "ended", "status": "completed"} if is_last else {}
        async with self._database.for_tenant(lease.tenant_id) as connection:
            held = await connection.execute(
                update(runs)
                .where(
                    runs.c.tenant_id == lease.tenant_id,
                    runs.c.id == lease.run_id,
                    runs.c.lease == lease.number,
                    runs.c.dispatch == "driving",
                )
                .values(current_step=number, result=self._executor_id, **end)
            )
            if held.rowcount != 1:
                raise LeaseLost("lease_lost")
            await connection.execute(
                insert(steps).values(
                    tenant_id=lease.tenant_id,
                    run_id=lease.run_id,
                    number=number,
                    thinking="",
                    text=self._executor_id,
                    calls=[],
                    stop="end",
                    provider="none",
                    model="none",
                    input_tokens=0,
                    output_tokens=0,
                    cache_read_tokens=0,
                    cache_write_tokens=0,
                    cost_micros=0,
                    duration_ms=0,
                )
            )


async def _act(act: str, *, segment: int) -> None:
    """Misbehave in the first segment only: whoever takes over walks on."""
    match act:
        case "crash":
            raise ValueError(act)
        case "crash once" if segment == 1:
            raise ValueError(act)
        case "hang" if segment == 1:
            time.sleep(3600)  # noqa: ASYNC251 - the loop is to hang
        case "linger" if segment == 1:
            await asyncio.sleep(3600)
        case _:
            pass


@asynccontextmanager
async def worker(
    url: str,
    *,
    runs: Runs,
    database: Database,
    executor_id: str,
    clock: Clock | None = None,
    concurrency: int = 16,
    tenant_concurrency: int = 3,
    first_seconds: float = 10.0,
    pace: Pace = BRISK,
) -> AsyncGenerator[SegmentWorker]:
    """Enter a real worker over ``runs``."""
    clock = clock or SystemClock()
    async with SegmentWorker(
        url=url,
        role=APP_ROLE,
        beats=Heartbeat(
            url,
            executor_id=executor_id,
            clock=SystemClock(),
            role=APP_ROLE,
            first_seconds=first_seconds,
            every_seconds=pace.stale_seconds / 5,
            hung_seconds=pace.stale_seconds / 2.5,
        ),
        directory=Directory(database),
        drive=runs.drive,
        requeue=runs.requeue,
        on_crash=runs.fail,
        clock=clock,
        concurrency=concurrency,
        tenant_concurrency=tenant_concurrency,
        pace=pace,
    ) as entered:
        yield entered


async def _main(url: str, *, executor_id: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    database = Database(url, pool_size=5)
    runs = Runs(database, executor_id=executor_id)
    try:
        async with worker(url, runs=runs, database=database, executor_id=executor_id, pace=BRISK):
            print("ready", flush=True)  # noqa: T201 - the test waits for it
            await stop.wait()
    finally:
        await database.close()


def main(arguments: Sequence[str]) -> None:
    """Be a worker on a database, under a name: two arguments."""
    # Nobody reads its output after the first line, and a full pipe would stop it.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    url, executor_id = arguments
    asyncio.run(_main(url, executor_id=executor_id))

"""Driving a run: taking its lease, letting go, and what happens when a driver dies."""

import json

from sqlalchemy import and_, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.ids import RunId, TenantId
from core.domain.journal import Entry
from core.domain.run import Lease, RunStatus, StopCause
from core.errors import LeaseLost
from core.ports import Clock, DrivenRun, Ending
from core.store.database import Database
from core.store.ending import finish_as_driver, finish_held
from core.store.grouped import GroupedWrites
from core.store.reading import driven_of, run_row_of
from core.store.rows import AnyRow
from core.store.tables import approvals, runs

_TAKE = "select take_run($1, $2, $3, $4)"

_IS_HELD = and_(
    runs.c.tenant_id == bindparam("tenant"),
    runs.c.id == bindparam("run"),
    runs.c.lease == bindparam("number"),
    runs.c.dispatch == "driving",
)
_LOCKED = select(runs).where(_IS_HELD).with_for_update()
_PULSE = select(runs.c.cancel_requested).where(_IS_HELD)
_OPEN = (
    select(func.count())
    .select_from(approvals)
    .where(
        approvals.c.tenant_id == bindparam("tenant"),
        approvals.c.run_id == bindparam("run"),
        approvals.c.state == "pending",
    )
)


class DrivenRuns:
    """The Runs port on PostgreSQL, and what the sweep needs beside it."""

    def __init__(
        self, database: Database, *, writes: GroupedWrites, driver: str, clock: Clock
    ) -> None:
        """Take the database, the journal's way and the name under which this process drives."""
        self._database = database
        self._writes = writes
        self._driver = driver
        self._clock = clock

    async def take(self, tenant_id: TenantId, *, run_id: RunId, segment: int) -> DrivenRun | None:
        """Take the run's lease; see the port."""
        taken = await self._database.hot(_TAKE, tenant_id, run_id, segment, self._driver)
        return driven_of(json.loads(str(taken))) if taken is not None else None

    async def park(self, lease: Lease, *, active_ms: int) -> bool:
        """Leave the run waiting for people; see the port."""
        async with self._database.for_tenant(lease.tenant_id) as connection:
            await _locked(connection, lease)
            run = {"tenant": lease.tenant_id, "run": lease.run_id}
            count = (await connection.execute(_OPEN, run)).scalar_one()
            if not count:
                return False
            await connection.execute(
                update(runs)
                .where(runs.c.tenant_id == lease.tenant_id, runs.c.id == lease.run_id)
                .values(
                    status=RunStatus.AWAITING_APPROVAL.value,
                    dispatch="parked",
                    driver=None,
                    pause_reason=f"waiting for {count} approval{'s' if count > 1 else ''}",
                    active_ms=runs.c.active_ms + active_ms,
                )
            )
        return True

    async def finish(self, lease: Lease, *, ending: Ending, entry: Entry) -> None:
        """Keep the last entry and end the run for good; see the port."""
        await finish_as_driver(
            self._writes, lease, ending=ending, entry=entry, at=self._clock.now()
        )

    async def pulse(self, lease: Lease) -> bool:
        """Return whether the run is asked to cancel; see the port."""
        async with self._database.for_tenant(lease.tenant_id) as connection:
            row = (await connection.execute(_PULSE, _held(lease))).one_or_none()
        if row is None:
            raise LeaseLost("lease_lost")
        return bool(row.cancel_requested)

    async def requeue(self, tenant_id: TenantId, *, run_id: RunId, segment: int) -> int | None:
        """Make an abandoned or lost segment due again as the next one; None where it is not."""
        async with self._database.for_tenant(tenant_id) as connection:
            moved = await connection.execute(
                update(runs)
                .where(
                    runs.c.tenant_id == tenant_id,
                    runs.c.id == run_id,
                    runs.c.segment == segment,
                    runs.c.dispatch.in_(("queued", "driving")),
                )
                .values(
                    segment=runs.c.segment + 1,
                    # A driver that is only slow must not write beside the next one.
                    lease=runs.c.lease + 1,
                    dispatch="queued",
                    driver=None,
                    queued_at=func.now(),
                )
                .returning(runs.c.segment)
            )
            return moved.scalar_one_or_none()

    async def fail(
        self, tenant_id: TenantId, *, run_id: RunId, segment: int, cause: StopCause
    ) -> None:
        """Fail a run whose driver crashed for a reason that driving again would meet again."""
        async with self._database.for_tenant(tenant_id) as connection:
            row = await run_row_of(connection, tenant_id, run_id=run_id, lock=True)
            if row.segment == segment and row.dispatch != "ended":
                ending = Ending(status=RunStatus.FAILED, cost_micros=row.cost_micros, error=cause)
                await finish_held(
                    connection, row, ending=ending, actor="system", at=self._clock.now()
                )


def _held(lease: Lease) -> dict[str, object]:
    return {"tenant": lease.tenant_id, "run": lease.run_id, "number": lease.number}


async def _locked(connection: AsyncConnection, lease: Lease) -> AnyRow:
    row = (await connection.execute(_LOCKED, _held(lease))).one_or_none()
    if row is None:
        raise LeaseLost("lease_lost")
    return row

"""Reading a run whole: its row, its steps and calls, its people."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, and_, any_, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.ids import RunId, TenantId
from core.domain.principal import Principal
from core.domain.run import Feedback, Lease, Run, RunKind, Step
from core.errors import NotFound
from core.ports import DrivenRun
from core.store.feedback import feedback_rows
from core.store.principals import principal_of, standing_of
from core.store.rows import AnyRow, call_of, row_of, run_of, step_of
from core.store.tables import principals, runs, steps, tool_calls, usage_events

_RUN = select(runs).where(runs.c.tenant_id == bindparam("tenant"), runs.c.id == bindparam("run"))
_RUN_LOCKED = _RUN.with_for_update()

_STEPS = (
    select(steps, usage_events.c.unit_prices)
    .join(
        usage_events,
        and_(
            usage_events.c.tenant_id == steps.c.tenant_id,
            usage_events.c.run_id == steps.c.run_id,
            usage_events.c.step == steps.c.number,
            usage_events.c.kind == "model",
        ),
    )
    .where(steps.c.tenant_id == bindparam("tenant"), steps.c.run_id == bindparam("run"))
    .order_by(steps.c.number)
)

_CALLS = (
    select(tool_calls)
    .where(tool_calls.c.tenant_id == bindparam("tenant"), tool_calls.c.run_id == bindparam("run"))
    .order_by(tool_calls.c.step, tool_calls.c.position)
)

_PEOPLE = select(principals).where(
    principals.c.tenant_id == bindparam("tenant"),
    principals.c.id == any_(bindparam("ids", type_=ARRAY(Uuid()))),
)


async def run_row_of(
    connection: AsyncConnection, tenant_id: TenantId, *, run_id: RunId, lock: bool = False
) -> AnyRow:
    """Return the run's row, locked until the transaction ends where that is wanted.

    Raises:
        NotFound: ``not_found``.
    """
    query = _RUN_LOCKED if lock else _RUN
    found = await connection.execute(query, {"tenant": tenant_id, "run": run_id})
    row = found.one_or_none()
    if row is None:
        raise NotFound("not_found", noun="run")
    return row


async def whole(connection: AsyncConnection, row: AnyRow) -> Run:
    """Return the run of ``row`` with its steps and calls."""
    mine = {"tenant": row.tenant_id, "run": row.id}
    answers = await connection.execute(_STEPS, mine)
    asked = await connection.execute(_CALLS, mine)
    tenant_id = TenantId(row.tenant_id)
    given = await feedback_rows(connection, tenant_id, run_id=row.id)
    ids = [row.requester_id, *(one.principal_id for one in given)]
    people = await people_of(connection, tenant_id, ids=ids)
    run = _put_together(
        row, requester=people[row.requester_id], answers=list(answers), asked=list(asked)
    )
    feedback = tuple(
        Feedback(
            principal=people[one.principal_id],
            good=one.good,
            reason=one.reason,
            given_at=one.given_at,
        )
        for one in given
    )
    return replace(run, feedback=feedback)


def driven_of(taken: Mapping[str, Any]) -> DrivenRun:  # Any: as take_run builds it
    """Return what the SQL function ``take_run`` gave its driver."""
    row, person = row_of(taken["run"]), row_of(taken["requester"])
    requester = principal_of(person)
    run = _put_together(
        row,
        requester=requester,
        answers=[row_of(step) for step in taken["steps"]],
        asked=[row_of(call) for call in taken["calls"]],
    )
    return DrivenRun(
        lease=Lease(tenant_id=run.tenant_id, run_id=run.id, segment=run.segment, number=run.lease),
        run=run,
        scopes=frozenset(row.scopes),
        standing=None if person.disabled_at else standing_of(taken, principal=requester),
    )


def _put_together(
    row: AnyRow, *, requester: Principal, answers: Sequence[AnyRow], asked: Sequence[AnyRow]
) -> Run:
    calls = [call_of(call, requester=requester, actor=row.actor) for call in asked]
    if row.kind == RunKind.CALL.value:
        only = Step(number=0, answer=None, calls=tuple(calls))
        return run_of(row, requester=requester, steps=(only,))
    found = tuple(
        step_of(answer, calls=tuple(c for c in calls if c.call.step == answer.number))
        for answer in answers
    )
    return run_of(row, requester=requester, steps=found)


async def people_of(
    connection: AsyncConnection, tenant_id: TenantId, *, ids: Sequence[UUID]
) -> dict[UUID, Principal]:
    """Return the people with these ids, by id."""
    found = await connection.execute(_PEOPLE, {"tenant": tenant_id, "ids": list(set(ids))})
    return {row.id: principal_of(row) for row in found}

"""Ending a run, in whoever's transaction: nothing stays open behind it."""

from datetime import datetime

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.audit import audit_record
from core.domain.canonical import Json
from core.domain.event import EventKind
from core.domain.ids import RunId, TenantId
from core.domain.journal import Happened
from core.domain.tool import CallState
from core.ports import Ending
from core.store.journal import append_audit, append_events
from core.store.rows import AnyRow
from core.store.tables import approvals, runs, tool_calls

_STILL_OPEN = (CallState.REQUESTED.value, CallState.PENDING_APPROVAL.value)


async def finish_run(
    connection: AsyncConnection, row: AnyRow, *, ending: Ending, actor: str, at: datetime
) -> None:
    """End the run whose row the caller holds: questions withdrawn, waiting calls cancelled."""
    tenant_id, run_id = TenantId(row.tenant_id), RunId(row.id)
    error = ending.error
    await connection.execute(
        update(runs)
        .where(runs.c.tenant_id == tenant_id, runs.c.id == run_id)
        .values(
            status=ending.status.value,
            dispatch="ended",
            driver=None,
            pause_reason=None,
            result=ending.result,
            error_code=error.code if error else None,
            error_message=error.message if error else None,
            active_ms=runs.c.active_ms + ending.active_ms,
            completed_at=func.now(),
        )
    )
    await connection.execute(
        update(approvals)
        .where(
            approvals.c.tenant_id == tenant_id,
            approvals.c.run_id == run_id,
            approvals.c.state == "pending",
        )
        .values(state="withdrawn", closed_at=func.now())
    )
    await connection.execute(
        update(tool_calls)
        .where(
            tool_calls.c.tenant_id == tenant_id,
            tool_calls.c.run_id == run_id,
            tool_calls.c.state.in_(_STILL_OPEN),
        )
        .values(state=CallState.CANCELLED.value, settled_at=func.now())
    )
    await append_events(connection, tenant_id, run_id=run_id, events=(_ended(row, ending=ending),))
    content: dict[str, Json] = {
        "status": ending.status.value,
        "cost_micros": row.cost_micros,
        "code": error.code if error else None,
    }
    record = audit_record(
        tenant_id,
        at=at,
        action="run.ended",
        actor=actor,
        run_id=run_id,
        content=content,
    )
    await append_audit(connection, record)


def _ended(row: AnyRow, *, ending: Ending) -> Happened:
    if ending.error is None:
        done: dict[str, Json] = {"result": ending.result, "cost_micros": row.cost_micros}
        return Happened(kind=EventKind.COMPLETED, data=done)
    return Happened(
        kind=EventKind.STOPPED,
        data={
            "status": ending.status.value,
            "code": ending.error.code,
            "message": ending.error.message,
            "cost_micros": row.cost_micros,
        },
    )

"""Ending a run: by its driver's last write, or in the transaction of whoever holds its row."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.audit import AuditRecord, audit_record
from core.domain.canonical import Json
from core.domain.event import EventKind
from core.domain.ids import RunId, TenantId
from core.domain.journal import Entry, Happened
from core.domain.run import Lease
from core.domain.tool import Failed
from core.ports import Ending
from core.store.columns import Ended, Write, error_json, json_text
from core.store.grouped import GroupedWrites
from core.store.journal import audit_json, events_json
from core.store.rows import AnyRow
from core.words import sentence_for

_BY_HOLDER = text(
    "select finish_run(:tenant, :run, :status, :result, :code, :message, cast(:lost as jsonb),"
    " cast(:events as jsonb), cast(:audit as jsonb))"
)


async def finish_as_driver(
    writes: GroupedWrites, lease: Lease, *, ending: Ending, entry: Entry, at: datetime
) -> None:
    """End the run under its lease, with the driver's last entry, in one write.

    Raises:
        LeaseLost: another worker drives the run now.
    """
    record = _record(lease.tenant_id, run_id=lease.run_id, ending=ending, actor="system", at=at)
    last = entry.followed_by(Entry(events=(_event(ending),), audit=(record,)))
    await writes.write(Write(lease=lease, entry=last, ended=_ended(ending)))


async def finish_held(
    connection: AsyncConnection, row: AnyRow, *, ending: Ending, actor: str, at: datetime
) -> None:
    """End the run whose row the caller holds."""
    tenant_id, run_id = TenantId(row.tenant_id), RunId(row.id)
    ended = _ended(ending)
    record = _record(tenant_id, run_id=run_id, ending=ending, actor=actor, at=at)
    values = {
        "tenant": tenant_id,
        "run": run_id,
        "status": ended.status,
        "result": ended.result,
        "code": ended.code,
        "message": ended.message,
        "lost": json_text(ended.lost),
        "events": events_json([_event(ending)]),
        "audit": audit_json([record]),
    }
    await connection.execute(_BY_HOLDER, values)


def _ended(ending: Ending) -> Ended:
    error = ending.error
    return Ended(
        status=ending.status.value,
        result=ending.result,
        code=error.code if error else None,
        message=error.message if error else None,
        lost=error_json(
            Failed(code="outcome_unknown", message=sentence_for("outcome_unknown", {}))
        ),
    )


def _record(
    tenant_id: TenantId, *, run_id: RunId, ending: Ending, actor: str, at: datetime
) -> AuditRecord:
    content: dict[str, Json] = {
        "status": ending.status.value,
        "cost_micros": ending.cost_micros,
        "code": ending.error.code if ending.error else None,
    }
    return audit_record(
        tenant_id, at=at, action="run.ended", actor=actor, run_id=run_id, content=content
    )


def _event(ending: Ending) -> Happened:
    if ending.error is None:
        done: dict[str, Json] = {"result": ending.result, "cost_micros": ending.cost_micros}
        return Happened(kind=EventKind.COMPLETED, data=done)
    return Happened(
        kind=EventKind.STOPPED,
        data={
            "status": ending.status.value,
            "code": ending.error.code,
            "message": ending.error.message,
            "cost_micros": ending.cost_micros,
        },
    )

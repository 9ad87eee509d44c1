"""Ending a run: one SQL function, by its driver or in the transaction of whoever holds its row."""

import json
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.audit import audit_record
from core.domain.canonical import Json
from core.domain.event import EventKind
from core.domain.ids import RunId, TenantId
from core.domain.journal import Entry, Happened
from core.domain.run import Lease
from core.ports import Ending
from core.store.database import Database
from core.store.journal import audit_json, entry_json, events_json
from core.store.rows import AnyRow
from core.words import sentence_for

_BY_DRIVER = "select finish_run($1, $2, $3, $4, $5, $6, $7)"
_BY_HOLDER = text(
    "select finish_run(:tenant, :run, null, null, cast(:ending as jsonb), cast(:events as jsonb),"
    " cast(:audit as jsonb))"
)


async def finish_as_driver(
    database: Database, lease: Lease, *, ending: Ending, entry: Entry, at: datetime
) -> None:
    """End the run under its lease, with the driver's last entry, in one round trip.

    Raises:
        LeaseLost: another worker drives the run now.
    """
    ended, events, audit = _told(
        lease.tenant_id, run_id=lease.run_id, ending=ending, actor="system", at=at
    )
    await database.hot(
        _BY_DRIVER,
        lease.tenant_id,
        lease.run_id,
        lease.number,
        entry_json(entry),
        ended,
        events,
        audit,
    )


async def finish_held(
    connection: AsyncConnection, row: AnyRow, *, ending: Ending, actor: str, at: datetime
) -> None:
    """End the run whose row the caller holds."""
    ended, events, audit = _told(
        TenantId(row.tenant_id), run_id=RunId(row.id), ending=ending, actor=actor, at=at
    )
    values = {
        "tenant": row.tenant_id,
        "run": row.id,
        "ending": ended,
        "events": events,
        "audit": audit,
    }
    await connection.execute(_BY_HOLDER, values)


def _told(
    tenant_id: TenantId, *, run_id: RunId, ending: Ending, actor: str, at: datetime
) -> tuple[str, str, str]:
    error = ending.error
    ended: dict[str, Json] = {
        "status": ending.status.value,
        "result": ending.result,
        "code": error.code if error else None,
        "message": error.message if error else None,
        "lost": {
            "code": "outcome_unknown",
            "message": sentence_for("outcome_unknown", {}),
            "facts": {},
        },
    }
    content: dict[str, Json] = {
        "status": ending.status.value,
        "cost_micros": ending.cost_micros,
        "code": error.code if error else None,
    }
    record = audit_record(
        tenant_id, at=at, action="run.ended", actor=actor, run_id=run_id, content=content
    )
    return json.dumps(ended), events_json([_event(ending)]), audit_json([record])


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

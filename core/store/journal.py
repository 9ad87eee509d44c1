"""The journal's writes, of runs and of what belongs to none."""

from collections.abc import Sequence

from sqlalchemy import bindparam, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.audit import AuditRecord
from core.domain.canonical import Json
from core.domain.ids import RunId, TenantId
from core.domain.journal import Entry, Happened
from core.domain.run import CallRecord, Lease
from core.domain.tool import Failed, Succeeded
from core.ports import Written
from core.store.columns import Write, error_json, json_text
from core.store.database import Database
from core.store.grouped import GroupedWrites
from core.store.tables import audit_records, run_events, runs

_RECORD_CALL = (
    "select record_call($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,"
    " $18, $19, $20)"
)

_ADD_AUDIT = insert(audit_records)
_ADD_EVENTS = insert(run_events)
_NUMBER_EVENTS = (
    update(runs)
    .where(runs.c.tenant_id == bindparam("tenant"), runs.c.id == bindparam("run"))
    .values(event_seq=runs.c.event_seq + bindparam("count"))
    .returning(runs.c.event_seq)
)


class StoredJournal:
    """The Journal port on PostgreSQL."""

    def __init__(self, database: Database, *, writes: GroupedWrites) -> None:
        """Take the database, and the way to the journal of runs."""
        self._database = database
        self._writes = writes

    async def write(self, lease: Lease, *, entry: Entry, epoch: int | None = None) -> Written:
        """Keep the entry; see the port."""
        return await self._writes.write(Write(lease=lease, entry=entry, epoch=epoch))

    async def record_call(self, record: CallRecord, *, audit: AuditRecord, epoch: int) -> None:
        """Keep a safe call without a run; see the port."""
        call, result = record.call, record.result
        await self._database.hot(
            _RECORD_CALL,
            call.tenant_id,
            epoch,
            call.id,
            call.requester.id,
            call.via,
            call.tool,
            record.tool_version,
            json_text(call.arguments),
            record.state.value,
            json_text(record.verdict) if record.verdict is not None else None,
            json_text(result.output) if isinstance(result, Succeeded) else None,
            json_text(error_json(result)) if isinstance(result, Failed) else None,
            record.cost_micros,
            record.duration_ms,
            audit.id,
            audit.at,
            audit.action,
            audit.actor,
            audit.content,
            audit.digest,
        )

    async def record(self, *records: AuditRecord) -> None:
        """Keep audit records without a run; see the port."""
        async with self._database.for_tenant(records[0].tenant_id) as connection:
            await append_audit(connection, *records)


async def append_audit(connection: AsyncConnection, *records: AuditRecord) -> None:
    """Add audit records in the caller's transaction."""
    await connection.execute(
        _ADD_AUDIT,
        [
            {
                "tenant_id": record.tenant_id,
                "id": record.id,
                "at": record.at,
                "action": record.action,
                "actor": record.actor,
                "run_id": record.run_id,
                "call_id": record.call_id,
                "tool": record.tool,
                "content": record.content,
                "digest": record.digest,
            }
            for record in records
        ],
    )


async def append_events(
    connection: AsyncConnection, tenant_id: TenantId, *, run_id: RunId, events: tuple[Happened, ...]
) -> None:
    """Add run events in the caller's transaction, which holds the run's row from here on."""
    numbered = {"tenant": tenant_id, "run": run_id, "count": len(events)}
    last = (await connection.execute(_NUMBER_EVENTS, numbered)).scalar_one()
    first = last - len(events) + 1
    await connection.execute(
        _ADD_EVENTS,
        [
            {
                "tenant_id": tenant_id,
                "run_id": run_id,
                "seq": first + position,
                "kind": event.kind.value,
                "data": event.data,
            }
            for position, event in enumerate(events)
        ],
    )


def events_json(events: Sequence[Happened]) -> str:
    """Return events as the SQL functions take them."""
    return json_text([{"kind": event.kind.value, "data": event.data} for event in events])


def audit_json(records: Sequence[AuditRecord]) -> str:
    """Return audit records as the SQL functions take them."""
    return json_text([_audit(record) for record in records])


def _audit(record: AuditRecord) -> dict[str, Json]:
    return {
        "id": str(record.id),
        "at": record.at.isoformat(),
        "action": record.action,
        "actor": record.actor,
        "run_id": str(record.run_id) if record.run_id else None,
        "call_id": str(record.call_id) if record.call_id else None,
        "tool": record.tool,
        "content": record.content,
        "digest": record.digest,
    }

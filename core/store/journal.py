"""The journal's writes: an entry becomes one call of one SQL function, in one round trip."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.audit import AuditRecord
from core.domain.canonical import Json, canonical_json
from core.domain.ids import RunId, TenantId
from core.domain.journal import Answered, CallUpdate, Entry, Happened, ToolUsage
from core.domain.model import Price
from core.domain.run import CallRecord, Lease
from core.domain.tool import Failed, Inverse, Succeeded, ToolResult
from core.ports import Written
from core.store.database import Database
from core.store.tables import audit_records, run_events, runs

_WRITE = "select journal($1, $2, $3, $4, $5)"
_RECORD_CALL = (
    "select record_call($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,"
    " $18, $19, $20)"
)

Row = dict[str, Json]


class StoredJournal:
    """The Journal port on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    async def write(self, lease: Lease, *, entry: Entry, epoch: int | None = None) -> Written:
        """Keep the entry; see the port."""
        answer = await self._database.hot(
            _WRITE, lease.tenant_id, lease.run_id, lease.number, epoch, entry_json(entry)
        )
        now: dict[str, Any] = from_json(str(answer))  # Any: as the function builds it
        return Written(cancel_requested=now["cancel"], epoch=now["epoch"])

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
            _json(call.arguments),
            record.state.value,
            _json(record.verdict) if record.verdict is not None else None,
            _json(result.output) if isinstance(result, Succeeded) else None,
            _json(_error(result)) if isinstance(result, Failed) else None,
            record.cost_micros,
            record.duration_ms,
            audit.id,
            audit.at,
            audit.action,
            audit.actor,
            canonical_json(audit.content),
            audit.digest,
        )

    async def record(self, *records: AuditRecord) -> None:
        """Keep audit records without a run; see the port."""
        async with self._database.for_tenant(records[0].tenant_id) as connection:
            await append_audit(connection, *records)


async def append_audit(connection: AsyncConnection, *records: AuditRecord) -> None:
    """Add audit records in the caller's transaction."""
    await connection.execute(
        insert(audit_records),
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
                "content": canonical_json(record.content),
                "digest": record.digest,
            }
            for record in records
        ],
    )


async def append_events(
    connection: AsyncConnection, tenant_id: TenantId, *, run_id: RunId, events: tuple[Happened, ...]
) -> None:
    """Add run events in the caller's transaction, which holds the run's row from here on."""
    last = (
        await connection.execute(
            update(runs)
            .where(runs.c.tenant_id == tenant_id, runs.c.id == run_id)
            .values(event_seq=runs.c.event_seq + len(events))
            .returning(runs.c.event_seq)
        )
    ).scalar_one()
    first = last - len(events) + 1
    await connection.execute(
        insert(run_events),
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


def _json(value: Json) -> str:
    """Return JSON for a hot function, several times quicker than the standard library's."""
    return to_json(value).decode()


def entry_json(entry: Entry) -> str:
    """Return an entry as the journal function takes it."""
    return _json(_entry(entry))


def events_json(events: Sequence[Happened]) -> str:
    """Return events as the SQL functions take them."""
    return _json([{"kind": event.kind.value, "data": event.data} for event in events])


def audit_json(records: Sequence[AuditRecord]) -> str:
    """Return audit records as the SQL functions take them."""
    return _json([_audit(record) for record in records])


def _inverse(inverse: Inverse | None) -> Row | None:
    return {"tool": inverse.tool, "arguments": inverse.arguments} if inverse else None


def _entry(entry: Entry) -> Mapping[str, Json]:
    row: Row = {"cost": entry.cost_micros, "active_ms": entry.active_ms}
    usage = [_tool_usage(used) for used in entry.usage]
    if entry.answered is not None:
        answered = entry.answered
        row["step"] = answered.number
        row["answers"] = [_answer(answered)]
        row["requested"] = [
            {
                "id": str(call.id),
                "step": call.step,
                "position": call.index,
                "handle": call.handle,
                "requester_id": str(call.requester.id),
                "via": call.via,
                "agent": call.agent,
                "tool": call.tool,
                "arguments": call.arguments,
            }
            for call in answered.calls
        ]
        usage.append(_model_usage(answered))
    if entry.calls:
        row["calls"] = [_update(change) for change in entry.calls]
    if usage:
        row["usage"] = usage
    if entry.events:
        row["events"] = [{"kind": e.kind.value, "data": e.data} for e in entry.events]
    if entry.audit:
        row["audit"] = [_audit(record) for record in entry.audit]
    return row


def _answer(answered: Answered) -> Row:
    answer = answered.answer
    return {
        "number": answered.number,
        "thinking": answer.thinking,
        "text": answer.text,
        "calls": [
            {"handle": call.handle, "name": call.name, "arguments": call.arguments}
            for call in answer.calls
        ],
        "stop": answer.stop.value,
        "provider": answer.provider,
        "model": answer.model,
        "input_tokens": answer.usage.input_tokens,
        "output_tokens": answer.usage.output_tokens,
        "cache_read_tokens": answer.usage.cache_read_tokens,
        "cache_write_tokens": answer.usage.cache_write_tokens,
        "cost_micros": answer.cost_micros,
        "duration_ms": answer.duration_ms,
    }


def _model_usage(answered: Answered) -> Row:
    answer = answered.answer
    return {
        "step": answered.number,
        "kind": "model",
        "agent": answered.agent,
        "name": answer.model,
        "provider": answer.provider,
        "input_tokens": answer.usage.input_tokens,
        "output_tokens": answer.usage.output_tokens,
        "cache_read_tokens": answer.usage.cache_read_tokens,
        "cache_write_tokens": answer.usage.cache_write_tokens,
        "unit_prices": _prices(answer.price),
        "cost_micros": answer.cost_micros,
    }


def _prices(price: Price) -> Row:
    return {
        "since": price.since,
        "input": str(price.input),
        "output": str(price.output),
        "cache_read": str(price.cache_read),
        "cache_write": str(price.cache_write),
    }


def _tool_usage(used: ToolUsage) -> Row:
    return {
        "step": used.step,
        "call_id": str(used.call_id),
        "kind": "tool",
        "agent": used.agent,
        "name": used.tool,
        "unit_prices": {"call": used.cost_micros},
        "cost_micros": used.cost_micros,
    }


def _update(change: CallUpdate) -> Row:
    return {
        "id": str(change.call_id),
        "state": change.state.value,
        "tool_version": change.tool_version,
        "verdict": change.verdict,
        "preview": change.preview,
        "digest": change.digest,
        "inverse": _inverse(change.inverse),
        "attempt": int(change.attempt),
        "cost_micros": change.cost_micros,
        "duration_ms": change.duration_ms,
        **_result(change.result),
    }


def _result(result: ToolResult | None) -> Row:
    match result:
        case Succeeded():
            return {"result": result.output}
        case Failed():
            return {"error": _error(result)}
        case None:
            return {}


def _error(failed: Failed) -> Row:
    return {"code": failed.code, "message": failed.message, "facts": failed.facts}


def _audit(record: AuditRecord) -> Row:
    return {
        "id": str(record.id),
        "at": record.at.isoformat(),
        "action": record.action,
        "actor": record.actor,
        "run_id": str(record.run_id) if record.run_id else None,
        "call_id": str(record.call_id) if record.call_id else None,
        "tool": record.tool,
        "content": canonical_json(record.content),
        "digest": record.digest,
    }

"""Entries as the journal function takes them: columns, one array each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic_core import to_json

from core.domain.audit import AuditRecord
from core.domain.canonical import Json
from core.domain.journal import Answered, CallUpdate, Entry
from core.domain.model import Price
from core.domain.run import Lease
from core.domain.tool import Failed, Inverse, Succeeded, ToolCall, ToolResult

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The last columns of a run, as the journal keeps them."""

    status: str
    result: str | None
    code: str | None
    message: str | None
    lost: Json
    """The error of a call that is under way still, of which nothing more will be heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One entry, the lease it is written under, and what must hold; ``ended`` ends the run."""

    lease: Lease
    entry: Entry
    epoch: int | None = None
    ended: Ended | None = None


class Columns:
    """The arguments of one call of the journal function, in its order."""

    def __init__(self, writes: Sequence[Write]) -> None:
        """Take the writes, which are all of one tenant."""
        self._tables = [_Table(width) for width in _WIDTHS]
        for at, write in enumerate(writes, start=1):
            self._add(at, write)

    def arguments(self) -> list[object]:
        """Return the arrays."""
        return [column for table in self._tables for column in table.columns()]

    def _add(self, at: int, write: Write) -> None:
        entry = write.entry
        heads, answers, requested, updates, usage, events, audit, endings = self._tables
        answered = entry.answered
        heads.rows.append(
            (
                write.lease.run_id,
                write.lease.number,
                write.epoch,
                answered.number if answered else None,
                entry.cost_micros,
                entry.active_ms,
                len(entry.events),
            )
        )
        if answered is not None:
            answers.rows.append(_answer(at, answered))
            requested.rows += [_requested(at, call) for call in answered.calls]
        updates.rows += [_update(at, change) for change in entry.calls]
        usage.rows += [
            (at, used.step, used.call_id, used.agent, used.tool, used.cost_micros)
            for used in entry.usage
        ]
        events.rows += [
            (at, place, event.kind.value, json_text(event.data))
            for place, event in enumerate(entry.events, start=1)
        ]
        audit.rows += [_audit(at, record) for record in entry.audit]
        if (ended := write.ended) is not None:
            endings.rows.append(
                (
                    at,
                    ended.status,
                    ended.result,
                    ended.code,
                    ended.message,
                    json_text(ended.lost),
                )
            )


_WIDTHS = (7, 16, 10, 13, 6, 4, 10, 6)
"""How many columns each table of the journal function has; they make up all of its arguments."""

COLUMNS = sum(_WIDTHS)


class _Table:
    """Rows of one width."""

    __slots__ = ("_width", "rows")

    def __init__(self, width: int) -> None:
        self._width = width
        self.rows: list[Row] = []

    def columns(self) -> Iterable[Sequence[object]]:
        return zip(*self.rows, strict=True) if self.rows else [()] * self._width


def json_text(value: Json) -> str:
    """Return JSON for a hot function, several times quicker than the standard library's."""
    return to_json(value).decode()


def error_json(failed: Failed) -> dict[str, Json]:
    """Return a failure as it is kept with its call."""
    return {"code": failed.code, "message": failed.message, "facts": failed.facts}


def _answer(at: int, answered: Answered) -> Row:
    answer, usage = answered.answer, answered.answer.usage
    calls: list[Json] = [
        {"handle": call.handle, "name": call.name, "arguments": call.arguments}
        for call in answer.calls
    ]
    return (
        at,
        answered.number,
        answer.thinking,
        answer.text,
        json_text(calls),
        answer.stop.value,
        answer.provider,
        answer.model,
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        answer.cost_micros,
        answer.duration_ms,
        answered.agent,
        json_text(_prices(answer.price)),
    )


def _prices(price: Price) -> dict[str, Json]:
    return {
        "since": price.since,
        "input": str(price.input),
        "output": str(price.output),
        "cache_read": str(price.cache_read),
        "cache_write": str(price.cache_write),
    }


def _requested(at: int, call: ToolCall) -> Row:
    return (
        at,
        call.id,
        call.step,
        call.index,
        call.handle,
        call.requester.id,
        call.via,
        call.agent,
        call.tool,
        json_text(call.arguments),
    )


def _update(at: int, change: CallUpdate) -> Row:
    output, error = _outcome(change.result)
    return (
        at,
        change.call_id,
        change.state.value,
        change.tool_version,
        _text_or_none(change.verdict),
        _text_or_none(change.preview),
        change.digest,
        output,
        error,
        _inverse(change.inverse),
        int(change.attempt),
        change.cost_micros,
        change.duration_ms,
    )


def _text_or_none(value: Json) -> str | None:
    return None if value is None else json_text(value)


def _outcome(result: ToolResult | None) -> tuple[str | None, str | None]:
    match result:
        case Succeeded():
            return json_text(result.output), None
        case Failed():
            return None, json_text(error_json(result))
        case None:
            return None, None


def _inverse(inverse: Inverse | None) -> str | None:
    if inverse is None:
        return None
    return json_text({"tool": inverse.tool, "arguments": inverse.arguments})


def _audit(at: int, record: AuditRecord) -> Row:
    return (
        at,
        record.id,
        record.at,
        record.action,
        record.actor,
        record.run_id,
        record.call_id,
        record.tool,
        record.content,
        record.digest,
    )

"""Rows of the run's tables as nouns, shared by the repositories that read them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Row

from core.domain.canonical import JsonObject
from core.domain.ids import CallId, RunId, TenantId
from core.domain.model import ModelAnswer, Price, StopReason, TokenUsage, ToolUse
from core.domain.principal import Principal
from core.domain.quoted import Quoted, Speaker
from core.domain.run import (
    AgentVersion,
    CallRecord,
    Conversation,
    Run,
    RunKind,
    RunStatus,
    Step,
    StopCause,
)
from core.domain.tool import CallState, Edited, Failed, Inverse, Succeeded, ToolCall, ToolResult

AnyRow = Row[tuple[object, ...]]


def row_of(columns: Mapping[str, Any]) -> AnyRow:  # Any: columns of any type
    """Return a row that came as JSON from a SQL function: ids and times as themselves again."""
    typed = {name: _typed(name, value) for name, value in columns.items()}
    return cast("AnyRow", SimpleNamespace(**typed))


def run_of(
    row: AnyRow,
    *,
    requester: Principal,
    steps: tuple[Step, ...] = (),
) -> Run:
    """Return the run that a row of ``runs`` tells of."""
    return Run(
        id=RunId(row.id),
        tenant_id=TenantId(row.tenant_id),
        requester=requester,
        kind=RunKind(row.kind),
        agent=agent_of(row.config),
        task=row.task,
        status=RunStatus(row.status),
        segment=row.segment,
        lease=row.lease,
        cost_micros=row.cost_micros,
        active_ms=row.active_ms,
        created_at=row.created_at,
        via=row.via,
        actor=row.actor,
        conversation=Conversation(**row.conversation) if row.conversation else None,
        result=row.result,
        error=StopCause(code=row.error_code, message=row.error_message) if row.error_code else None,
        cancel_requested=row.cancel_requested,
        started_at=row.started_at,
        completed_at=row.completed_at,
        steps=steps,
        context=_context(row.context),
    )


def agent_json(agent: AgentVersion) -> dict[str, object]:
    """Return an agent's configuration as a run keeps it."""
    return {
        "agent": agent.agent,
        "version": agent.version,
        "model": agent.model,
        "system": agent.system,
        "tools": list(agent.tools) if agent.tools is not None else None,
        "max_steps": agent.max_steps,
        "budget_micros": agent.budget_micros,
        "max_output_tokens": agent.max_output_tokens,
        "segment_seconds": agent.segment_seconds,
        "run_seconds": agent.run_seconds,
        "approval_days": agent.approval_days,
        "history_tokens": agent.history_tokens,
    }


def agent_of(config: Mapping[str, object]) -> AgentVersion:
    """Return the configuration that a run keeps."""
    tools = cast("list[str] | None", config["tools"])
    values = cast("dict[str, Any]", dict(config))  # Any: each field as agent_json wrote it
    values["tools"] = tuple(tools) if tools is not None else None
    return AgentVersion(**values)


def step_of(row: AnyRow, *, calls: tuple[CallRecord, ...]) -> Step:
    """Return the step that a row of ``steps`` joined with its usage tells of."""
    answer = ModelAnswer(
        provider=row.provider,
        model=row.model,
        text=row.text,
        thinking=row.thinking,
        calls=tuple(ToolUse(**call) for call in row.calls),
        stop=StopReason(row.stop),
        usage=TokenUsage(
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            cache_read_tokens=row.cache_read_tokens,
            cache_write_tokens=row.cache_write_tokens,
        ),
        price=_price(row.model, row.unit_prices),
        cost_micros=row.cost_micros,
        duration_ms=row.duration_ms,
    )
    return Step(number=row.number, answer=answer, calls=calls)


def call_of(row: AnyRow, *, requester: Principal, actor: str = "") -> CallRecord:
    """Return the call that a row of ``tool_calls`` tells of; ``actor`` is its run's."""
    return CallRecord(
        call=ToolCall(
            id=CallId(row.id),
            tenant_id=TenantId(row.tenant_id),
            requester=requester,
            tool=row.tool,
            arguments=row.arguments,
            run_id=RunId(row.run_id) if row.run_id else None,
            step=row.step,
            index=row.position,
            handle=row.handle,
            agent=row.agent,
            via=row.via,
            actor=actor,
            edited=edited_of(row),
        ),
        state=CallState(row.state),
        result=_result(row),
        tool_version=row.tool_version,
        digest=row.digest,
        verdict=row.verdict,
        preview=row.preview,
        inverse=_inverse(row.inverse),
        undoes=CallId(row.undoes) if row.undoes else None,
        attempts=row.attempts,
        cost_micros=row.cost_micros,
        duration_ms=row.duration_ms,
        created_at=row.created_at,
        started_at=row.started_at,
        settled_at=row.settled_at,
    )


def edited_of(row: AnyRow) -> Edited | None:
    """Return that somebody changed the call of a row of ``tool_calls`` or ``approvals``."""
    if row.original_arguments is None:
        return None
    return Edited(by=row.edited_by, before=row.original_arguments)


def context_json(quotes: Sequence[Quoted]) -> list[JsonObject] | None:
    """Return quotes as a run keeps them."""
    return [
        {"by": one.by, "text": one.text, "role": one.role.value, "at": one.at.isoformat()}
        for one in quotes
    ] or None


def _context(stored: Sequence[Mapping[str, str]] | None) -> tuple[Quoted, ...]:
    return tuple(
        Quoted(
            by=one["by"],
            text=one["text"],
            role=Speaker(one["role"]),
            at=datetime.fromisoformat(one["at"]),
        )
        for one in stored or ()
    )


def _typed(name: str, value: Any) -> Any:  # noqa: ANN401 - columns of any type
    if not isinstance(value, str):
        return value
    if name in {"id", "undoes"} or name.endswith("_id"):
        return UUID(value)
    if name.endswith("_at"):
        return datetime.fromisoformat(value)
    return value


def _price(model: str, prices: Mapping[str, str]) -> Price:
    return Price(
        model=model,
        since=prices["since"],
        input=Decimal(prices["input"]),
        output=Decimal(prices["output"]),
        cache_read=Decimal(prices["cache_read"]),
        cache_write=Decimal(prices["cache_write"]),
    )


def _result(row: AnyRow) -> ToolResult | None:
    if row.error is not None:
        error: Mapping[str, object] = row.error
        return Failed(
            code=str(error["code"]),
            message=str(error["message"]),
            facts=error.get("facts") or {},  # pyright: ignore[reportArgumentType] - a JSON object
        )
    if row.result is not None:
        return Succeeded(output=row.result, inverse=_inverse(row.inverse))
    return None


def _inverse(stored: JsonObject | None) -> Inverse | None:
    if stored is None:
        return None
    arguments = stored["arguments"]
    return Inverse(tool=str(stored["tool"]), arguments=arguments)  # pyright: ignore[reportArgumentType] - a JSON object

"""Runs and approvals as JSON, for whoever reads them over MCP."""

from typing import cast

from core.domain.approval import Approval
from core.domain.canonical import Json, JsonObject
from core.domain.run import CallRecord, Run, Step
from core.domain.tool import CallState, Failed, Succeeded


def status_of(state: CallState) -> str:
    """Return how a call's state is named outside: one that is due is running."""
    return (CallState.RUNNING if state is CallState.REQUESTED else state).value


def run_content(run: Run) -> JsonObject:
    """Return a run with its steps, their calls, verdicts, results and cost."""
    error: Json = None
    if run.error is not None:
        error = {"code": run.error.code, "message": run.error.message}
    return {
        "id": str(run.id),
        "requester": run.requester.email,
        "kind": run.kind.value,
        "agent": run.agent.agent,
        "agent_version": run.agent.version,
        "task": run.task,
        "status": run.status.value,
        "result": run.result,
        "error": error,
        "cost_micros": run.cost_micros,
        "budget_micros": run.agent.budget_micros,
        "via": run.via,
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "completed_at": run.completed_at.isoformat() if run.completed_at else None,
        "steps": [_step(step) for step in run.steps],
    }


def approval_content(approval: Approval) -> JsonObject:
    """Return a question with its answers, without the digest that an answer must carry."""
    decisions: list[Json] = [
        {
            "by": decision.by,
            "answer": decision.answer.value,
            "reason": decision.reason,
        }
        for decision in approval.voices
    ]
    return {
        "id": str(approval.id),
        "run_id": str(approval.run_id),
        "call_id": str(approval.call_id),
        "tool": approval.tool,
        "risk": approval.risk.value,
        "arguments": cast("Json", approval.arguments),
        "preview": cast("Json", approval.preview),
        "reason": approval.reason,
        "requester": approval.requester.email,
        "approvers": approval.approvers.in_words(),
        "needed": approval.approvers.needed,
        "state": approval.state.value,
        "created_at": approval.created_at.isoformat(),
        "expires_at": approval.expires_at.isoformat(),
        "decisions": decisions,
    }


def _step(step: Step) -> JsonObject:
    answer = step.answer
    return {
        "number": step.number,
        "text": answer.text if answer else None,
        "model": answer.model if answer else None,
        "cost_micros": answer.cost_micros if answer else 0,
        "calls": [_call(record) for record in step.calls],
    }


def _call(record: CallRecord) -> JsonObject:
    result: Json = None
    error: Json = None
    match record.result:
        case Succeeded(output=output):
            result = output
        case Failed() as failed:
            error = {"code": failed.code, "message": failed.message}
        case None:
            pass
    return {
        "call_id": str(record.call.id),
        "tool": record.call.tool,
        "arguments": record.call.arguments,
        "status": status_of(record.state),
        "verdict": record.verdict,
        "preview": record.preview,
        "result": result,
        "error": error,
        "cost_micros": record.cost_micros,
        "duration_ms": record.duration_ms,
        "undone_by": str(record.undone_by) if record.undone_by else None,
    }

"""What came of a call, as a model reads it: one JSON object, structured and as its text."""

import json

from mcp import types

from core.app import CallView
from core.domain.canonical import Json, JsonObject
from core.domain.tool import CallState, Failed, Succeeded
from core.errors import LimitReached, SallyportError
from core.words import sentence_for, sentence_of

_WAITING = {
    "pending_approval": (
        "Not done yet: a person must approve this call first. Ask approval_status with this"
        " approval_id for the result; making the same call again joins this one."
    ),
    "running": "Not done yet: the call is under way. Ask approval_status with this call_id.",
    "unknown": (
        "The call was under way when a worker died. People are asked whether it happened; do not"
        " make it again. Ask approval_status with this approval_id."
    ),
}


def answer(content: JsonObject, *, is_error: bool = False) -> types.CallToolResult:
    """Return ``content`` as a tool's result, word for word the same in both forms."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return types.CallToolResult(
        content=[types.TextContent(text=text)],
        structured_content=dict(content),
        is_error=is_error,
    )


def error_answer(error: SallyportError) -> types.CallToolResult:
    """Return a refusal or failure as a result that the model can read and act on."""
    return answer(error_content(error), is_error=True)


def error_content(error: SallyportError) -> dict[str, Json]:
    """Return ``{"error": {"code", "message"}}``, with when to come back, or the scope to get."""
    told: dict[str, Json] = {"code": error.code, "message": sentence_of(error)}
    if isinstance(error, LimitReached):
        told["retry_after_seconds"] = error.retry_after_seconds
    if error.code == "missing_scope":
        told["scope"] = str(error.facts["scope"])
    return {"error": told}


def call_answer(view: CallView) -> types.CallToolResult:
    """Return the call's result, its error, or that it is not done yet."""
    record = view.record
    match record.result:
        case Succeeded(output=output):
            return answer(output)
        case Failed() as failed:
            return answer({"error": _failure(failed)}, is_error=True)
        case None if record.state.is_settled:
            return answer({"error": _ended(record.state)}, is_error=True)
        case None:
            return answer(pending_content(view))


def pending_content(view: CallView) -> dict[str, Json]:
    """Return where a call stands that is not settled, and how to hear of its end."""
    record = view.record
    status = _status(view)
    content: dict[str, Json] = {
        "status": status,
        "call_id": str(record.call.id),
        "run_id": str(record.call.run_id),
        "message": _WAITING[status],
    }
    if view.approval_id is not None:
        content["approval_id"] = str(view.approval_id)
    return content


def status_content(view: CallView, *, decided_by: tuple[str, ...]) -> dict[str, Json]:
    """Return where a call stands, with its result or error once it is settled."""
    record = view.record
    about: dict[str, Json] = {"tool": record.call.tool}
    if decided_by:
        about["decided_by"] = list(decided_by)
    if not record.state.is_settled:
        return pending_content(view) | about
    about["call_id"] = str(record.call.id)
    if record.call.run_id is not None:
        about["run_id"] = str(record.call.run_id)
    match record.result:
        case Succeeded(output=output):
            return {"status": "succeeded", **about, "result": output}
        case Failed() as failed:
            return {"status": _settled_status(record.state), **about, "error": _failure(failed)}
        case None:
            return {"status": _settled_status(record.state), **about, "error": _ended(record.state)}


def _status(view: CallView) -> str:
    """Return the word for a call that is not settled.

    One that people have answered and no worker has taken up since is on its way.
    """
    if view.approval_id is None:
        return "running"
    return "unknown" if view.record.state is CallState.UNKNOWN else "pending_approval"


def _settled_status(state: CallState) -> str:
    return state.value if state in {CallState.DENIED, CallState.EXPIRED} else "failed"


def _failure(failed: Failed) -> JsonObject:
    return {"code": failed.code, "message": failed.message}


def _ended(state: CallState) -> JsonObject:
    return {"code": state.value, "message": sentence_for(state.value, {})}

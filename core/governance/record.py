"""What the door writes down: updates, events and audit records, built from what was judged."""

from dataclasses import replace
from datetime import datetime

from core.domain.approval import Answer
from core.domain.audit import AuditRecord, audit_record
from core.domain.canonical import Json, storable
from core.domain.event import EventKind
from core.domain.journal import CallUpdate, Entry, Happened, ToolUsage
from core.domain.run import CallRecord
from core.domain.tool import CallState, Failed, Preview, Succeeded, Tool, ToolCall, ToolResult
from core.domain.verdict import Deny
from core.errors import Forbidden, Refused
from core.governance.judgement import Judgement, told
from core.ports import Covered, Declined
from core.words import sentence_for, sentence_of


def audit_of(
    call: ToolCall,
    *,
    at: datetime,
    action: str,
    judgement: Judgement | None = None,
    result: ToolResult | None = None,
    covered: Covered | None = None,
) -> AuditRecord:
    """Return what the auditor reads about a call: input, verdict, people, outcome."""
    content: dict[str, Json] = {"via": call.via, "input": call.arguments}
    if call.edited is not None:
        content["edited"] = {"by": call.edited.by, "before": call.edited.before}
    if judgement is not None:
        content |= told(judgement.verdict)
        content["tool_version"] = judgement.tool.version
    if judgement is not None and judgement.digest is not None:
        content["digest"] = judgement.digest
    if covered is not None:
        content["approval"] = people_told(covered)
    match result:
        case Succeeded():
            content["output"] = result.output
        case Failed():
            content |= {"code": result.code, "reason": result.message}
        case None:
            pass
    return audit_record(
        call.tenant_id,
        at=at,
        action=action,
        actor=call.actor or call.requester.email,
        run_id=call.run_id,
        call_id=call.id,
        tool=storable(call.tool[:200]),
        content=content,
    )


def answered_with(
    judgement: Judgement, *, result: ToolResult, at: datetime, duration_ms: int
) -> tuple[CallRecord, AuditRecord]:
    """Return a call that was answered at once as it is kept, and what the auditor reads of it."""
    record = CallRecord(
        call=judgement.call,
        state=state_of(result),
        result=result,
        tool_version=judgement.tool.version,
        verdict=told(judgement.verdict),
        cost_micros=judgement.tool.cost_micros,
        duration_ms=duration_ms,
    )
    action = "call.executed"
    return record, audit_of(
        judgement.call, at=at, action=action, judgement=judgement, result=result
    )


def audit_of_refusal(call: ToolCall, *, at: datetime, refusal: Refused) -> AuditRecord:
    """Return what the auditor reads about a call that was turned away at the door."""
    failed = Failed(code=refusal.code, message=sentence_of(refusal))
    return audit_of(call, at=at, action="call.refused", result=failed)


def update_of(judgement: Judgement, *, state: CallState, attempt: bool) -> CallUpdate:
    """Return how a call moves on after it was judged."""
    return CallUpdate(
        call_id=judgement.call.id,
        state=state,
        tool_version=judgement.tool.version,
        verdict=told(judgement.verdict),
        preview=judgement.preview.as_json() if judgement.preview else None,
        digest=judgement.digest,
        attempt=attempt,
    )


def as_begun(record: CallRecord, *, judgement: Judgement) -> CallRecord:
    """Return a call as it is kept once it was begun, or begun again."""
    return replace(
        record,
        state=CallState.RUNNING,
        attempts=record.attempts + 1,
        tool_version=judgement.tool.version,
        verdict=told(judgement.verdict),
        preview=judgement.preview.as_json() if judgement.preview else record.preview,
        digest=judgement.digest or record.digest,
    )


def usage_of(call: ToolCall, *, cost_micros: int) -> tuple[ToolUsage, ...]:
    """Return what is metered of a call; nothing where it was free."""
    if not cost_micros:
        return ()
    used = ToolUsage(
        call_id=call.id,
        tool=call.tool,
        agent=call.agent,
        step=call.step,
        cost_micros=cost_micros,
    )
    return (used,)


def closed_with(
    record: CallRecord, *, result: ToolResult, state: CallState | None, charged: bool
) -> CallRecord:
    """Return a call as it is settled; ``state`` is given where it was turned away."""
    return replace(
        record,
        state=state or state_of(result),
        result=result,
        inverse=result.inverse if isinstance(result, Succeeded) else None,
        cost_micros=record.cost_micros if charged else 0,
    )


def settled_entry(
    closed: CallRecord,
    *,
    call: ToolCall,
    result: ToolResult,
    at: datetime,
    action: str,
    judgement: Judgement | None,
    covered: Covered | None,
) -> Entry:
    """Return all that is written of a call that is settled; ``call`` is it as it was judged."""
    preview = judgement.preview if judgement else None
    audit = audit_of(
        call, at=at, action=action, judgement=judgement, result=result, covered=covered
    )
    return Entry(
        calls=(settled_update(closed, judgement=judgement),),
        usage=usage_of(call, cost_micros=closed.cost_micros),
        events=(settled_event(call, state=closed.state, result=result, preview=preview),),
        audit=(audit,),
    )


def settled_update(closed: CallRecord, *, judgement: Judgement | None) -> CallUpdate:
    """Return how a call that is settled is kept."""
    judged = judgement is not None
    return CallUpdate(
        call_id=closed.call.id,
        state=closed.state,
        tool_version=judgement.tool.version if judged else None,
        verdict=told(judgement.verdict) if judged else None,
        preview=judgement.preview.as_json() if judged and judgement.preview else None,
        digest=judgement.digest if judged else None,
        result=closed.result,
        inverse=closed.inverse,
        cost_micros=closed.cost_micros,
        duration_ms=closed.duration_ms,
    )


def allowed_event(judgement: Judgement, *, covered: Covered | None) -> Happened:
    """Return the event of a call that may be made now."""
    data = _about(judgement.call, preview=judgement.preview) | people_told(covered)
    return Happened(kind=EventKind.CALL_ALLOWED, data=data)


def unknown_event(call: ToolCall) -> Happened:
    """Return the event of a call whose outcome nobody here knows."""
    return Happened(kind=EventKind.CALL_UNKNOWN, data=_about(call, preview=None))


def settled_event(
    call: ToolCall, *, state: CallState, result: ToolResult, preview: Preview | None
) -> Happened:
    """Return the event of a call that is settled."""
    about = _about(call, preview=preview)
    match result:
        case Succeeded():
            return Happened(kind=EventKind.CALL_SUCCEEDED, data=about)
        case Failed() if state in {CallState.DENIED, CallState.EXPIRED}:
            why: dict[str, Json] = {"code": result.code, "reason": result.message}
            return Happened(kind=EventKind.CALL_DENIED, data=about | why)
        case Failed():
            why = {"code": result.code, "message": result.message}
            return Happened(kind=EventKind.CALL_FAILED, data=about | why)


def people_told(covered: Covered | None) -> dict[str, Json]:
    """Return who let a call pass, and how; nothing where nobody was asked."""
    if covered is None:
        return {}
    return {"approved_by": list(covered.by), "how": covered.how, "reference": covered.reference}


def refusal_of(deny: Deny, *, tool: str) -> Refused:
    """Return the refusal that a caller without a run gets for ``deny``."""
    return Forbidden(deny.code, tool=tool, reason=deny.reason, rules=list(deny.rules))


def failed_by(refusal: Refused) -> Failed:
    """Return the result that the model gets for ``refusal``."""
    return Failed(code=refusal.code, message=sentence_of(refusal), facts=dict(refusal.facts))


def failed_as(declined: Declined) -> Failed:
    """Return the result that the model gets where people, or the policy, said no."""
    by, reason = declined.by, declined.reason
    because = f": {reason}" if reason else ""
    if reason and not by:
        return Failed(code=declined.code, message=reason)
    message = sentence_for(declined.code, {"by": by, "because": because})
    facts = {"by": by, "reason": reason} if by else {}
    return Failed(code=declined.code, message=message, facts=facts)


def failed_with(code: str, facts: dict[str, str | int] | None = None) -> Failed:
    """Return the result of ``code``, in its own words."""
    return Failed(code=code, message=sentence_for(code, facts or {}))


def timed_out(tool: Tool) -> Failed:
    """Return the result of a tool that did not answer in time."""
    return failed_with("tool_timeout", {"tool": tool.name, "seconds": int(tool.timeout_seconds)})


def state_of(result: ToolResult) -> CallState:
    """Return the state of a call that was made."""
    return CallState.SUCCEEDED if isinstance(result, Succeeded) else CallState.FAILED


def as_settled(answer: Answer, *, by: str) -> ToolResult:
    """Return the result that a person's look at the outcome gives."""
    if answer is Answer.HAPPENED:
        return Succeeded(output={"outcome": "happened", "confirmed_by": by})
    return failed_with("did_not_happen", {"by": by})


def _about(call: ToolCall, *, preview: Preview | None) -> dict[str, Json]:
    summary = preview.summary if preview else ""
    return {"call_id": str(call.id), "tool": call.tool, "summary": summary}

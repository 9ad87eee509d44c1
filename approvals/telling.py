"""What is written down of an answer, and of a call that was changed with it."""

from datetime import datetime

from approvals.records import OpenQuestion
from core.domain.approval import Approval, Closed
from core.domain.audit import AuditRecord, audit_record
from core.domain.canonical import JsonObject
from core.domain.event import EventKind
from core.domain.ids import ApprovalId
from core.domain.journal import Happened
from core.domain.principal import Caller


async def tell_decided(
    question: OpenQuestion, *, approval: Approval, caller: Caller, closed: Closed
) -> None:
    """Write down the last answer to ``approval``, and what it withdrew."""
    decision = approval.decisions[-1]
    absent = decision.in_place_of
    told: JsonObject = {
        "approval_id": str(approval.id),
        "call_id": str(approval.call_id),
        "tool": approval.tool,
        "answer": decision.answer.value,
        "scope": decision.scope.value,
        "by": decision.principal.email,
        "for": absent.email if absent else None,
        "reason": decision.reason,
        "state": approval.state.value,
        "decided": len(approval.voices),
        "needed": approval.approvers.needed,
    }
    await question.tell(
        Happened(kind=EventKind.APPROVAL_DECIDED, data=told),
        *(_withdrawn(one, covered_by=approval.id) for one in closed.withdrawn),
        audit=audited(
            approval,
            at=decision.decided_at,
            action="approval.decided",
            actor=_actor(caller, by=decision.by),
            content={**told, "digest": decision.digest, "via": caller.via},
        ),
    )


async def tell_edited(
    question: OpenQuestion, *, before: Approval, caller: Caller, at: datetime
) -> None:
    """Write down that somebody changed the call that ``question`` is about, and how."""
    now, by = question.approval, caller.principal.email
    told: JsonObject = {
        "approval_id": str(now.id),
        "call_id": str(now.call_id),
        "tool": now.tool,
        "by": by,
        "before": before.arguments,
        "after": now.arguments,
        "summary": str(now.preview.get("summary", "")),
        "reason": now.reason,
        "approvers": now.approvers.in_words(),
        "needed": now.approvers.needed,
    }
    await question.tell(
        Happened(kind=EventKind.APPROVAL_EDITED, data=told),
        audit=audited(
            now,
            at=at,
            action="approval.edited",
            actor=_actor(caller, by=by),
            content={
                **told,
                "digest_before": before.digest,
                "digest": now.digest,
                "via": caller.via,
            },
        ),
    )


def audited(
    approval: Approval, *, at: datetime, action: str, actor: str, content: JsonObject
) -> AuditRecord:
    """Return what the auditor reads about a question."""
    return audit_record(
        approval.tenant_id,
        at=at,
        action=action,
        actor=actor,
        run_id=approval.run_id,
        call_id=approval.call_id,
        tool=approval.tool,
        content=content,
    )


def about(approval: Approval) -> JsonObject:
    """Return what every event about a question says of it."""
    return {
        "approval_id": str(approval.id),
        "call_id": str(approval.call_id),
        "tool": approval.tool,
        "summary": str(approval.preview.get("summary", "")),
    }


def _actor(caller: Caller, *, by: str) -> str:
    return f"operator on behalf of {by}" if caller.on_behalf else by


def _withdrawn(other: Approval, *, covered_by: ApprovalId) -> Happened:
    told: JsonObject = {
        "approval_id": str(other.id),
        "call_id": str(other.call_id),
        "tool": other.tool,
        "covered_by": str(covered_by),
    }
    return Happened(kind=EventKind.APPROVAL_WITHDRAWN, data=told)

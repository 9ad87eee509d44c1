"""Rows of the approvals' tables as nouns."""

from collections.abc import Mapping

from core.domain.approval import (
    Answer,
    Approval,
    ApprovalState,
    Decision,
    Grant,
    GrantScope,
    Question,
)
from core.domain.ids import ApprovalId, CallId, GrantId, PrincipalId, RunId, TenantId
from core.domain.principal import Principal, Role
from core.domain.tool import Risk
from core.domain.verdict import Approvers
from core.store.rows import AnyRow, edited_of


def approval_row(approval: Approval) -> dict[str, object]:
    """Return the columns of a new question."""
    return {
        "tenant_id": approval.tenant_id,
        "id": approval.id,
        "run_id": approval.run_id,
        "call_id": approval.call_id,
        "question": approval.question.value,
        "tool": approval.tool,
        "tool_version": approval.tool_version,
        "risk": approval.risk.value,
        "arguments": approval.arguments,
        "preview": approval.preview,
        "digest": approval.digest,
        "reason": approval.reason,
        "requester_id": approval.requester.id,
        "approvers": approval.approvers.as_json(),
        "needed": approval.approvers.needed,
        "state": approval.state.value,
        "expires_at": approval.expires_at,
        "original_arguments": approval.edited.before if approval.edited else None,
        "edited_by": approval.edited.by if approval.edited else None,
    }


def approval_of(row: AnyRow, *, requester: Principal, answers: tuple[Decision, ...]) -> Approval:
    """Return the question that a row of ``approvals`` tells of."""
    return Approval(
        id=ApprovalId(row.id),
        tenant_id=TenantId(row.tenant_id),
        run_id=RunId(row.run_id),
        call_id=CallId(row.call_id),
        question=Question(row.question),
        tool=row.tool,
        tool_version=row.tool_version,
        risk=Risk(row.risk),
        arguments=row.arguments,
        preview=row.preview,
        digest=row.digest,
        reason=row.reason,
        requester=requester,
        approvers=approvers_of(row.approvers),
        state=ApprovalState(row.state),
        expires_at=row.expires_at,
        created_at=row.created_at,
        closed_at=row.closed_at,
        decisions=answers,
        edited=edited_of(row),
        reminded=row.reminded,
        escalated_at=row.escalated_at,
        escalated_to=row.escalated_to or "",
    )


def decision_of(
    row: AnyRow, *, principal: Principal, in_place_of: Principal | None = None
) -> Decision:
    """Return the answer that a row of ``decisions`` tells of."""
    return Decision(
        approval_id=ApprovalId(row.approval_id),
        principal=principal,
        answer=Answer(row.answer),
        scope=GrantScope(row.scope),
        reason=row.reason,
        digest=row.digest,
        via=row.via,
        decided_at=row.decided_at,
        in_place_of=in_place_of,
    )


def grant_of(row: AnyRow, *, granted_by: tuple[Principal, ...]) -> Grant:
    """Return the standing permission that a row of ``grants`` tells of."""
    return Grant(
        id=GrantId(row.id),
        tenant_id=TenantId(row.tenant_id),
        requester_id=PrincipalId(row.requester_id) if row.requester_id else None,
        run_id=RunId(row.run_id) if row.run_id else None,
        tool=row.tool,
        tool_version=row.tool_version,
        pattern=row.pattern,
        granted_by=granted_by,
        approvers=approvers_of(row.approvers),
        expires_at=row.expires_at,
        uses_left=row.uses_left,
    )


def approvers_of(stored: Mapping[str, object]) -> Approvers:
    """Return who may answer, as ``Approvers.as_json`` wrote it."""
    groups, people = stored["groups"], stored["people"]
    return Approvers(
        role=Role(str(stored["role"])),
        needed=int(str(stored["needed"])),
        groups=frozenset(groups if isinstance(groups, list) else ()),  # pyright: ignore[reportUnknownArgumentType] - texts, as as_json wrote them
        people=frozenset(people if isinstance(people, list) else ()),  # pyright: ignore[reportUnknownArgumentType] - texts, as as_json wrote them
        allow_requester=stored["allow_requester"] is True,
    )

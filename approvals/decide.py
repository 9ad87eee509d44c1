"""Deciding: may this person answer, and does the answer settle the question?"""

from dataclasses import replace
from datetime import datetime

from approvals.grants import granted_by
from approvals.records import ApprovalRecords, OpenQuestion
from approvals.routing import objection
from core.domain.approval import (
    Answer,
    Approval,
    ApprovalState,
    Closed,
    Decision,
    Grant,
    GrantScope,
    Question,
)
from core.domain.audit import audit_record
from core.domain.canonical import JsonObject, storable
from core.domain.event import EventKind
from core.domain.ids import ApprovalId
from core.domain.journal import Happened
from core.domain.principal import Caller, Principal, Role
from core.errors import Conflict, Forbidden, InvalidInput
from core.ports import Clock, Dispatcher

_ANSWERS = {
    Question.PERMIT: (Answer.APPROVE, Answer.DENY),
    Question.OUTCOME: (Answer.HAPPENED, Answer.DID_NOT, Answer.RETRY),
}
_REASON_LENGTH = 2000


class Decider:
    """The one place where decisions are made, whatever surface they come from."""

    def __init__(self, *, records: ApprovalRecords, dispatcher: Dispatcher, clock: Clock) -> None:
        """Take where questions are kept, who drives what is due, and the time."""
        self._records = records
        self._dispatcher = dispatcher
        self._clock = clock

    async def decide(
        self,
        caller: Caller,
        *,
        approval_id: ApprovalId,
        answer: Answer,
        digest: str,
        scope: GrantScope = GrantScope.ONCE,
        reason: str = "",
    ) -> Approval:
        """Keep one person's answer to what they saw; return the question as it stands then.

        However many people answer at once, one transaction closes the question, and only that one
        moves the run on.

        Raises:
            NotFound: no such question in the caller's tenant.
            Forbidden: ``missing_scope``, ``self_approval``, ``not_eligible``,
                ``scope_needs_admin``.
            Conflict: ``approval_closed``, ``wrong_digest``, ``already_decided``.
            InvalidInput: ``wrong_answer``, ``reason_too_long``.
        """
        if "approvals:decide" not in caller.scopes:
            raise Forbidden("missing_scope", scope="approvals:decide")
        if len(reason) > _REASON_LENGTH:
            raise InvalidInput("reason_too_long", limit=_REASON_LENGTH)
        tenant_id, now = caller.tenant_id, self._clock.now()
        async with self._records.closing(tenant_id, approval_id=approval_id) as question:
            _check(
                question.approval, caller=caller, answer=answer, digest=digest, scope=scope, now=now
            )
            decision = Decision(
                approval_id=approval_id,
                principal=caller.principal,
                answer=answer,
                scope=scope,
                reason=storable(reason),
                digest=digest,
                via=caller.via,
                decided_at=now,
            )
            await question.add(decision)
            approval, closed = await self._settle(question, decision=decision)
            told = [_withdrawn(one, covered_by=approval_id) for one in closed.withdrawn]
            await self._tell(question, *told, approval=approval, decision=decision, caller=caller)
        if closed.segment is not None:
            await self._dispatcher.enqueue(
                tenant_id, run_id=approval.run_id, segment=closed.segment
            )
        return approval

    def concerns(self, person: Principal, *, approval: Approval) -> bool:
        """Return whether this person may see the question: theirs, or one they may answer."""
        if person.id == approval.requester.id or Role.ADMIN in person.roles:
            return True
        answered = any(decision.principal.id == person.id for decision in approval.decisions)
        refused = objection(person, approvers=approval.approvers, requester=approval.requester.id)
        return answered or refused is None

    async def _settle(
        self, question: OpenQuestion, *, decision: Decision
    ) -> tuple[Approval, Closed]:
        """Close the question where this answer is the last that it needs."""
        decisions = (*question.approval.decisions, decision)
        approval = replace(question.approval, decisions=decisions)
        grant: Grant | None = None
        match decision.answer:
            case Answer.DENY:
                state = ApprovalState.DENIED
            case Answer.HAPPENED | Answer.DID_NOT | Answer.RETRY:
                state = ApprovalState.APPROVED
            case Answer.APPROVE:
                if len(decisions) < approval.approvers.needed:
                    return approval, Closed(segment=None)
                state = ApprovalState.APPROVED
                grant = granted_by(approval, decisions=decisions, now=decision.decided_at)
        closed = await question.close(state, grant=grant)
        return replace(approval, state=state, closed_at=decision.decided_at), closed

    async def _tell(
        self,
        question: OpenQuestion,
        *others: Happened,
        approval: Approval,
        decision: Decision,
        caller: Caller,
    ) -> None:
        told: JsonObject = {
            "approval_id": str(approval.id),
            "call_id": str(approval.call_id),
            "tool": approval.tool,
            "answer": decision.answer.value,
            "scope": decision.scope.value,
            "by": caller.principal.email,
            "reason": decision.reason,
            "state": approval.state.value,
            "decided": len(approval.decisions),
            "needed": approval.approvers.needed,
        }
        actor = caller.principal.email
        await question.tell(
            Happened(kind=EventKind.APPROVAL_DECIDED, data=told),
            *others,
            audit=audit_record(
                approval.tenant_id,
                at=decision.decided_at,
                action="approval.decided",
                actor=f"operator on behalf of {actor}" if caller.on_behalf else actor,
                run_id=approval.run_id,
                call_id=approval.call_id,
                tool=approval.tool,
                content={**told, "digest": decision.digest, "via": caller.via},
            ),
        )


def _withdrawn(other: Approval, *, covered_by: ApprovalId) -> Happened:
    told: JsonObject = {
        "approval_id": str(other.id),
        "call_id": str(other.call_id),
        "tool": other.tool,
        "covered_by": str(covered_by),
    }
    return Happened(kind=EventKind.APPROVAL_WITHDRAWN, data=told)


def _check(
    approval: Approval,
    *,
    caller: Caller,
    answer: Answer,
    digest: str,
    scope: GrantScope,
    now: datetime,
) -> None:
    """Refuse whoever may not answer first, so that nobody else learns how it stands."""
    person, approvers = caller.principal, approval.approvers
    refused = objection(person, approvers=approvers, requester=approval.requester.id)
    if refused is not None:
        raise Forbidden(refused, approvers=approvers.in_words())
    if scope is GrantScope.ALWAYS and Role.ADMIN not in person.roles:
        raise Forbidden("scope_needs_admin")
    if approval.state is not ApprovalState.PENDING:
        raise Conflict("approval_closed", state=approval.state.value)
    if approval.expires_at <= now:
        # Its time is over, whether or not the sweep has come by.
        raise Conflict("approval_closed", state=ApprovalState.EXPIRED.value)
    if digest != approval.digest:
        raise Conflict("wrong_digest")
    if answer not in _ANSWERS[approval.question]:
        allowed = [choice.value for choice in _ANSWERS[approval.question]]
        raise InvalidInput("wrong_answer", answers=allowed)

"""The second gate: what people have said about a call, and asking them where they have not."""

from dataclasses import replace
from datetime import timedelta

from approvals.grants import fits
from approvals.records import ApprovalRecords
from approvals.routing import is_covered
from core.domain.approval import Answer, Approval, ApprovalState
from core.domain.approval import Question as Kind
from core.domain.audit import audit_record
from core.domain.canonical import JsonObject, digest_of
from core.domain.event import EventKind
from core.domain.ids import ApprovalId, RunId, approval_id_of
from core.domain.journal import Happened
from core.ports import Clock, Covered, Declined, Question, Settled, Waiting

_TIMES_ASKED = 3
_OUTCOMES = 1000
"""Outcome questions are numbered apart from the others, one per attempt."""


class ApprovalGate:
    """The Approvals port: asks once, and lets pass only what was answered for this exact call."""

    def __init__(self, *, records: ApprovalRecords, clock: Clock) -> None:
        """Take where questions are kept, and the time."""
        self._records = records
        self._clock = clock

    async def put(self, question: Question) -> Covered | Declined | Waiting:
        """Return what people have said, asking where nobody was asked; see the port."""
        asked = await self._asked(question)
        last = asked[-1] if asked else None
        match last.state if last else None:
            case ApprovalState.DENIED if last:
                no = next(d for d in last.decisions if d.answer is Answer.DENY)
                return Declined(code="denied", by=no.by, reason=no.reason)
            case ApprovalState.EXPIRED:
                return Declined(code="expired")
            case _:
                pass
        covered = await self._covered(question, last=last)
        if covered is not None:
            return covered
        if last is not None and last.state is ApprovalState.PENDING and _is_same(last, question):
            return Waiting(approval_id=last.id)
        if len(asked) >= _TIMES_ASKED:
            return Declined(code="changed_too_often")
        open_one = last.id if last and last.state is ApprovalState.PENDING else None
        return await self._ask(question, kind=Kind.PERMIT, number=len(asked) + 1, withdraw=open_one)

    async def covers(self, question: Question) -> bool:
        """Return whether recorded answers still cover the call; see the port."""
        asked = await self._asked(question)
        return await self._covered(question, last=asked[-1] if asked else None) is not None

    async def put_outcome(self, question: Question) -> Settled | Declined | Waiting:
        """Ask what became of the call's last attempt; see the port."""
        number = _OUTCOMES + question.attempt
        wanted = approval_id_of(question.call.id, asked=number)
        every = await self._records.of_call(question.call.tenant_id, call_id=question.call.id)
        found = next((approval for approval in every if approval.id == wanted), None)
        if found is None:
            demanded = replace(question.verdict.approvers, needed=1)
            of_outcome = replace(
                question,
                digest=digest_of({"outcome": question.digest, "attempt": question.attempt}),
                verdict=replace(question.verdict, approvers=demanded, reason="outcome_unknown"),
            )
            return await self._ask(of_outcome, kind=Kind.OUTCOME, number=number, withdraw=None)
        match found.state:
            case ApprovalState.PENDING:
                return Waiting(approval_id=found.id)
            case ApprovalState.APPROVED:
                word = found.decisions[-1]
                return Settled(answer=word.answer, by=word.by)
            case ApprovalState.DENIED | ApprovalState.EXPIRED | ApprovalState.WITHDRAWN:
                return Declined(code="expired")

    async def _asked(self, question: Question) -> list[Approval]:
        every = await self._records.of_call(question.call.tenant_id, call_id=question.call.id)
        return [approval for approval in every if approval.question is Kind.PERMIT]

    async def _covered(self, question: Question, *, last: Approval | None) -> Covered | None:
        tenant_id, now = question.call.tenant_id, self._clock.now()
        if last is not None and last.state is ApprovalState.APPROVED:
            answered = [each for one in last.voices for each in (one.principal, one.voice)]
            people = await self._records.people(tenant_id, ids=[each.id for each in answered])
            demanded = question.verdict.approvers
            if is_covered(last, digest=question.digest, demanded=demanded, people=people):
                by = tuple(one.by for one in last.voices if one.answer is Answer.APPROVE)
                return Covered(by=by, how="approval", reference=str(last.id))
            return None
        run_id = _run_of(question)
        grants = await self._records.grants(
            tenant_id,
            requester_id=question.call.requester.id,
            run_id=run_id,
            tool=question.tool.name,
        )
        givers = [giver.id for grant in grants for giver in grant.granted_by]
        people = await self._records.people(tenant_id, ids=givers)
        for grant in grants:
            usable = fits(
                grant,
                requester=question.call.requester.id,
                tool_version=question.tool.version,
                arguments=question.call.arguments,
                demanded=question.verdict.approvers,
                people=people,
                now=now,
            )
            if usable and await self._records.use(grant, now=now):
                by = tuple(giver.email for giver in grant.granted_by)
                return Covered(by=by, how="grant", reference=str(grant.id))
        return None

    async def _ask(
        self, question: Question, *, kind: Kind, number: int, withdraw: ApprovalId | None
    ) -> Waiting:
        call, now = question.call, self._clock.now()
        approvers = question.verdict.approvers
        approval = Approval(
            id=approval_id_of(call.id, asked=number),
            tenant_id=call.tenant_id,
            run_id=_run_of(question),
            call_id=call.id,
            question=kind,
            tool=question.tool.name,
            tool_version=question.tool.version,
            risk=question.tool.risk,
            arguments=call.arguments,
            preview=question.preview.as_json(),
            digest=question.digest,
            reason=question.verdict.reason,
            requester=call.requester,
            approvers=approvers,
            state=ApprovalState.PENDING,
            expires_at=now + timedelta(days=question.expires_after_days),
            created_at=now,
            edited=call.edited,
        )
        told: JsonObject = {
            "approval_id": str(approval.id),
            "call_id": str(call.id),
            "tool": approval.tool,
            "question": kind.value,
            "summary": question.preview.summary,
            "reason": approval.reason,
            "approvers": approvers.in_words(),
            "needed": approvers.needed,
            "asked": number % _OUTCOMES,
            "expires_at": approval.expires_at.isoformat(),
        }
        await self._records.ask(
            approval,
            lease=question.lease,
            verdict={
                "verdict": "require_approval",
                "rules": list(question.verdict.rules),
                "reasons": [approval.reason],
                "approvers": approvers.as_json(),
            },
            event=Happened(kind=EventKind.APPROVAL_ASKED, data=told),
            audit=audit_record(
                call.tenant_id,
                at=now,
                action="approval.asked",
                actor=call.actor or call.requester.email,
                run_id=approval.run_id,
                call_id=call.id,
                tool=approval.tool,
                content={**told, "input": call.arguments, "digest": approval.digest},
            ),
            withdraw=withdraw,
        )
        return Waiting(approval_id=approval.id)


def _is_same(approval: Approval, question: Question) -> bool:
    return approval.digest == question.digest and approval.approvers == question.verdict.approvers


def _run_of(question: Question) -> RunId:
    if question.call.run_id is None:
        message = "only a run's call can wait for people"
        raise ValueError(message)
    return question.call.run_id

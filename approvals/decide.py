"""Deciding: may this person answer, does that settle the question, and of which call is it?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from approvals.grants import granted_by
from approvals.records import ApprovalRecords, Editor, OpenQuestion
from approvals.routing import objection, voice_of
from approvals.telling import tell_decided, tell_edited
from core.domain.approval import (
    Answer,
    Approval,
    ApprovalState,
    Closed,
    Decision,
    Edit,
    Grant,
    GrantScope,
    Question,
)
from core.domain.canonical import JsonObject, storable
from core.domain.ids import ApprovalId, PrincipalId
from core.domain.principal import Caller, Principal, Role
from core.errors import Conflict, Forbidden, InvalidInput
from core.ports import Asked, Clock, Dispatcher

_ANSWERS = {
    Question.PERMIT: (Answer.APPROVE, Answer.DENY),
    Question.OUTCOME: (Answer.HAPPENED, Answer.DID_NOT, Answer.RETRY),
}
_REASON_LENGTH = 2000
_ASKED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What somebody says to a question, before it is known whether they may."""

    caller: Caller
    answer: Answer
    digest: str
    scope: GrantScope
    absent: Sequence[Principal]
    now: datetime


class Decider:
    """The one place where decisions are made, whatever surface they come from."""

    def __init__(
        self,
        *,
        records: ApprovalRecords,
        editor: Editor,
        dispatcher: Dispatcher,
        clock: Clock,
    ) -> None:
        """Take where questions are kept, who judges edits, who drives what is due, and the time."""
        self._records = records
        self._editor = editor
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
        arguments: JsonObject | None = None,
        edited_digest: str | None = None,
    ) -> Approval:
        """Keep one person's answer to what they saw; return the question as it stands then.

        With ``arguments`` the call is changed to have these, judged anew as its requester's, and
        what it has become is approved: answers given to what it was count no more. Who has looked
        at the preview of that says so with its ``edited_digest``.

        However many people answer at once, one transaction closes the question, and only that one
        moves the run on.

        Raises:
            NotFound: no such question in the caller's tenant.
            Forbidden: ``missing_scope``, ``self_approval``, ``not_eligible``,
                ``scope_needs_admin``.
            Conflict: ``approval_closed``, ``wrong_digest``, ``already_decided``, ``run_at_work``.
            InvalidInput: ``wrong_answer``, ``reason_too_long``, ``only_once``.
            Refused: of an edit, what the door says to such a call; then nothing has changed.
        """
        _need_scope(caller)
        if len(reason) > _REASON_LENGTH:
            raise InvalidInput("reason_too_long", limit=_REASON_LENGTH)
        said = _Said(
            caller=caller,
            answer=answer,
            digest=digest,
            scope=scope,
            absent=await self.absent(caller.principal),
            now=self._clock.now(),
        )
        edit = None
        if arguments is not None:
            edit = await self._edit(said, approval_id=approval_id, arguments=arguments)
            if edited_digest not in {None, edit.digest}:
                raise Conflict("wrong_digest")
        async with self._records.closing(caller.tenant_id, approval_id=approval_id) as question:
            voice = _check(question.approval, said=said)
            if edit is not None and edit.digest != digest:
                voice = await self._change(question, edit=edit, said=said)
            decision = Decision(
                approval_id=approval_id,
                principal=caller.principal,
                answer=answer,
                scope=scope,
                reason=storable(reason),
                digest=question.approval.digest,
                via=caller.via,
                decided_at=said.now,
                in_place_of=None if voice.id == caller.principal.id else voice,
            )
            approval, closed = await self._settle(question, decision=decision)
            await tell_decided(question, approval=approval, caller=caller, closed=closed)
        if closed.segment is not None:
            await self._dispatcher.enqueue(
                caller.tenant_id, run_id=approval.run_id, segment=closed.segment
            )
        return approval

    async def preview_edit(
        self, caller: Caller, *, approval_id: ApprovalId, arguments: JsonObject
    ) -> Edit:
        """Return what the call would be with other arguments; nothing is changed or recorded.

        Raises:
            NotFound, Forbidden, Conflict, InvalidInput, Refused: as for deciding so.
        """
        _need_scope(caller)
        approval = await self._records.get(caller.tenant_id, approval_id=approval_id)
        said = _Said(
            caller=caller,
            answer=Answer.APPROVE,
            digest=approval.digest,
            scope=GrantScope.ONCE,
            absent=await self.absent(caller.principal),
            now=self._clock.now(),
        )
        return await self._edit(said, approval_id=approval_id, arguments=arguments)

    async def absent(self, person: Principal) -> Sequence[Principal]:
        """Return who is away now and has named this person their deputy, by email."""
        return await self._records.absent(
            person.tenant_id, deputy_id=person.id, now=self._clock.now()
        )

    async def asked(self, approval: Approval) -> tuple[Asked, ...]:
        """Return who may decide, by email, 50 at most: a deputy in the place of who is away."""
        tenant_id, requester = approval.tenant_id, approval.requester.id
        able = [
            person
            for person in await self._records.able(
                tenant_id, approvers=approval.approvers, limit=_ASKED + 1
            )
            if objection(person, approvers=approval.approvers, requester=requester) is None
        ][:_ASKED]
        deputies = await self._records.deputies(
            tenant_id, ids=[person.id for person in able], now=self._clock.now()
        )
        asked: dict[PrincipalId, Asked] = {}
        for person in able:
            deputy = deputies.get(person.id)
            if deputy is None or not _may_stand_in(deputy, for_=person, approval=approval):
                asked[person.id] = Asked(person=person)
            elif objection(deputy, approvers=approval.approvers, requester=requester) is None:
                asked.setdefault(deputy.id, Asked(person=deputy))
            else:
                asked.setdefault(deputy.id, Asked(person=deputy, in_place_of=person))
        return tuple(sorted(asked.values(), key=lambda one: one.person.email))

    def may_answer(
        self, person: Principal, *, approval: Approval, absent: Sequence[Principal] = ()
    ) -> bool:
        """Return whether this person's answer would count now, and was not given yet."""
        answered = {each.id for one in approval.voices for each in (one.principal, one.voice)}
        voice = voice_of(
            person,
            absent=[one for one in absent if one.id not in answered],
            approvers=approval.approvers,
            requester=approval.requester.id,
        )
        is_open = approval.state is ApprovalState.PENDING
        return is_open and voice is not None and not answered & {person.id, voice.id}

    def concerns(
        self, person: Principal, *, approval: Approval, absent: Sequence[Principal] = ()
    ) -> bool:
        """Return whether this person may see the question; see the port."""
        if person.id == approval.requester.id or Role.ADMIN in person.roles:
            return True
        if any(decision.principal.id == person.id for decision in approval.decisions):
            return True
        if approval.escalated_at is not None and approval.escalated_to in person.groups:
            return True
        voice = voice_of(
            person,
            absent=absent,
            approvers=approval.approvers,
            requester=approval.requester.id,
        )
        return voice is not None

    async def _edit(self, said: _Said, *, approval_id: ApprovalId, arguments: JsonObject) -> Edit:
        """Have the edit judged, for somebody who may make it: nobody else learns what it meets."""
        caller = said.caller
        approval = await self._records.get(caller.tenant_id, approval_id=approval_id)
        _check(approval, said=said)
        if said.answer is not Answer.APPROVE:
            raise InvalidInput("wrong_answer", answers=[Answer.APPROVE.value])
        if said.scope is not GrantScope.ONCE:
            raise InvalidInput("only_once", detail="a call that you have changed")
        return await self._editor.edited(approval, arguments=arguments, by=caller.principal.email)

    async def _change(self, question: OpenQuestion, *, edit: Edit, said: _Said) -> Principal:
        """Make the question what the edit says; return whose answer to that the editor's is.

        Raises:
            Forbidden: they may not answer to what it has become.
            Conflict: ``run_at_work``.
        """
        before = question.approval
        await question.edit(edit, by=said.caller.principal.email)
        voice = _voice(question.approval, said=said)
        await tell_edited(question, before=before, caller=said.caller, at=said.now)
        return voice

    async def _settle(
        self, question: OpenQuestion, *, decision: Decision
    ) -> tuple[Approval, Closed]:
        """Keep the answer, and close the question where it is the last that it needs."""
        before = question.approval
        if any(one.voice.id == decision.voice.id for one in before.voices):
            raise Conflict("already_decided")
        await question.add(decision)
        approval = replace(before, decisions=(*before.decisions, decision))
        grant: Grant | None = None
        match decision.answer:
            case Answer.DENY:
                state = ApprovalState.DENIED
            case Answer.HAPPENED | Answer.DID_NOT | Answer.RETRY:
                state = ApprovalState.APPROVED
            case Answer.APPROVE:
                if len(approval.voices) < approval.approvers.needed:
                    return approval, Closed(segment=None)
                state = ApprovalState.APPROVED
                grant = granted_by(approval, decisions=approval.voices, now=decision.decided_at)
        closed = await question.close(state, grant=grant)
        return replace(approval, state=state, closed_at=decision.decided_at), closed


def _may_stand_in(deputy: Principal, *, for_: Principal, approval: Approval) -> bool:
    voice = voice_of(
        deputy, absent=(for_,), approvers=approval.approvers, requester=approval.requester.id
    )
    return voice is not None


def _need_scope(caller: Caller) -> None:
    if "approvals:decide" not in caller.scopes:
        raise Forbidden("missing_scope", scope="approvals:decide")


def _voice(approval: Approval, *, said: _Said) -> Principal:
    """Return whose answer it counts as, refusing whoever may not answer."""
    person, approvers, requester = (
        said.caller.principal,
        approval.approvers,
        approval.requester.id,
    )
    answered = {one.voice.id for one in approval.voices}
    voice = voice_of(
        person,
        absent=[one for one in said.absent if one.id not in answered] or said.absent,
        approvers=approvers,
        requester=requester,
    )
    if voice is None:
        refused = objection(person, approvers=approvers, requester=requester)
        raise Forbidden(refused or "not_eligible", approvers=approvers.in_words())
    return voice


def _check(approval: Approval, *, said: _Said) -> Principal:
    """Refuse whoever may not answer first, so that nobody else learns how it stands."""
    voice = _voice(approval, said=said)
    person = said.caller.principal
    if voice.id != person.id and said.scope is not GrantScope.ONCE:
        raise InvalidInput("only_once", detail=f"a call in the place of {voice.email}")
    if said.scope is GrantScope.ALWAYS and Role.ADMIN not in person.roles:
        raise Forbidden("scope_needs_admin")
    if approval.state is not ApprovalState.PENDING:
        raise Conflict("approval_closed", state=approval.state.value)
    if approval.expires_at <= said.now:
        # Its time is over, whether or not the sweep has come by.
        raise Conflict("approval_closed", state=ApprovalState.EXPIRED.value)
    if said.digest != approval.digest:
        raise Conflict("wrong_digest")
    if said.answer not in _ANSWERS[approval.question]:
        allowed = [choice.value for choice in _ANSWERS[approval.question]]
        raise InvalidInput("wrong_answer", answers=allowed)
    return voice

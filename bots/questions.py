"""Questions answered by clicks and forms: each answer is the person's own, to what they saw.

A button carries the question's id and the beginning of the digest that was shown with it. What it
is about is read anew; where that has another digest now, nothing is decided.
"""

from collections.abc import Mapping
from typing import Final, Protocol
from uuid import UUID

from bots import actions
from bots.actions import DIGEST_SHOWN
from bots.arguments import arguments_of
from bots.arrivals import Click, Submission
from bots.filled import Typed, typed_in
from bots.telling import approval_view
from bots.views import ApprovalView
from bots.visit import Answering, Visit
from core.domain.approval import Answer, Approval, ApprovalState, GrantScope, Question
from core.domain.canonical import JsonObject
from core.domain.ids import ApprovalId, TenantId
from core.errors import Conflict, Forbidden, InvalidInput, NotFound, Refused
from core.ports import Clock

_ANSWERS: Final = {
    actions.APPROVE: Answer.APPROVE,
    actions.APPROVE_SIMILAR: Answer.APPROVE,
    actions.HAPPENED: Answer.HAPPENED,
    actions.DID_NOT: Answer.DID_NOT,
    actions.RETRY: Answer.RETRY,
}


class Schemas(Protocol):
    """Knows what tools take."""

    async def schema_of(self, tenant_id: TenantId, *, tool: str) -> JsonObject | None:
        """Return the input schema of a tenant's tool as it is now; None where it is gone."""
        ...


class Questions:
    """Takes answers to App, and tells whoever may not give one."""

    def __init__(
        self, answering: Answering, *, schemas: Schemas, pages_url: str, clock: Clock
    ) -> None:
        """Take what all have in common, what tools take, and where questions have their pages."""
        self._clock = clock
        self._answering = answering
        self._app = answering.app
        self._rendering = answering.rendering
        self._schemas = schemas
        self._pages_url = pages_url

    async def answered(self, visit: Visit, click: Click) -> None:
        """Keep the answer that a button stands for."""
        scope = GrantScope.RUN if click.action == actions.APPROVE_SIMILAR else GrantScope.ONCE
        ids = actions.ids_of(click.value)
        await self._decide(visit, ids, answer=_ANSWERS[click.action], scope=scope)

    async def asks_why(self, visit: Visit, click: Click) -> None:
        """Open the form in which somebody says why not."""
        approval = await self._open_question(visit, actions.ids_of(click.value))
        if approval is not None:
            form = self._rendering.deny_form(await self.view(visit, approval))
            await self._answering.show(visit, form)

    async def denied(self, visit: Visit, form: Submission) -> None:
        """Keep a no, with its reason."""
        reason = form.fields.get(actions.REASON, "").strip()
        ids = actions.ids_of(form.carried)
        await self._decide(visit, ids, answer=Answer.DENY, reason=reason)

    async def edits(self, visit: Visit, click: Click) -> None:
        """Open the form with the call's arguments."""
        approval = await self._open_question(visit, actions.ids_of(click.value))
        if approval is None:
            return
        if approval.question is not Question.PERMIT:
            raise InvalidInput("wrong_answer", answers=[Answer.APPROVE.value])
        form = self._rendering.edit_form(
            await self.view(visit, approval),
            schema=await self._schema(approval),
            arguments=approval.arguments,
        )
        await self._answering.show(visit, form)

    async def edited(self, visit: Visit, form: Submission) -> None:
        """Show what the call would be with the arguments typed; approve what was shown so."""
        ids = actions.ids_of(form.carried)
        approval = await self._open_question(visit, ids)
        if approval is None:
            return
        schema = await self._schema(approval)
        view = await self.view(visit, approval)
        typed = _typed(form, schema=schema, arguments=approval.arguments)
        if typed.problems:
            again = self._rendering.retry_form(view, schema=schema, typed=typed)
            await self._answering.show(visit, again)
            return
        edit = await self._app.preview_edit(
            visit.caller, approval_id=approval.id, arguments=typed.arguments
        )
        if edit.digest == approval.digest:
            # The question's own digest is no word on a preview of what an edit would do.
            raise InvalidInput("edit_changes_nothing")
        if ids.get("e") == edit.digest[:DIGEST_SHOWN]:
            await self._app.decide(
                visit.caller,
                approval_id=approval.id,
                answer=Answer.APPROVE,
                digest=approval.digest,
                arguments=edit.arguments,
                edited_digest=edit.digest,
            )
            return
        confirm = self._rendering.confirm_form(view, schema=schema, edit=edit)
        await self._answering.show(visit, confirm)

    async def view(self, visit: Visit, approval: Approval) -> ApprovalView:
        """Return a question as it is shown to this person."""
        run = await self._app.run(visit.caller, run_id=approval.run_id)
        url = f"{self._pages_url}/approvals/{approval.id}"
        return approval_view(approval, run=run, url=url, may_edit=True, now=self._clock.now())

    async def _decide(
        self,
        visit: Visit,
        ids: Mapping[str, str],
        *,
        answer: Answer,
        scope: GrantScope = GrantScope.ONCE,
        reason: str = "",
    ) -> None:
        """Take an answer to App under the digest that the person saw, and no other."""
        approval_id, shown = _asked(ids)
        approval = await self._concerning(visit, approval_id)
        fits = approval is not None and shown == approval.digest[:DIGEST_SHOWN]
        try:
            await self._app.decide(
                visit.caller,
                approval_id=approval_id,
                answer=answer,
                # The beginning of a digest is none: App says why this person's answer is refused.
                digest=approval.digest if approval is not None and fits else shown,
                scope=scope,
                reason=reason,
            )
        except Conflict as refused:
            if refused.code != "wrong_digest" or approval is None:
                raise
            await self._changed(visit, refused, approval_id=approval_id)
        except Forbidden as refused:
            raise _in_words(refused, visit=visit, approval=approval) from refused

    async def _open_question(self, visit: Visit, ids: Mapping[str, str]) -> Approval | None:
        """Return a question that this person may answer as they saw it; None: they were told.

        Raises:
            Refused: why they may not.
        """
        approval_id, shown = _asked(ids)
        approval = await self._concerning(visit, approval_id)
        if approval is None or "approvals:decide" not in visit.caller.scopes:
            # App says why; no answer is taken under the beginning of a digest.
            await self._decide(visit, {**ids, "d": ""}, answer=Answer.DENY)
            return None
        if _is_own(visit, approval=approval):
            raise Forbidden("self_approval")
        state = approval.state_at(self._clock.now())
        if state is not ApprovalState.PENDING:
            raise Conflict("approval_closed", state=state.value)
        if shown != approval.digest[:DIGEST_SHOWN]:
            await self._changed(visit, Conflict("wrong_digest"), approval_id=approval_id)
            return None
        return approval

    async def _changed(self, visit: Visit, refused: Refused, *, approval_id: ApprovalId) -> None:
        """Tell somebody that what they saw is not what is asked now, and show them that."""
        approval = await self._app.approval(visit.caller, approval_id=approval_id)
        await self._answering.refuse(visit, refused, asked=await self.view(visit, approval))

    async def _concerning(self, visit: Visit, approval_id: ApprovalId) -> Approval | None:
        try:
            return await self._app.approval(visit.caller, approval_id=approval_id)
        except NotFound:
            return None

    async def _schema(self, approval: Approval) -> JsonObject:
        schema = await self._schemas.schema_of(approval.tenant_id, tool=approval.tool)
        if schema is None:
            raise NotFound("unknown_tool", tool=approval.tool)
        return schema


def _asked(ids: Mapping[str, str]) -> tuple[ApprovalId, str]:
    """Return which question is meant, and the digest as far as it was shown."""
    try:
        return ApprovalId(UUID(ids.get("a", ""))), ids.get("d", "")[:DIGEST_SHOWN]
    except ValueError:
        raise NotFound("not_found", noun="approval") from None


def _typed(form: Submission, *, schema: JsonObject, arguments: JsonObject) -> Typed:
    state = {block: {actions.TYPED: {"value": said}} for block, said in form.fields.items()}
    return typed_in(state, arguments=arguments, offered=arguments_of(schema))


def _is_own(visit: Visit, *, approval: Approval) -> bool:
    is_requester = approval.requester.id == visit.caller.principal.id
    return is_requester and not approval.approvers.allow_requester


def _in_words(refused: Forbidden, *, visit: Visit, approval: Approval | None) -> Forbidden:
    """Return why somebody may not decide, as it is for a person: they have no token in hand."""
    if refused.code != "missing_scope":
        return refused
    if approval is None:
        return Forbidden("not_eligible", approvers="an approver")
    if _is_own(visit, approval=approval):
        return Forbidden("self_approval")
    return Forbidden("not_eligible", approvers=approval.approvers.in_words())

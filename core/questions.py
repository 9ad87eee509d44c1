"""Questions as somebody sees them who may answer: what waits for them, and who else is asked."""

from datetime import datetime

from core.domain.approval import Answer, Approval, ApprovalState, Edit, GrantScope
from core.domain.canonical import JsonObject
from core.domain.ids import ApprovalId, CallId, RunId
from core.domain.principal import Caller, Principal, Role
from core.errors import Forbidden, NotFound
from core.ports import Asked, Decisions, Renew
from core.store.approvals import StoredApprovals

_PAGE = 100
_PAGES = 10
Place = tuple[datetime, ApprovalId]


class Questions:
    """Answers for one caller at a time, from what concerns them and from nothing else."""

    def __init__(self, *, approvals: StoredApprovals, decisions: Decisions, renew: Renew) -> None:
        """Take where questions are kept, where they are decided, and who renews callers."""
        self._approvals = approvals
        self._decisions = decisions
        self._renew = renew

    async def page(
        self, caller: Caller, *, state: ApprovalState | None, before: Place | None, limit: int
    ) -> tuple[tuple[Approval, ...], Place | None]:
        """Return questions that concern the caller, newest first, and where to go on."""
        _need(caller, "approvals:read")
        page = await self._approvals.page(caller.tenant_id, state=state, before=before, limit=limit)
        shown = await self._concerning(caller.principal, page)
        more = (page[-1].created_at, page[-1].id) if len(page) == limit else None
        return shown, more

    async def pending_for(self, caller: Caller, *, limit: int = 50) -> tuple[Approval, ...]:
        """Return open questions that the caller may answer and has not, the newest first."""
        _need(caller, "approvals:decide")
        found: list[Approval] = []
        before: Place | None = None
        for _ in range(_PAGES):
            page, before = await self.page(
                caller, state=ApprovalState.PENDING, before=before, limit=_PAGE
            )
            found += await self._answerable(caller.principal, page)
            if before is None or len(found) >= limit:
                break
        return tuple(found[:limit])

    async def one(self, caller: Caller, *, approval_id: ApprovalId) -> Approval:
        """Return a question that concerns the caller.

        Raises:
            NotFound: ``not_found``.
        """
        approval = await self._approvals.get(caller.tenant_id, approval_id=approval_id)
        if not await self._concerning(caller.principal, (approval,)):
            raise NotFound("not_found", noun="approval")
        return approval

    async def asked(self, caller: Caller, *, approval_id: ApprovalId) -> tuple[Asked, ...]:
        """Return who may decide a question that concerns the caller; see the Decisions port.

        Raises:
            NotFound: ``not_found``.
        """
        _need(caller, "approvals:read")
        return await self._decisions.asked(await self.one(caller, approval_id=approval_id))

    async def whom_to_ask(self, approval: Approval) -> tuple[Principal, ...]:
        """Return who may decide a question now, for a surface that tells them of it."""
        return tuple(one.person for one in await self._decisions.asked(approval))

    async def preview_edit(
        self, caller: Caller, *, approval_id: ApprovalId, arguments: JsonObject
    ) -> Edit:
        """Return what the call would be with other arguments; see the Decisions port."""
        return await self._decisions.preview_edit(
            await self._renew(caller), approval_id=approval_id, arguments=arguments
        )

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
        """Answer a question, of other ``arguments`` where they are given; see the Decisions port.

        ``edited_digest`` is that of the edit whose preview was looked at, if any was.
        """
        return await self._decisions.decide(
            await self._renew(caller),
            approval_id=approval_id,
            answer=answer,
            digest=digest,
            scope=scope,
            reason=reason,
            arguments=arguments,
            edited_digest=edited_digest,
        )

    async def concerns_run(self, person: Principal, *, run_id: RunId) -> bool:
        """Return whether a question of the run concerns the person."""
        asked = await self._approvals.of_run(person.tenant_id, run_id=run_id)
        return bool(await self._concerning(person, asked))

    async def concerns_call(self, person: Principal, *, call_id: CallId) -> bool:
        """Return whether a question about the call concerns the person."""
        asked = await self._approvals.of_call(person.tenant_id, call_id=call_id)
        return bool(await self._concerning(person, asked))

    async def open_about(self, caller: Caller, *, call_id: CallId) -> ApprovalId | None:
        """Return the open question about a call."""
        asked = await self._approvals.of_call(caller.tenant_id, call_id=call_id)
        still = [one.id for one in asked if one.state is ApprovalState.PENDING]
        return still[-1] if still else None

    async def _concerning(
        self, person: Principal, approvals: tuple[Approval, ...]
    ) -> tuple[Approval, ...]:
        if not approvals:
            return ()
        # An admin sees every one, whoever is away.
        everything = Role.ADMIN in person.roles
        absent = () if everything else await self._decisions.absent(person)
        return tuple(
            one
            for one in approvals
            if self._decisions.concerns(person, approval=one, absent=absent)
        )

    async def _answerable(
        self, person: Principal, approvals: tuple[Approval, ...]
    ) -> list[Approval]:
        absent = await self._decisions.absent(person) if approvals else ()
        return [
            one
            for one in approvals
            if self._decisions.may_answer(person, approval=one, absent=absent)
        ]


def _need(caller: Caller, scope: str) -> None:
    if scope not in caller.scopes:
        raise Forbidden("missing_scope", scope=scope)

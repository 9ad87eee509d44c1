"""Questions in memory, behind what the rules ask of the store, for whoever tests the rules."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from core.domain.approval import Approval, ApprovalState, Closed, Decision, Edit, Grant
from core.domain.audit import AuditRecord
from core.domain.canonical import JsonObject
from core.domain.ids import ApprovalId, CallId, PrincipalId, RunId, TenantId
from core.domain.journal import Happened
from core.domain.principal import Principal
from core.domain.reminding import Due, Reminding
from core.domain.run import Lease
from core.domain.tool import Edited
from core.domain.verdict import Approvers
from core.errors import Conflict, NotFound
from tests.nouns import TENANT


@dataclass
class Pinboard:
    """ApprovalRecords in memory; what is closed names the segment that is ``due`` then.

    ``deputy_of`` are deputies by who is away. What a transaction did that fails is undone.
    """

    asked: list[Approval] = field(default_factory=list[Approval])
    told: list[Happened] = field(default_factory=list[Happened])
    audit: list[AuditRecord] = field(default_factory=list[AuditRecord])
    due: int | None = None
    crowd: Sequence[Principal] = ()
    deputy_of: Mapping[PrincipalId, Principal] = field(default_factory=dict[PrincipalId, Principal])
    reminding: Reminding = field(default_factory=Reminding)
    remind_at: datetime | None = None
    kept: list[Grant] = field(default_factory=list[Grant])
    parked: bool = True

    async def get(self, tenant_id: TenantId, *, approval_id: ApprovalId) -> Approval:
        return self.asked[self._place(tenant_id, approval_id)]

    async def of_call(self, tenant_id: TenantId, *, call_id: CallId) -> Sequence[Approval]:
        assert tenant_id == TENANT
        return tuple(one for one in self.asked if one.call_id == call_id)

    async def ask(
        self,
        approval: Approval,
        *,
        lease: Lease,
        verdict: JsonObject,
        event: Happened,
        audit: AuditRecord,
        withdraw: ApprovalId | None,
    ) -> None:
        assert lease.run_id == approval.run_id
        assert verdict["verdict"] == "require_approval"
        assert audit.action == "approval.asked"
        self.told.append(event)
        self.asked = [
            replace(one, state=ApprovalState.WITHDRAWN) if one.id == withdraw else one
            for one in self.asked
        ]
        self.asked.append(approval)

    async def grants(
        self, tenant_id: TenantId, *, requester_id: PrincipalId, run_id: RunId, tool: str
    ) -> Sequence[Grant]:
        del tenant_id, requester_id, run_id, tool
        return ()

    async def use(self, grant: Grant, *, now: datetime) -> bool:
        raise NotImplementedError

    async def people(
        self, tenant_id: TenantId, *, ids: Sequence[PrincipalId]
    ) -> Mapping[PrincipalId, Principal]:
        assert tenant_id == TENANT
        return {one.id: one for one in self.crowd if one.id in ids}

    async def absent(
        self, tenant_id: TenantId, *, deputy_id: PrincipalId, now: datetime
    ) -> Sequence[Principal]:
        del tenant_id, now
        return [
            one
            for one in self.crowd
            if (deputy := self.deputy_of.get(one.id)) is not None and deputy.id == deputy_id
        ]

    async def able(
        self, tenant_id: TenantId, *, approvers: Approvers, limit: int
    ) -> Sequence[Principal]:
        del tenant_id, approvers
        return self.crowd[:limit]

    async def deputies(
        self, tenant_id: TenantId, *, ids: Sequence[PrincipalId], now: datetime
    ) -> Mapping[PrincipalId, Principal]:
        del tenant_id, now
        return {absent: deputy for absent, deputy in self.deputy_of.items() if absent in ids}

    @asynccontextmanager
    async def closing(
        self, tenant_id: TenantId, *, approval_id: ApprovalId
    ) -> AsyncGenerator["OnTheBoard"]:
        place = self._place(tenant_id, approval_id)
        before = self.asked[place]
        told, audit = len(self.told), len(self.audit)
        try:
            yield OnTheBoard(self, place)
        except Exception:
            self.asked[place] = before
            del self.told[told:], self.audit[audit:]
            raise

    def answer(self, state: ApprovalState, *decisions: Decision) -> None:
        """Close the last question."""
        self.asked[-1] = replace(self.asked[-1], state=state, decisions=decisions)

    def _place(self, tenant_id: TenantId, approval_id: ApprovalId) -> int:
        assert tenant_id == TENANT
        for place, one in enumerate(self.asked):
            if one.id == approval_id:
                return place
        raise NotFound("not_found", noun="approval")


class OnTheBoard:
    """A question in the hands of whoever closes it."""

    def __init__(self, board: Pinboard, place: int) -> None:
        self._board = board
        self._place = place

    @property
    def approval(self) -> Approval:
        return self._board.asked[self._place]

    async def add(self, decision: Decision) -> None:
        given = {(one.principal.id, one.digest) for one in self.approval.decisions}
        if (decision.principal.id, decision.digest) in given:
            raise Conflict("already_decided")
        self._change(decisions=(*self.approval.decisions, decision))

    async def edit(self, edit: Edit, *, by: str) -> None:
        if not self._board.parked:
            raise Conflict("run_at_work")
        was = self.approval
        self._change(
            arguments=edit.arguments,
            preview=edit.preview,
            digest=edit.digest,
            reason=edit.reason,
            approvers=edit.approvers,
            edited=Edited(by=by, before=was.edited.before if was.edited else was.arguments),
        )

    async def plan(self) -> Reminding:
        return self._board.reminding

    async def remind(self, due: Due, *, now: datetime, escalated_to: str) -> None:
        self._board.remind_at = due.next_at
        self._change(reminded=due.reminded)
        if due.escalates:
            self._change(escalated_at=now, escalated_to=escalated_to)

    async def close(self, state: ApprovalState, *, grant: Grant | None) -> Closed:
        self._board.kept += [grant] if grant else []
        self._change(state=state)
        return Closed(segment=self._board.due)

    async def tell(self, *events: Happened, audit: AuditRecord) -> None:
        self._board.told += events
        self._board.audit.append(audit)

    def _change(self, **fields: object) -> None:
        self._board.asked[self._place] = replace(self.approval, **fields)  # pyright: ignore[reportArgumentType] - the fields named above


@dataclass(frozen=True, slots=True)
class DueOne:
    tenant_id: TenantId
    approval_id: ApprovalId


@dataclass
class Calendar:
    """Deadlines and Dispatcher: everything on the board is due; ``driven`` is what was enqueued."""

    board: Pinboard
    driven: list[int] = field(default_factory=list[int])

    async def due_approvals(self, *, now: datetime, limit: int) -> Sequence[DueOne]:
        assert limit > 0
        del now
        return [DueOne(one.tenant_id, one.id) for one in self.board.asked]

    async def due_reminders(self, *, now: datetime, limit: int) -> Sequence[DueOne]:
        return await self.due_approvals(now=now, limit=limit)

    async def enqueue(self, tenant_id: TenantId, *, run_id: RunId, segment: int) -> None:
        assert tenant_id == TENANT
        assert run_id in {one.run_id for one in self.board.asked}
        self.driven.append(segment)

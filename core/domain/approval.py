"""The question put to people, their answers, and the standing permissions that come of them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.domain.canonical import JsonObject
from core.domain.ids import ApprovalId, CallId, GrantId, PrincipalId, RunId, TenantId
from core.domain.principal import Principal
from core.domain.tool import Edited, Risk
from core.domain.verdict import Approvers


class Question(StrEnum):
    """What people are asked: may this call be made, or what became of it?"""

    PERMIT = "permit"
    OUTCOME = "outcome"


class ApprovalState(StrEnum):
    """Where a question stands; everything but pending is closed for good."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class Answer(StrEnum):
    """A person's answer: the first two to PERMIT, the last three to OUTCOME."""

    APPROVE = "approve"
    DENY = "deny"
    HAPPENED = "happened"
    DID_NOT = "did_not"
    RETRY = "retry"


class GrantScope(StrEnum):
    """How far an approval reaches: this call, the rest of the run, or the tenant for good."""

    ONCE = "once"
    RUN = "run"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A person's answer to an approval; one per person and digest, never changed.

    ``in_place_of`` is who was away, where their deputy answered for them.
    """

    approval_id: ApprovalId
    principal: Principal
    answer: Answer
    scope: GrantScope
    reason: str
    digest: str
    via: str
    decided_at: datetime
    in_place_of: Principal | None = None

    @property
    def voice(self) -> Principal:
        """Whose answer it counts as."""
        return self.in_place_of or self.principal

    @property
    def by(self) -> str:
        """Who answered, in words: ``beth@acme.test for bob@acme.test`` where a deputy did."""
        absent = self.in_place_of
        return f"{self.principal.email} for {absent.email}" if absent else self.principal.email


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """The question about one exact call. ``digest`` binds what was shown to what will run.

    ``edited`` where an approver changed the call; ``decisions`` holds answers to what it was
    before, too. ``reminded`` counts reminders. ``escalated_to`` is a group that it was told to,
    empty for the admins; nobody while ``escalated_at`` is None.
    """

    id: ApprovalId
    tenant_id: TenantId
    run_id: RunId
    call_id: CallId
    question: Question
    tool: str
    tool_version: int
    risk: Risk
    arguments: JsonObject
    preview: JsonObject
    digest: str
    reason: str
    requester: Principal
    approvers: Approvers
    state: ApprovalState
    expires_at: datetime
    created_at: datetime
    closed_at: datetime | None = None
    decisions: tuple[Decision, ...] = ()
    edited: Edited | None = None
    reminded: int = 0
    escalated_at: datetime | None = None
    escalated_to: str = ""

    @property
    def voices(self) -> tuple[Decision, ...]:
        """The answers that count: those to what the call is now."""
        return tuple(one for one in self.decisions if one.digest == self.digest)

    def state_at(self, now: datetime) -> ApprovalState:
        """Return the state: an open question whose time is over is expired, noted or not."""
        is_over = self.state is ApprovalState.PENDING and self.expires_at <= now
        return ApprovalState.EXPIRED if is_over else self.state


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A question as it is with other arguments: judged anew, as the requester's own call.

    ``verdict`` is the journal's, as it is kept with the call.
    """

    arguments: JsonObject
    preview: JsonObject
    digest: str
    tool_version: int
    reason: str
    approvers: Approvers
    verdict: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A standing permission: calls of ``tool`` at ``tool_version`` that fit ``pattern`` pass.

    ``pattern`` maps argument names to the exact values they must have; an empty one fits all.
    ``run_id`` limits it to a run, ``requester_id`` to a person. None ``uses_left``: no count.
    ``granted_by`` are all whose yes it took, the last one last.
    """

    id: GrantId
    tenant_id: TenantId
    requester_id: PrincipalId | None
    run_id: RunId | None
    tool: str
    tool_version: int
    pattern: JsonObject
    granted_by: tuple[Principal, ...]
    approvers: Approvers
    expires_at: datetime
    uses_left: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What closing a question brought about.

    ``segment`` is the run's that is due now, None where the run waits on. ``withdrawn`` are the
    other questions that the grant which came with it answers.
    """

    segment: int | None
    withdrawn: tuple[Approval, ...] = ()

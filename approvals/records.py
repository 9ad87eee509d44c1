"""What asking people needs of the store: a Protocol, so that the rules know no SQL."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from core.domain.approval import Approval, ApprovalState, Closed, Decision, Edit, Grant
from core.domain.audit import AuditRecord
from core.domain.canonical import JsonObject
from core.domain.ids import ApprovalId, CallId, PrincipalId, RunId, TenantId
from core.domain.journal import Happened
from core.domain.principal import Principal
from core.domain.reminding import Due, Reminding
from core.domain.run import Lease
from core.domain.verdict import Approvers


class DueApproval(Protocol):
    """A question for which something is due, wherever it is."""

    @property
    def tenant_id(self) -> TenantId:
        """Whose question it is."""
        ...

    @property
    def approval_id(self) -> ApprovalId:
        """Which question it is."""
        ...


class Deadlines(Protocol):
    """The look across tenants for questions for which something is due."""

    async def due_approvals(self, *, now: datetime, limit: int) -> Sequence[DueApproval]:
        """Return pending questions that expired before ``now``, the oldest first."""
        ...

    async def due_reminders(self, *, now: datetime, limit: int) -> Sequence[DueApproval]:
        """Return pending questions of which people are to be reminded, the longest due first."""
        ...


class OpenQuestion(Protocol):
    """A question in the hands of whoever closes it: the run's row and its own are locked."""

    @property
    def approval(self) -> Approval:
        """The question with every decision so far."""
        ...

    async def add(self, decision: Decision) -> None:
        """Keep a person's answer.

        Raises:
            Conflict: ``already_decided``: this person has answered before.
            Forbidden: ``not_eligible``: there is no such person any more.
        """
        ...

    async def edit(self, edit: Edit, *, by: str) -> None:
        """Make the question, and its call, what the edit says; ``by`` is the editor's email.

        Raises:
            Conflict: ``run_at_work``: somebody drives the run, who may hold the call as it was.
        """
        ...

    async def plan(self) -> Reminding:
        """Return how the tenant reminds of questions."""
        ...

    async def remind(self, due: Due, *, now: datetime, escalated_to: str) -> None:
        """Keep that ``due`` has been told, and when something is due next."""
        ...

    async def close(self, state: ApprovalState, *, grant: Grant | None) -> Closed:
        """Close the question, and with a grant the run's other open questions that it covers."""
        ...

    async def tell(self, *events: Happened, audit: AuditRecord) -> None:
        """Write down what happened, for surfaces and for the auditor."""
        ...


class ApprovalRecords(Protocol):
    """Questions, answers and grants as they are stored."""

    async def get(self, tenant_id: TenantId, *, approval_id: ApprovalId) -> Approval:
        """Return one question with its answers.

        Raises:
            NotFound: ``not_found``.
        """
        ...

    async def of_call(self, tenant_id: TenantId, *, call_id: CallId) -> Sequence[Approval]:
        """Return every question about a call, in the order in which they were asked."""
        ...

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
        """Put the question, once; ``withdraw`` names the one that it takes the place of.

        Raises:
            LeaseLost: another worker drives the run now; nobody is asked.
        """
        ...

    async def grants(
        self, tenant_id: TenantId, *, requester_id: PrincipalId, run_id: RunId, tool: str
    ) -> Sequence[Grant]:
        """Return standing grants that may cover the requester's calls of ``tool`` in the run."""
        ...

    async def use(self, grant: Grant, *, now: datetime) -> bool:
        """Take one use of the grant; False where it is spent, revoked or over."""
        ...

    async def people(
        self, tenant_id: TenantId, *, ids: Sequence[PrincipalId]
    ) -> Mapping[PrincipalId, Principal]:
        """Return these people as they are now; who is disabled is missing."""
        ...

    async def absent(
        self, tenant_id: TenantId, *, deputy_id: PrincipalId, now: datetime
    ) -> Sequence[Principal]:
        """Return who is away now and has named this person their deputy, by email."""
        ...

    async def able(
        self, tenant_id: TenantId, *, approvers: Approvers, limit: int
    ) -> Sequence[Principal]:
        """Return people of whom such a question may be asked, by email."""
        ...

    async def deputies(
        self, tenant_id: TenantId, *, ids: Sequence[PrincipalId], now: datetime
    ) -> Mapping[PrincipalId, Principal]:
        """Return the deputies of those of these people who are away now, by who is away."""
        ...

    def closing(
        self, tenant_id: TenantId, *, approval_id: ApprovalId
    ) -> AbstractAsyncContextManager[OpenQuestion]:
        """Open one transaction in which the question may be closed.

        Raises:
            NotFound: ``not_found``.
        """
        ...


class Editor(Protocol):
    """Says what a call would be with other arguments, judged anew as its requester's own."""

    async def edited(self, approval: Approval, *, arguments: JsonObject, by: str) -> Edit:
        """Return the question as it would be then; nothing is changed.

        Raises:
            Refused: what the door says to such a call: its schema, the policy, its targets.
            Conflict: ``call_begun``: it may have happened already; ``requester_left``.
        """
        ...

"""What asking people needs of the store: a Protocol, so that the rules know no SQL."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from core.domain.approval import Approval, ApprovalState, Closed, Decision, Grant
from core.domain.audit import AuditRecord
from core.domain.canonical import JsonObject
from core.domain.ids import ApprovalId, CallId, PrincipalId, RunId, TenantId
from core.domain.journal import Happened
from core.domain.principal import Principal
from core.domain.run import Lease


class DueApproval(Protocol):
    """A question whose time is over, wherever it is."""

    @property
    def tenant_id(self) -> TenantId:
        """Whose question it is."""
        ...

    @property
    def approval_id(self) -> ApprovalId:
        """Which question it is."""
        ...


class Deadlines(Protocol):
    """The look across tenants for questions whose time is over."""

    async def due_approvals(self, *, now: datetime, limit: int) -> Sequence[DueApproval]:
        """Return pending questions that expired before ``now``, the oldest first."""
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

    async def close(self, state: ApprovalState, *, grant: Grant | None) -> Closed:
        """Close the question, and with a grant the run's other open questions that it covers."""
        ...

    async def tell(self, *events: Happened, audit: AuditRecord) -> None:
        """Write down what happened, for surfaces and for the auditor."""
        ...


class ApprovalRecords(Protocol):
    """Questions, answers and grants as they are stored."""

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

    def closing(
        self, tenant_id: TenantId, *, approval_id: ApprovalId
    ) -> AbstractAsyncContextManager[OpenQuestion]:
        """Open one transaction in which the question may be closed.

        Raises:
            NotFound: ``not_found``.
        """
        ...

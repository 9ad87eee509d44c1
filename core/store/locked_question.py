"""A question in the hands of whoever closes it: its run's row is locked until the end."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import and_, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.approval import Approval, ApprovalState, Closed, Decision, Edit, Grant, Question
from core.domain.audit import AuditRecord
from core.domain.journal import Happened
from core.domain.reminding import Due, Reminding
from core.domain.tool import Edited
from core.errors import Conflict, Forbidden
from core.store.approval_reading import questions_of, withdraw_open
from core.store.journal import append_audit, append_events
from core.store.reminding import plan_of
from core.store.rows import AnyRow
from core.store.tables import approvals, decisions, grants, principals, runs, tool_calls


class LockedQuestion:
    """A question whose run is locked until the transaction ends."""

    def __init__(self, connection: AsyncConnection, *, approval: Approval, run: AnyRow) -> None:
        """Take the open transaction, the question as it is under the lock, and the run's row."""
        self._connection = connection
        self._run = run
        self.approval = approval

    async def add(self, decision: Decision) -> None:
        """Keep a person's answer.

        Raises:
            Conflict: ``already_decided``: this person has answered before.
            Forbidden: ``not_eligible``: there is no such person any more.
        """
        person = select(principals.c.id).where(
            principals.c.tenant_id == self.approval.tenant_id,
            principals.c.id == decision.principal.id,
            principals.c.disabled_at.is_(None),
        )
        if await self._connection.scalar(person) is None:
            raise Forbidden("not_eligible", approvers=self.approval.approvers.in_words())
        added = await self._connection.execute(
            upsert(decisions)
            .values(
                tenant_id=self.approval.tenant_id,
                approval_id=self.approval.id,
                principal_id=decision.principal.id,
                answer=decision.answer.value,
                scope=decision.scope.value,
                reason=decision.reason,
                digest=decision.digest,
                via=decision.via,
                decided_at=decision.decided_at,
                in_place_of=decision.in_place_of.id if decision.in_place_of else None,
            )
            .on_conflict_do_nothing()
            .returning(decisions.c.principal_id)
        )
        if added.one_or_none() is None:
            raise Conflict("already_decided")

    async def edit(self, edit: Edit, *, by: str) -> None:
        """Make the question, and its call, what the edit says.

        Raises:
            Conflict: ``run_at_work``: its driver may hold the call as it was.
        """
        if self._run.dispatch != "parked":
            raise Conflict("run_at_work")
        was = self.approval
        before = was.edited.before if was.edited else was.arguments
        changed: dict[str, object] = {
            "arguments": edit.arguments,
            "preview": edit.preview,
            "digest": edit.digest,
            "tool_version": edit.tool_version,
            "original_arguments": before,
            "edited_by": by,
        }
        await self._connection.execute(
            update(approvals)
            .where(approvals.c.tenant_id == was.tenant_id, approvals.c.id == was.id)
            .values(
                **changed,
                reason=edit.reason,
                approvers=edit.approvers.as_json(),
                needed=edit.approvers.needed,
            )
        )
        await self._connection.execute(
            update(tool_calls)
            .where(tool_calls.c.tenant_id == was.tenant_id, tool_calls.c.id == was.call_id)
            .values(**changed, verdict=edit.verdict)
        )
        self.approval = replace(
            was,
            arguments=edit.arguments,
            preview=edit.preview,
            digest=edit.digest,
            tool_version=edit.tool_version,
            reason=edit.reason,
            approvers=edit.approvers,
            edited=Edited(by=by, before=before),
        )

    async def plan(self) -> Reminding:
        """Return how the tenant reminds of questions."""
        return await plan_of(self._connection, self.approval.tenant_id)

    async def remind(self, due: Due, *, now: datetime, escalated_to: str) -> None:
        """Keep that ``due`` has been told, and when something is due next."""
        approval = self.approval
        told: dict[str, object] = {"reminded": due.reminded, "remind_at": due.next_at}
        if due.escalates:
            told |= {"escalated_at": now, "escalated_to": escalated_to}
        await self._connection.execute(
            update(approvals)
            .where(approvals.c.tenant_id == approval.tenant_id, approvals.c.id == approval.id)
            .values(told)
        )

    async def close(self, state: ApprovalState, *, grant: Grant | None) -> Closed:
        """Close the question, and with a grant the run's other open questions that it covers."""
        approval = self.approval
        await self._connection.execute(
            update(approvals)
            .where(approvals.c.tenant_id == approval.tenant_id, approvals.c.id == approval.id)
            .values(state=state.value, closed_at=func.now())
        )
        withdrawn = await self._keep(grant) if grant is not None else ()
        return Closed(segment=await self._resumed(), withdrawn=withdrawn)

    async def tell(self, *events: Happened, audit: AuditRecord) -> None:
        """Write down what happened, for surfaces and for the auditor."""
        run_id, tenant_id = self.approval.run_id, self.approval.tenant_id
        await append_events(self._connection, tenant_id, run_id=run_id, events=events)
        await append_audit(self._connection, audit)

    async def _keep(self, grant: Grant) -> tuple[Approval, ...]:
        """Keep the grant; return the questions that it answers, withdrawn."""
        await self._connection.execute(
            insert(grants).values(
                tenant_id=grant.tenant_id,
                id=grant.id,
                requester_id=grant.requester_id,
                run_id=grant.run_id,
                tool=grant.tool,
                tool_version=grant.tool_version,
                pattern=grant.pattern,
                granted_by=grant.granted_by[-1].id,
                approval_id=self.approval.id,
                approvers=grant.approvers.as_json(),
                expires_at=grant.expires_at,
                uses_left=grant.uses_left,
            )
        )
        covered = and_(
            approvals.c.run_id == self.approval.run_id,
            approvals.c.tool == grant.tool,
            approvals.c.tool_version == grant.tool_version,
            approvals.c.question == Question.PERMIT.value,
            approvals.c.needed <= grant.approvers.needed,
        )
        rows = await withdraw_open(self._connection, covered, tenant_id=grant.tenant_id)
        return await questions_of(self._connection, grant.tenant_id, rows)

    async def _resumed(self) -> int | None:
        """Move a parked run without an open question on to its next segment."""
        tenant_id, run_id = self.approval.tenant_id, self.approval.run_id
        if self._run.dispatch != "parked":
            return None
        still_open = (
            select(approvals.c.id)
            .where(
                approvals.c.tenant_id == tenant_id,
                approvals.c.run_id == run_id,
                approvals.c.state == ApprovalState.PENDING.value,
            )
            .exists()
        )
        moved = await self._connection.execute(
            update(runs)
            .where(runs.c.tenant_id == tenant_id, runs.c.id == run_id, ~still_open)
            .values(
                segment=runs.c.segment + 1,
                dispatch="queued",
                status="running",
                pause_reason=None,
                queued_at=func.now(),
            )
            .returning(runs.c.segment)
        )
        return moved.scalar_one_or_none()

"""Questions, answers and grants in PostgreSQL; closing one and moving its run on is one commit."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, and_, cast, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.approval import (
    Approval,
    ApprovalState,
    Closed,
    Decision,
    Grant,
    Question,
)
from core.domain.audit import AuditRecord
from core.domain.canonical import JsonObject
from core.domain.ids import ApprovalId, CallId, PrincipalId, RunId, TenantId
from core.domain.journal import Happened
from core.domain.principal import Principal
from core.domain.run import Lease
from core.domain.tool import CallState
from core.errors import Conflict, Forbidden, LeaseLost, NotFound
from core.store.approval_rows import approval_of, approval_row, decision_of, grant_of
from core.store.database import Database
from core.store.journal import append_audit, append_events
from core.store.principals import principal_of
from core.store.reading import people_of, run_row_of
from core.store.rows import AnyRow
from core.store.tables import approvals, decisions, grants, principals, runs, tool_calls


class StoredApprovals:
    """Everything about asking people, as it is stored."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    async def get(self, tenant_id: TenantId, *, approval_id: ApprovalId) -> Approval:
        """Return one question with its answers.

        Raises:
            NotFound: ``not_found``.
        """
        async with self._database.for_tenant(tenant_id) as connection:
            return await _one(connection, tenant_id, approval_id=approval_id)

    async def page(
        self,
        tenant_id: TenantId,
        *,
        state: ApprovalState | None,
        before: tuple[datetime, ApprovalId] | None,
        limit: int,
    ) -> tuple[Approval, ...]:
        """Return questions, newest first."""
        query = (
            select(approvals)
            .where(approvals.c.tenant_id == tenant_id)
            .order_by(approvals.c.created_at.desc(), approvals.c.id)
            .limit(limit)
        )
        if state is not None:
            query = query.where(approvals.c.state == state.value)
        if before is not None:
            at, after = before
            same = and_(approvals.c.created_at == at, approvals.c.id > after)
            query = query.where(or_(approvals.c.created_at < at, same))
        async with self._database.for_tenant(tenant_id) as connection:
            rows = (await connection.execute(query)).all()
            return await _whole(connection, tenant_id, rows)

    async def of_call(self, tenant_id: TenantId, *, call_id: CallId) -> tuple[Approval, ...]:
        """Return every question about a call, in the order in which they were asked."""
        return await self._where(tenant_id, approvals.c.call_id == call_id)

    async def of_run(self, tenant_id: TenantId, *, run_id: RunId) -> tuple[Approval, ...]:
        """Return every question about a run, in the order in which they were asked."""
        return await self._where(tenant_id, approvals.c.run_id == run_id)

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
        """Put the question, once.

        Raises:
            LeaseLost: another worker drives the run now; nobody is asked.
        """
        tenant_id = approval.tenant_id
        async with self._database.for_tenant(tenant_id) as connection:
            row = await run_row_of(connection, tenant_id, run_id=approval.run_id, lock=True)
            if row.lease != lease.number or row.dispatch != "driving":
                raise LeaseLost("lease_lost")
            added = await connection.execute(
                upsert(approvals)
                .values(approval_row(approval))
                .on_conflict_do_nothing()
                .returning(approvals.c.id)
            )
            if added.one_or_none() is None:
                return
            if withdraw is not None:
                await _withdraw(connection, approvals.c.id == withdraw, tenant_id=tenant_id)
            moved: dict[str, object] = {"asked": tool_calls.c.asked + 1}
            if approval.question is Question.PERMIT:
                moved |= {
                    "state": CallState.PENDING_APPROVAL.value,
                    "digest": approval.digest,
                    "preview": approval.preview,
                    "tool_version": approval.tool_version,
                    "verdict": verdict,
                }
            await connection.execute(
                update(tool_calls)
                .where(tool_calls.c.tenant_id == tenant_id, tool_calls.c.id == approval.call_id)
                .values(moved)
            )
            await append_events(connection, tenant_id, run_id=approval.run_id, events=(event,))
            await append_audit(connection, audit)

    async def grants(
        self, tenant_id: TenantId, *, requester_id: PrincipalId, run_id: RunId, tool: str
    ) -> tuple[Grant, ...]:
        """Return standing grants that may cover the requester's calls of ``tool`` in the run."""
        mine = or_(grants.c.requester_id.is_(None), grants.c.requester_id == requester_id)
        here = or_(grants.c.run_id.is_(None), grants.c.run_id == run_id)
        query = (
            select(grants)
            .where(grants.c.tenant_id == tenant_id, grants.c.tool == tool, mine, here)
            .where(grants.c.revoked_at.is_(None))
            .order_by(grants.c.created_at, grants.c.id)
            .limit(100)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            rows = (await connection.execute(query)).all()
            asked = await _answers(connection, tenant_id, ids=[row.approval_id for row in rows])
            people = await people_of(connection, tenant_id, ids=[one.principal_id for one in asked])
        return tuple(
            grant_of(
                row,
                granted_by=tuple(
                    people[one.principal_id] for one in asked if one.approval_id == row.approval_id
                ),
            )
            for row in rows
        )

    async def use(self, grant: Grant, *, now: datetime) -> bool:
        """Take one use of the grant; False where it is spent, revoked or over."""
        async with self._database.for_tenant(grant.tenant_id) as connection:
            used = await connection.execute(
                update(grants)
                .where(
                    grants.c.tenant_id == grant.tenant_id,
                    grants.c.id == grant.id,
                    grants.c.revoked_at.is_(None),
                    grants.c.expires_at > now,
                    or_(grants.c.uses_left.is_(None), grants.c.uses_left > 0),
                )
                .values(uses_left=grants.c.uses_left - cast(1, Integer))
                .returning(grants.c.id)
            )
            return used.one_or_none() is not None

    async def people(
        self, tenant_id: TenantId, *, ids: Sequence[PrincipalId]
    ) -> Mapping[PrincipalId, Principal]:
        """Return these people as they are now; who is disabled is missing."""
        if not ids:
            return {}
        query = select(principals).where(
            principals.c.tenant_id == tenant_id,
            principals.c.id.in_(set(ids)),
            principals.c.disabled_at.is_(None),
        )
        async with self._database.for_tenant(tenant_id) as connection:
            found = await connection.execute(query)
            return {PrincipalId(row.id): principal_of(row) for row in found}

    @asynccontextmanager
    async def closing(
        self, tenant_id: TenantId, *, approval_id: ApprovalId
    ) -> AsyncGenerator["LockedQuestion"]:
        """Open one transaction in which the question may be closed: run first, then question.

        Raises:
            NotFound: ``not_found``.
        """
        async with self._database.for_tenant(tenant_id) as connection:
            seen = await _one(connection, tenant_id, approval_id=approval_id)
            run = await run_row_of(connection, tenant_id, run_id=seen.run_id, lock=True)
            # Read again under the lock: the first look was only to find the run.
            approval = await _one(connection, tenant_id, approval_id=approval_id)
            yield LockedQuestion(connection, approval=approval, run=run)

    async def _where(self, tenant_id: TenantId, which: ColumnElement[bool]) -> tuple[Approval, ...]:
        query = (
            select(approvals)
            .where(approvals.c.tenant_id == tenant_id, which)
            .order_by(approvals.c.created_at, approvals.c.id)
            .limit(1000)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            rows = (await connection.execute(query)).all()
            return await _whole(connection, tenant_id, rows)


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
            )
            .on_conflict_do_nothing()
            .returning(decisions.c.principal_id)
        )
        if added.one_or_none() is None:
            raise Conflict("already_decided")

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
        rows = await _withdraw(self._connection, covered, tenant_id=grant.tenant_id)
        return await _whole(self._connection, grant.tenant_id, rows)

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


async def _withdraw(
    connection: AsyncConnection, which: ColumnElement[bool], *, tenant_id: TenantId
) -> Sequence[AnyRow]:
    withdrawn = await connection.execute(
        update(approvals)
        .where(approvals.c.tenant_id == tenant_id, approvals.c.state == "pending", which)
        .values(state=ApprovalState.WITHDRAWN.value, closed_at=func.now())
        .returning(approvals)
    )
    return withdrawn.all()


async def _one(
    connection: AsyncConnection, tenant_id: TenantId, *, approval_id: ApprovalId
) -> Approval:
    query = select(approvals).where(
        approvals.c.tenant_id == tenant_id, approvals.c.id == approval_id
    )
    rows = (await connection.execute(query)).all()
    if not rows:
        raise NotFound("not_found", noun="approval")
    return (await _whole(connection, tenant_id, rows))[0]


async def _answers(
    connection: AsyncConnection, tenant_id: TenantId, *, ids: Sequence[UUID]
) -> Sequence[AnyRow]:
    """Read what people have said to these questions, in the order in which they said it."""
    said = await connection.execute(
        select(decisions)
        .where(decisions.c.tenant_id == tenant_id, decisions.c.approval_id.in_(ids))
        .order_by(decisions.c.decided_at, decisions.c.principal_id)
    )
    return said.all()


async def _whole(
    connection: AsyncConnection, tenant_id: TenantId, rows: Sequence[AnyRow]
) -> tuple[Approval, ...]:
    """Read the answers and people of these questions."""
    if not rows:
        return ()
    said = await _answers(connection, tenant_id, ids=[row.id for row in rows])
    ids: list[UUID] = [*(row.requester_id for row in rows), *(row.principal_id for row in said)]
    people = await people_of(connection, tenant_id, ids=ids)
    return tuple(
        approval_of(
            row,
            requester=people[row.requester_id],
            answers=tuple(
                decision_of(one, principal=people[one.principal_id])
                for one in said
                if one.approval_id == row.id
            ),
        )
        for row in rows
    )

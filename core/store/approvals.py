"""Questions, answers and grants in PostgreSQL, and who is asked."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from core.domain.approval import Approval, ApprovalState, Grant, Question
from core.domain.audit import AuditRecord
from core.domain.canonical import JsonObject
from core.domain.ids import ApprovalId, CallId, PrincipalId, RunId, TenantId
from core.domain.journal import Happened
from core.domain.principal import Principal, Role
from core.domain.run import Lease
from core.domain.tool import CallState
from core.domain.verdict import Approvers
from core.errors import LeaseLost
from core.store.approval_reading import answers_of, question_of, questions_of, withdraw_open
from core.store.approval_rows import approval_row, grant_of
from core.store.database import Database
from core.store.deciding_tables import absences
from core.store.journal import append_audit, append_events
from core.store.locked_question import LockedQuestion
from core.store.principals import principal_of
from core.store.reading import people_of, run_row_of
from core.store.reminding import plan_of
from core.store.tables import approvals, grants, principals, tool_calls

_QUESTIONS = (
    select(approvals)
    .where(approvals.c.tenant_id == bindparam("tenant"))
    .order_by(approvals.c.created_at, approvals.c.id)
    .limit(1000)
)
_OF_CALL = _QUESTIONS.where(approvals.c.call_id == bindparam("of"))
_OF_RUN = _QUESTIONS.where(approvals.c.run_id == bindparam("of"))

_ASK = upsert(approvals).on_conflict_do_nothing().returning(approvals.c.id)
_ASKED = (
    update(tool_calls)
    .where(tool_calls.c.tenant_id == bindparam("tenant"), tool_calls.c.id == bindparam("call"))
    .values(asked=tool_calls.c.asked + 1)
)

_ABSENT = (
    select(principals)
    .join(
        absences,
        and_(
            absences.c.tenant_id == principals.c.tenant_id,
            absences.c.principal_id == principals.c.id,
        ),
    )
    .where(
        principals.c.tenant_id == bindparam("tenant"),
        principals.c.disabled_at.is_(None),
        absences.c.deputy_id == bindparam("deputy"),
        absences.c.until > bindparam("now"),
    )
    .order_by(principals.c.email)
    .limit(100)
)


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
            return await question_of(connection, tenant_id, approval_id=approval_id)

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
            return await questions_of(connection, tenant_id, rows)

    async def of_call(self, tenant_id: TenantId, *, call_id: CallId) -> tuple[Approval, ...]:
        """Return every question about a call, in the order in which they were asked."""
        return await self._where(tenant_id, _OF_CALL, of=call_id)

    async def of_run(self, tenant_id: TenantId, *, run_id: RunId) -> tuple[Approval, ...]:
        """Return every question about a run, in the order in which they were asked."""
        return await self._where(tenant_id, _OF_RUN, of=run_id)

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
            plan = await plan_of(connection, tenant_id)
            remind_at = plan.first(asked_at=approval.created_at)
            added = await connection.execute(
                _ASK, {**approval_row(approval), "remind_at": remind_at}
            )
            if added.one_or_none() is None:
                return
            if withdraw is not None:
                await withdraw_open(connection, approvals.c.id == withdraw, tenant_id=tenant_id)
            moved: dict[str, object] = {"tenant": tenant_id, "call": approval.call_id}
            if approval.question is Question.PERMIT:
                moved |= {
                    "state": CallState.PENDING_APPROVAL.value,
                    "digest": approval.digest,
                    "preview": approval.preview,
                    "tool_version": approval.tool_version,
                    "verdict": verdict,
                }
            await connection.execute(_ASKED, moved)
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
            asked = await answers_of(connection, tenant_id, ids=[row.approval_id for row in rows])
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

    async def able(
        self, tenant_id: TenantId, *, approvers: Approvers, limit: int
    ) -> tuple[Principal, ...]:
        """Return people of whom such a question may be asked, by email."""
        roles = {
            Role.MEMBER: tuple(Role),
            Role.APPROVER: (Role.APPROVER, Role.ADMIN),
            Role.ADMIN: (Role.ADMIN,),
        }
        query = (
            select(principals)
            .where(
                principals.c.tenant_id == tenant_id,
                principals.c.disabled_at.is_(None),
                _any_of(principals.c.roles, [role.value for role in roles[approvers.role]]),
            )
            .order_by(principals.c.email)
            .limit(limit)
        )
        if approvers.people:
            query = query.where(principals.c.email.in_(approvers.people))
        if approvers.groups:
            query = query.where(_any_of(principals.c.groups, sorted(approvers.groups)))
        async with self._database.for_tenant(tenant_id) as connection:
            return tuple(principal_of(row) for row in await connection.execute(query))

    async def absent(
        self, tenant_id: TenantId, *, deputy_id: PrincipalId, now: datetime
    ) -> tuple[Principal, ...]:
        """Return who is away now and has named this person their deputy, by email."""
        whose = {"tenant": tenant_id, "deputy": deputy_id, "now": now}
        async with self._database.for_tenant(tenant_id) as connection:
            return tuple(principal_of(row) for row in await connection.execute(_ABSENT, whose))

    async def deputies(
        self, tenant_id: TenantId, *, ids: Sequence[PrincipalId], now: datetime
    ) -> Mapping[PrincipalId, Principal]:
        """Return the deputies of those of these people who are away now, by who is away."""
        query = (
            select(absences.c.principal_id.label("absent_id"), *principals.c)
            .join(
                principals,
                and_(
                    absences.c.tenant_id == principals.c.tenant_id,
                    absences.c.deputy_id == principals.c.id,
                ),
            )
            .where(
                absences.c.tenant_id == tenant_id,
                absences.c.principal_id.in_(set(ids)),
                absences.c.until > now,
                principals.c.disabled_at.is_(None),
            )
        )
        async with self._database.for_tenant(tenant_id) as connection:
            rows = (await connection.execute(query)).all()
        return {PrincipalId(row.absent_id): principal_of(row) for row in rows}

    @asynccontextmanager
    async def closing(
        self, tenant_id: TenantId, *, approval_id: ApprovalId
    ) -> AsyncGenerator[LockedQuestion]:
        """Open one transaction in which the question may be closed: run first, then question.

        Raises:
            NotFound: ``not_found``.
        """
        async with self._database.for_tenant(tenant_id) as connection:
            seen = await question_of(connection, tenant_id, approval_id=approval_id)
            run = await run_row_of(connection, tenant_id, run_id=seen.run_id, lock=True)
            # Read again under the lock: the first look was only to find the run.
            approval = await question_of(connection, tenant_id, approval_id=approval_id)
            yield LockedQuestion(connection, approval=approval, run=run)

    async def _where(
        self, tenant_id: TenantId, query: Select[tuple[object, ...]], *, of: CallId | RunId
    ) -> tuple[Approval, ...]:
        async with self._database.for_tenant(tenant_id) as connection:
            rows = (await connection.execute(query, {"tenant": tenant_id, "of": of})).all()
            return await questions_of(connection, tenant_id, rows)


def _any_of(column: ColumnElement[list[str]], values: Sequence[str]) -> ColumnElement[bool]:
    """Whether an array of texts has any of these."""
    return column.op("&&", is_comparison=True)(cast(list(values), ARRAY(Text())))

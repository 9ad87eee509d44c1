"""Who is enrolled in a tenant; whoever is disabled is out, with all they came in by."""

from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Ended, Enrolled
from core.errors import NotFound
from core.store.database import Database
from core.store.families import end_families_of
from core.store.principals import principal_of
from core.store.rows import AnyRow
from core.store.sign_in_tables import one_time_links, sessions
from core.store.tables import access_tokens, principals


class Enrolment:
    """People as the operator sees them. What changes them raises the tenant's epoch."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    async def page(
        self, tenant_id: TenantId, *, after: str | None, limit: int
    ) -> tuple[Enrolled, ...]:
        """Return the tenant's people by email, those behind ``after``."""
        query = (
            select(principals)
            .where(principals.c.tenant_id == tenant_id)
            .order_by(principals.c.email)
            .limit(limit)
        )
        if after is not None:
            query = query.where(principals.c.email > after)
        async with self._database.for_tenant(tenant_id) as connection:
            return tuple(_enrolled(row) for row in (await connection.execute(query)).all())

    async def disable(
        self, tenant_id: TenantId, *, email: str, at: datetime
    ) -> tuple[Enrolled, Ended]:
        """Disable a person and end all that they could come in by, in one commit. Twice is once.

        Enabled again, they begin anew: nothing of it comes back.

        Raises:
            NotFound: ``not_found``.
        """
        async with self._database.for_tenant(tenant_id) as connection:
            disabled_at = func.coalesce(principals.c.disabled_at, at)
            person = await _set(connection, tenant_id, email=email, disabled_at=disabled_at)
            ended = await _end_all(connection, tenant_id, principal_id=person.principal.id, at=at)
        return person, ended

    async def enable(self, tenant_id: TenantId, *, email: str) -> Enrolled:
        """Let a person come in again. Twice is once.

        Raises:
            NotFound: ``not_found``.
        """
        async with self._database.for_tenant(tenant_id) as connection:
            return await _set(connection, tenant_id, email=email, disabled_at=None)


async def _set(
    connection: AsyncConnection,
    tenant_id: TenantId,
    *,
    email: str,
    disabled_at: ColumnElement[datetime] | None,
) -> Enrolled:
    changed = await connection.execute(
        update(principals)
        .where(principals.c.tenant_id == tenant_id, principals.c.email == email.lower())
        .values(disabled_at=disabled_at)
        .returning(*principals.c)
    )
    row = changed.one_or_none()
    if row is None:
        raise NotFound("not_found", noun="person")
    return _enrolled(row)


async def _end_all(
    connection: AsyncConnection, tenant_id: TenantId, *, principal_id: PrincipalId, at: datetime
) -> Ended:
    clients = await end_families_of(connection, tenant_id, principal_id=principal_id, at=at)
    link, session, token = one_time_links.c, sessions.c, access_tokens.c
    await connection.execute(
        delete(one_time_links).where(link.tenant_id == tenant_id, link.principal_id == principal_id)
    )
    ended = await connection.execute(
        update(sessions)
        .where(
            session.tenant_id == tenant_id,
            session.principal_id == principal_id,
            session.revoked_at.is_(None),
            session.expires_at > at,
        )
        .values(revoked_at=at)
        .returning(session.id)
    )
    revoked = await connection.execute(
        update(access_tokens)
        .where(
            token.tenant_id == tenant_id,
            token.principal_id == principal_id,
            token.revoked_at.is_(None),
            token.expires_at > at,
        )
        .values(revoked_at=at)
        .returning(token.id)
    )
    return Ended(sessions=len(ended.all()), clients=clients, tokens=len(revoked.all()))


def _enrolled(row: AnyRow) -> Enrolled:
    return Enrolled(
        principal=principal_of(row), created_at=row.created_at, disabled_at=row.disabled_at
    )

"""Where sign-in is kept: sessions and links by digest, so that the tables open nothing."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Table, delete, func, insert, select, update

from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Principal
from core.domain.sign_in import How, OneTimeLink, RoundTrip, Session
from core.errors import NotFound
from core.store.database import Database
from core.store.directory import Directory
from core.store.principals import principal_of
from core.store.rows import AnyRow
from core.store.sign_in_tables import one_time_links, sessions, sign_in_states
from core.store.tables import principals

_LINKS_KEPT = timedelta(days=1)


class StoredSignIn:
    """Sessions, one-time links and round trips on PostgreSQL."""

    def __init__(self, database: Database, *, directory: Directory) -> None:
        """Take the database, and the directory that says whose a digest is."""
        self._database = database
        self._directory = directory

    async def keep_session(self, session: Session, *, secret_hash: bytes) -> None:
        """Keep a new session; those of the person that have ended are forgotten."""
        tenant_id = session.principal.tenant_id
        ended = delete(sessions).where(
            sessions.c.tenant_id == tenant_id,
            sessions.c.principal_id == session.principal.id,
            sessions.c.expires_at <= session.created_at,
        )
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(ended)
            await connection.execute(
                insert(sessions).values(
                    tenant_id=tenant_id,
                    id=session.id,
                    secret_hash=secret_hash,
                    principal_id=session.principal.id,
                    how=session.how.value,
                    created_at=session.created_at,
                    expires_at=session.expires_at,
                )
            )

    async def session(self, secret_hash: bytes) -> Session | None:
        """Return the session of an enabled person, whatever its tenant; ended ones too."""
        routed = await self._directory.session(secret_hash)
        if routed is None:
            return None
        tenant_id, session_id = routed
        query = _of_people(sessions, tenant_id).where(
            sessions.c.id == session_id, principals.c.disabled_at.is_(None)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        return _session(row) if row is not None else None

    async def sessions(
        self, tenant_id: TenantId, *, now: datetime, after: UUID | None, limit: int
    ) -> tuple[Session, ...]:
        """Return the tenant's sessions that still count at ``now``, by id, behind ``after``."""
        query = (
            _of_people(sessions, tenant_id)
            .where(sessions.c.revoked_at.is_(None), sessions.c.expires_at > now)
            .order_by(sessions.c.id)
            .limit(limit)
        )
        if after is not None:
            query = query.where(sessions.c.id > after)
        async with self._database.for_tenant(tenant_id) as connection:
            return tuple(_session(row) for row in (await connection.execute(query)).all())

    async def revoke_session(
        self, tenant_id: TenantId, *, session_id: UUID, at: datetime
    ) -> Principal:
        """End a session and return whose it was; the first end's time stays.

        Raises:
            NotFound: ``not_found``.
        """
        ended = await self._revoke(tenant_id, sessions.c.id == session_id, at=at)
        if not ended:
            raise NotFound("not_found", noun="session")
        async with self._database.for_tenant(tenant_id) as connection:
            row = (
                await connection.execute(
                    select(principals).where(
                        principals.c.tenant_id == tenant_id, principals.c.id == ended[0]
                    )
                )
            ).one()
        return principal_of(row)

    async def revoke_sessions_of(
        self, tenant_id: TenantId, *, principal_id: PrincipalId, at: datetime
    ) -> int:
        """End every session of a person; return how many there were that counted."""
        of_person = sessions.c.principal_id == principal_id
        return len(
            await self._revoke(tenant_id, of_person & sessions.c.revoked_at.is_(None), at=at)
        )

    async def revoke_sessions_by(self, tenant_id: TenantId, *, how: How, at: datetime) -> int:
        """End every session that was begun in this way; return how many there were."""
        begun_so = sessions.c.how == how.value
        return len(await self._revoke(tenant_id, begun_so & sessions.c.revoked_at.is_(None), at=at))

    async def keep_link(self, link: OneTimeLink, *, link_hash: bytes) -> None:
        """Keep a new link; those of the tenant that ended a day before are forgotten."""
        tenant_id = link.principal.tenant_id
        ended = delete(one_time_links).where(
            one_time_links.c.tenant_id == tenant_id,
            one_time_links.c.expires_at < link.created_at - _LINKS_KEPT,
        )
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(ended)
            await connection.execute(
                insert(one_time_links).values(
                    tenant_id=tenant_id,
                    id=link.id,
                    link_hash=link_hash,
                    principal_id=link.principal.id,
                    return_to=link.return_to,
                    created_at=link.created_at,
                    expires_at=link.expires_at,
                )
            )

    async def link(self, link_hash: bytes) -> OneTimeLink | None:
        """Return the link of an enabled person, whatever its tenant; used and expired ones too."""
        routed = await self._directory.link(link_hash)
        if routed is None:
            return None
        tenant_id, link_id = routed
        query = _of_people(one_time_links, tenant_id).where(
            one_time_links.c.id == link_id, principals.c.disabled_at.is_(None)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        return _link(row) if row is not None else None

    async def use_link(self, link: OneTimeLink, *, at: datetime) -> bool:
        """Use the link up; False where somebody was quicker, or its time is over."""
        links, tenant_id = one_time_links.c, link.principal.tenant_id
        used = (
            update(one_time_links)
            .where(
                links.tenant_id == tenant_id,
                links.id == link.id,
                links.used_at.is_(None),
                links.expires_at > at,
            )
            .values(used_at=at)
            .returning(links.id)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            return (await connection.execute(used)).one_or_none() is not None

    async def keep_round_trip(self, trip: RoundTrip, *, state_hash: bytes, now: datetime) -> None:
        """Keep a sign-in that leaves for the provider; those that never came back are forgotten."""
        states = sign_in_states.c
        async with self._database.for_tenant(trip.tenant_id) as connection:
            await connection.execute(
                delete(sign_in_states).where(
                    states.tenant_id == trip.tenant_id, states.expires_at <= now
                )
            )
            await connection.execute(
                insert(sign_in_states).values(
                    tenant_id=trip.tenant_id,
                    state_hash=state_hash,
                    browser_hash=trip.browser_hash,
                    issuer=trip.issuer,
                    nonce=trip.nonce,
                    verifier=trip.verifier,
                    return_to=trip.return_to,
                    expires_at=trip.expires_at,
                )
            )

    async def take_round_trip(
        self, tenant_id: TenantId, *, state_hash: bytes, browser_hash: bytes, now: datetime
    ) -> RoundTrip | None:
        """Return the sign-in that left from this very browser and forget it; None if there is none.

        Another browser that comes with the state leaves it untouched.
        """
        states = sign_in_states.c
        taken = (
            delete(sign_in_states)
            .where(
                states.tenant_id == tenant_id,
                states.state_hash == state_hash,
                states.browser_hash == browser_hash,
                states.expires_at > now,
            )
            .returning(*states)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(taken)).one_or_none()
        return _round_trip(row) if row is not None else None

    async def _revoke(
        self, tenant_id: TenantId, which: ColumnElement[bool], *, at: datetime
    ) -> Sequence[UUID]:
        ended = (
            update(sessions)
            .where(sessions.c.tenant_id == tenant_id, which)
            .values(revoked_at=func.coalesce(sessions.c.revoked_at, at))
            .returning(sessions.c.principal_id)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            return (await connection.execute(ended)).scalars().all()


def _of_people(table: Table, tenant_id: TenantId) -> Select[tuple[object, ...]]:
    """Select a table's rows with their people; what both have is named ``own_…`` for the row's."""
    own = [column.label(f"own_{column.name}") for column in table.columns]
    return (
        select(principals, *own)
        .join_from(
            table,
            principals,
            (principals.c.tenant_id == table.c.tenant_id)
            & (principals.c.id == table.c.principal_id),
        )
        .where(table.c.tenant_id == tenant_id)
    )


def _session(row: AnyRow) -> Session:
    return Session(
        id=row.own_id,
        principal=principal_of(row),
        how=How(row.own_how),
        created_at=row.own_created_at,
        expires_at=row.own_expires_at,
        revoked_at=row.own_revoked_at,
    )


def _link(row: AnyRow) -> OneTimeLink:
    return OneTimeLink(
        id=row.own_id,
        principal=principal_of(row),
        return_to=row.own_return_to,
        created_at=row.own_created_at,
        expires_at=row.own_expires_at,
        used_at=row.own_used_at,
    )


def _round_trip(row: AnyRow) -> RoundTrip:
    return RoundTrip(
        tenant_id=TenantId(row.tenant_id),
        browser_hash=row.browser_hash,
        issuer=row.issuer,
        nonce=row.nonce,
        verifier=row.verifier,
        return_to=row.return_to,
        expires_at=row.expires_at,
    )

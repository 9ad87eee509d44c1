"""What sign-ins have led to: codes, families and refresh tokens, each secret as its SHA-256."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.authorization import Code, Family, Issue, RefreshToken, TakenCode
from core.domain.ids import PrincipalId, TenantId, TokenId
from core.domain.sign_in import How
from core.store.authorization_tables import (
    oauth_clients,
    oauth_codes,
    oauth_families,
    oauth_refresh_tokens,
)
from core.store.database import Database
from core.store.directory import Directory
from core.store.principals import principal_of
from core.store.rows import AnyRow
from core.store.tables import access_tokens, principals

_USED_EVERY: Final = timedelta(days=1)
_REPLAYS_FOR: Final = timedelta(days=1)
_EXPIRED_FOR: Final = timedelta(hours=1)

_FORGET_ACCESS = delete(access_tokens).where(
    access_tokens.c.tenant_id == bindparam("tenant"),
    access_tokens.c.expires_at < bindparam("before"),
    select(oauth_refresh_tokens.c.access_token_id)
    .where(
        oauth_refresh_tokens.c.tenant_id == bindparam("tenant"),
        oauth_refresh_tokens.c.access_token_id == access_tokens.c.id,
    )
    .exists(),
)
_FORGET_CODES = delete(oauth_codes).where(
    oauth_codes.c.tenant_id == bindparam("tenant"), oauth_codes.c.expires_at < bindparam("before")
)
_FORGET_REFRESH = delete(oauth_refresh_tokens).where(
    oauth_refresh_tokens.c.tenant_id == bindparam("tenant"),
    oauth_refresh_tokens.c.expires_at < bindparam("before"),
)
_FORGET_FAMILIES = delete(oauth_families).where(
    oauth_families.c.tenant_id == bindparam("tenant"),
    oauth_families.c.ends_at < bindparam("before"),
)


class StoredFamilies:
    """Codes and families on PostgreSQL; the directory says whose a digest is."""

    def __init__(self, database: Database, *, directory: Directory) -> None:
        """Take the database and the directory."""
        self._database = database
        self._directory = directory

    async def take_code(self, code_hash: bytes, *, at: datetime) -> TakenCode | None:
        """Use the code of an enabled person up, and return it.

        One that was used before ends the family that it began, or never lets it begin.
        """
        tenant_id = await self._directory.code(code_hash)
        if tenant_id is None:
            return None
        row = oauth_codes.c
        this = and_(row.tenant_id == tenant_id, row.code_hash == code_hash)
        async with self._database.for_tenant(tenant_id) as connection:
            found = (
                await connection.execute(
                    select(
                        principals,
                        row.client_id,
                        row.redirect_uri,
                        row.challenge,
                        row.resource,
                        row.scopes,
                        row.family_id,
                        row.how,
                        row.expires_at,
                        row.used_at,
                    )
                    .join_from(oauth_codes, principals, _person_of(oauth_codes))
                    .where(this, principals.c.disabled_at.is_(None))
                    .with_for_update(of=oauth_codes)
                )
            ).one_or_none()
            if found is None:
                return None
            is_replay = found.used_at is not None
            taken = {"replayed_at": at} if is_replay else {"used_at": at}
            await connection.execute(update(oauth_codes).where(this).values(taken))
            if is_replay:
                await _end(connection, tenant_id, family_id=found.family_id, at=at)
        return TakenCode(code=_code(found), is_replay=is_replay)

    async def begin(self, issue: Issue, *, code_hash: bytes) -> bool:
        """Keep a family with its first tokens; False where its code has been replayed meanwhile."""
        family = issue.family
        row = oauth_codes.c
        replayed = (
            select(row.replayed_at)
            .where(row.tenant_id == family.tenant_id, row.code_hash == code_hash)
            .with_for_update()
        )
        async with self._database.for_tenant(family.tenant_id) as connection:
            found = (await connection.execute(replayed)).one_or_none()
            if found is None or found.replayed_at is not None:
                return False
            await connection.execute(
                insert(oauth_families).values(
                    tenant_id=family.tenant_id,
                    id=family.id,
                    principal_id=family.principal.id,
                    client_id=family.client_id,
                    resource=family.resource,
                    scopes=sorted(family.scopes),
                    how=family.how.value if family.how else None,
                    created_at=family.created_at,
                    ends_at=family.ends_at,
                )
            )
            await _keep(connection, issue)
        return True

    async def refresh_token(self, token_hash: bytes) -> RefreshToken | None:
        """Return the refresh token of an enabled person; used, expired and revoked ones too."""
        tenant_id = await self._directory.refresh_token(token_hash)
        if tenant_id is None:
            return None
        token = oauth_refresh_tokens.c
        query = _refresh_tokens().where(
            token.tenant_id == tenant_id,
            token.token_hash == token_hash,
            principals.c.disabled_at.is_(None),
        )
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        return _refresh_token(row) if row is not None else None

    async def roll(self, used: RefreshToken, *, issue: Issue, at: datetime) -> bool:
        """Use a refresh token up and keep what follows it; False where it was used up already.

        False as well where its family has ended meanwhile.
        """
        tenant_id = used.family.tenant_id
        family, token = oauth_families.c, oauth_refresh_tokens.c
        standing = (
            select(family.id)
            .where(
                family.tenant_id == tenant_id,
                family.id == used.family.id,
                family.revoked_at.is_(None),
            )
            .with_for_update()
        )
        taken = (
            update(oauth_refresh_tokens)
            .where(
                token.tenant_id == tenant_id,
                token.token_hash == used.token_hash,
                token.used_at.is_(None),
            )
            .values(used_at=at)
            .returning(token.token_hash)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            for step in (standing, taken):
                if (await connection.execute(step)).one_or_none() is None:
                    return False
            await _keep(connection, issue)
        return True

    async def end(self, tenant_id: TenantId, *, family_id: UUID, at: datetime) -> None:
        """Revoke a family with all its tokens. Twice is once."""
        async with self._database.for_tenant(tenant_id) as connection:
            await _end(connection, tenant_id, family_id=family_id, at=at)

    async def end_all_of(
        self, tenant_id: TenantId, *, principal_id: PrincipalId, at: datetime
    ) -> int:
        """Revoke every family of a person with all its tokens; return how many there were.

        Codes that wait to be redeemed begin none any more.
        """
        async with self._database.for_tenant(tenant_id) as connection:
            return await end_families_of(connection, tenant_id, principal_id=principal_id, at=at)

    async def end_all_by_provider(self, tenant_id: TenantId, *, at: datetime) -> int:
        """Revoke every family that began with the provider's word; return how many there were.

        Where nobody knows how one began, it ends as well.
        """

        def vouched_for(table: Table) -> ColumnElement[bool]:
            return table.c.how.is_distinct_from(How.LINK.value)

        async with self._database.for_tenant(tenant_id) as connection:
            return await _end_all(connection, tenant_id, which=vouched_for, at=at)

    async def end_access(self, tenant_id: TenantId, *, token_id: TokenId, at: datetime) -> None:
        """Revoke one access token. Twice is once; one that is not there is none."""
        row = access_tokens.c
        this = and_(row.tenant_id == tenant_id, row.id == token_id, row.revoked_at.is_(None))
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(update(access_tokens).where(this).values(revoked_at=at))

    async def touch_client(self, client_id: str, *, at: datetime) -> None:
        """Remember that the client is in use; precise to a day, as it is many at a time."""
        row = oauth_clients.c
        stale = or_(row.used_at.is_(None), row.used_at < at - _USED_EVERY)
        used = update(oauth_clients).where(row.id == client_id, stale).values(used_at=at)
        async with self._database.without_tenant() as connection:
            await connection.execute(used)

    async def forget_ended(self, tenant_id: TenantId, *, at: datetime) -> None:
        """Delete what of the tenant's has ended for so long that nobody asks for it any more."""
        async with self._database.for_tenant(tenant_id) as connection:
            for forgotten, before in (
                (_FORGET_ACCESS, at - _EXPIRED_FOR),
                (_FORGET_CODES, at - _REPLAYS_FOR),
                (_FORGET_REFRESH, at),
                (_FORGET_FAMILIES, at),
            ):
                await connection.execute(forgotten, {"tenant": tenant_id, "before": before})


async def end_families_of(
    connection: AsyncConnection, tenant_id: TenantId, *, principal_id: PrincipalId, at: datetime
) -> int:
    """Revoke every family of a person in the transaction of ``connection``; see ``end_all_of``."""

    def theirs(table: Table) -> ColumnElement[bool]:
        return table.c.principal_id == principal_id

    return await _end_all(connection, tenant_id, which=theirs, at=at)


async def _end_all(
    connection: AsyncConnection,
    tenant_id: TenantId,
    *,
    which: Callable[[Table], ColumnElement[bool]],
    at: datetime,
) -> int:
    family = oauth_families.c
    # The codes first: whoever begins a family holds its code's row, and is seen below.
    await connection.execute(
        delete(oauth_codes).where(oauth_codes.c.tenant_id == tenant_id, which(oauth_codes))
    )
    standing = (
        select(family.id)
        .where(
            family.tenant_id == tenant_id,
            which(oauth_families),
            family.revoked_at.is_(None),
            family.ends_at > at,
        )
        .order_by(family.id)
        .with_for_update()
    )
    found = (await connection.execute(standing)).scalars().all()
    for family_id in found:
        await _end(connection, tenant_id, family_id=family_id, at=at)
    return len(found)


async def _keep(connection: AsyncConnection, issue: Issue) -> None:
    access, tenant_id = issue.access, issue.family.tenant_id
    await connection.execute(
        insert(access_tokens).values(
            tenant_id=tenant_id,
            id=access.id,
            principal_id=access.principal.id,
            token_hash=issue.access_hash,
            audience=access.audience.value,
            scopes=sorted(access.scopes),
            expires_at=access.expires_at,
            created_at=access.created_at,
        )
    )
    await connection.execute(
        insert(oauth_refresh_tokens).values(
            tenant_id=tenant_id,
            token_hash=issue.refresh_hash,
            family_id=issue.family.id,
            access_token_id=access.id,
            expires_at=issue.refresh_expires_at,
        )
    )


async def _end(
    connection: AsyncConnection, tenant_id: TenantId, *, family_id: UUID, at: datetime
) -> None:
    family, token, access = oauth_families.c, oauth_refresh_tokens.c, access_tokens.c
    # The family first: whoever rolls it on holds its row, and what they keep is seen below.
    await connection.execute(
        update(oauth_families)
        .where(family.tenant_id == tenant_id, family.id == family_id)
        .values(revoked_at=func.coalesce(family.revoked_at, at))
    )
    of_family = select(token.access_token_id).where(
        token.tenant_id == tenant_id, token.family_id == family_id
    )
    await connection.execute(
        update(access_tokens)
        .where(
            access.tenant_id == tenant_id,
            access.id.in_(of_family),
            access.revoked_at.is_(None),
            access.expires_at > at,
        )
        .values(revoked_at=at)
    )


def _refresh_tokens() -> Select[tuple[object, ...]]:
    family, token = oauth_families.c, oauth_refresh_tokens.c
    return (
        select(
            principals,
            token.token_hash,
            token.access_token_id,
            token.expires_at,
            token.used_at,
            family.id.label("family_id"),
            family.client_id,
            family.resource,
            family.scopes,
            family.how,
            family.created_at.label("began_at"),
            family.ends_at,
            family.revoked_at,
        )
        .join_from(
            oauth_refresh_tokens,
            oauth_families,
            (family.tenant_id == token.tenant_id) & (family.id == token.family_id),
        )
        .join(principals, _person_of(oauth_families))
    )


def _person_of(table: Table) -> ColumnElement[bool]:
    return (principals.c.tenant_id == table.c.tenant_id) & (principals.c.id == table.c.principal_id)


def _code(row: AnyRow) -> Code:
    return Code(
        principal=principal_of(row),
        client_id=row.client_id,
        redirect_uri=row.redirect_uri,
        challenge=row.challenge,
        resource=row.resource,
        scopes=frozenset(row.scopes),
        family_id=row.family_id,
        how=How(row.how) if row.how else None,
        expires_at=row.expires_at,
    )


def _refresh_token(row: AnyRow) -> RefreshToken:
    return RefreshToken(
        token_hash=row.token_hash,
        family=Family(
            id=row.family_id,
            principal=principal_of(row),
            client_id=row.client_id,
            resource=row.resource,
            scopes=frozenset(row.scopes),
            how=How(row.how) if row.how else None,
            created_at=row.began_at,
            ends_at=row.ends_at,
            revoked_at=row.revoked_at,
        ),
        access_token_id=TokenId(row.access_token_id),
        expires_at=row.expires_at,
        used_at=row.used_at,
    )

"""Where tokens are kept: by digest, so that who reads the table has no token."""

from datetime import datetime

from sqlalchemy import any_, bindparam, func, insert, select, update

from core.domain.ids import PrincipalId, TenantId, TokenId
from core.domain.principal import Audience, Capability, Principal
from core.domain.token import Allowance, TokenRecord
from core.errors import NotFound
from core.store.capability_tables import capabilities
from core.store.database import Database
from core.store.directory import Directory
from core.store.principals import principal_of
from core.store.rows import AnyRow
from core.store.tables import access_tokens, principals, tenants

_EPOCH = select(tenants.c.epoch).where(tenants.c.id == bindparam("tenant"))

_PERSON = select(principals).where(
    principals.c.tenant_id == bindparam("tenant"),
    principals.c.id == bindparam("person"),
    principals.c.disabled_at.is_(None),
)

_ANCESTOR = access_tokens.alias("ancestor")

_ANCESTORS_STANDING = (
    select(func.count())
    .where(
        _ANCESTOR.c.tenant_id == bindparam("tenant"),
        _ANCESTOR.c.id == any_(access_tokens.c.ancestors),
        _ANCESTOR.c.revoked_at.is_(None),
    )
    .correlate(access_tokens)
    .scalar_subquery()
)

_TOKENS = (
    select(
        principals,
        access_tokens.c.id.label("token_id"),
        access_tokens.c.audience,
        access_tokens.c.scopes,
        access_tokens.c.expires_at,
        access_tokens.c.revoked_at,
        access_tokens.c.created_at.label("issued_at"),
        access_tokens.c.actors,
        access_tokens.c.ancestors,
        # Of the same snapshot: what is revoked after it has a higher one.
        tenants.c.epoch,
        (func.cardinality(access_tokens.c.ancestors) > _ANCESTORS_STANDING).label("is_cut_off"),
        capabilities.c.tools,
        capabilities.c.arguments,
    )
    .join_from(
        access_tokens,
        principals,
        (principals.c.tenant_id == access_tokens.c.tenant_id)
        & (principals.c.id == access_tokens.c.principal_id),
    )
    .join(tenants, tenants.c.id == access_tokens.c.tenant_id)
    .outerjoin(
        capabilities,
        (capabilities.c.tenant_id == access_tokens.c.tenant_id)
        & (capabilities.c.token_id == access_tokens.c.id),
    )
    .where(access_tokens.c.tenant_id == bindparam("tenant"))
)

_BY_ID = _TOKENS.where(access_tokens.c.id == bindparam("token"), principals.c.disabled_at.is_(None))


class StoredTokens:
    """Tokens on PostgreSQL; the directory says whose a digest is, the tenant's rows the rest."""

    def __init__(self, database: Database, *, directory: Directory) -> None:
        """Take the database and the directory."""
        self._database = database
        self._directory = directory

    async def keep(
        self, record: TokenRecord, *, token_hash: bytes, allowance: Allowance | None = None
    ) -> None:
        """Keep a new token; one for a few calls with how much it allows."""
        tenant_id = record.principal.tenant_id
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(
                insert(access_tokens).values(
                    tenant_id=tenant_id,
                    id=record.id,
                    principal_id=record.principal.id,
                    token_hash=token_hash,
                    audience=record.audience.value,
                    scopes=sorted(record.scopes),
                    expires_at=record.expires_at,
                    created_at=record.created_at,
                    actors=list(record.actors),
                    ancestors=list(record.ancestors),
                )
            )
            if record.capability is not None and allowance is not None:
                await connection.execute(
                    insert(capabilities).values(
                        tenant_id=tenant_id,
                        token_id=record.id,
                        tools=sorted(record.capability.tools),
                        arguments=record.capability.arguments,
                        uses_left=allowance.uses,
                        amount_left_micros=allowance.amount_micros,
                    )
                )

    async def by_hash(self, token_hash: bytes) -> TokenRecord | None:
        """Return the token of an enabled person, whatever its tenant; expired and revoked too."""
        routed = await self._directory.token(token_hash)
        if routed is None:
            return None
        tenant_id, token_id = routed
        return await self.by_id(tenant_id, token_id=token_id)

    async def by_id(self, tenant_id: TenantId, *, token_id: TokenId) -> TokenRecord | None:
        """Return the tenant's token of that id, of an enabled person; expired and revoked too."""
        which = {"tenant": tenant_id, "token": token_id}
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(_BY_ID, which)).one_or_none()
        return _token(row) if row is not None else None

    async def epoch(self, tenant_id: TenantId) -> int | None:
        """Return the tenant's epoch as it is now; None where there is no such tenant."""
        async with self._database.for_tenant(tenant_id) as connection:
            return (await connection.execute(_EPOCH, {"tenant": tenant_id})).scalar_one_or_none()

    async def person(self, tenant_id: TenantId, *, principal_id: PrincipalId) -> Principal | None:
        """Return the person as they are now; None where gone or disabled."""
        which = {"tenant": tenant_id, "person": principal_id}
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(_PERSON, which)).one_or_none()
        return principal_of(row) if row is not None else None

    async def revoke(self, tenant_id: TenantId, *, token_id: TokenId, at: datetime) -> None:
        """Make the token worthless; the first revocation's time stays.

        Raises:
            NotFound: ``not_found``.
        """
        revoked = (
            update(access_tokens)
            .where(access_tokens.c.tenant_id == tenant_id, access_tokens.c.id == token_id)
            .values(revoked_at=func.coalesce(access_tokens.c.revoked_at, at))
            .returning(access_tokens.c.id)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(revoked)).one_or_none()
        if row is None:
            raise NotFound("not_found", noun="token")

    async def page(
        self,
        tenant_id: TenantId,
        *,
        principal_id: PrincipalId | None,
        after: TokenId | None,
        limit: int,
    ) -> tuple[TokenRecord, ...]:
        """Return the tenant's tokens, or one person's, by id, those behind ``after``.

        Of disabled people too.
        """
        query = _TOKENS.order_by(access_tokens.c.id).limit(limit)
        if principal_id is not None:
            query = query.where(access_tokens.c.principal_id == principal_id)
        if after is not None:
            query = query.where(access_tokens.c.id > after)
        async with self._database.for_tenant(tenant_id) as connection:
            found = await connection.execute(query, {"tenant": tenant_id})
            return tuple(_token(row) for row in found.all())


def _token(row: AnyRow) -> TokenRecord:
    return TokenRecord(
        id=TokenId(row.token_id),
        principal=principal_of(row),
        audience=Audience(row.audience),
        scopes=frozenset(row.scopes),
        expires_at=row.expires_at,
        created_at=row.issued_at,
        revoked_at=row.revoked_at,
        actors=tuple(row.actors),
        ancestors=tuple(TokenId(one) for one in row.ancestors),
        is_cut_off=row.is_cut_off,
        epoch=row.epoch,
        capability=Capability(
            token_id=TokenId(row.token_id), tools=frozenset(row.tools), arguments=row.arguments
        )
        if row.tools
        else None,
    )

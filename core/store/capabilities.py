"""What is left of tokens for a few calls: each use is one conditional update."""

from datetime import datetime

from sqlalchemy import bindparam, exists, select, update

from core.domain.ids import TenantId, TokenId
from core.store.capability_tables import capabilities
from core.store.database import Database
from core.store.tables import access_tokens

_STANDS = exists(
    select(access_tokens.c.id).where(
        access_tokens.c.tenant_id == bindparam("tenant"),
        access_tokens.c.id == bindparam("token"),
        access_tokens.c.revoked_at.is_(None),
        access_tokens.c.expires_at > bindparam("at"),
    )
)

_SPEND = (
    update(capabilities)
    .where(
        capabilities.c.tenant_id == bindparam("tenant"),
        capabilities.c.token_id == bindparam("token"),
        capabilities.c.uses_left > 0,
        capabilities.c.amount_left_micros >= bindparam("micros"),
        _STANDS,
    )
    .values(
        uses_left=capabilities.c.uses_left - 1,
        amount_left_micros=capabilities.c.amount_left_micros - bindparam("micros"),
    )
    .returning(capabilities.c.uses_left)
)


class StoredCapabilities:
    """The Capabilities port on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        """Take the way to the database."""
        self._database = database

    async def spend(
        self, tenant_id: TenantId, *, token_id: TokenId, micros: int, at: datetime
    ) -> bool:
        """Take one use and ``micros`` from the token; see the port."""
        values = {"tenant": tenant_id, "token": token_id, "micros": micros, "at": at}
        async with self._database.for_tenant(tenant_id) as connection:
            return (await connection.execute(_SPEND, values)).one_or_none() is not None

    async def give_back(self, tenant_id: TenantId, *, token_id: TokenId, micros: int) -> None:
        """Undo one ``spend``; see the port."""
        kept = capabilities.c
        returned = (
            update(capabilities)
            .where(kept.tenant_id == tenant_id, kept.token_id == token_id)
            .values(
                uses_left=kept.uses_left + 1,
                amount_left_micros=kept.amount_left_micros + micros,
            )
        )
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(returned)

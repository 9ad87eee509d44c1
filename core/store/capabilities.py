"""What is left of tokens for a few calls: each use is one conditional update."""

from datetime import datetime

from sqlalchemy import exists, select, update

from core.domain.ids import TenantId, TokenId
from core.store.capability_tables import capabilities
from core.store.database import Database
from core.store.tables import access_tokens


class StoredCapabilities:
    """The Capabilities port on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        """Take the way to the database."""
        self._database = database

    async def spend(
        self, tenant_id: TenantId, *, token_id: TokenId, micros: int, at: datetime
    ) -> bool:
        """Take one use and ``micros`` from the token; see the port."""
        kept, token = capabilities.c, access_tokens.c
        stands = exists(
            select(token.id).where(
                token.tenant_id == tenant_id,
                token.id == token_id,
                token.revoked_at.is_(None),
                token.expires_at > at,
            )
        )
        spent = (
            update(capabilities)
            .where(
                kept.tenant_id == tenant_id,
                kept.token_id == token_id,
                kept.uses_left > 0,
                kept.amount_left_micros >= micros,
                stands,
            )
            .values(
                uses_left=kept.uses_left - 1,
                amount_left_micros=kept.amount_left_micros - micros,
            )
            .returning(kept.uses_left)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            return (await connection.execute(spent)).one_or_none() is not None

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

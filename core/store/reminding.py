"""How tenants remind of questions."""

from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.ids import TenantId
from core.domain.reminding import Reminding
from core.store.database import Database
from core.store.deciding_tables import approval_settings

_MINUTE = timedelta(minutes=1)


class StoredReminding:
    """A row of a tenant that wants it otherwise; questions put from then on go by it."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    async def of(self, tenant_id: TenantId) -> Reminding:
        """Return how the tenant reminds."""
        async with self._database.for_tenant(tenant_id) as connection:
            return await plan_of(connection, tenant_id)

    async def keep(self, tenant_id: TenantId, *, plan: Reminding) -> None:
        """Have the tenant remind so, to the minute."""
        escalate = plan.escalate_after
        told: dict[str, object] = {
            "remind_minutes": [each // _MINUTE for each in plan.after],
            "escalate_minutes": None if escalate is None else escalate // _MINUTE,
            "escalate_to": plan.escalate_to or None,
            "changed_at": func.now(),
        }
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(
                upsert(approval_settings)
                .values(tenant_id=tenant_id, **told)
                .on_conflict_do_update(index_elements=[approval_settings.c.tenant_id], set_=told)
            )

    async def forget(self, tenant_id: TenantId) -> None:
        """Have the tenant remind as everybody does."""
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(
                delete(approval_settings).where(approval_settings.c.tenant_id == tenant_id)
            )


async def plan_of(connection: AsyncConnection, tenant_id: TenantId) -> Reminding:
    """Return how the tenant reminds of questions."""
    query = select(approval_settings).where(approval_settings.c.tenant_id == tenant_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return Reminding()
    escalate = row.escalate_minutes
    return Reminding(
        after=tuple(each * _MINUTE for each in row.remind_minutes),
        escalate_after=None if escalate is None else escalate * _MINUTE,
        escalate_to=row.escalate_to or "",
    )

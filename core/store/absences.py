"""Who is away, until when, and who decides in their place."""

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as upsert

from core.domain.audit import AuditRecord
from core.domain.ids import PrincipalId, TenantId
from core.store.database import Database
from core.store.deciding_tables import absences
from core.store.journal import append_audit


class StoredAbsences:
    """One absence of a person at a time; a new one takes the place of the old."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    async def begin(
        self,
        tenant_id: TenantId,
        *,
        principal_id: PrincipalId,
        deputy_id: PrincipalId,
        since: datetime,
        until: datetime,
        audit: AuditRecord,
    ) -> None:
        """Write down that somebody is away."""
        told = {"deputy_id": deputy_id, "since": since, "until": until}
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(
                upsert(absences)
                .values(tenant_id=tenant_id, principal_id=principal_id, **told)
                .on_conflict_do_update(
                    index_elements=[absences.c.tenant_id, absences.c.principal_id], set_=told
                )
            )
            await append_audit(connection, audit)

    async def end(
        self, tenant_id: TenantId, *, principal_id: PrincipalId, audit: AuditRecord
    ) -> bool:
        """Write down that somebody is back; False where they were not away."""
        async with self._database.for_tenant(tenant_id) as connection:
            ended = await connection.execute(
                delete(absences)
                .where(absences.c.tenant_id == tenant_id, absences.c.principal_id == principal_id)
                .returning(absences.c.until)
            )
            until = ended.scalar_one_or_none()
            if until is not None:
                await append_audit(connection, audit)
        return until is not None

    async def of(
        self, tenant_id: TenantId, *, principal_id: PrincipalId, now: datetime
    ) -> tuple[PrincipalId, datetime] | None:
        """Return the deputy of somebody who is away now, and until when."""
        query = select(absences).where(
            absences.c.tenant_id == tenant_id,
            absences.c.principal_id == principal_id,
            absences.c.until > now,
        )
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else (PrincipalId(row.deputy_id), row.until)

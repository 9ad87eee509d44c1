"""What people think of what runs came to."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Row, bindparam, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.audit import AuditRecord
from core.domain.ids import RunId, TenantId
from core.domain.run import Feedback
from core.store.database import Database
from core.store.deciding_tables import run_feedback
from core.store.journal import append_audit

_MOST = 100

_OF_RUN = (
    select(run_feedback)
    .where(
        run_feedback.c.tenant_id == bindparam("tenant"), run_feedback.c.run_id == bindparam("run")
    )
    .order_by(run_feedback.c.given_at, run_feedback.c.principal_id)
    .limit(_MOST)
)


class StoredFeedback:
    """Each person's last word on a run."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    async def keep(
        self, tenant_id: TenantId, *, run_id: RunId, feedback: Feedback, audit: AuditRecord
    ) -> None:
        """Keep what somebody thinks, in the place of what they thought before."""
        told = {
            "good": feedback.good,
            "reason": feedback.reason,
            "given_at": feedback.given_at,
        }
        table = run_feedback.c
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(
                upsert(run_feedback)
                .values(
                    tenant_id=tenant_id,
                    run_id=run_id,
                    principal_id=feedback.principal.id,
                    **told,
                )
                .on_conflict_do_update(
                    index_elements=[table.tenant_id, table.run_id, table.principal_id], set_=told
                )
            )
            await append_audit(connection, audit)


async def feedback_rows(
    connection: AsyncConnection, tenant_id: TenantId, *, run_id: UUID
) -> Sequence[Row[tuple[object, ...]]]:
    """Read what people think of a run, in the order in which they said it."""
    return (await connection.execute(_OF_RUN, {"tenant": tenant_id, "run": run_id})).all()

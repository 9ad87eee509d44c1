"""The directory of the chat surfaces: whose workspace it is, and for whom something is due."""

from datetime import datetime

from sqlalchemy import Row, TextClause, text

from core.domain.ids import ApprovalId, RunId, TenantId
from core.store.database import Database


class ChatDirectory:
    """Looks across tenants, at routing columns only; no list is longer than 1000.

    Every method raises ``Unavailable`` (``database_unavailable``) where the database is gone.
    """

    def __init__(self, database: Database) -> None:
        """Take the way to the database."""
        self._database = database

    async def tenant_of(self, surface: str, *, workspace: str) -> TenantId | None:
        """Return whose workspace this is, left ones too; None where it is nobody's."""
        rows = await self._rows(_WORKSPACE, surface=surface, workspace=workspace)
        return TenantId(rows[0].id) if rows else None

    async def arrived(self, *, now: datetime, limit: int) -> tuple[TenantId, ...]:
        """Return tenants for whom something has arrived that nobody is handling."""
        return tuple(
            TenantId(row.tenant_id) for row in await self._rows(_ARRIVED, now=now, limit=limit)
        )

    async def deliveries(
        self, surface: str, *, now: datetime, limit: int
    ) -> tuple[tuple[TenantId, str], ...]:
        """Return workspaces, each with its tenant, for which something is to be delivered."""
        rows = await self._rows(_DELIVERIES, surface=surface, now=now, limit=limit)
        return tuple((TenantId(row.tenant_id), row.workspace) for row in rows)

    async def untold_runs(self, surface: str, *, limit: int) -> tuple[tuple[TenantId, RunId], ...]:
        """Return followed runs in which more has happened than was told."""
        rows = await self._rows(_UNTOLD, surface=surface, limit=limit)
        return tuple((TenantId(row.tenant_id), RunId(row.run_id)) for row in rows)

    async def news(self, *, limit: int) -> tuple[tuple[TenantId, ApprovalId], ...]:
        """Return questions that have changed since they were told, the longest changed first."""
        rows = await self._rows(_NEWS, limit=limit)
        return tuple((TenantId(row.tenant_id), ApprovalId(row.approval_id)) for row in rows)

    async def _rows(self, query: TextClause, **values: object) -> "list[Row[tuple[object, ...]]]":
        async with self._database.without_tenant() as connection:
            return list((await connection.execute(query, values)).all())


_WORKSPACE = text(
    "select id from directory_workspace(:surface, :workspace) as id where id is not null"
)
_ARRIVED = text("select tenant_id from directory_inbox_due(:now, :limit)")
_DELIVERIES = text("select * from directory_outbox_due(:surface, :now, :limit)")
_UNTOLD = text("select * from directory_chat_runs_due(:surface, :limit)")
_NEWS = text("select * from directory_chat_news(:limit)")

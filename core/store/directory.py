"""The only reads across tenants: routing columns, through functions that show nothing else."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, TextClause, func, select, text

from core.domain.chat import Surface
from core.domain.ids import ApprovalId, RunId, TenantId, TokenId
from core.domain.principal import Tier
from core.store.database import Database
from core.store.tables import workers


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantEntry:
    """A tenant as the directory lists it."""

    id: TenantId
    name: str
    tier: Tier
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DueSegment:
    """A segment that nobody may be driving; ``abandoned`` where its driver's heart is still."""

    tenant_id: TenantId
    run_id: RunId
    segment: int
    abandoned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DueApproval:
    """A question for which something is due: its end, or a reminder."""

    tenant_id: TenantId
    approval_id: ApprovalId


class Directory:
    """Looks across tenants. Every list has a limit; none is longer than 1000.

    Every method raises ``Unavailable`` (``database_unavailable``) where the database is gone.
    """

    def __init__(self, database: Database) -> None:
        """Take the way to the database."""
        self._database = database

    async def tenants(self, *, after: str = "", limit: int = 100) -> tuple[TenantEntry, ...]:
        """Return the tenants whose name comes after ``after``, by name."""
        return tuple(
            TenantEntry(
                id=TenantId(row.id), name=row.name, tier=Tier(row.tier), created_at=row.created_at
            )
            for row in await self._rows(_TENANTS, after=after, limit=limit)
        )

    async def tenant_id(self, name: str) -> TenantId | None:
        """Return the id of the tenant of that name."""
        rows = await self._rows(_TENANT, name=name)
        return TenantId(rows[0].id) if rows else None

    async def token(self, token_hash: bytes) -> tuple[TenantId, TokenId] | None:
        """Return whose token has this hash; whether it still counts is the tenant's to say."""
        rows = await self._rows(_TOKEN, hash=token_hash)
        return (TenantId(rows[0].tenant_id), TokenId(rows[0].token_id)) if rows else None

    async def session(self, secret_hash: bytes) -> tuple[TenantId, UUID] | None:
        """Return whose session has this hash; whether it still counts is the tenant's to say."""
        rows = await self._rows(_SESSION, hash=secret_hash)
        return (TenantId(rows[0].tenant_id), rows[0].session_id) if rows else None

    async def link(self, link_hash: bytes) -> tuple[TenantId, UUID] | None:
        """Return whose one-time link has this hash; whether it still counts, the tenant says."""
        rows = await self._rows(_LINK, hash=link_hash)
        return (TenantId(rows[0].tenant_id), rows[0].link_id) if rows else None

    async def tenant_of_domain(self, domain: str) -> TenantId | None:
        """Return whose provider speaks for this email domain; None where that is not just one."""
        rows = await self._rows(_OF_DOMAIN, domain=domain)
        return TenantId(rows[0].id) if len(rows) == 1 else None

    async def tenant_of_issuer(self, issuer: str, *, audience: str) -> TenantId | None:
        """Return which tenant takes tokens of this issuer's own, made for this audience."""
        rows = await self._rows(_OF_ISSUER, issuer=issuer, audience=audience)
        return TenantId(rows[0].id) if rows else None

    async def code(self, code_hash: bytes) -> TenantId | None:
        """Return whose authorization code this is, by its SHA-256; used and expired ones too."""
        return await self._owner(_CODE, code_hash)

    async def refresh_token(self, token_hash: bytes) -> TenantId | None:
        """Return whose refresh token this is, by its SHA-256; used and expired ones too."""
        return await self._owner(_REFRESH, token_hash)

    async def workspace(self, surface: Surface, workspace: str) -> TenantId | None:
        """Return whose workspace this is, whatever its state."""
        rows = await self._rows(_WORKSPACE, surface=surface.value, workspace=workspace)
        return TenantId(rows[0].tenant_id) if rows else None

    async def chat_tenants(self, surface: Surface) -> tuple[TenantId, ...]:
        """Return the tenants that have an active workspace on the surface; 1000 at most."""
        rows = await self._rows(_CHAT_TENANTS, surface=surface.value)
        return tuple(TenantId(row.id) for row in rows)

    async def install_state(self, state_hash: bytes) -> TenantId | None:
        """Return whose installation is under way by this state; whether it counts, it says."""
        return await self._owner(_INSTALL_STATE, state_hash)

    async def due_segments(
        self, *, queued_seconds: float, stale_seconds: float, limit: int
    ) -> tuple[DueSegment, ...]:
        """Return segments queued for longer than that, and those driven by a worker without pulse.

        ``limit`` holds for each kind; the longest queued come first.
        """
        rows = await self._rows(
            _DUE_SEGMENTS, queued=queued_seconds, stale=stale_seconds, limit=limit
        )
        return tuple(_segment(row, abandoned=row.abandoned) for row in rows)

    async def driven_by(self, executor_id: str, *, limit: int) -> tuple[DueSegment, ...]:
        """Return what the rows say this worker drives."""
        rows = await self._rows(_DRIVEN_BY, driver=executor_id, limit=limit)
        return tuple(_segment(row, abandoned=False) for row in rows)

    async def alive_workers(self, *, stale_seconds: float) -> frozenset[str]:
        """Return the executor ids whose last beat is younger than that, by the database's clock."""
        fresh = func.clock_timestamp() - func.make_interval(0, 0, 0, 0, 0, 0, stale_seconds)
        alive = select(workers.c.executor_id).where(workers.c.beat_at > fresh)
        async with self._database.without_tenant() as connection:
            return frozenset((await connection.execute(alive)).scalars())

    async def due_approvals(self, *, now: datetime, limit: int) -> tuple[DueApproval, ...]:
        """Return pending approvals that have expired by ``now``, the longest expired first."""
        rows = await self._rows(_DUE_APPROVALS, now=now, limit=limit)
        return tuple(
            DueApproval(tenant_id=TenantId(row.tenant_id), approval_id=ApprovalId(row.approval_id))
            for row in rows
        )

    async def due_reminders(self, *, now: datetime, limit: int) -> tuple[DueApproval, ...]:
        """Return pending approvals of which to remind people by ``now``, the longest due first."""
        rows = await self._rows(_DUE_REMINDERS, now=now, limit=limit)
        return tuple(
            DueApproval(tenant_id=TenantId(row.tenant_id), approval_id=ApprovalId(row.approval_id))
            for row in rows
        )

    async def unsealed(self, *, limit: int) -> tuple[TenantId, ...]:
        """Return tenants with audit records that are complete and in no block yet."""
        return tuple(TenantId(row.id) for row in await self._rows(_UNSEALED, limit=limit))

    async def _owner(self, query: TextClause, digest: bytes) -> TenantId | None:
        rows = await self._rows(query, hash=digest)
        return TenantId(rows[0].tenant_id) if rows else None

    async def _rows(self, query: TextClause, **values: object) -> "list[Row[tuple[object, ...]]]":
        async with self._database.without_tenant() as connection:
            return list((await connection.execute(query, values)).all())


def _segment(row: "Row[tuple[object, ...]]", *, abandoned: bool) -> DueSegment:
    return DueSegment(
        tenant_id=TenantId(row.tenant_id),
        run_id=RunId(row.run_id),
        segment=row.segment,
        abandoned=abandoned,
    )


_TENANTS = text("select * from directory_tenants(:after, :limit)")
_TENANT = text("select id from directory_tenant(:name) as id where id is not null")
_TOKEN = text("select * from directory_token(:hash)")
_SESSION = text("select * from directory_session(:hash)")
_LINK = text("select * from directory_link(:hash)")
_OF_DOMAIN = text("select id from directory_tenants_of_domain(:domain) as id")
_OF_ISSUER = text(
    "select id from directory_tenant_of_issuer(:issuer, :audience) as id where id is not null"
)
_CODE = text("select id as tenant_id from directory_oauth_code(:hash) as id where id is not null")
_REFRESH = text(
    "select id as tenant_id from directory_oauth_refresh_token(:hash) as id where id is not null"
)
_WORKSPACE = text(
    "select id as tenant_id from directory_workspace(:surface, :workspace) as id"
    " where id is not null"
)
_CHAT_TENANTS = text("select id from directory_chat_tenants(:surface) as id order by id limit 1000")
_INSTALL_STATE = text(
    "select id as tenant_id from directory_install_state(:hash) as id where id is not null"
)
_DUE_SEGMENTS = text("select * from directory_due_segments(:queued, :stale, :limit)")
_DRIVEN_BY = text("select * from directory_driven_by(:driver, :limit)")
_DUE_APPROVALS = text("select * from directory_due_approvals(:now, :limit)")
_DUE_REMINDERS = text("select * from directory_due_reminders(:now, :limit)")
_UNSEALED = text("select id from directory_unsealed(:limit) as id")

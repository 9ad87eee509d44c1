"""Which upstream servers a tenant uses, and what was accepted of their tools."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Row, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.ids import CredentialRef, TenantId
from core.domain.tool import Tool
from core.domain.upstream import Connection, Definition, PinnedTool, PinState, Sighting, Terms
from core.errors import Conflict, NotFound
from core.store.database import Database
from core.store.upstream_rows import connection_of, pinned_of, tools_of
from core.store.upstream_tables import upstream_tools, upstreams

_MOST = 1000


class StoredUpstreams:
    """Connections and pinned tools on PostgreSQL. What changes them raises the tenant's epoch."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    async def connect(
        self,
        tenant_id: TenantId,
        *,
        upstream: str,
        credential: CredentialRef | None,
        by: str,
        at: datetime,
    ) -> Connection:
        """Connect the tenant, or give its connection this credential instead."""
        values = {"credential": credential, "connected_by": by, "connected_at": at}
        async with self._database.for_tenant(tenant_id) as connection:
            row = (
                await connection.execute(
                    upsert(upstreams)
                    .values(tenant_id=tenant_id, name=upstream, **values)
                    .on_conflict_do_update(
                        index_elements=[upstreams.c.tenant_id, upstreams.c.name],
                        set_={**values, "revision": upstreams.c.revision + 1},
                    )
                    .returning(*upstreams.c)
                )
            ).one()
        return connection_of(row)

    async def act_as_person(
        self, tenant_id: TenantId, *, upstream: str, scope: str | None
    ) -> Connection:
        """Have calls carry their person's own token of a scope; None: the company's credential.

        What people have let the agent do there under another scope is over.

        Raises:
            NotFound: ``upstream_not_connected``.
        """
        query = (
            update(upstreams)
            .where(upstreams.c.tenant_id == tenant_id, upstreams.c.name == upstream)
            .values(entra_scope=scope, revision=upstreams.c.revision + 1)
            .returning(*upstreams.c)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("upstream_not_connected", upstream=upstream)
        return connection_of(row)

    async def disconnect(self, tenant_id: TenantId, *, upstream: str) -> None:
        """Forget the connection and all that was accepted of it.

        Raises:
            NotFound: ``upstream_not_connected``.
        """
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(
                delete(upstream_tools).where(
                    upstream_tools.c.tenant_id == tenant_id, upstream_tools.c.upstream == upstream
                )
            )
            gone = await connection.execute(
                delete(upstreams)
                .where(upstreams.c.tenant_id == tenant_id, upstreams.c.name == upstream)
                .returning(upstreams.c.name)
            )
            if gone.one_or_none() is None:
                raise NotFound("upstream_not_connected", upstream=upstream)

    async def connection(self, tenant_id: TenantId, *, upstream: str) -> Connection:
        """Return how the tenant is connected.

        Raises:
            NotFound: ``upstream_not_connected``.
        """
        query = select(upstreams).where(
            upstreams.c.tenant_id == tenant_id, upstreams.c.name == upstream
        )
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("upstream_not_connected", upstream=upstream)
        return connection_of(row)

    async def connections(self, tenant_id: TenantId) -> tuple[Connection, ...]:
        """Return the tenant's connections, by name."""
        query = (
            select(upstreams)
            .where(upstreams.c.tenant_id == tenant_id)
            .order_by(upstreams.c.name)
            .limit(_MOST)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            rows = (await connection.execute(query)).all()
        return tuple(connection_of(row) for row in rows)

    async def tools(
        self, tenant_id: TenantId, *, upstream: str | None = None
    ) -> tuple[PinnedTool, ...]:
        """Return the tools of one upstream, or of all, by name."""
        query = select(upstream_tools).where(upstream_tools.c.tenant_id == tenant_id)
        if upstream is not None:
            query = query.where(upstream_tools.c.upstream == upstream)
        async with self._database.for_tenant(tenant_id) as connection:
            rows = (
                await connection.execute(query.order_by(upstream_tools.c.name).limit(_MOST))
            ).all()
        return tuple(pinned_of(row) for row in rows)

    async def accepted(self, tenant_id: TenantId) -> dict[str, Tool]:
        """Return the tools that may be called, by name."""
        query = select(upstream_tools).where(
            upstream_tools.c.tenant_id == tenant_id, upstream_tools.c.state == "accepted"
        )
        async with self._database.for_tenant(tenant_id) as connection:
            rows = await connection.execute(query.order_by(upstream_tools.c.name).limit(_MOST))
            return tools_of(rows.all())

    async def tool(self, tenant_id: TenantId, *, name: str) -> PinnedTool:
        """Return one tool.

        Raises:
            NotFound: ``unknown_tool``.
        """
        async with self._database.for_tenant(tenant_id) as connection:
            return pinned_of(await _locked(connection, tenant_id, name=name))

    async def saw(
        self, tenant_id: TenantId, *, upstream: str, sightings: Sequence[Sighting]
    ) -> tuple[str, ...]:
        """Keep what a server says of its tools now; return the names of those that changed by it.

        An accepted tool that is something else now is held, one that is not there any more is
        gone, and one that is what was accepted again is accepted again. Nothing is written where
        nothing has changed. A tenant that is not connected any more has seen nothing.
        """
        now = {one.name: one for one in sightings}
        async with self._database.for_tenant(tenant_id) as connection:
            connected = await connection.execute(
                select(upstreams.c.name)
                .where(upstreams.c.tenant_id == tenant_id, upstreams.c.name == upstream)
                .with_for_update()
            )
            if connected.one_or_none() is None:
                return ()
            rows = await connection.execute(
                select(upstream_tools)
                .where(
                    upstream_tools.c.tenant_id == tenant_id, upstream_tools.c.upstream == upstream
                )
                .order_by(upstream_tools.c.name)
                .limit(_MOST)
            )
            known = {row.name: row for row in rows}
            changed = [
                name
                for name in sorted({*known, *now})
                if await _see(
                    connection,
                    tenant_id,
                    upstream=upstream,
                    name=name,
                    row=known.get(name),
                    sighting=now.get(name),
                )
            ]
        return tuple(changed)

    async def accept(
        self, tenant_id: TenantId, *, name: str, digest: str, by: str, at: datetime
    ) -> PinnedTool:
        """Accept what the server says of a tool now: exactly the definition of that digest.

        Raises:
            NotFound: ``unknown_tool``.
            Conflict: ``nothing_to_accept``; ``upstream_changed_again``: it is yet another by now;
                or the code of what is wrong with it.
        """
        async with self._database.for_tenant(tenant_id) as connection:
            row = await _locked(connection, tenant_id, name=name)
            if row.state not in {PinState.NEW.value, PinState.HELD.value}:
                raise Conflict("nothing_to_accept", tool=name)
            if row.fault is not None:
                raise Conflict("upstream_tool_unusable", tool=name, detail=row.fault)
            if row.seen_digest != digest:
                raise Conflict("upstream_changed_again", tool=name)
            return await _changed(
                connection,
                tenant_id,
                name=name,
                values={
                    "state": PinState.ACCEPTED.value,
                    "accepted": row.seen,
                    "accepted_digest": row.seen_digest,
                    "seen": None,
                    "seen_digest": None,
                    "accepted_by": by,
                    "accepted_at": at,
                    "version": row.version + (0 if row.accepted is None else 1),
                },
            )

    async def set_terms(self, tenant_id: TenantId, *, name: str, terms: Terms) -> PinnedTool:
        """Have a tool's calls be judged by these terms; what was allowed under others is not.

        Raises:
            NotFound: ``unknown_tool``.
        """
        async with self._database.for_tenant(tenant_id) as connection:
            row = await _locked(connection, tenant_id, name=name)
            return await _changed(
                connection,
                tenant_id,
                name=name,
                values={
                    "risk": terms.risk.value,
                    "approver": terms.approver.value,
                    "needed": terms.needed,
                    "idempotent": terms.idempotent,
                    "timeout_seconds": terms.timeout_seconds,
                    "version": row.version + 1,
                },
            )


async def _see(
    connection: AsyncConnection,
    tenant_id: TenantId,
    *,
    upstream: str,
    name: str,
    row: Row[tuple[object, ...]] | None,
    sighting: Sighting | None,
) -> bool:
    """Keep what was seen of one tool; return whether that is anything new."""
    if row is None:
        if sighting is None:
            return False
        values = {**_seen(sighting.definition), "state": "new", "fault": sighting.fault}
        added = await connection.execute(
            upsert(upstream_tools)
            .values(tenant_id=tenant_id, name=name, upstream=upstream, **values)
            # Another upstream's tool may have the name: it keeps it.
            .on_conflict_do_nothing()
            .returning(upstream_tools.c.name)
        )
        return added.one_or_none() is not None
    if sighting is None and row.accepted is None:
        await connection.execute(
            delete(upstream_tools).where(
                upstream_tools.c.tenant_id == tenant_id, upstream_tools.c.name == name
            )
        )
        return True
    values = _standing_of(row, sighting)
    if all(getattr(row, column) == value for column, value in values.items()):
        return False
    await _changed(connection, tenant_id, name=name, values=values)
    return True


def _standing_of(row: Row[tuple[object, ...]], sighting: Sighting | None) -> dict[str, object]:
    """Return the columns of a tool that was known before, after it was seen like this."""
    if sighting is None:
        return {"state": "gone", "seen": None, "seen_digest": None, "fault": None}
    seen = _seen(sighting.definition)
    if row.accepted is None:
        return {**seen, "state": "new", "fault": sighting.fault}
    if sighting.fault is None and seen["seen_digest"] == row.accepted_digest:
        return {"state": "accepted", "seen": None, "seen_digest": None, "fault": None}
    return {**seen, "state": "held", "fault": sighting.fault}


def _seen(definition: Definition) -> dict[str, object]:
    return {"seen": definition.as_json(), "seen_digest": definition.digest}


async def _locked(
    connection: AsyncConnection, tenant_id: TenantId, *, name: str
) -> Row[tuple[object, ...]]:
    query = (
        select(upstream_tools)
        .where(upstream_tools.c.tenant_id == tenant_id, upstream_tools.c.name == name)
        .with_for_update()
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound("unknown_tool", tool=name[:200])
    return row


async def _changed(
    connection: AsyncConnection,
    tenant_id: TenantId,
    *,
    name: str,
    values: Mapping[str, object],
) -> PinnedTool:
    changed = await connection.execute(
        update(upstream_tools)
        .where(upstream_tools.c.tenant_id == tenant_id, upstream_tools.c.name == name)
        .values(**values)
        .returning(*upstream_tools.c)
    )
    return pinned_of(changed.one())

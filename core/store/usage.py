"""What was spent on what: the metered facts of a tenant, added up."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, func, or_, select

from core.domain.ids import PrincipalId, TenantId
from core.store.database import Database
from core.store.tables import runs, tool_calls, usage_events

_MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotal:
    """What one model (``kind`` model) or tool (``kind`` tool) was used for, in micro-dollars."""

    kind: str
    name: str
    provider: str | None
    count: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_micros: int


class StoredUsage:
    """Reads what the journal has metered."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    async def totals(
        self,
        tenant_id: TenantId,
        *,
        requester_id: PrincipalId | None,
        since: datetime | None,
        until: datetime | None,
    ) -> tuple[UsageTotal, ...]:
        """Return totals by kind, name and provider; of one requester where one is named.

        ``since`` is included, ``until`` is not. The thousand costliest at most, costliest first.
        """
        where: list[ColumnElement[bool]] = [usage_events.c.tenant_id == tenant_id]
        if requester_id is not None:
            where.append(_of(requester_id))
        if since is not None:
            where.append(usage_events.c.at >= since)
        if until is not None:
            where.append(usage_events.c.at < until)
        cost = func.sum(usage_events.c.cost_micros)
        key = (usage_events.c.kind, usage_events.c.name, usage_events.c.provider)
        query = (
            select(
                *key,
                func.count().label("times"),
                func.sum(usage_events.c.input_tokens).label("input_tokens"),
                func.sum(usage_events.c.output_tokens).label("output_tokens"),
                func.sum(usage_events.c.cache_read_tokens).label("cache_read_tokens"),
                func.sum(usage_events.c.cache_write_tokens).label("cache_write_tokens"),
                cost.label("cost_micros"),
            )
            .where(*where)
            .group_by(*key)
            .order_by(cost.desc(), *key)
            .limit(_MOST)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            rows = (await connection.execute(query)).all()
        return tuple(
            UsageTotal(
                kind=row.kind,
                name=row.name,
                provider=row.provider,
                count=row.times,
                input_tokens=int(row.input_tokens),
                output_tokens=int(row.output_tokens),
                cache_read_tokens=int(row.cache_read_tokens),
                cache_write_tokens=int(row.cache_write_tokens),
                cost_micros=int(row.cost_micros),
            )
            for row in rows
        )


def _of(requester_id: PrincipalId) -> ColumnElement[bool]:
    """Say whose an event is: its run's requester's, or its call's where there is no run."""
    run = exists().where(
        runs.c.tenant_id == usage_events.c.tenant_id,
        runs.c.id == usage_events.c.run_id,
        runs.c.requester_id == requester_id,
    )
    call = exists().where(
        tool_calls.c.tenant_id == usage_events.c.tenant_id,
        tool_calls.c.id == usage_events.c.call_id,
        tool_calls.c.requester_id == requester_id,
    )
    return or_(run, and_(usage_events.c.run_id.is_(None), call))

"""What arrives from chat surfaces: kept before the platform is answered, handled once, in order."""

from datetime import datetime
from typing import Final, cast
from uuid import UUID

from sqlalchemy import delete, select, text, update

from core.domain.canonical import JsonObject
from core.domain.delivery import Arrival, DeadLetter, Place
from core.domain.ids import TenantId
from core.errors import NotFound
from core.store.chat_arriving import GroupedArrivals
from core.store.chat_tables import inbox
from core.store.database import Database
from core.store.rows import AnyRow

# The first of a conversation is found by an index that is in its order. What a burst makes of the
# table the planner does not know yet: it would rather read and sort all that waits, for each row.
_BY_INDEX: Final = text("select set_config('enable_sort', 'off', true)")
# Of each conversation the first that is not handled, and no other: the rest waits for it. What is
# due is made out once: within the update it might be for each row again, each time up to the limit.
_CLAIM: Final = text(
    """
    with due as materialized (
      select i.id from inbox i
      where i.tenant_id = :tenant and i.surface = :surface
        and i.handled_at is null and i.due_at <= :now
        and (i.claimed_until is null or i.claimed_until <= :now)
        and i.id = (
          select first.id from inbox first
          where first.tenant_id = i.tenant_id and first.surface = i.surface
            and first.workspace = i.workspace and first.conversation = i.conversation
            and first.handled_at is null
          order by first.position, first.id limit 1)
      order by i.urgent desc, i.received_at limit :limit for update skip locked)
    update inbox set claimed_until = :until, attempts = attempts + 1
    from due where inbox.tenant_id = :tenant and inbox.id = due.id
    returning inbox.*
    """
)


class StoredInbox:
    """Arrivals on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database
        self._arriving = GroupedArrivals(database)

    async def take(self, tenant_id: TenantId, *, arrival: Arrival) -> bool:
        """Keep what arrived, with all that arrives at the same time; False where it is there."""
        return await self._arriving.take(tenant_id, arrival=arrival)

    async def claim(
        self, tenant_id: TenantId, *, surface: str, now: datetime, until: datetime, limit: int
    ) -> tuple[Arrival, ...]:
        """Return arrivals that are this caller's to handle until then, urgent ones first.

        At most one of each conversation: the next is due when it is handled.
        """
        values = {"tenant": tenant_id, "surface": surface, "now": now, "until": until}
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(_BY_INDEX)
            rows = (await connection.execute(_CLAIM, {**values, "limit": limit})).all()
        arrivals = [_arrival(row) for row in rows]
        return tuple(sorted(arrivals, key=lambda one: (not one.urgent, one.received_at)))

    async def waits(self, tenant_id: TenantId, *, place: Place) -> bool:
        """Return whether something that was said in a conversation is yet to be handled."""
        query = (
            select(inbox.c.id)
            .where(
                inbox.c.tenant_id == tenant_id,
                inbox.c.surface == place.surface,
                inbox.c.workspace == place.workspace,
                inbox.c.conversation == place.address,
                inbox.c.handled_at.is_(None),
            )
            .limit(1)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            return (await connection.execute(query)).one_or_none() is not None

    async def payload(self, tenant_id: TenantId, *, arrival_id: UUID) -> JsonObject | None:
        """Return what was kept of an arrival; None where it is not there any more."""
        query = select(inbox.c.payload).where(
            inbox.c.tenant_id == tenant_id, inbox.c.id == arrival_id
        )
        async with self._database.for_tenant(tenant_id) as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    async def handled(self, arrival: Arrival, *, at: datetime) -> None:
        """Note that there is nothing left to do about it."""
        await self._change(arrival.tenant_id, arrival.id, handled_at=at, error=None)

    async def again(self, arrival: Arrival, *, at: datetime, error: str) -> None:
        """Have it handled again, at that time; ``error`` is why."""
        await self._change(
            arrival.tenant_id, arrival.id, due_at=at, claimed_until=None, error=error
        )

    async def dead(self, arrival: Arrival, *, at: datetime, error: str) -> None:
        """Give it up; it can be replayed by hand."""
        await self._change(arrival.tenant_id, arrival.id, handled_at=at, error=error)

    async def dead_letters(self, tenant_id: TenantId, *, limit: int) -> tuple[DeadLetter, ...]:
        """Return what was given up, newest first."""
        query = (
            select(inbox)
            .where(
                inbox.c.tenant_id == tenant_id,
                inbox.c.handled_at.is_not(None),
                inbox.c.error.is_not(None),
            )
            .order_by(inbox.c.received_at.desc(), inbox.c.id)
            .limit(limit)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            return tuple(_letter(row) for row in (await connection.execute(query)).all())

    async def replay(self, tenant_id: TenantId, *, letter: UUID, at: datetime) -> None:
        """Have what was given up handled again.

        Raises:
            NotFound: ``not_found``: there is no such dead letter.
        """
        query = (
            update(inbox)
            .where(
                inbox.c.tenant_id == tenant_id,
                inbox.c.id == letter,
                inbox.c.handled_at.is_not(None),
                inbox.c.error.is_not(None),
            )
            .values(handled_at=None, claimed_until=None, attempts=0, due_at=at, error=None)
            .returning(inbox.c.id)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            if (await connection.execute(query)).one_or_none() is None:
                raise NotFound("not_found", noun="dead letter")

    async def forget(self, tenant_id: TenantId, *, before: datetime) -> None:
        """Delete what was handled before then; what was given up stays until it is replayed."""
        gone = delete(inbox).where(
            inbox.c.tenant_id == tenant_id, inbox.c.handled_at < before, inbox.c.error.is_(None)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(gone)

    async def _change(self, tenant_id: TenantId, arrival_id: UUID, **values: object) -> None:
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(
                update(inbox)
                .where(inbox.c.tenant_id == tenant_id, inbox.c.id == arrival_id)
                .values(**values)
            )


def _arrival(row: AnyRow) -> Arrival:
    return Arrival(
        id=row.id,
        tenant_id=TenantId(row.tenant_id),
        surface=row.surface,
        workspace=row.workspace,
        conversation=row.conversation,
        position=row.position,
        external_id=row.external_id,
        urgent=row.urgent,
        payload=cast("JsonObject", row.payload),
        attempts=row.attempts,
        received_at=row.received_at,
    )


def _letter(row: AnyRow) -> DeadLetter:
    return DeadLetter(
        id=row.id,
        way="in",
        place=Place(surface=row.surface, workspace=row.workspace, address=row.conversation),
        what=row.external_id,
        error=row.error,
        attempts=row.attempts,
        at=row.received_at,
    )

"""What is to be delivered to chat surfaces: the newest wish for each message, and what was sent."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, cast
from uuid import UUID, uuid4

from sqlalchemy import and_, bindparam, case, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.canonical import JsonObject
from core.domain.delivery import DeadLetter, Kind, Parcel, Place, Wish
from core.domain.ids import TenantId
from core.errors import NotFound
from core.store.chat_tables import chat_messages, chat_workspaces, outbox
from core.store.database import Database
from core.store.rows import AnyRow

_ORDER: Final = {kind.value: place for place, kind in enumerate(Kind)}
# Spelled out: with a parameter in it, PostgreSQL does not know its index again.
_WAITING: Final = text("state = 'waiting'")
_RANK: Final = case(_ORDER, value=outbox.c.kind)
_MESSAGE: Final = ("tenant_id", "surface", "workspace", "key")

_NEW_WISH = upsert(outbox)
_PUT = _NEW_WISH.on_conflict_do_update(
    index_elements=_MESSAGE,
    index_where=_WAITING,
    set_={
        "payload": _NEW_WISH.excluded.payload,
        "kind": _NEW_WISH.excluded.kind,
        "address": _NEW_WISH.excluded.address,
        "version": outbox.c.version + 1,
    },
)

_DUE = (
    select(outbox, chat_messages.c.sent)
    .outerjoin(
        chat_messages,
        and_(
            chat_messages.c.tenant_id == outbox.c.tenant_id,
            chat_messages.c.surface == outbox.c.surface,
            chat_messages.c.workspace == outbox.c.workspace,
            chat_messages.c.key == outbox.c.key,
        ),
    )
    .where(
        outbox.c.tenant_id == bindparam("tenant"),
        outbox.c.surface == bindparam("surface"),
        outbox.c.workspace == bindparam("workspace"),
        outbox.c.state == "waiting",
        outbox.c.due_at <= bindparam("now"),
    )
    .order_by(_RANK, outbox.c.created_at, outbox.c.id)
    .limit(bindparam("limit"))
)

_NEW_MESSAGE = upsert(chat_messages)
_SENT = _NEW_MESSAGE.on_conflict_do_update(
    index_elements=_MESSAGE, set_={"sent": _NEW_MESSAGE.excluded.sent, "changed_at": func.now()}
)

_DELIVERED = (
    update(outbox)
    .where(
        outbox.c.tenant_id == bindparam("tenant"),
        outbox.c.id == bindparam("parcel"),
        outbox.c.version == bindparam("seen"),
    )
    .values(state="delivered", delivered_at=bindparam("at"), error=None)
    .returning(outbox.c.id)
)


async def put_wish(connection: AsyncConnection, tenant_id: TenantId, *, wish: Wish) -> None:
    """Put a wish into a transaction; one for the same message that still waits is replaced."""
    await connection.execute(
        _PUT,
        {
            "tenant_id": tenant_id,
            "id": uuid4(),
            "surface": wish.place.surface,
            "workspace": wish.place.workspace,
            "address": wish.place.address,
            "key": wish.key,
            "kind": wish.kind.value,
            "payload": wish.payload,
        },
    )


class StoredOutbox:
    """Wishes and what became of them, on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    async def wish(self, tenant_id: TenantId, *, wishes: Sequence[Wish]) -> None:
        """Put wishes, all or none."""
        async with self._database.for_tenant(tenant_id) as connection:
            for one in wishes:
                await put_wish(connection, tenant_id, wish=one)

    async def lease(
        self,
        tenant_id: TenantId,
        *,
        surface: str,
        workspace: str,
        by: str,
        now: datetime,
        seconds: float,
    ) -> bool:
        """Be the only one who delivers to a workspace, for so long; False where another is."""
        free = or_(
            chat_workspaces.c.deliverer.is_(None),
            chat_workspaces.c.deliverer == by,
            chat_workspaces.c.delivers_until <= now,
        )
        query = (
            update(chat_workspaces)
            .where(
                chat_workspaces.c.tenant_id == tenant_id,
                chat_workspaces.c.surface == surface,
                chat_workspaces.c.workspace == workspace,
                free,
            )
            .values(deliverer=by, delivers_until=now + timedelta(seconds=seconds))
            .returning(chat_workspaces.c.workspace)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            return (await connection.execute(query)).one_or_none() is not None

    async def let_go(self, tenant_id: TenantId, *, surface: str, workspace: str, by: str) -> None:
        """Let another deliver at once."""
        query = (
            update(chat_workspaces)
            .where(
                chat_workspaces.c.tenant_id == tenant_id,
                chat_workspaces.c.surface == surface,
                chat_workspaces.c.workspace == workspace,
                chat_workspaces.c.deliverer == by,
            )
            .values(deliverer=None, delivers_until=None)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(query)

    async def due(
        self, tenant_id: TenantId, *, surface: str, workspace: str, now: datetime, limit: int
    ) -> tuple[Parcel, ...]:
        """Return what is to be delivered to a workspace now, the most pressing first."""
        which = {
            "tenant": tenant_id,
            "surface": surface,
            "workspace": workspace,
            "now": now,
            "limit": limit,
        }
        async with self._database.for_tenant(tenant_id) as connection:
            return tuple(_parcel(row) for row in (await connection.execute(_DUE, which)).all())

    async def sent(self, parcel: Parcel, *, sent: JsonObject) -> None:
        """Note what the platform has of a message now."""
        place = parcel.wish.place
        message = {
            "tenant_id": parcel.tenant_id,
            "surface": place.surface,
            "workspace": place.workspace,
            "key": parcel.wish.key,
            "sent": sent,
        }
        async with self._database.for_tenant(parcel.tenant_id) as connection:
            await connection.execute(_SENT, message)

    async def keys_of(
        self, tenant_id: TenantId, *, surface: str, workspace: str, message: str
    ) -> tuple[str, ...]:
        """Return what we call the messages that the platform calls ``message`` (their ``id``).

        There may be one in each of several conversations.
        """
        query = select(chat_messages.c.key).where(
            chat_messages.c.tenant_id == tenant_id,
            chat_messages.c.surface == surface,
            chat_messages.c.workspace == workspace,
            chat_messages.c.sent["id"].astext == message,
        )
        async with self._database.for_tenant(tenant_id) as connection:
            return tuple((await connection.execute(query)).scalars())

    async def delivered(self, parcel: Parcel, *, at: datetime) -> bool:
        """Note that the message is as it was wished; False where a newer wish has come."""
        as_seen = {
            "tenant": parcel.tenant_id,
            "parcel": parcel.id,
            "seen": parcel.version,
            "at": at,
        }
        async with self._database.for_tenant(parcel.tenant_id) as connection:
            return (await connection.execute(_DELIVERED, as_seen)).one_or_none() is not None

    async def dead(self, parcel: Parcel, *, error: str) -> None:
        """Give a wish up, newer ones of that message too; it can be replayed by hand."""
        await self._change(parcel, state="dead", error=error)

    async def again(self, parcel: Parcel, *, at: datetime, error: str, counts: bool = True) -> None:
        """Have it tried again, at that time; ``error`` is why, ``counts`` whether it was a try."""
        tried = outbox.c.attempts + int(counts)
        await self._change(parcel, due_at=at, error=error, attempts=tried)

    async def dead_letters(self, tenant_id: TenantId, *, limit: int) -> tuple[DeadLetter, ...]:
        """Return what was given up, newest first."""
        query = (
            select(outbox)
            .where(outbox.c.tenant_id == tenant_id, outbox.c.state == "dead")
            .order_by(outbox.c.created_at.desc(), outbox.c.id)
            .limit(limit)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            return tuple(_letter(row) for row in (await connection.execute(query)).all())

    async def replay(self, tenant_id: TenantId, *, letter: UUID) -> None:
        """Have what was given up delivered after all, unless something newer was wished since.

        Raises:
            NotFound: ``not_found``: there is no such dead letter.
        """
        async with self._database.for_tenant(tenant_id) as connection:
            mine = and_(outbox.c.tenant_id == tenant_id, outbox.c.id == letter)
            row = (
                await connection.execute(
                    select(outbox).where(mine, outbox.c.state == "dead").with_for_update()
                )
            ).one_or_none()
            if row is None:
                raise NotFound("not_found", noun="dead letter")
            await connection.execute(update(outbox).where(mine).values(state="delivered"))
            newer = select(outbox.c.id).where(
                outbox.c.tenant_id == tenant_id,
                outbox.c.surface == row.surface,
                outbox.c.workspace == row.workspace,
                outbox.c.key == row.key,
                outbox.c.created_at > row.created_at,
            )
            if (await connection.execute(newer.limit(1))).one_or_none() is None:
                await put_wish(connection, tenant_id, wish=_wish(row))

    async def forget(self, tenant_id: TenantId, *, before: datetime) -> None:
        """Delete what was delivered before then; what was given up stays until it is replayed."""
        gone = delete(outbox).where(
            outbox.c.tenant_id == tenant_id,
            outbox.c.state == "delivered",
            outbox.c.created_at < before,
        )
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(gone)

    async def _change(self, parcel: Parcel, **values: object) -> None:
        mine = and_(outbox.c.tenant_id == parcel.tenant_id, outbox.c.id == parcel.id)
        async with self._database.for_tenant(parcel.tenant_id) as connection:
            await connection.execute(update(outbox).where(mine).values(**values))


def _wish(row: AnyRow) -> Wish:
    return Wish(
        place=Place(surface=row.surface, workspace=row.workspace, address=row.address),
        key=row.key,
        kind=Kind(row.kind),
        payload=cast("JsonObject", row.payload),
    )


def _parcel(row: AnyRow) -> Parcel:
    return Parcel(
        id=row.id,
        version=row.version,
        tenant_id=TenantId(row.tenant_id),
        wish=_wish(row),
        sent=cast("JsonObject", row.sent or {}),
        attempts=row.attempts,
        wished_at=row.created_at,
    )


def _letter(row: AnyRow) -> DeadLetter:
    return DeadLetter(
        id=row.id,
        way="out",
        place=_wish(row).place,
        what=row.key,
        error=row.error or "",
        attempts=row.attempts,
        at=row.created_at,
    )

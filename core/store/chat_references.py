"""Where conversations are reached: remembered from what came from there, the newest word counts."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import ARRAY, Text, and_, any_, bindparam, delete, literal, select
from sqlalchemy.dialects.postgresql import insert as upsert

from core.domain.chat import ChatReference, Surface
from core.domain.ids import TenantId
from core.store.chat_tables import chat_references
from core.store.database import Database
from core.store.rows import AnyRow

_MOST: Final = 1000
# That a conversation is still where it was is written down once an hour, not with every message.
_FRESH: Final = timedelta(hours=1)
_KEY: Final = ("tenant_id", "surface", "workspace", "address")
_SAID: Final = ("conversation", "service_url", "mri")

_IS_THERE = and_(
    chat_references.c.tenant_id == bindparam("tenant"),
    chat_references.c.surface == bindparam("surface"),
    chat_references.c.workspace == bindparam("workspace"),
)
_OF = (
    select(chat_references)
    .where(
        _IS_THERE, chat_references.c.address == any_(bindparam("addresses", type_=ARRAY(Text())))
    )
    .order_by(chat_references.c.address)
    .limit(_MOST)
)
_NEWEST = (
    select(chat_references)
    .where(_IS_THERE)
    .order_by(chat_references.c.seen_at.desc(), chat_references.c.address)
    .limit(1)
)
_FORGET = delete(chat_references).where(
    _IS_THERE, chat_references.c.address == bindparam("address")
)


class StoredReferences:
    """References on PostgreSQL, each of one tenant. No list is longer than 1000."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    async def keep(self, reference: ChatReference) -> None:
        """Keep where a conversation is, unless something newer is known. Twice is once."""
        told = _told(reference)
        # One that is kept already is not even locked: most messages say what the last one said.
        as_kept = select(chat_references.c.address).where(
            *(chat_references.c[name] == told[name] for name in (*_KEY, *_SAID)),
            chat_references.c.seen_at > reference.seen_at - _FRESH,
        )
        columns = chat_references.c
        row = select(*(literal(told[one.name], one.type).label(one.name) for one in columns)).where(
            ~as_kept.exists()
        )
        new = upsert(chat_references).from_select([one.name for one in columns], row)
        kept = new.on_conflict_do_update(
            index_elements=[columns[name] for name in _KEY],
            set_={name: new.excluded[name] for name in (*_SAID, "seen_at")},
            where=columns.seen_at <= new.excluded.seen_at,
        )
        async with self._database.for_tenant(reference.tenant_id) as connection:
            await connection.execute(kept)

    async def of(
        self, tenant_id: TenantId, *, surface: Surface, workspace: str, addresses: Sequence[str]
    ) -> tuple[ChatReference, ...]:
        """Return what is known of these addresses, by address; of the first 1000 of them."""
        asked = _there(tenant_id, surface, workspace) | {"addresses": list(addresses)[:_MOST]}
        async with self._database.for_tenant(tenant_id) as connection:
            return tuple(_reference(row) for row in (await connection.execute(_OF, asked)).all())

    async def newest(
        self, tenant_id: TenantId, *, surface: Surface, workspace: str
    ) -> ChatReference | None:
        """Return the reference of the workspace that was seen last; None where there is none."""
        there = _there(tenant_id, surface, workspace)
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(_NEWEST, there)).one_or_none()
        return _reference(row) if row is not None else None

    async def forget(
        self, tenant_id: TenantId, *, surface: Surface, workspace: str, address: str
    ) -> bool:
        """Forget a conversation that is no more. Return whether it was known."""
        gone = _there(tenant_id, surface, workspace) | {"address": address}
        async with self._database.for_tenant(tenant_id) as connection:
            return bool((await connection.execute(_FORGET, gone)).rowcount)


def _there(tenant_id: TenantId, surface: Surface, workspace: str) -> dict[str, object]:
    return {"tenant": tenant_id, "surface": surface.value, "workspace": workspace}


def _told(reference: ChatReference) -> dict[str, object]:
    return {
        "tenant_id": reference.tenant_id,
        "surface": reference.surface.value,
        "workspace": reference.workspace,
        "address": reference.address,
        "conversation": reference.conversation,
        "service_url": reference.service_url,
        "mri": reference.mri,
        "seen_at": reference.seen_at,
    }


def _reference(row: AnyRow) -> ChatReference:
    return ChatReference(
        tenant_id=TenantId(row.tenant_id),
        surface=Surface(row.surface),
        workspace=row.workspace,
        address=row.address,
        conversation=row.conversation,
        service_url=row.service_url,
        mri=row.mri,
        seen_at=row.seen_at,
    )

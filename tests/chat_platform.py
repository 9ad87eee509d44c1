"""A chat platform in a test's hand: it keeps messages, counts, and misbehaves when told to."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy import insert

from bots.limits import Rate
from bots.outbox import ApiCall, Never, Outbox, Outcome, Took
from core.domain.canonical import JsonObject
from core.domain.delivery import Kind, Parcel, Place, Wish
from core.domain.ids import TenantId
from core.domain.principal import Principal
from core.store.chat_directory import ChatDirectory
from core.store.chat_outbox import StoredOutbox
from core.store.chat_tables import chat_workspaces
from core.store.database import Database
from sallyport.clock import SystemClock

WORKSPACE = "T1"


@dataclass
class KeptMessages:
    """The outbox's Platform: a wish is a text, posted once and edited from then on."""

    rates: Mapping[str, Rate] = field(default_factory=dict[str, Rate])
    surface: str = "slack"
    messages: dict[str, str] = field(default_factory=dict[str, str])
    made: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    says: list[Outcome | asyncio.Event | Exception] = field(
        default_factory=list[Outcome | asyncio.Event | Exception]
    )

    def next_call(self, parcel: Parcel) -> ApiCall | None:
        text = parcel.wish.payload["text"]
        if parcel.sent.get("text") == text:
            return None
        if "posting" in parcel.sent:
            return ApiCall(method="look", arguments={})
        is_new = "text" not in parcel.sent
        return ApiCall(
            method="post" if is_new else "edit",
            arguments={"text": text},
            uses=(("post" if is_new else "edit", ""),),
            before={"posting": parcel.wish.key} if is_new else {},
        )

    async def perform(self, parcel: Parcel, call: ApiCall) -> Outcome:
        key = parcel.wish.key
        self.made.append((call.method, key))
        said = self.says.pop(0) if self.says else Took(answer={})
        if isinstance(said, asyncio.Event):
            await said.wait()
            said = Took(answer={})
        if isinstance(said, Exception):
            raise said
        if call.method == "look":
            return Took(answer={"text": self.messages.get(key)})
        if isinstance(said, Took):
            assert call.method == "edit" or key not in self.messages, "said twice"
            self.messages[key] = str(call.arguments["text"])
        return said

    def sent_after(self, parcel: Parcel, call: ApiCall, outcome: Took | Never) -> JsonObject | None:
        if isinstance(outcome, Never):
            return None
        sent = {key: value for key, value in parcel.sent.items() if key != "posting"}
        text = outcome.answer["text"] if call.method == "look" else call.arguments["text"]
        return sent if text is None else {**sent, "text": text}


def a_wish(text: str, *, key: str = "run:1", kind: Kind = Kind.PROGRESS) -> Wish:
    place = Place(surface="slack", workspace=WORKSPACE, address="C1/1")
    return Wish(place=place, key=key, kind=kind, payload={"text": text})


async def keep_workspace(database: Database, admin: Principal, workspace: str = WORKSPACE) -> None:
    """Have the app installed in a workspace of this admin's company."""
    async with database.for_tenant(admin.tenant_id) as connection:
        await connection.execute(
            insert(chat_workspaces).values(
                tenant_id=admin.tenant_id,
                surface="slack",
                workspace=workspace,
                name=workspace,
                app="A1",
                bot_user="UBOT",
                scopes=[],
                state="active",
                installed_by=admin.id,
            )
        )


def outbox_on(database: Database, platform: KeptMessages, *, name: str = "one") -> Outbox:
    return Outbox(
        platform,
        records=StoredOutbox(database),
        directory=ChatDirectory(database),
        clock=SystemClock(),
        name=name,
    )


@asynccontextmanager
async def delivering(*outboxes: Outbox) -> AsyncGenerator[None]:
    """Deliver until the block is left."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one.run()) for one in outboxes]
        yield
        for task in tasks:
            task.cancel()


async def tenant_wishes(outbox: Outbox, tenant_id: TenantId, *wishes: Wish) -> None:
    for one in wishes:
        await outbox.wish(tenant_id, one)

"""Teams and Microsoft's sign-in, as an adapter of the port to Teams meets them."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Any

from bots.teams.registration import (
    Registration,
)
from bots.teams.wire import Reference, Wire
from core.domain.canonical import JsonObject
from tests.builders import SteadyClock
from tests.teams.connector import Connector
from tests.teams.conversations import ALICE, GENERAL
from tests.teams.login import (
    TENANT,
    Login,
)

Json = dict[str, Any]  # Any: what Teams takes and gives
Adapter = Callable[..., AbstractAsyncContextManager[Wire]]


@dataclass(slots=True, kw_only=True)
class Peer:
    """Teams and Microsoft's sign-in, with the wires of one adapter to them."""

    adapter: Adapter
    login: Login
    connector: Connector
    clock: SteadyClock
    stack: AsyncExitStack

    async def wire(self, registration: Registration | None = None) -> Wire:
        made = self.adapter(registration or self.login.registration(), clock=self.clock)
        return await self.stack.enter_async_context(made)

    @property
    def activity(self) -> JsonObject:
        """What Teams says when somebody writes, as far as a wire looks into it."""
        return {
            "type": "message",
            "channelId": "msteams",
            "serviceUrl": self.connector.service_url,
            "conversation": {"id": GENERAL},
        }

    def claims(self, **changed: object) -> Json:
        """Return a good token's claims with some changed; those that are None are left out."""
        whole = self.login.claims(self.connector.service_url) | changed
        return {name: value for name, value in whole.items() if value is not None}

    def to(self, conversation: str = GENERAL, *, service_url: str | None = None) -> Reference:
        return Reference(
            service_url=service_url or self.connector.service_url,
            conversation=conversation,
            tenant=TENANT,
        )

    @property
    def personal(self) -> str:
        return self.connector.teams.personal(ALICE).id

"""Who is told when a tenant's tools change: the open streams and sessions of this process."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from mcp import types
from mcp.server.subscriptions import ListenHandler
from mcp.shared.subscriptions import (
    PromptsListChanged,
    ResourcesListChanged,
    ServerEvent,
    ToolsListChanged,
)

from core.domain.ids import PrincipalId, TenantId
from core.errors import LimitReached
from mcp_server.peer import missing_tasks, takes_tasks
from mcp_server.requests import Context, Identify, guarded

_EVENTS: Final[Mapping[str, tuple[ServerEvent, ...]]] = {
    "tools": (ToolsListChanged(),),
    "prompts": (PromptsListChanged(),),
    "resources": (ResourcesListChanged(),),
}
_RETRY_SECONDS: Final = 60

Tell = Callable[[ServerEvent], None]
Told = Callable[[TenantId | None, str], Awaitable[None]]
"""Takes whose configuration changed and what of it; no tenant: anybody's may have."""


class Nudges(Protocol):
    """News from all processes on one database."""

    async def follow(self, told: Told) -> None:
        """Pass on what is heard until cancelled, however often the database goes away."""
        ...


class Listeners:
    """What is open here, by tenant: an event reaches its own tenant's and nobody else's."""

    def __init__(
        self, *, per_person: int = 8, per_tenant: int = 500, lifetime_seconds: float = 1800.0
    ) -> None:
        """Take how many may be open at once, and for how long one is.

        A stream outlives the token that opened it by no more than its lifetime; clients open it
        again, with the token of then.
        """
        self._per_person = per_person
        self._per_tenant = per_tenant
        self._lifetime_seconds = lifetime_seconds
        self._told: dict[TenantId, dict[object, Tell]] = {}
        self._open: Counter[TenantId | PrincipalId] = Counter()
        self._streams: set[ListenHandler] = set()
        self._has_ended = False

    async def tell(self, tenant_id: TenantId | None, kind: str) -> None:
        """Tell who listens for this tenant, or everybody, that lists of ``kind`` have changed."""
        events = _EVENTS.get(kind, ())
        told = [tenant_id] if tenant_id is not None else list(self._told)
        for tenant in told:
            for event in events:
                self.publish(tenant, event)

    def publish(self, tenant_id: TenantId, event: ServerEvent) -> None:
        """Pass an event to whoever listens for this tenant here."""
        for tell in tuple(self._told.get(tenant_id, {}).values()):
            tell(event)

    def end(self) -> None:
        """End every stream in good order, and open no more."""
        self._has_ended = True
        for stream in tuple(self._streams):
            stream.close()

    def subscribe(self, tenant_id: TenantId, tell: Tell) -> Callable[[], None]:
        """Have ``tell`` called with this tenant's events until what is returned is called."""
        key = object()
        self._told.setdefault(tenant_id, {})[key] = tell

        def unsubscribe() -> None:
            here = self._told.get(tenant_id, {})
            here.pop(key, None)
            if not here:
                self._told.pop(tenant_id, None)

        return unsubscribe

    def handler(
        self, identify: Identify
    ) -> Callable[
        [Context, types.SubscriptionsListenRequestParams],
        Awaitable[types.SubscriptionsListenResult],
    ]:
        """Return what answers ``subscriptions/listen`` for whoever ``identify`` says is asking."""

        async def listen(
            context: Context, params: types.SubscriptionsListenRequestParams
        ) -> types.SubscriptionsListenResult:
            return await guarded(self._listen(context, params, identify=identify))

        return listen

    async def _listen(
        self,
        context: Context,
        params: types.SubscriptionsListenRequestParams,
        *,
        identify: Identify,
    ) -> types.SubscriptionsListenResult:
        _refuse_task_news(context, params)
        caller = identify(context)
        counted = (caller.tenant_id, caller.principal.id)
        limits = (self._per_tenant, self._per_person)
        if any(self._open[one] >= most for one, most in zip(counted, limits, strict=True)):
            raise LimitReached("too_many_streams", retry_after_seconds=_RETRY_SECONDS)
        stream = ListenHandler(_Bus(self, caller.tenant_id))
        self._open.update(counted)
        self._streams.add(stream)
        ending = asyncio.get_running_loop().call_later(self._lifetime_seconds, stream.close)
        if self._has_ended:
            asyncio.get_running_loop().call_soon(stream.close)
        try:
            return await stream(context, params)
        finally:
            ending.cancel()
            self._streams.discard(stream)
            self._open -= Counter(counted)


class _Bus:
    """The SDK's bus as one tenant sees it."""

    def __init__(self, listeners: Listeners, tenant_id: TenantId) -> None:
        self._listeners = listeners
        self._tenant_id = tenant_id

    async def publish(self, event: ServerEvent) -> None:
        """Tell this process's listeners of the tenant."""
        self._listeners.publish(self._tenant_id, event)

    def subscribe(self, listener: Tell) -> Callable[[], None]:
        """Listen for the tenant."""
        return self._listeners.subscribe(self._tenant_id, listener)


def _refuse_task_news(context: Context, params: types.SubscriptionsListenRequestParams) -> None:
    """Refuse a wish for news of tasks by a client that does not take tasks.

    Raises:
        MCPError: -32021.
    """
    extra: Mapping[str, Any] = params.notifications.model_extra or {}  # Any: not ours to read
    if "taskIds" in extra and not takes_tasks(context):
        raise missing_tasks()

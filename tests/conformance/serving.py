"""Our server with the suite's fixtures on loopback: stateless, and with sessions."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import JSONRPCMessage
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from core.domain.principal import Audience, Caller
from mcp_server.http import McpEndpoint
from mcp_server.listening import Told
from mcp_server.server import mcp_server
from mcp_server.waiting import Patience
from tests.conformance.jobs import JobsAssembly
from tests.conformance.seam import add_fixtures
from tests.databases import Urls
from tests.waiting import until
from tests.world import World, world_on

_LOOPBACK = ("127.0.0.1:*", "localhost:*", "[::1]:*")
_RETRY_MILLISECONDS = 100
_LOOK_SECONDS = 0.01
_BRIEF = Patience(before_task=0.2)
_SCRIPT = "scripts: [{match: x, turns: [{say: y}]}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Where the suite finds the server; both are the same server, its fixtures included."""

    stateless: str
    """As the product serves it: through its gate, nothing kept between two requests."""
    stateful: str
    """With the SDK's sessions, so that a client of the handshake era can be asked in mid-call."""


@asynccontextmanager
async def conformance_targets(urls: Urls, folder: Path) -> AsyncGenerator[Targets]:
    """Serve a world with one member until the block is left."""
    async with (
        world_on(urls, folder, script=_SCRIPT, kind=JobsAssembly) as world,
        AsyncExitStack() as stack,
    ):
        company = await world.company()
        await stack.enter_async_context(_worker(world))
        stateless = await stack.enter_async_context(_stateless(world, company.member))
        stateful = await stack.enter_async_context(_stateful(world, company.member))
        yield Targets(stateless=stateless, stateful=stateful)


@asynccontextmanager
async def _worker(world: World) -> AsyncGenerator[None]:
    """Drive what is due, each segment beside the others, until the block is left."""

    async def drive() -> None:
        async with asyncio.TaskGroup() as segments:
            while True:
                while world.dispatcher.due:
                    segments.create_task(world.loop.drive(*world.dispatcher.due.popleft()))
                await asyncio.sleep(_LOOK_SECONDS)

    async with asyncio.TaskGroup() as group:
        worker = group.create_task(drive())
        yield
        worker.cancel()


@asynccontextmanager
async def _stateless(world: World, caller: Caller) -> AsyncGenerator[str]:
    changes = _Changes()
    endpoint = McpEndpoint(world.app, tokens=world.assembly.tokens, nudges=changes, patience=_BRIEF)
    add_fixtures(endpoint.server, say=changes.say)
    token = await world.token(caller.principal, audience=Audience.MCP)
    async with endpoint.lifespan(), _served(_SignedIn(endpoint.asgi, token=token)) as url:
        yield url


@asynccontextmanager
async def _stateful(world: World, caller: Caller) -> AsyncGenerator[str]:
    server = mcp_server(world.app, identify=lambda _context: caller)
    add_fixtures(server, say=_Changes().say)
    manager = StreamableHTTPSessionManager(
        server,
        event_store=_Events(),
        retry_interval=_RETRY_MILLISECONDS,
        security_settings=TransportSecuritySettings(
            allowed_hosts=[*_LOOPBACK], allowed_origins=[f"http://{host}" for host in _LOOPBACK]
        ),
    )
    async with manager.run(), _served(manager.asgi_app) as url:
        yield url


class _SignedIn:
    """Adds one person's token to every request: the suite sends none of its own."""

    def __init__(self, inner: ASGIApp, *, token: str) -> None:
        self._inner = inner
        self._header = (b"authorization", f"Bearer {token}".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        signed = {**scope, "headers": [*scope["headers"], self._header]}
        await self._inner(signed, receive, send)


class _Changes:
    """News of what has changed, as they would come from another process."""

    def __init__(self) -> None:
        self._told: set[Told] = set()

    async def follow(self, told: Told) -> None:
        self._told.add(told)
        await asyncio.Event().wait()

    async def say(self, kind: str) -> None:
        for told in self._told:
            await told(None, kind)


class _Events(EventStore):
    """What streams have carried, so that a client that comes back gets the rest."""

    def __init__(self) -> None:
        self._told: list[tuple[str, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        self._told.append((stream_id, message))
        return str(len(self._told) - 1)

    async def replay_events_after(
        self, last_event_id: str, send_callback: EventCallback
    ) -> str | None:
        if not last_event_id.isdigit() or int(last_event_id) >= len(self._told):
            return None
        last = int(last_event_id)
        stream = self._told[last][0]
        for number, (of_stream, message) in enumerate(self._told):
            if number > last and of_stream == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


class _Raw:
    """An ASGI application that Starlette takes as it is, for every method."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._inner(scope, receive, send)


@asynccontextmanager
async def _served(asgi: ASGIApp) -> AsyncGenerator[str]:
    """Serve at ``/mcp`` of a free port, parsed by h11 as the product's HTTP is."""
    app = Starlette(routes=[Route("/mcp", endpoint=_Raw(asgi))])
    config = uvicorn.Config(app, http="h11", ws="none", log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))

    async def is_up() -> bool:
        return server.started

    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve(sockets=[listening]))
        try:
            await until(is_up)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        finally:
            server.should_exit = True
            server.force_exit = True
            await asyncio.wait([serving])

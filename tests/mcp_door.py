"""A world's MCP endpoint behind a real HTTP server, and the SDK's own client in front of it."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import uvicorn
from mcp import Client
from mcp.client.extension import ClientExtension
from mcp.client.session import ElicitationFnT, MessageHandlerFnT
from mcp.client.streamable_http import streamable_http_client
from mcp.types import TextContent
from starlette.applications import Starlette
from starlette.routing import Route

from core.domain.principal import Audience, Caller
from core.vault import Cipher
from mcp_server.http import McpEndpoint
from mcp_server.listening import Nudges
from mcp_server.waiting import Patience
from tests.loopback import http_client
from tests.waiting import until
from tests.world import World

LEGACY, MODERN = "legacy", "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class McpDoor:
    """Where a world is reached over MCP; its worker drives while ``is_driving`` is set."""

    url: str
    world: World
    is_driving: asyncio.Event

    async def token(self, caller: Caller) -> str:
        return await self.world.token(caller.principal, audience=Audience.MCP)

    @asynccontextmanager
    async def client(
        self,
        caller: Caller,
        *,
        mode: str = MODERN,
        elicitation: ElicitationFnT | None = None,
        extensions: Sequence[ClientExtension] = (),
        hears: MessageHandlerFnT | None = None,
    ) -> AsyncGenerator[Client]:
        """Connect as this person."""
        async with self.client_with(
            await self.token(caller),
            mode=mode,
            elicitation=elicitation,
            extensions=extensions,
            hears=hears,
        ) as client:
            yield client

    @asynccontextmanager
    async def client_with(
        self,
        token: str,
        *,
        mode: str = MODERN,
        elicitation: ElicitationFnT | None = None,
        extensions: Sequence[ClientExtension] = (),
        hears: MessageHandlerFnT | None = None,
    ) -> AsyncGenerator[Client]:
        """Connect with this token; ``elicitation`` is the person who is shown pages."""
        headers = {"authorization": f"Bearer {token}"}
        async with (
            http_client(headers=headers, timeout=30) as http,
            Client(
                streamable_http_client(self.url, http_client=http),
                mode=mode,
                elicitation_callback=elicitation,
                extensions=extensions,
                message_handler=hears,
            ) as client,
        ):
            yield client

    async def post(self, body: object, **headers: str) -> httpx2.Response:
        """Send one hand-made request of the handshake era."""
        sent = {"accept": "application/json, text/event-stream", **headers}
        async with http_client(timeout=30) as http:
            return await http.post(self.url, json=body, headers=sent)


@asynccontextmanager
async def mcp_door(
    world: World,
    *,
    wait_seconds: float = 10.0,
    patience: Patience | None = None,
    nudges: Nudges | None = None,
    cipher: Cipher | None = None,
    stopping: asyncio.Event | None = None,
    keeps_sessions: bool = False,
    public_url: str | None = None,
    has_worker: bool = True,
) -> AsyncGenerator[McpDoor]:
    """Serve the world on a free port, with a worker beside it, until the block is left.

    Requests are held for ``wait_seconds`` for the worker, and not at all for people, unless
    ``patience`` says otherwise.
    """
    endpoint = McpEndpoint(
        world.app,
        tokens=world.assembly.tokens,
        public_url=public_url,
        patience=patience or Patience(worker=wait_seconds, people=0),
        nudges=nudges,
        cipher=cipher,
        stopping=stopping,
        keeps_sessions=keeps_sessions,
    )
    app = Starlette(
        routes=[Route("/mcp", endpoint=endpoint.asgi)], lifespan=lambda _: endpoint.lifespan()
    )
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    is_driving = asyncio.Event()
    if has_worker:
        is_driving.set()

    async def is_up() -> bool:
        return server.started

    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve(sockets=[listening]))
        worker = group.create_task(drive(world, is_driving=is_driving))
        try:
            await until(is_up)
            yield McpDoor(url=f"http://127.0.0.1:{port}/mcp", world=world, is_driving=is_driving)
        finally:
            worker.cancel()
            server.should_exit = True
            await asyncio.wait([serving])


async def drive(world: World, *, is_driving: asyncio.Event) -> None:
    """Be the world's worker, until cancelled."""
    while True:
        await is_driving.wait()
        await world.drive()
        await asyncio.sleep(0.01)


async def called(
    client: Client, tool: str, arguments: Mapping[str, object] | None = None
) -> dict[str, Any]:  # Any: a tool's own JSON
    """Call a tool, see that text and structure say the same, and return what they say."""
    result = await client.call_tool(tool, dict(arguments or {}))
    (text,) = result.content
    assert isinstance(text, TextContent)
    assert json.loads(text.text) == result.structured_content
    is_refused = "error" in result.structured_content and "status" not in result.structured_content
    assert result.is_error == is_refused
    return result.structured_content

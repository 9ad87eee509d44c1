"""An upstream MCP server of its own process, built on the SDK, that behaves as badly as it is told.

As a program: ``python -m tests.upstream_server http STATE`` prints its port once it listens;
``python -m tests.upstream_server stdio STATE`` speaks on its standard streams. STATE is a JSON file
that is read anew for each request: ``{"about": {"add": "…"}, "without": ["add"], "wants": "…",
"broken": [{}]}``.
"""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

# Any: JSON, as it comes.
from typing import Any

import mcp_types
import uvicorn
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from tests.upstream_book import Book, called, credential_given, tools_of


def server_of(book: Book) -> Server[Any]:
    async def listed(
        _context: ServerRequestContext[Any], _params: mcp_types.PaginatedRequestParams | None
    ) -> mcp_types.ListToolsResult:
        return mcp_types.ListToolsResult.model_validate({"tools": tools_of(book)})

    async def answered(
        context: ServerRequestContext[Any], params: mcp_types.CallToolRequestParams
    ) -> mcp_types.CallToolResult:
        request = context.request
        header = request.headers.get("authorization", "") if request is not None else ""
        result = called(
            book,
            params.name,
            arguments=params.arguments or {},
            came=header or credential_given(),
        )
        if result is None:
            await asyncio.Event().wait()
        return mcp_types.CallToolResult.model_validate(result)

    return Server("upstream", on_list_tools=listed, on_call_tool=answered)


def listing_too(send: Send, more: list[Any]) -> Send:
    """Return a ``send`` that lists more tools: the SDK's server would list none that is unsound."""
    told = f'"tools":[{json.dumps(more)[1:-1]},'.encode()

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [one for one in message["headers"] if one[0] != b"content-length"]
            message = {**message, "headers": headers}
        elif b'"tools":[' in message.get("body", b""):
            message = {**message, "body": message["body"].replace(b'"tools":[', told)}
        await send(message)

    return sent


async def over_http(book: Book) -> None:
    manager = StreamableHTTPSessionManager(app=server_of(book), stateless=True)

    class Endpoint:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive)
            wanted = book.state().get("wants")
            if wanted and request.headers.get("authorization") != f"Bearer {wanted}":
                await Response(status_code=401)(scope, receive, send)
                return
            more = book.state().get("broken", [])
            sent = listing_too(send, more) if more else send
            await manager.handle_request(scope, receive, sent)

    async def redirect(_request: Request) -> Response:
        return RedirectResponse(f"http://127.0.0.1:{port_of(listener)}/mcp", status_code=307)

    async def silent(_request: Request) -> Response:
        await asyncio.Event().wait()
        return Response()

    async def endless(_request: Request) -> Response:
        async def drops() -> AsyncIterator[bytes]:
            while True:
                yield b": still here\n\n" * 1000
                await asyncio.sleep(0)

        return StreamingResponse(drops(), media_type="text/event-stream")

    async def nonsense(_request: Request) -> Response:
        return PlainTextResponse("hello", media_type="application/json")

    paths: dict[str, Callable[[Request], Awaitable[Response]]] = {
        "/redirect": redirect,
        "/silent": silent,
        "/endless": endless,
        "/nonsense": nonsense,
    }
    app = Starlette(
        routes=[
            Route("/mcp", Endpoint()),
            *(Route(path, one, methods=["GET", "POST"]) for path, one in paths.items()),
        ]
    )
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="off")
    listener = config.bind_socket()
    listener.listen()  # whoever is told the port may connect at once
    async with manager.run():
        print(port_of(listener), flush=True)  # noqa: T201 - how it tells where it is
        await uvicorn.Server(config).serve(sockets=[listener])


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


async def over_stdio(book: Book) -> None:
    server = server_of(book)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    way = over_http if sys.argv[1] == "http" else over_stdio
    asyncio.run(way(Book(Path(sys.argv[2]))))

"""A provider on a real socket of this machine: it gives the replies it is told."""

import json
import socket
import threading
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from core.domain.canonical import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One reply. ``then`` is what happens after the chunks: the end, a broken line, or silence."""

    chunks: Sequence[str]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    then: str = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: Any  # JSON as it came; whoever looks in the wrong place has a failing test


class Wire:
    """The provider: replies are given in their order, the last one again and again."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.replies: list[Reply] = []
        self.requests: list[Sent] = []
        self.hung_up = threading.Event()

    def reset(self, *replies: Reply) -> None:
        self.replies[:] = replies
        self.requests.clear()
        self.hung_up.clear()

    async def serve(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.requests.append(Sent(path=request.url.path, headers=dict(request.headers), body=body))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if not reply.chunks and reply.then == "silence":
            await self._hang(request)
        return StreamingResponse(
            self._chunks(reply, request=request), status_code=reply.status, headers=reply.headers
        )

    async def _chunks(self, reply: Reply, *, request: Request) -> AsyncGenerator[str]:
        for chunk in reply.chunks:
            yield chunk
        if reply.then == "break":
            message = "the line breaks"
            raise ConnectionError(message)
        if reply.then == "silence":
            await self._hang(request)

    async def _hang(self, request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self.hung_up.set()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.up.set()


@contextmanager
def wire() -> Generator[Wire]:
    """Run a provider for as long as the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        provider = Wire(f"http://127.0.0.1:{listening.getsockname()[1]}")
        app = Starlette(routes=[Route("/{path:path}", provider.serve, methods=["POST"])])
        server = _Server(
            uvicorn.Config(app, log_config=None, lifespan="off", ws="none", access_log=False)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            assert server.up.wait(10)
            yield provider
        finally:
            server.should_exit = True
            server.force_exit = True
            thread.join(10)


def failing(status: int, kind: str, *, headers: dict[str, str] | None = None) -> Reply:
    """An error in the shape that both providers share, with words that must not come through."""
    error: JsonObject = {"type": kind, "message": "The prompt said: secret", "code": None}
    return Reply(
        status=status,
        headers={"content-type": "application/json", **(headers or {})},
        chunks=[json.dumps({"type": "error", "error": error})],
    )

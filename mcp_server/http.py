"""MCP over Streamable HTTP: a gate that wants a bearer token, and nothing kept behind it."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import structlog
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from core.app import App
from core.domain.principal import Audience, Caller
from core.errors import SallyportError, Unauthenticated
from core.identity.access import is_signed
from core.identity.tokens import Tokens
from core.vault import Cipher
from mcp_server.answers import error_content
from mcp_server.auth.challenge import Challenge
from mcp_server.listening import Listeners, Nudges
from mcp_server.requests import Context
from mcp_server.server import mcp_server
from mcp_server.single import SingleCalls
from mcp_server.waiting import Patience

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_CALLER: Final = "sallyport.caller"
_LARGEST: Final = 4 * 1024 * 1024
_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
_WANTS_PROGRESS: Final = b'"progressToken"'


class McpEndpoint:
    """What the HTTP application mounts at ``/mcp``: an ASGI application and its lifespan."""

    def __init__(
        self,
        app: App,
        *,
        tokens: Tokens,
        public_url: str | None = None,
        pages_url: str | None = None,
        resource_metadata: str | None = None,
        patience: Patience | None = None,
        cipher: Cipher | None = None,
        nudges: Nudges | None = None,
        stopping: asyncio.Event | None = None,
        keeps_sessions: bool = False,
    ) -> None:
        """Take the core and who knows tokens.

        Loopback names and the host of ``public_url`` are the only ones that are answered to;
        ``pages_url`` is where people find our pages, where that is another address.
        ``resource_metadata`` is the URL of the RFC 9728 document, once there is one. ``cipher`` is
        the same in all processes, and ``nudges`` bring what another one changes. Once ``stopping``
        is set, streams and waits end. ``keeps_sessions`` is for checks of the protocol that need a
        way to ask the client back in the handshake era: it binds a client to one process.
        """
        self._nudges = nudges
        self._stopping = stopping or asyncio.Event()
        self._listeners = Listeners()
        self.server = mcp_server(
            app,
            identify=_caller_of,
            patience=patience,
            public_url=pages_url or public_url,
            cipher=cipher,
            listeners=self._listeners,
            stopping=self._stopping,
        )
        security = _security(public_url)
        # Answers are plain JSON, which every client takes and which costs half of what a stream
        # does; only a request that asks for progress is answered by a stream, which can carry it.
        self._plain = StreamableHTTPSessionManager(
            self.server, stateless=True, json_response=True, security_settings=security
        )
        self._streaming = StreamableHTTPSessionManager(
            self.server,
            stateless=not keeps_sessions,
            json_response=False,
            security_settings=security,
        )
        self.asgi = _Gate(
            tokens,
            single=SingleCalls(self.server, security=security),
            plain=self._plain,
            streaming=self._streaming,
            metadata=resource_metadata,
            keeps_sessions=keeps_sessions,
        )

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Answer requests until the block is left. Once only."""
        async with self._plain.run(), self._streaming.run(), asyncio.TaskGroup() as group:
            beside = [group.create_task(self._end_when_stopping(), name="mcp-ending")]
            if self._nudges is not None:
                following = self._nudges.follow(self._listeners.tell)
                beside.append(group.create_task(following, name="mcp-nudges"))
            try:
                yield
            finally:
                self._listeners.end()
                for task in beside:
                    task.cancel()

    async def _end_when_stopping(self) -> None:
        await self._stopping.wait()
        self._listeners.end()


class _Gate:
    """Lets a request pass with a token for MCP, and tells those behind whose it is."""

    def __init__(
        self,
        tokens: Tokens,
        *,
        single: SingleCalls,
        plain: StreamableHTTPSessionManager,
        streaming: StreamableHTTPSessionManager,
        metadata: str | None,
        keeps_sessions: bool,
    ) -> None:
        self._tokens = tokens
        self._single = single
        self._plain = plain
        self._streaming = streaming
        self._keeps_sessions = keeps_sessions
        self._challenge = Challenge(metadata)
        self._can_sign_in = metadata is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        try:
            token = _token_of(scope)
            caller = await self._tokens.authenticate(token, audience=Audience.MCP)
        except Unauthenticated as error:
            await self._turned_away(error)(scope, receive, send)
            return
        except SallyportError as error:
            await _refusal(503, error)(scope, receive, send)
            return
        known = {**scope, _CALLER: caller}

        async def has_ended() -> bool:
            try:
                await self._tokens.authenticate(token, audience=Audience.MCP)
            except SallyportError as error:
                return isinstance(error, Unauthenticated)
            return False

        # Whoever was given the token by hand cannot sign in for more.
        steps_up = self._can_sign_in and is_signed(token)
        send = self._challenge.answering(
            send, caller=caller, steps_up=steps_up, has_ended=has_ended
        )
        if self._keeps_sessions:
            await self._streaming.asgi_app(known, receive, send)
        else:
            await self._answered(known, receive, send)

    async def _answered(self, known: Scope, receive: Receive, send: Send) -> None:
        if known["method"] != "POST":
            # There is no stream to listen to and no session to end: nothing is kept in between.
            await Response(status_code=405, headers={"allow": "POST"})(known, receive, send)
            return
        body = await _body(receive)
        if body is None:
            await Response(status_code=413)(known, receive, send)
            return
        if _WANTS_PROGRESS in body:
            await self._streaming.asgi_app(known, _replayed(body, receive=receive), send)
            return
        answer = await self._single.answer(body, scope=known, receive=receive)
        if answer is not None:
            await answer(known, receive, send)
            return
        await self._plain.asgi_app(known, _replayed(body, receive=receive), send)

    def _turned_away(self, error: Unauthenticated) -> Response:
        _log.info("mcp.turned_away", code=error.code)
        bad = None if error.code == "no_token" else error.code
        return _refusal(401, error, {"www-authenticate": self._challenge.header(error=bad)})


def _token_of(scope: Scope) -> str:
    """Return the bearer token of a request.

    Raises:
        Unauthenticated: ``no_token``, ``invalid_token``.
    """
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if not given:
        raise Unauthenticated("no_token")
    scheme, _, token = given[0].decode("latin-1").partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer":
        raise Unauthenticated("invalid_token")
    return token.strip()


def _caller_of(context: Context) -> Caller:
    """Return whom the gate let in with this very request."""
    caller = context.request.scope.get(_CALLER) if context.request else None
    if not isinstance(caller, Caller):
        message = "a request came past the gate"
        raise TypeError(message)
    return caller


def _security(public_url: str | None) -> TransportSecuritySettings:
    """Refuse other hosts and pages of other origins (DNS rebinding)."""
    hosts = [name for host in _LOOPBACK for name in (host, f"{host}:*")]
    origins = [f"http://{host}" for host in hosts]
    if public_url is not None:
        parts = urlsplit(public_url)
        hosts.append(parts.netloc)
        origins.append(f"{parts.scheme}://{parts.netloc}")
    return TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)


def _refusal(status: int, error: SallyportError, headers: dict[str, str] | None = None) -> Response:
    return Response(
        json.dumps(error_content(error)),
        status_code=status,
        headers=headers,
        media_type="application/json",
    )


async def _body(receive: Receive) -> bytes | None:
    """Return the whole body; None where it is larger than anything that we take."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > _LARGEST:
            return None
        if not message.get("more_body", False):
            return body


def _replayed(body: bytes, *, receive: Receive) -> Receive:
    """Return a ``receive`` that gives the body once more, and then goes on."""
    left = [body]

    async def again() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return again

"""The ASGI application: one port for REST, MCP, health and figures, and what guards them all."""

import asyncio
import errno
import re
import socket
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import ip_address

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.app import api_routes
from api.operations import Front
from api.problems import internal_problem, on_error, on_http_error, problem_of
from core.app import App
from core.errors import InvalidInput, Misconfigured, SallyportError, Unavailable
from core.identity.tokens import Tokens
from core.ports import Clock
from sallyport.metrics import MEDIA_TYPE, Gauge, HttpFigures
from sallyport.settings import HttpSettings

_KEEP_ALIVE_SECONDS = 15.0
_READY_SECONDS = 3.0
_STOP_SECONDS = 3
_IDLE_SECONDS = 30
_BACKLOG = 2048
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(:[0-9]*)?")
_UNMATCHED = "unmatched"
_ALWAYS_SENT = {"x-content-type-options": "nosniff", "cache-control": "no-store"}

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


def http_app(
    *,
    app: App,
    tokens: Tokens,
    mcp: ASGIApp | None,
    readiness: Callable[[], Awaitable[None]],
    settings: HttpSettings,
    clock: Clock,
    gauges: Mapping[str, Gauge] | None = None,
    pages: Sequence[BaseRoute] = (),
    chat: Sequence[BaseRoute] = (),
    stopping: asyncio.Event | None = None,
    keep_alive_seconds: float = _KEEP_ALIVE_SECONDS,
    ready_seconds: float = _READY_SECONDS,
) -> Starlette:
    """Return the whole HTTP side.

    ``pages`` are what people see in a browser, ``chat`` is what chat surfaces call. ``mcp`` answers
    at ``/mcp``; whatever it needs around it is entered by whoever calls this.
    ``readiness`` raises where the process should be sent no work. ``state.stopping`` of what is
    returned is ``stopping``, or an event of its own: once it is set, streams end.
    """
    stopping = stopping or asyncio.Event()
    figures = HttpFigures(clock=clock, gauges=gauges or {})
    front = Front(app=app, tokens=tokens, stopping=stopping, keep_alive_seconds=keep_alive_seconds)

    async def ready(_request: Request) -> Response:
        try:
            async with asyncio.timeout(ready_seconds):
                await readiness()
        except TimeoutError:
            return problem_of(Unavailable("database_unavailable"))
        return JSONResponse({"status": "ready"})

    async def metrics(_request: Request) -> Response:
        return PlainTextResponse(figures.text(), media_type=MEDIA_TYPE)

    routes: list[BaseRoute] = [
        # First, because routes are tried in turn, and these are asked for by far the most.
        *([Route("/mcp", mcp)] if mcp is not None else ()),
        *chat,
        *api_routes(front),
        *pages,
        Route("/healthz", _healthy, methods=["GET"]),
        Route("/readyz", ready, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
    ]
    edge = Middleware(_Edge, figures=figures, hosts=_hosts(settings))
    asgi = Starlette(
        routes=routes,
        middleware=[edge],
        exception_handlers={SallyportError: on_error, HTTPException: on_http_error},
    )
    # An address with a slash too many is not there, rather than somewhere else.
    asgi.router.redirect_slashes = False
    asgi.state.stopping = stopping
    return asgi


async def serve(
    asgi: Starlette,
    *,
    host: str,
    port: int,
    ready: Callable[[int], object],
    listener: socket.socket | None = None,
) -> None:
    """Answer HTTP until cancelled; ``ready`` is told the port, which for port 0 is a free one.

    ``listener`` is one of ``listen``'s, for whoever must know the port before.

    Signals are left alone. What is being answered has three seconds to end; streams end at once.

    Raises:
        Misconfigured: ``port_taken``, ``address_not_usable``.
    """
    listener = listener or listen(host, port)
    config = uvicorn.Config(
        asgi,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    config.load()
    server = uvicorn.Server(config)
    # What Server.serve does, but for its hold on the process's signals, and with an end for
    # whoever cancels it: cancelled, serve() itself would leave connections and socket behind.
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    ready(listener.getsockname()[1])
    try:
        await server.main_loop()
    finally:
        asgi.state.stopping.set()
        await server.shutdown(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, for port 0 on a free one; nobody is answered yet.

    Raises:
        Misconfigured: ``port_taken``, ``address_not_usable``.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Misconfigured("port_taken", host=host, port=port) from error
        detail = error.strerror or "it names no machine"
        raise Misconfigured("address_not_usable", host=host, port=port, detail=detail) from error


async def _healthy(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _hosts(settings: HttpSettings) -> frozenset[str] | None:
    """Return the names that we answer to; None where any will do.

    Only this machine can reach a loopback address, but any page in a browser on it may, under a
    name of its own that it has pointed here (DNS rebinding).
    """
    if settings.public_url is not None:
        return None
    if settings.host == "localhost":
        return _LOOPBACK
    try:
        address = ip_address(settings.host)
    except ValueError:
        return None
    if not address.is_loopback:
        return None
    return _LOOPBACK | {f"[{address}]" if ":" in settings.host else str(address)}


class _Edge:
    """Around everything: which host was meant, what every answer carries, and the last resort.

    It sees HTTP only: ``serve`` asks for no lifespan and takes no web sockets.
    """

    def __init__(
        self, inner: ASGIApp, *, figures: HttpFigures, hosts: frozenset[str] | None
    ) -> None:
        self._inner = inner
        self._figures = figures
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        status = 0

        async def sender(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in _ALWAYS_SENT.items():
                    headers.setdefault(name, value)
            await send(message)

        began = self._figures.begin()
        try:
            if not self._is_meant(scope):
                await problem_of(InvalidInput("host_not_allowed"))(scope, receive, sender)
                return
            await self._inner(scope, receive, sender)
        except ClientDisconnect:
            pass  # nobody is there to be told
        except Exception as error:  # noqa: BLE001 - a process's main loop: nothing is above it
            _tell(error, route=_route_of(scope))
            if not status:
                await internal_problem()(scope, receive, sender)
        finally:
            self._figures.end(began, method=scope["method"], route=_route_of(scope), status=status)

    def _is_meant(self, scope: Scope) -> bool:
        if self._hosts is None:
            return True
        told = Headers(scope=scope).getlist("host")
        named = _HOST.fullmatch(told[0]) if len(told) == 1 else None
        return named is not None and named[1].lower() in self._hosts


def _route_of(scope: Scope) -> str:
    route: object = scope.get("route")
    return route.path if isinstance(route, Route) else _UNMATCHED


def _tell(error: Exception, *, route: str) -> None:
    """Log where it happened, and not what was being said: a message may quote the request."""
    frames = traceback.extract_tb(error.__traceback__)
    _log.error(
        "http.failed",
        route=route,
        error=type(error).__name__,
        at=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-8:]],
    )

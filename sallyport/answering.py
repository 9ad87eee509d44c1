"""How a process answers HTTP and MCP on its one port, and where people find it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from starlette.routing import BaseRoute

from core.identity.master import NoMasterKey
from core.store.readiness import Readiness
from mcp_server.auth.metadata import resource_metadata_url
from mcp_server.http import McpEndpoint
from mcp_server.waiting import Patience
from sallyport.ending import first_of
from sallyport.http import http_app, listen
from sallyport.http import serve as serve_http
from sallyport.metrics import Gauge
from sallyport.processes import Process
from sallyport.settings import HttpSettings
from sallyport.signing_in import FrontPages


async def answer_http(process: Process, *, port: int, ready: Callable[[int], object]) -> None:
    """Answer HTTP and MCP until cancelled; ``ready`` is told the port, for 0 a free one.

    Raises:
        Misconfigured: ``port_taken``, ``address_not_usable``.
    """
    parts, http = process.parts, process.parts.settings.http
    # First, so that the address is known that stands in documents and in tokens.
    listener = listen(http.host, port)
    port = listener.getsockname()[1]
    url = address_of(http, port=port)
    parts.reached_at(url)
    pages = parts.sign_in.pages(process.app, public_url=http.public_url)
    stopping = asyncio.Event()
    mcp = McpEndpoint(
        process.app,
        tokens=parts.tokens,
        public_url=http.public_url,
        pages_url=url,
        resource_metadata=resource_metadata_url(url),
        patience=patience_of(http),
        # Without one this process alone opens what its clients bring back.
        cipher=None if isinstance(parts.cipher, NoMasterKey) else parts.cipher,
        nudges=parts.nudges,
        stopping=stopping,
    )
    try:
        async with _chat(process, pages=pages, url=url) as chat:
            asgi = http_app(
                app=process.app,
                tokens=parts.tokens,
                mcp=mcp.asgi,
                readiness=Readiness(parts.database).check,
                settings=http,
                pages=(*parts.letting_in.routes(url, pages=pages), *pages.routes),
                chat=chat,
                clock=parts.clock,
                stopping=stopping,
                gauges={
                    "sallyport_database_connections_in_use": Gauge(
                        meaning="Connections to PostgreSQL that somebody works with now.",
                        read=lambda: parts.database.connections_in_use,
                    )
                },
            )
            async with mcp.lifespan():
                await serve_http(asgi, host=http.host, port=port, ready=ready, listener=listener)
    except BaseExceptionGroup as group:
        raise first_of(group) from group
    finally:
        listener.close()


def _chat(
    process: Process, *, pages: FrontPages, url: str
) -> AbstractAsyncContextManager[Sequence[BaseRoute]]:
    """Have people talk to us where they are, as far as that is set up."""
    settings = process.parts.settings
    if not (settings.slack.is_on or settings.teams.is_on):
        return nullcontext(())
    # What speaks to Slack takes a while to read.
    from sallyport.chatting import chatting  # noqa: PLC0415

    return chatting(process.parts, process.app, pages=pages, url=url)


def pages_of(http: HttpSettings, *, port: int) -> str | None:
    """Return where people find our pages; None where only the running server knows its port."""
    return address_of(http, port=port) if port or http.public_url else None


def patience_of(http: HttpSettings) -> Patience:
    """Return how long a client is kept waiting."""
    return Patience(people=http.mcp_wait_seconds, worker=http.mcp_wait_seconds)


def address_of(http: HttpSettings, *, port: int) -> str:
    """Return the address under which we are reached, listening on ``port``."""
    if http.public_url is not None:
        return http.public_url
    host = f"[{http.host}]" if ":" in http.host else http.host
    return f"http://{host}:{port}"

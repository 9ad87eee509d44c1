"""One session with one upstream server, owned by one task from its opening to its end."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import MappingProxyType
from typing import Any, cast

import mcp_types
import structlog
from mcp import Client, MCPError
from mcp_types.version import LATEST_HANDSHAKE_VERSION
from pydantic import ValidationError

from core.domain.eraser import LOG_KEY, Eraser
from core.domain.upstream import Sighting
from core.egress import Egress
from core.errors import ToolFailed
from core.ports import Clock
from core.tools.mcp_allowed import AllowedUpstream
from core.tools.mcp_definitions import sightings_of
from core.tools.mcp_sieve import Sifted, missing_from
from core.tools.mcp_wire import FAULTS, Faults, TransportStreams, over_http, over_pipes

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_PAGES = 20
_MOST_TOOLS = 200
_BETWEEN_LOOKS = 2.0
"""Seconds, at least, from one look that a call has asked for to the next."""
_UNHEARD = frozenset({mcp_types.PARSE_ERROR, mcp_types.INTERNAL_ERROR, mcp_types.INVALID_REQUEST})
"""What the SDK says itself where it could not make out an answer."""

OnSeen = Callable[[tuple[Sighting, ...]], Awaitable[None]]
"""Told what the server says of its tools, each time it was asked."""


class Connection:
    """A session that ``own`` opens, keeps and closes; calls come from any task meanwhile.

    The SDK wants a session closed by the task that has opened it.
    """

    def __init__(
        self,
        upstream: AllowedUpstream,
        *,
        secret: str | None,
        egress: Egress,
        clock: Clock,
        on_seen: OnSeen,
        eraser: Eraser,
    ) -> None:
        """Take where to, with which credential, and who is told of its tools.

        What ``eraser`` knows is in nothing that they are told.
        """
        self._upstream = upstream
        self._secret = secret
        self._egress = egress
        self._clock = clock
        self._on_seen = on_seen
        self._eraser = eraser
        self._looking = asyncio.Lock()
        self._asked_at: float | None = None
        self._faults: Faults = []
        self._settled = asyncio.Event()
        self._stirred = asyncio.Event()
        self._client: Client | None = None
        self._under_way = 0
        self._used_at = clock.monotonic()
        self._seen: Mapping[str, Sighting] = MappingProxyType({})
        self._failure: ToolFailed | None = None
        self._told_to_look = False
        self._version = LATEST_HANDSHAKE_VERSION
        self.is_over = False

    async def own(self) -> None:
        """Open the session and keep it until it is retired, unused, or broken. Never raises."""
        FAULTS.set(self._faults)
        try:
            with structlog.contextvars.bound_contextvars(**{LOG_KEY: self._eraser}):
                await self._kept()
        except Exception as error:  # noqa: BLE001 - a task's main loop: what the SDK raises is open
            self._failure = self._fault_of(error)
            _log.warning("upstream.lost", upstream=self._upstream.name, code=self._failure.code)
        finally:
            self._client = None
            self.is_over = True
            self._settled.set()

    async def opened(self) -> None:
        """Wait until calls can be made.

        Raises:
            ToolFailed: it could not be opened.
        """
        await self._settled.wait()
        if self._client is None:
            raise self._failure or ToolFailed("upstream_unreachable", upstream=self._upstream.name)

    def retire(self) -> None:
        """Take no more calls; end when those under way have."""
        self.is_over = True
        self._stirred.set()

    def sighting(self, name: str) -> Sighting | None:
        """Return what the server has said of the tool that has this name here."""
        return self._seen.get(name)

    async def call(
        self, theirs: str, *, arguments: Mapping[str, Any], key: str | None, seconds: float
    ) -> mcp_types.CallToolResult:  # Any: JSON, as the SDK wants it
        """Make one call; ``key`` tells the server a repetition where it looks.

        Raises:
            ToolFailed: with the fault's code.
        """
        async with self._in_use(seconds) as client:
            return await client.session.send_request(
                mcp_types.CallToolRequest(
                    params=mcp_types.CallToolRequestParams(
                        name=theirs,
                        arguments=dict(arguments),
                        _meta={"sallyport/idempotency-key": key} if key else None,
                    )
                ),
                mcp_types.CallToolResult,
                request_read_timeout_seconds=seconds,
            )

    async def look_again(self, seconds: float) -> None:
        """Ask for the tools now, unless another call has had them asked for just before.

        Raises:
            ToolFailed: with the fault's code.
        """
        async with self._in_use(seconds) as client, self._looking:
            now = self._clock.monotonic()
            if self._asked_at is None or now - self._asked_at >= _BETWEEN_LOOKS:
                self._asked_at = now
                await self._look(client)

    @asynccontextmanager
    async def _in_use(self, seconds: float) -> AsyncGenerator[Client]:
        client = self._client
        if client is None:
            raise ToolFailed("upstream_unreachable", upstream=self._upstream.name)
        noted: Faults = []
        token = FAULTS.set(noted)
        self._under_way += 1
        try:
            async with asyncio.timeout(seconds):
                yield client
        except TimeoutError as error:
            raise ToolFailed("upstream_timeout", upstream=self._upstream.name) from error
        except (MCPError, ValidationError, RuntimeError, OSError) as error:
            raise self._fault_of(error, noted) from error
        finally:
            FAULTS.reset(token)
            self._under_way -= 1
            self._used_at = self._clock.monotonic()
            self._stirred.set()

    async def _kept(self) -> None:
        upstream = self._upstream
        async with asyncio.timeout(upstream.connect_seconds) as patience:
            async with Client(
                self._sifted(),
                cache=None,
                message_handler=self._hears,
                read_timeout_seconds=upstream.connect_seconds,
            ) as client:
                self._version = client.protocol_version
                await self._look(client)
                patience.reschedule(None)
                self._used_at = self._clock.monotonic()
                self._client = client
                self._settled.set()
                await self._until_over(client)
                self._client = None

    @asynccontextmanager
    async def _sifted(self) -> AsyncGenerator[TransportStreams]:
        async with self._way() as (read, write):
            yield Sifted(read, version=lambda: self._version, most_tools=_MOST_TOOLS), write

    def _way(self) -> AbstractAsyncContextManager[TransportStreams]:
        if self._upstream.url is not None:
            return over_http(self._upstream, secret=self._secret, egress=self._egress)
        return over_pipes(self._upstream, secret=self._secret)

    async def _until_over(self, client: Client) -> None:
        upstream, looked_at = self._upstream, self._clock.monotonic()
        while True:
            now = self._clock.monotonic()
            if not self._under_way:
                unused = now - self._used_at >= upstream.idle_seconds
                if self.is_over or unused:
                    self.is_over = True
                    return
            if now - looked_at >= upstream.check_seconds or self._told_to_look:
                self._told_to_look = False
                async with asyncio.timeout(upstream.connect_seconds):
                    await self._look(client)
                looked_at = self._clock.monotonic()
            self._stirred.clear()
            wait = min(upstream.idle_seconds, upstream.check_seconds)
            try:
                async with asyncio.timeout(wait):
                    await self._stirred.wait()
            except TimeoutError:
                continue

    async def _hears(self, message: object) -> None:
        if isinstance(message, mcp_types.ToolListChangedNotification):
            self._told_to_look = True
            self._stirred.set()

    async def _look(self, client: Client) -> None:
        """Ask for the tools, and tell of them.

        Raises:
            ToolFailed: ``upstream_too_large``: there is no end to them.
        """
        tools: list[mcp_types.Tool] = []
        broken: set[str] = set()
        cursor: str | None = None
        for _ in range(_PAGES):
            page = await client.session.list_tools(
                params=mcp_types.PaginatedRequestParams(cursor=cursor)
            )
            tools.extend(page.tools)
            broken |= missing_from(page)
            cursor = page.next_cursor
            if cursor is None or len(tools) + len(broken) > _MOST_TOOLS:
                break
        if cursor is not None or len(tools) + len(broken) > _MOST_TOOLS:
            raise ToolFailed("upstream_too_large", upstream=self._upstream.name)
        seen = sightings_of(self._upstream.name, tools, broken=broken, eraser=self._eraser)
        self._seen = MappingProxyType({one.name: one for one in seen})
        await self._on_seen(seen)

    def _fault_of(self, error: Exception, noted: Faults | None = None) -> ToolFailed:
        """Return what went wrong: as the way noted it, or else as the SDK tells it."""
        if isinstance(error, ToolFailed):
            return error
        if noted:
            return noted[-1]
        code = _code_of(list(_flat(error)), in_call=noted is not None)
        if self._faults and (noted is None or code == "upstream_unreachable"):
            # The session is gone: its own task knows why.
            return self._faults[-1]
        return ToolFailed(code, upstream=self._upstream.name)


def _code_of(errors: Sequence[BaseException], *, in_call: bool) -> str:
    codes = {one.error.code for one in errors if isinstance(one, MCPError)}
    if mcp_types.REQUEST_TIMEOUT in codes or any(isinstance(one, TimeoutError) for one in errors):
        return "upstream_timeout"
    if mcp_types.CONNECTION_CLOSED in codes or any(isinstance(one, OSError) for one in errors):
        return "upstream_unreachable"
    return "upstream_refused" if in_call and codes - _UNHEARD else "upstream_broken"


def _flat(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _flat(one)
    else:
        yield error

"""What stands between one tenant and one upstream: its line, its breaker, its one session."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

# Any: JSON, as the SDK wants it.
from typing import Any

import mcp_types

from core.domain.eraser import Eraser
from core.domain.upstream import Sighting
from core.errors import ToolFailed
from core.ports import Clock
from core.tools.mcp_allowed import AllowedUpstream
from core.tools.mcp_breaker import COUNTED, Breaker, NotSent
from core.tools.mcp_connection import Connection

Open = Callable[[], Awaitable[Connection]]
"""Begins a new session, owned by a task of its own."""


class Actor:
    """All calls of one tenant with one credential to one upstream go through here.

    Nothing of it is shared with another tenant: neither a connection nor a place in the line.
    """

    def __init__(
        self, upstream: AllowedUpstream, *, open_one: Open, clock: Clock, eraser: Eraser
    ) -> None:
        """Take where to, what opens a session, and what knows its credential."""
        self.eraser = eraser
        self._upstream = upstream
        self._open_one = open_one
        self._clock = clock
        self._breaker = Breaker(upstream, clock=clock)
        self._turns = asyncio.Semaphore(upstream.concurrency)
        self._opening = asyncio.Lock()
        self._in_line = 0
        self._connection: Connection | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nobody is in here and no session is open."""
        return not self._in_line and (self._connection is None or self._connection.is_over)

    async def call(
        self,
        name: str,
        *,
        digest: str,
        arguments: Mapping[str, Any],
        key: str | None,
        seconds: float,
    ) -> mcp_types.CallToolResult:
        """Call the tool that has this name here, if it still is what ``digest`` says.

        Raises:
            NotSent: nothing was asked of the server.
            ToolFailed: any other fault: the call may have been heard.
        """
        until = self._clock.monotonic() + seconds
        async with self._turn(seconds):
            connection = await self._ready(seconds)
            sighting = _as_pinned(connection, name=name, digest=digest)
            if sighting is None:
                # What was accepted may be newer than what this session has seen.
                try:
                    await connection.look_again(
                        min(self._upstream.connect_seconds, until - self._clock.monotonic())
                    )
                except ToolFailed as error:
                    raise NotSent.of(error) from error
                sighting = _as_pinned(connection, name=name, digest=digest)
            if sighting is None:
                raise NotSent.of(ToolFailed("upstream_changed", tool=name))
            return await connection.call(
                sighting.definition.name,
                arguments=arguments,
                key=key,
                seconds=max(0.0, until - self._clock.monotonic()),
            )

    async def look(self) -> None:
        """Open a session anew, which looks at the tools that there are.

        Raises:
            NotSent: it could not.
        """
        seconds = self._upstream.connect_seconds
        self.retire()
        async with self._turn(seconds):
            await self._ready(seconds)

    def retire(self) -> None:
        """Have the session end once the calls under way have."""
        if self._connection is not None:
            self._connection.retire()
            self._connection = None

    @asynccontextmanager
    async def _turn(self, seconds: float) -> AsyncGenerator[None]:
        name = self._upstream.name
        if self._in_line >= self._upstream.concurrency + self._upstream.waiting:
            raise NotSent.of(ToolFailed("upstream_busy", upstream=name))
        self._in_line += 1
        try:
            try:
                async with asyncio.timeout(seconds):
                    await self._turns.acquire()
            except TimeoutError as error:
                raise NotSent.of(ToolFailed("upstream_busy", upstream=name)) from error
            try:
                async with self._guarded():
                    yield
            finally:
                self._turns.release()
        finally:
            self._in_line -= 1

    @asynccontextmanager
    async def _guarded(self) -> AsyncGenerator[None]:
        try:
            self._breaker.enter()
        except ToolFailed as error:
            raise NotSent.of(error) from error
        try:
            yield
        except ToolFailed as error:
            self._breaker.leave(error)
            if error.code in COUNTED:
                # The next call begins anew: with another session, and another look at the tools.
                self.retire()
            raise
        except BaseException:
            self._breaker.abandon()
            raise
        self._breaker.leave(None)

    async def _ready(self, seconds: float) -> Connection:
        try:
            async with asyncio.timeout(seconds):
                async with self._opening:
                    if self._connection is None or self._connection.is_over:
                        self._connection = await self._open_one()
                    connection = self._connection
                await connection.opened()
        except TimeoutError as error:
            late = ToolFailed("upstream_timeout", upstream=self._upstream.name)
            raise NotSent.of(late) from error
        except ToolFailed as error:
            raise NotSent.of(error) from error
        return connection


def _as_pinned(connection: Connection, *, name: str, digest: str) -> Sighting | None:
    seen = connection.sighting(name)
    return None if seen is None or seen.fault or seen.definition.digest != digest else seen

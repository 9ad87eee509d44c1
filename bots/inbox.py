"""Never lose, never repeat: what arrives is a row first, and is handled once, in order."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final
from uuid import uuid4

import structlog

from core.domain.canonical import JsonObject
from core.domain.delivery import Arrival
from core.domain.ids import TenantId
from core.errors import NotFound, SallyportError
from core.ports import Clock
from core.store.chat_directory import ChatDirectory
from core.store.chat_inbox import StoredInbox

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

Handle = Callable[[Arrival], Awaitable[None]]
"""Does what an arrival asks for. Whatever it raises, it is called again: it must bear that."""

_AT_ONCE: Final = 16
# Whoever writes waits for an answer: where keeping takes longer than this, handling steps back.
_SLOW_SECONDS: Final = 0.1
_AT_ONCE_WHERE_SLOW: Final = 2
_REST_SECONDS: Final = 0.25
_HANDLING_SECONDS: Final = 60.0
_CLAIM_SECONDS: Final = 90.0
_LOOK_SECONDS: Final = 1.0
_TRIES: Final = 8
_FIRST_PAUSE_SECONDS: Final = 0.5
_TENANTS: Final = 100
_KNOWN_WORKSPACES: Final = 10_000
_REMEMBER_SECONDS: Final = 5.0


class Inbox:
    """Takes what arrives on one surface, and has it handled in this process or another.

    Each conversation is handled one arrival at a time, in the order of their positions; arrivals
    for which somebody waits at a screen come before all that can wait.
    """

    def __init__(
        self,
        *,
        surface: str,
        records: StoredInbox,
        directory: ChatDirectory,
        clock: Clock,
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        """Take which surface it is, and where arrivals are kept.

        ``look_seconds`` is how often it is looked for what no arrival in this process tells of.
        """
        self._surface = surface
        self._records = records
        self._directory = directory
        self._clock = clock
        self._look_seconds = look_seconds
        self._arrived = asyncio.Event()
        self._tenants: dict[str, tuple[TenantId, float]] = {}
        self._slow_until = 0.0

    async def take(
        self,
        *,
        workspace: str,
        conversation: str,
        position: str,
        external_id: str,
        payload: JsonObject,
        urgent: bool = False,
    ) -> bool:
        """Keep what arrived; False where it had arrived before, and is kept already.

        Raises:
            NotFound: ``unknown_workspace``: it is nobody's, or was left.
            Unavailable: ``database_unavailable``; nothing is kept.
        """
        began = self._clock.monotonic()
        arrival = Arrival(
            id=uuid4(),
            tenant_id=await self._tenant_of(workspace),
            surface=self._surface,
            workspace=workspace,
            conversation=conversation,
            position=position,
            external_id=external_id,
            urgent=urgent,
            payload=payload,
            attempts=0,
            received_at=self._clock.now(),
        )
        is_new = await self._records.take(arrival.tenant_id, arrival=arrival)
        now = self._clock.monotonic()
        if now - began > _SLOW_SECONDS:
            self._slow_until = now + _LOOK_SECONDS
        if is_new:
            self._arrived.set()
        return is_new

    async def run(self, handle: Handle) -> None:
        """Have arrivals handled until cancelled, those of other processes too."""
        under_way: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                self._arrived.clear()
                room = self._room - len(under_way)
                claimed = await self._claimed(room) if room > 0 else ()
                for arrival in claimed:
                    task = group.create_task(self._handled(arrival, handle=handle))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                if room <= 0 or len(claimed) >= room:
                    await self._until_there_is_room(under_way)
                else:
                    await self._until_something_is_due()

    @property
    def _room(self) -> int:
        is_slow = self._clock.monotonic() < self._slow_until
        return _AT_ONCE_WHERE_SLOW if is_slow else _AT_ONCE

    async def _until_there_is_room(self, under_way: set[asyncio.Task[None]]) -> None:
        """Wait until some are done: claiming one at a time would cost more than handling it."""
        enough = max(1, self._room // 2)
        try:
            async with asyncio.timeout(_REST_SECONDS):
                # There may be room for fewer by now than when this was begun.
                while under_way and len(under_way) > self._room - enough:
                    await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            pass  # what is handled slowly keeps nothing else from being claimed

    async def _claimed(self, most: int) -> tuple[Arrival, ...]:
        claimed: list[Arrival] = []
        try:
            for tenant_id in await self._directory.arrived(now=self._clock.now(), limit=_TENANTS):
                now = self._clock.now()
                claimed += await self._records.claim(
                    tenant_id,
                    surface=self._surface,
                    now=now,
                    until=now + timedelta(seconds=_CLAIM_SECONDS),
                    limit=most - len(claimed),
                )
                if len(claimed) >= most:
                    break
        except Exception as error:  # noqa: BLE001 - a process's main loop: it looks again
            told = error.code if isinstance(error, SallyportError) else type(error).__name__
            _log.warning("inbox.look_failed", surface=self._surface, error=told)
        return tuple(claimed)

    async def _handled(self, arrival: Arrival, *, handle: Handle) -> None:
        try:
            async with asyncio.timeout(_HANDLING_SECONDS):
                await handle(arrival)
        except Exception as error:  # noqa: BLE001 - a process's main loop: others' arrivals go on
            await self._failed(arrival, error=error)
            return
        await self._kept(self._records.handled(arrival, at=self._clock.now()))
        self._arrived.set()  # the conversation's next is due now

    async def _failed(self, arrival: Arrival, *, error: Exception) -> None:
        told = error.code if isinstance(error, SallyportError) else type(error).__name__
        is_last = arrival.attempts >= _TRIES
        _log.warning(
            "inbox.handling_failed",
            surface=arrival.surface,
            tenant_id=str(arrival.tenant_id),
            arrival_id=str(arrival.id),
            error=told,
            attempts=arrival.attempts,
            given_up=is_last,
        )
        now = self._clock.now()
        if is_last:
            await self._kept(self._records.dead(arrival, at=now, error=told))
            return
        pause = _FIRST_PAUSE_SECONDS * 2 ** (arrival.attempts - 1)
        at = now + timedelta(seconds=pause)
        await self._kept(self._records.again(arrival, at=at, error=told))

    async def _kept(self, writing: Awaitable[None]) -> None:
        """Write; where that fails the claim runs out, and the arrival is handled again."""
        try:
            await writing
        except SallyportError as error:
            _log.warning("inbox.not_noted", surface=self._surface, error=str(error))

    async def _until_something_is_due(self) -> None:
        try:
            async with asyncio.timeout(self._look_seconds):
                await self._arrived.wait()
        except TimeoutError:
            pass  # another process may have kept what it did not live to handle

    async def _tenant_of(self, workspace: str) -> TenantId:
        """Return whose the workspace is, remembered for a moment only: it may be left."""
        known = self._tenants.get(workspace)
        now = self._clock.monotonic()
        if known is not None and now - known[1] < _REMEMBER_SECONDS:
            return known[0]
        if known is not None:
            self._tenants[workspace] = (known[0], now)  # one asks, and the others go on
        found = await self._directory.tenant_of(self._surface, workspace=workspace)
        if found is None:
            self._tenants.pop(workspace, None)
            raise NotFound("unknown_workspace", workspace=workspace)
        if len(self._tenants) >= _KNOWN_WORKSPACES:
            self._tenants.clear()
        self._tenants[workspace] = (found, now)
        return found

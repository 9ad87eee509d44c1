"""Which workers live: a beat from a thread of its own, for as long as the event loop ticks."""

import asyncio
import math
import threading
from types import TracebackType
from typing import Self

import anyio.to_thread
import psycopg
import structlog

from core.errors import Unavailable
from core.ports import Clock

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_BEAT = """
    insert into workers (executor_id, beat_at) values (%s, clock_timestamp())
    on conflict (executor_id) do update set beat_at = excluded.beat_at
"""
_GONE = "delete from workers where executor_id = %s"
_SWEPT = "delete from workers where beat_at < clock_timestamp() - interval '1 day'"

_JOIN_SECONDS = 3.0
_SKIPPED = 3


class Heartbeat:
    """One worker's row in ``workers``, fresh while the event loop that entered it ticks.

    The beat is written by a thread with a connection of its own: a loop that is busy, or a pool
    that is exhausted, does not stop it; a loop that hangs does.
    """

    def __init__(
        self,
        url: str,
        *,
        executor_id: str,
        clock: Clock,
        role: str,
        every_seconds: float = 1.0,
        hung_seconds: float = 2.0,
        first_seconds: float = 10.0,
    ) -> None:
        """Take a libpq URL, the role to be, and when a loop that does not tick counts as hung.

        ``first_seconds`` is how long the first beat may take.
        """
        self._url = url
        self._executor_id = executor_id
        self._clock = clock
        self._role = role
        self._every = every_seconds
        self._hung = hung_seconds
        self._patience = first_seconds
        self._ticked = -math.inf
        self._beaten = -math.inf
        self._broken_until = -math.inf
        self._first = threading.Event()
        self._stop = threading.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    @property
    def executor_id(self) -> str:
        """Return whose heart this is."""
        return self._executor_id

    async def __aenter__(self) -> Self:
        """Beat for the first time and go on.

        Raises:
            Unavailable: ``database_unavailable``: no beat in time.
        """
        self._tick()
        self._thread.start()
        if not await anyio.to_thread.run_sync(self._first.wait, self._patience):
            await self._end()
            raise Unavailable("database_unavailable")
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Take the row away, so that others take over at once."""
        await self._end()

    def steady_seconds(self) -> float:
        """Return for how long the beat has not failed: infinite when never, 0 when it fails now."""
        now = self._clock.monotonic()
        if now - self._beaten > _SKIPPED * self._every:
            return 0.0
        return now - self._broken_until

    async def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._stop.set()
        await anyio.to_thread.run_sync(self._thread.join, _JOIN_SECONDS)

    def _tick(self) -> None:
        self._ticked = self._clock.monotonic()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._every / 4, self._tick)

    def _beat(self) -> None:
        connection: psycopg.Connection | None = None
        while not self._stop.is_set():
            if self._clock.monotonic() - self._ticked < self._hung:
                connection = self._beat_once(connection)
            self._stop.wait(self._every)
        if connection is not None:
            try:
                connection.execute(_GONE, [self._executor_id])
                connection.close()
            except psycopg.Error as error:
                _log.warning("heartbeat.row_left", error=type(error).__name__)

    def _beat_once(self, connection: psycopg.Connection | None) -> psycopg.Connection | None:
        """Write one beat and return the connection to keep, None where it must be made anew."""
        try:
            if connection is None:
                connection = psycopg.connect(
                    self._url,
                    autocommit=True,
                    connect_timeout=2,
                    tcp_user_timeout=3000,
                    application_name="sallyport-heartbeat",
                    options=f"-c role={self._role} -c statement_timeout=3000",
                )
                connection.execute(_SWEPT)
            connection.execute(_BEAT, [self._executor_id])
        except psycopg.Error as error:
            self._broken_until = math.inf
            _log.warning("heartbeat.failed", error=type(error).__name__)
            if connection is not None:
                connection.close()
            return None
        now = self._clock.monotonic()
        # A beat may also have waited, without failing, for a server that was frozen.
        if self._broken_until == math.inf or _SKIPPED * self._every < now - self._beaten < math.inf:
            self._broken_until = now
        self._beaten = now
        self._first.set()
        return connection

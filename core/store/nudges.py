"""What one process tells all others, by PostgreSQL's notifications: a hint to look, never news.

Triggers send them, in the transactions of admins and operators, which are rare. A notification
takes a lock that all who notify share until they have committed; calls and runs send none.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

import structlog

from core.domain.ids import TenantId
from core.errors import Misconfigured, Unavailable
from core.store.database import Database

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_CHANNEL: Final = "sallyport_nudges"
_EVERYTHING: Final = ("tools", "prompts", "resources")
_RETRY_SECONDS: Final = (0.2, 5.0)
_ALIVE_SECONDS: Final = 15.0

Told = Callable[[TenantId | None, str], Awaitable[None]]
"""Takes whose configuration changed and what of it; no tenant: anybody's may have."""


class StoredNudges:
    """Hears what other processes change, on a connection of its own."""

    def __init__(self, database: Database, *, alive_seconds: float = _ALIVE_SECONDS) -> None:
        """Take the way to the database; ``alive_seconds`` is how often a still line is tried."""
        self._database = database
        self._alive_seconds = alive_seconds

    async def follow(self, told: Told) -> None:
        """Pass on what is heard until cancelled, however often the database goes away.

        After it was away everybody is told once, as something may have been missed.
        """
        first, longest = _RETRY_SECONDS
        pause, has_missed = first, False
        while True:
            try:
                async with self._database.listening(_CHANNEL) as line:
                    pause = first
                    for kind in _EVERYTHING if has_missed else ():
                        await told(None, kind)
                    has_missed = True
                    while True:
                        payload = await line.heard(within_seconds=self._alive_seconds)
                        if payload is not None:
                            await _pass_on(payload, told)
            except (Unavailable, Misconfigured):
                has_missed = True
                _log.info("nudges.line_lost", retry_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(longest, pause * 2)


async def _pass_on(payload: str, told: Told) -> None:
    tenant, _, kind = payload.partition(" ")
    try:
        tenant_id = TenantId(UUID(tenant))
    except ValueError:
        return  # nobody of ours: any login of this database may notify
    await told(tenant_id, kind)

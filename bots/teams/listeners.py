"""What Teams sends becomes one row of the inbox before Teams is answered, and nothing else."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from bots.teams.reading import TeamsReading
from core.domain.canonical import JsonObject
from core.errors import NotFound

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Inbox(Protocol):
    """Where arrivals are kept before the platform is answered."""

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
        """Keep what arrived; False where it is kept already.

        Raises:
            NotFound: ``unknown_workspace``.
        """
        ...


IsOurs = Callable[[str, str], Awaitable[bool]]
"""Whether the agent was asked something in a thread: by workspace, and the thread's address."""


class Listener:
    """Keeps whatever is for us."""

    def __init__(self, *, inbox: Inbox, is_ours: IsOurs) -> None:
        """Take where arrivals are kept, and which threads are ours."""
        self._inbox = inbox
        self._is_ours = is_ours

    async def keep(self, read: TeamsReading, *, workspace: str) -> bool:
        """Keep what arrived; False where it is kept already, or is none of ours.

        Raises:
            Unavailable: ``database_unavailable``: nothing is kept, and Teams sends it again.
        """
        if read.thread is not None and not await self._is_ours(workspace, read.thread):
            return False
        try:
            is_new = await self._inbox.take(
                workspace=workspace,
                conversation=read.conversation,
                position=read.position,
                external_id=read.external_id,
                payload=read.kept.as_payload(),
                urgent=read.urgent,
            )
        except NotFound:
            # Left in this moment, or never ours: sent again it would be no different.
            _log.info("teams.workspace_not_known", workspace=workspace)
            return False
        if not is_new:
            _log.info("teams.repeated", workspace=workspace)
        return is_new

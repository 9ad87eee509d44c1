"""Whose workspaces are, remembered for moments: every payload asks, and must not wait."""

from typing import Final, Protocol

from core.domain.chat import Surface, Workspace
from core.ports import Clock

FRESH_SECONDS: Final = 5.0
_MOST: Final = 10_000


class Workspaces(Protocol):
    """Whose workspace it is."""

    async def find(self, surface: Surface, *, workspace: str) -> Workspace | None:
        """Return the workspace of that id, whosever it is and whatever its state."""
        ...


class RememberedWorkspaces:
    """Active workspaces, asked for again after five seconds, by one while the others go on.

    What is not active is asked for each time: an installation counts at once. What was said in a
    workspace in the moment in which it was left is kept, and whoever handles it is told.
    """

    def __init__(self, workspaces: Workspaces, *, clock: Clock, most: int = _MOST) -> None:
        """Take who is asked, and how many workspaces are remembered at most."""
        self._workspaces = workspaces
        self._clock = clock
        self._most = most
        self._known: dict[tuple[Surface, str], tuple[float, Workspace]] = {}

    async def find(self, surface: Surface, *, workspace: str) -> Workspace | None:
        """Return the workspace of that id as it was a moment ago.

        Raises:
            Unavailable: ``database_unavailable``.
        """
        key, now = (surface, workspace), self._clock.monotonic()
        known = self._known.get(key)
        if known is not None and now - known[0] < FRESH_SECONDS:
            return known[1]
        if known is not None:
            # Whoever comes while this one asks takes what was known.
            self._known[key] = (now, known[1])
        try:
            found = await self._workspaces.find(surface, workspace=workspace)
        except BaseException:
            self._known.pop(key, None)
            raise
        if found is None or not found.is_active:
            self._known.pop(key, None)
            return found
        if key not in self._known and len(self._known) >= self._most:
            self._known.clear()
        self._known[key] = (now, found)
        return found

"""How often Slack may be asked, counted: per method and workspace, and per channel."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

WINDOW_SECONDS: Final = 60.0
CHANNEL_BURST: Final = 4
"""So many messages at once go into a channel; after that one a second."""

_TIER = {1: 1, 2: 20, 3: 50, 4: 100}
_TIERS: Final = {
    1: ("apps.uninstall",),
    2: (
        *("chat.startStream", "chat.stopStream", "reactions.remove"),
        *("usergroups.list", "usergroups.users.list", "users.list"),
    ),
    3: (
        *("agents.sessions.rename", "agents.sessions.setStatus", "auth.revoke", "bots.info"),
        *("chat.delete", "chat.update"),
        *("conversations.history", "conversations.info", "conversations.open"),
        *("conversations.replies", "reactions.add", "team.info", "users.lookupByEmail"),
    ),
    4: (
        *("api.test", "assistant.threads.setSuggestedPrompts", "assistant.threads.setTitle"),
        *("chat.appendStream", "chat.postEphemeral", "conversations.members"),
        *("files.completeUploadExternal", "files.getUploadURLExternal", "oauth.v2.access"),
        *("users.info", "views.open", "views.publish", "views.push", "views.update"),
    ),
}
A_MINUTE: Final[Mapping[str, int]] = {
    # "Special": the reference says hundreds a minute, and one a second in each channel.
    "assistant.threads.setStatus": 600,
    "auth.test": 300,
    "chat.getPermalink": 300,
    "chat.postMessage": 300,
    **{method: _TIER[tier] for tier, methods in _TIERS.items() for method in methods},
}
"""How many calls of a method a workspace has in any sixty seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """One call too many. ``channel``: it was too much for a channel, not for the method."""

    at: float
    team: str
    method: str
    channel: str | None
    retry_after_seconds: float


class Meter:
    """Counts calls, and remembers each that was one too many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.excesses: list[Excess] = []
        self._clock = clock
        self._calls: dict[tuple[str, str], deque[float]] = {}
        self._full_at: dict[tuple[str, str], float] = {}

    def count(self, *, team: str, method: str, channel: str | None, refuses: bool) -> float | None:
        """Count a call; return after how many seconds it would be in order, None where it is.

        ``refuses``: a call too many is turned away, so that it uses nothing up.
        """
        now = self._clock()
        by_method = self._method(team, method, now)
        posts_to = channel if method == "chat.postMessage" else None
        by_channel = self._channel(team, posts_to, now) if posts_to is not None else 0.0
        wait = max(by_method, by_channel)
        if wait > 0:
            told = posts_to if by_channel > by_method else None
            self.excesses.append(
                Excess(at=now, team=team, method=method, channel=told, retry_after_seconds=wait)
            )
        if wait <= 0 or not refuses:
            self._calls[team, method].append(now)
            if posts_to is not None:
                full_at = max(self._full_at.get((team, posts_to), now), now)
                self._full_at[team, posts_to] = full_at + 1.0
        return wait if wait > 0 else None

    def _method(self, team: str, method: str, now: float) -> float:
        calls = self._calls.setdefault((team, method), deque())
        while calls and calls[0] <= now - WINDOW_SECONDS:
            calls.popleft()
        most = A_MINUTE.get(method, _TIER[1])
        return calls[-most] + WINDOW_SECONDS - now if len(calls) >= most else 0.0

    def _channel(self, team: str, channel: str, now: float) -> float:
        ahead = self._full_at.get((team, channel), now) - now
        return max(0.0, ahead - (CHANNEL_BURST - 1))

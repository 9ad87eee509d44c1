"""Leaves a server alone that keeps failing, and looks now and then whether it is back."""

from core.errors import ToolFailed
from core.ports import Clock
from core.tools.mcp_allowed import AllowedUpstream

COUNTED = frozenset(
    {"upstream_unreachable", "upstream_timeout", "upstream_too_large", "upstream_broken"}
)
"""Faults of the server or of the way to it; any other says that it is well."""


class NotSent(ToolFailed):
    """A call was not made: whatever it would have done has not happened."""

    @classmethod
    def of(cls, fault: ToolFailed) -> "NotSent":
        """Return the same fault, of a call that was not made."""
        return cls(fault.code, **fault.facts)


class Breaker:
    """Counts failures in a row; once there are too many, nobody calls for a while.

    When that is over, one call goes ahead alone: what comes of it is for all.
    """

    def __init__(self, upstream: AllowedUpstream, *, clock: Clock) -> None:
        """Take how many failures are borne and how long the rest is."""
        self._upstream = upstream
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0
        self._probing = False

    def enter(self) -> None:
        """Ask whether a call may be made now; every call let in must ``leave`` or ``abandon``.

        Raises:
            ToolFailed: ``upstream_resting``, with the seconds until it is worth asking again.
        """
        if self._failures < self._upstream.failures:
            return
        left = self._open_until - self._clock.monotonic()
        if left > 0 or self._probing:
            raise ToolFailed(
                "upstream_resting", upstream=self._upstream.name, seconds=max(1, round(left))
            )
        self._probing = True

    def abandon(self) -> None:
        """Take that a call was broken off by whoever made it: nothing was learned."""
        self._probing = False

    def leave(self, error: ToolFailed | None) -> None:
        """Take what came of a call; None where it was well."""
        self._probing = False
        if error is None or error.code not in COUNTED:
            self._failures = 0
            return
        self._failures += 1
        if self._failures >= self._upstream.failures:
            self._open_until = self._clock.monotonic() + self._upstream.rest_seconds

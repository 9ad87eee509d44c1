"""The time, from the machine."""

import time
from datetime import UTC, datetime


class SystemClock:
    """The Clock port on this machine's clocks."""

    def now(self) -> datetime:
        """Return the time of day, in UTC, aware."""
        return datetime.now(UTC)  # noqa: TID251 - the one place

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

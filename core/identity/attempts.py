"""How often an address may try: in this process alone, as a brake and not as a wall."""

from collections import OrderedDict
from typing import Final

from core.errors import LimitReached
from core.ports import Clock

_REMEMBERED: Final = 10_000


class Attempts:
    """Counts attempts of each address, within a window that begins with the first one.

    Each process counts for itself. Behind a proxy all addresses are the proxy's, so the limit is
    wide enough for a whole company.
    """

    def __init__(self, *, most: int, seconds: float, clock: Clock) -> None:
        """Allow ``most`` attempts of one address in ``seconds``."""
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._counted: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def check(self, address: str) -> None:
        """Refuse an address that has tried too often.

        Raises:
            LimitReached: ``too_many_attempts``.
        """
        began, count = self._counted.get(address, (0.0, 0))
        left = began + self._seconds - self._clock.monotonic()
        if count >= self._most and left > 0:
            raise LimitReached("too_many_attempts", retry_after_seconds=int(left) + 1)

    def count(self, address: str) -> None:
        """Count one attempt."""
        now = self._clock.monotonic()
        began, count = self._counted.pop(address, (now, 0))
        if began + self._seconds <= now:
            began, count = now, 0
        self._counted[address] = (began, count + 1)
        while len(self._counted) > _REMEMBERED:
            self._counted.popitem(last=False)

"""How often may be tried: in this process alone, as a brake and not as a wall."""

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address
from typing import Final

from core.errors import LimitReached
from core.ports import Clock

_REMEMBERED: Final = 10_000
_NETWORK_BITS: Final = 64


class Attempts:
    """Counts attempts of each address, and of all, in windows that begin with the first one.

    Each process counts for itself. Behind a proxy all addresses are the proxy's, so the limit is
    wide enough for a whole company. Whoever has an IPv6 address has its whole network of them.
    """

    def __init__(
        self, *, most: int, seconds: float, clock: Clock, in_all: int | None = None
    ) -> None:
        """Allow ``most`` attempts of one address in ``seconds``, and ``in_all`` of all together."""
        self._most = most
        self._in_all = in_all
        self._seconds = seconds
        self._clock = clock
        self._counted: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._all = (0.0, 0)

    def take(self, address: str) -> None:
        """Count an attempt, or refuse it; one that was refused counts for nothing.

        Raises:
            LimitReached: as ``check``.
        """
        self.check(address)
        self.count(address)

    def check(self, address: str) -> None:
        """Refuse an address that has tried too often, or anybody once all have.

        Raises:
            LimitReached: ``too_many_attempts``, ``too_many_attempts_in_all``.
        """
        counted = self._counted.get(_network_of(address), (0.0, 0))
        self._refuse(counted, most=self._most, code="too_many_attempts")
        if self._in_all is not None:
            self._refuse(self._all, most=self._in_all, code="too_many_attempts_in_all")

    def count(self, address: str) -> None:
        """Count one attempt."""
        now, network = self._clock.monotonic(), _network_of(address)
        self._counted[network] = self._one_more(self._counted.pop(network, (now, 0)), now=now)
        self._all = self._one_more(self._all, now=now)
        while len(self._counted) > _REMEMBERED:
            self._counted.popitem(last=False)

    def _refuse(self, counted: tuple[float, int], *, most: int, code: str) -> None:
        began, count = counted
        left = began + self._seconds - self._clock.monotonic()
        if count >= most and left > 0:
            raise LimitReached(code, retry_after_seconds=int(left) + 1)

    def _one_more(self, counted: tuple[float, int], *, now: float) -> tuple[float, int]:
        began, count = counted
        return (began, count + 1) if began + self._seconds > now else (now, 1)


def _network_of(address: str) -> str:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return (int(parsed) >> _NETWORK_BITS).to_bytes(8).hex()

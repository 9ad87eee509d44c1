"""How often a platform may be called: buckets of tokens, per method and per conversation."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.ports import Clock

_MOST_BUCKETS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """``burst`` calls at once, and then ``per_minute``."""

    per_minute: float
    burst: float


@dataclass(slots=True, kw_only=True)
class _Bucket:
    tokens: float
    at: float


class Limits:
    """The limits of one workspace. A new one has empty buckets: nobody knows what was before it."""

    def __init__(self, rates: Mapping[str, Rate], *, clock: Clock) -> None:
        """Take the rate of each thing that is limited; what has none is not."""
        self._rates = rates
        self._clock = clock
        self._began = clock.monotonic()
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()
        self._paused_until: dict[tuple[str, str], float] = {}

    def seconds_until(self, *uses: tuple[str, str]) -> float:
        """Return how long until all of these may be used: a rate's name, and whose it is.

        ``("chat.postMessage", "")`` is the method, ``("message", "C1")`` its use in a channel.
        """
        now = self._clock.monotonic()
        return max((self._wait(use, now=now) for use in uses), default=0.0)

    def take(self, *uses: tuple[str, str]) -> None:
        """Use them all, whatever is left."""
        now = self._clock.monotonic()
        for use in uses:
            bucket = self._bucket(use, now=now)
            if bucket is not None:
                bucket.tokens -= 1

    def pause(self, use: tuple[str, str], *, seconds: float) -> None:
        """Have one use rest, as the platform has asked; of nobody's in particular: all of them."""
        now = self._clock.monotonic()
        resting = {one: until for one, until in self._paused_until.items() if until > now}
        self._paused_until = {**resting, use: now + seconds}

    def _wait(self, use: tuple[str, str], *, now: float) -> float:
        until = max(self._paused_until.get(one, now) for one in (use, (use[0], "")))
        rest = max(0.0, until - now)
        bucket = self._bucket(use, now=now)
        if bucket is None or bucket.tokens >= 1:
            return rest
        return max(rest, (1 - bucket.tokens) * 60 / self._rates[use[0]].per_minute)

    def _bucket(self, use: tuple[str, str], *, now: float) -> _Bucket | None:
        rate = self._rates.get(use[0])
        if rate is None:
            return None
        bucket = self._buckets.get(use)
        if bucket is None:
            bucket = self._buckets[use] = _Bucket(tokens=1.0, at=self._began)
            while len(self._buckets) > _MOST_BUCKETS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(use)
        grown = bucket.tokens + (now - bucket.at) * rate.per_minute / 60
        bucket.tokens, bucket.at = min(rate.burst, grown), now
        return bucket

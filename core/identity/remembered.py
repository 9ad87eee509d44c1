"""Who was authenticated just now, so that the next request need not be looked up."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from core.domain.ids import TenantId, TokenId
from core.domain.principal import Caller
from core.ports import Clock

_FRESH_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 1.0


class Epochs(Protocol):
    """Where every tenant's epoch is."""

    async def epoch(self, tenant_id: TenantId) -> int | None:
        """Return the tenant's epoch as it is now; None where there is no such tenant."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated:
    """Whom a token let in, as it was found under this epoch of the tenant.

    ``at`` is a moment of the monotonic clock before that.
    """

    token_id: TokenId
    caller: Caller
    expires_at: datetime
    epoch: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    epoch: int
    at: float


class Remembered:
    """Remembers whom tokens let in, for five seconds, and never past a change of their tenant.

    The tenant's epoch is looked at once a second for all of its tokens together, and at once after
    this process has ended something: whoever is revoked anywhere is remembered for a second more.
    """

    def __init__(self, epochs: Epochs, *, clock: Clock, most: int) -> None:
        """Take where epochs are, and how many to remember at most."""
        self._epochs = epochs
        self._clock = clock
        self._most = most
        self._kept: OrderedDict[bytes, Authenticated] = OrderedDict()
        self._hashes: dict[TokenId, bytes] = {}
        self._looks: OrderedDict[TenantId, _Look] = OrderedDict()
        self._ended_at: float | None = None

    async def find(self, token_hash: bytes) -> Authenticated | None:
        """Return whom the token let in, where that still holds."""
        known = self._kept.get(token_hash)
        if known is None:
            return None
        holds = self._is_fresh(known) and await self._is_current(known)
        # It may have been dropped meanwhile.
        if self._kept.get(token_hash) is not known:
            return None
        if not holds:
            self.drop(token_hash)
            return None
        self._kept.move_to_end(token_hash)
        return known

    def keep(self, token_hash: bytes, known: Authenticated) -> None:
        """Remember whom a token let in; whoever was not seen for longest is forgotten for it."""
        self.saw(known.caller.tenant_id, epoch=known.epoch, at=known.at)
        self._kept[token_hash] = known
        self._hashes[known.token_id] = token_hash
        while len(self._kept) > self._most:
            self.drop(next(iter(self._kept)))

    def drop(self, token_hash: bytes | None) -> None:
        """Forget a token."""
        known = self._kept.pop(token_hash, None) if token_hash else None
        if known is not None:
            self._hashes.pop(known.token_id, None)

    def drop_token(self, token_id: TokenId) -> None:
        """Forget the token of that id."""
        self.drop(self._hashes.get(token_id))

    def saw(self, tenant_id: TenantId, *, epoch: int, at: float) -> None:
        """Take note of an epoch that was read after ``at``."""
        last = self._looks.get(tenant_id)
        if last is None or (epoch, at) > (last.epoch, last.at):
            self._looks[tenant_id] = _Look(epoch=epoch, at=at)
            self._looks.move_to_end(tenant_id)
        while len(self._looks) > self._most:
            self._looks.popitem(last=False)

    def look_again(self) -> None:
        """Believe no epoch that was read before now: something has ended."""
        self._ended_at = self._clock.monotonic()

    def _is_fresh(self, known: Authenticated) -> bool:
        return (
            self._clock.monotonic() - known.at <= _FRESH_SECONDS
            and known.expires_at > self._clock.now()
        )

    async def _is_current(self, known: Authenticated) -> bool:
        tenant_id = known.caller.tenant_id
        now, look = self._clock.monotonic(), self._looks.get(tenant_id)
        if look is None or now - look.at > _LOOK_SECONDS or self._is_outdated(look):
            epoch = await self._epochs.epoch(tenant_id)
            if epoch is None:
                return False
            self.saw(tenant_id, epoch=epoch, at=now)
            return known.epoch >= epoch
        return known.epoch >= look.epoch

    def _is_outdated(self, look: _Look) -> bool:
        return self._ended_at is not None and look.at <= self._ended_at

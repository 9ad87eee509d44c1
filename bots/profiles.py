"""What workspaces say of accounts, asked again after a minute: no right rests on an old word."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from core.domain.account import Account
from core.domain.ids import TenantId
from core.ports import Clock

FRESH_SECONDS: Final = 60.0
_MOST: Final = 10_000

P = TypeVar("P")
"""What a surface says of an account."""


class Remembered(Generic[P]):
    """Answers about accounts, kept for a minute, or until one is to be forgotten."""

    def __init__(self, *, clock: Clock, most: int = _MOST) -> None:
        """Take how many accounts are remembered at most."""
        self._clock = clock
        self._most = most
        self._known: OrderedDict[tuple[TenantId, Account], tuple[float, P | None]] = OrderedDict()

    async def of(
        self,
        tenant_id: TenantId,
        *,
        account: Account,
        ask: Callable[[], Awaitable[P | None]],
    ) -> P | None:
        """Return what an account was a minute ago at most; ``ask`` is called where nobody knows."""
        key, now = (tenant_id, account), self._clock.monotonic()
        known = self._known.get(key)
        if known is not None and now - known[0] < FRESH_SECONDS:
            return known[1]
        # Marked before the question: an answer that was overtaken by a change is not kept.
        mark = self._known[key] = (float("-inf"), None)
        found = await ask()
        if self._known.get(key) is mark:
            self._known[key] = (now, found)
            self._known.move_to_end(key)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return found

    def forget(self, tenant_id: TenantId, *, account: Account) -> None:
        """Ask again the next time: the account has changed."""
        self._known.pop((tenant_id, account), None)

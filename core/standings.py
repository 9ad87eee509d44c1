"""How people stand, as it was read last: good for a verdict until the epoch proves it stale.

A caller may have been let in on a token that was looked up before the standing was: in between it
can have been revoked. Such a caller is renewed, so that token and standing are of one epoch.
"""

from collections import OrderedDict
from typing import Final

from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Caller
from core.ports import People, Renew, Standing

_MOST: Final = 10_000


class Standings:
    """Remembers standings; what is written down under one checks that it still holds."""

    def __init__(self, people: People, *, renew: Renew) -> None:
        """Take who knows the people, and who knows their tokens."""
        self._people = people
        self._renew = renew
        self._read: OrderedDict[tuple[TenantId, PrincipalId], Standing] = OrderedDict()

    async def last(self, caller: Caller) -> tuple[Caller, Standing]:
        """Return the caller, renewed if need be, and how they stood when last looked at.

        Raises:
            NotFound: gone or disabled.
            Unauthenticated: the token is not good any more.
        """
        standing = self._read.get(_key(caller))
        if standing is None:
            return await self.now(caller)
        return await self._of_one_epoch(caller, standing)

    async def now(self, caller: Caller) -> tuple[Caller, Standing]:
        """Return the caller, renewed if need be, and how they stand now.

        Raises:
            NotFound: gone or disabled.
            Unauthenticated: the token is not good any more.
        """
        standing = await self._people.standing(caller.tenant_id, principal_id=caller.principal.id)
        self._read[_key(caller)] = standing
        while len(self._read) > _MOST:
            self._read.popitem(last=False)
        return await self._of_one_epoch(caller, standing)

    async def _of_one_epoch(self, caller: Caller, standing: Standing) -> tuple[Caller, Standing]:
        is_older = caller.epoch is not None and caller.epoch < standing.tenant.epoch
        return (await self._renew(caller) if is_older else caller), standing

    def forget(self, caller: Caller) -> None:
        """Have the caller looked at anew."""
        self._read.pop(_key(caller), None)


def _key(caller: Caller) -> tuple[TenantId, PrincipalId]:
    return caller.tenant_id, caller.principal.id

"""Group commit for what arrives: all that comes at the same time is kept in one transaction."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast
from uuid import UUID

from core.domain.canonical import canonical_json
from core.domain.delivery import Arrival
from core.domain.ids import TenantId
from core.errors import Unavailable
from core.store.database import Database

_TAKE: Final = "select take_arrivals($1, $2, $3, $4, $5, $6, $7, $8, $9)"
_AT_ONCE: Final = 64


def _future() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True, eq=False)
class _Waiting:
    """An arrival that waits to be kept; woken once it is, or once it has to lead."""

    arrival: Arrival
    woken: "asyncio.Future[None]" = field(default_factory=_future)
    outcome: bool | Exception | None = None

    def wake(self) -> None:
        if not self.woken.done():
            self.woken.set_result(None)


class GroupedArrivals:
    """Keeps arrivals, each by itself as far as whoever brings it can tell.

    One that finds no other of its tenant under way goes at once; while one is, others queue up, and
    the first of them takes all along. Each returns when it is committed.
    """

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database
        self._queues: dict[TenantId, deque[_Waiting]] = {}

    async def take(self, tenant_id: TenantId, *, arrival: Arrival) -> bool:
        """Keep what arrived; False where it is there already.

        Raises:
            Unavailable: ``database_unavailable``; whether it was kept is not known.
        """
        mine = _Waiting(arrival)
        queue = self._queues.get(tenant_id)
        if queue is not None:
            queue.append(mine)
            try:
                await mine.woken
            except asyncio.CancelledError:
                self._leave(tenant_id, mine)
                raise
        else:
            self._queues[tenant_id] = deque()
        if mine.outcome is None:
            await self._lead(tenant_id, mine)
        if isinstance(mine.outcome, Exception):
            raise mine.outcome
        return bool(mine.outcome)

    def _leave(self, tenant_id: TenantId, mine: _Waiting) -> None:
        """Have nobody wait for one that is cancelled; where it was to lead, another does."""
        queue = self._queues.get(tenant_id, deque())
        if mine in queue:
            queue.remove(mine)
        elif mine.outcome is None and mine.woken.done() and not mine.woken.cancelled():
            self._hand_on(tenant_id)

    async def _lead(self, tenant_id: TenantId, mine: _Waiting) -> None:
        """Keep what waits, the leader's own first, and hand on."""
        queue = self._queues[tenant_id]
        group = [mine]
        while queue and len(group) < _AT_ONCE:
            group.append(queue.popleft())
        # Where it is broken off on the way, who was taken along can't know what became of it.
        outcomes: Sequence[bool | Exception] = [_unknown() for _ in group]
        try:
            outcomes = await self._kept(tenant_id, [one.arrival for one in group])
        finally:
            self._hand_on(tenant_id)
            for one, outcome in zip(group, outcomes, strict=True):
                one.outcome = outcome
                one.wake()

    def _hand_on(self, tenant_id: TenantId) -> None:
        queue = self._queues[tenant_id]
        if queue:
            queue.popleft().wake()
        else:
            del self._queues[tenant_id]

    async def _kept(
        self, tenant_id: TenantId, arrivals: Sequence[Arrival]
    ) -> Sequence[bool | Exception]:
        columns = (
            [one.id for one in arrivals],
            [one.surface for one in arrivals],
            [one.workspace for one in arrivals],
            [one.conversation for one in arrivals],
            [one.position for one in arrivals],
            [one.external_id for one in arrivals],
            [one.urgent for one in arrivals],
            [canonical_json(one.payload) for one in arrivals],
        )
        try:
            new = set(cast("Sequence[UUID]", await self._database.hot(_TAKE, tenant_id, *columns)))
        except Unavailable:
            return [_unknown() for _ in arrivals]
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the bringer's to see
            if len(arrivals) == 1:
                return [error]
            # One of them can't be kept as it is; the others have nothing to do with it.
            return [told for one in arrivals for told in await self._kept(tenant_id, [one])]
        return [one.id in new for one in arrivals]


def _unknown() -> Unavailable:
    return Unavailable("database_unavailable")

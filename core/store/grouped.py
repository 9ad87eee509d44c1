"""Group commit: what several runs of a tenant write at the same time is one transaction."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final, cast

from core.domain.ids import RunId, TenantId
from core.errors import LeaseLost, StaleEpoch, Unavailable
from core.ports import Written
from core.store.columns import COLUMNS, Columns, Write
from core.store.database import Database

_WRITE: Final = f"select journal($1, {', '.join(f'${n + 2}' for n in range(COLUMNS))})"
_AT_ONCE: Final = 64
# One at a time makes the largest groups; another only where one takes unusually long.
_SLOW_SECONDS: Final = 0.1
_LOOK_SECONDS: Final = 0.01
_GROUPS: Final = 4
_LEASE_LOST: Final = -1
_STALE_EPOCH: Final = -2


class GroupedWrites:
    """The one way to the journal function.

    A write that finds no other of its tenant under way goes at once. While one is, writes queue up;
    when it is done, the first of the queue takes all of it along. Where one takes unusually long,
    the queue goes beside it. Each is kept or refused by itself, and returns when it is committed.
    """

    def __init__(self, database: Database, *, slow_seconds: float = _SLOW_SECONDS) -> None:
        """Take the database; behind a group that takes longer than so long, another may go."""
        self._database = database
        self._slow_seconds = slow_seconds
        self._queues: dict[TenantId, _Queue] = {}

    async def write(self, write: Write) -> Written:
        """Keep the whole write or nothing; return how things stand now.

        Raises:
            LeaseLost: another worker drives the run now.
            StaleEpoch: the tenant's configuration is another one.
            Unavailable: ``database_unavailable``; whether it was kept is not known.
        """
        tenant_id = write.lease.tenant_id
        queue = self._queues.setdefault(tenant_id, _Queue(self._slow_seconds))
        mine = queue.add(write)
        try:
            await mine.woken
            if mine.leads:
                await self._lead(tenant_id, queue, mine)
        except asyncio.CancelledError:
            if queue.without(mine):
                self._queues.pop(tenant_id, None)
            raise
        match mine.outcome:
            case Written() as written:
                return written
            case Exception() as error:
                raise error
            case None:
                raise RuntimeError("woken without an outcome")

    async def _lead(self, tenant_id: TenantId, queue: "_Queue", leader: "_Pending") -> None:
        """Write what waits, the leader's own first, and hand on."""
        group = queue.take(leader)
        # Where it is broken off on the way, who was taken along can't know what became of it.
        outcomes: Sequence[Written | Exception] = [_unknown() for _ in group]
        try:
            outcomes = await self._sent(tenant_id, [pending.write for pending in group])
        finally:
            # First, so that the next group is on its way while this one's runs go on.
            if queue.left(group):
                self._queues.pop(tenant_id, None)
            for pending, outcome in zip(group, outcomes, strict=True):
                pending.outcome = outcome
                pending.wake()

    async def _sent(
        self, tenant_id: TenantId, writes: Sequence[Write]
    ) -> Sequence[Written | Exception]:
        try:
            arguments = Columns(writes).arguments()
            answer = await self._database.hot(_WRITE, tenant_id, *arguments)
        except Unavailable:
            return [_unknown() for _ in writes]
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the writer's to see
            if len(writes) == 1:
                return [error]
            # One of them can't be kept as it is; the others have nothing to do with it.
            return [outcome for write in writes for outcome in await self._sent(tenant_id, [write])]
        epoch, *outcomes = cast("list[int]", answer)
        return [_outcome(outcome, epoch=epoch) for outcome in outcomes]


def _unknown() -> Unavailable:
    return Unavailable("database_unavailable")


def _future() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True, eq=False, kw_only=True)
class _Pending:
    """A write that waits to be led, or told its outcome; woken for either."""

    write: Write
    woken: "asyncio.Future[None]" = field(default_factory=_future)
    leads: bool = False
    outcome: Written | Exception | None = None

    @property
    def run_id(self) -> RunId:
        return self.write.lease.run_id

    def wake(self) -> None:
        if not self.woken.done():
            self.woken.set_result(None)


class _Queue:
    """What waits of one tenant, and the groups of it that are under way."""

    def __init__(self, slow_seconds: float) -> None:
        self._slow_seconds = slow_seconds
        self._waiting: deque[_Pending] = deque()
        self._under_way: set[RunId] = set()
        self._groups = 0
        self._begun = 0.0
        self._look: asyncio.TimerHandle | None = None

    def add(self, write: Write) -> _Pending:
        """Take a write in; it leads at once where there is room for another group."""
        pending = _Pending(write=write)
        self._waiting.append(pending)
        if not self._groups or (self._is_slow and self._groups < _GROUPS):
            self._call_next()
        elif self._look is None:
            self._look_again()
        return pending

    def take(self, leader: _Pending) -> list[_Pending]:
        """Return the leader's group: no run twice, and in one order, lest two groups lock."""
        group = {leader.run_id: leader}
        kept: deque[_Pending] = deque()
        for pending in self._waiting:
            if pending is leader:
                continue
            if len(group) < _AT_ONCE and self._is_free(pending) and pending.run_id not in group:
                group[pending.run_id] = pending
            else:
                kept.append(pending)
        self._waiting = kept
        self._under_way.update(group)
        return [group[run_id] for run_id in sorted(group)]

    def left(self, group: Sequence[_Pending]) -> bool:
        """Hand on from a group that is done; True where nothing is left to do."""
        self._under_way.difference_update(pending.run_id for pending in group)
        return self._handed_on()

    def without(self, pending: _Pending) -> bool:
        """Forget a write whose writer has gone; True where nothing is left to do."""
        if pending not in self._waiting:
            return False
        self._waiting.remove(pending)
        if not pending.leads:
            return False
        self._under_way.discard(pending.run_id)
        return self._handed_on()

    def _handed_on(self) -> bool:
        self._groups -= 1
        self._call_next()
        return not self._groups

    def _call_next(self) -> None:
        for pending in self._waiting:
            if self._is_free(pending):
                pending.leads = True
                self._groups += 1
                self._begun = asyncio.get_running_loop().time()
                self._under_way.add(pending.run_id)
                pending.wake()
                return

    def _look_again(self) -> None:
        if self._slow_seconds < inf:
            delay = max(self._slow_seconds, _LOOK_SECONDS)
            self._look = asyncio.get_running_loop().call_later(delay, self._go_beside)

    def _go_beside(self) -> None:
        """Let what waits go beside a group that is slow."""
        self._look = None
        if not self._waiting or not self._groups:
            return
        if self._is_slow and self._groups < _GROUPS:
            self._call_next()
        self._look_again()

    @property
    def _is_slow(self) -> bool:
        return asyncio.get_running_loop().time() - self._begun > self._slow_seconds

    def _is_free(self, pending: _Pending) -> bool:
        return not pending.leads and pending.run_id not in self._under_way


def _outcome(outcome: int, *, epoch: int) -> Written | Exception:
    if outcome == _LEASE_LOST:
        return LeaseLost("lease_lost")
    if outcome == _STALE_EPOCH:
        return StaleEpoch("stale_epoch")
    return Written(cancel_requested=outcome == 1, epoch=epoch)

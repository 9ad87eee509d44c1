"""Finding segments that nobody drives any more, and having them driven again."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from core.domain.ids import RunId, TenantId
from core.durable.segment import workflow_id
from core.ports import Clock, Dispatcher

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_SPREAD_MOST = 4
_SWEEP_SECONDS = 30.0
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long each sign is waited for. With the defaults a dead worker's runs go on in 6 s.

    ``queued_seconds``: an enqueue that follows its commit takes milliseconds.
    ``stale_seconds``: five missed beats; a hung loop, a frozen and a dead process look the same.
    ``steady_seconds``: after an outage every last beat is old; time to connect and beat before
    being judged.
    ``orphan_seconds``: a segment that is ours in the tables and not in memory, until we believe
    the memory; longer than an enqueue and an outcome take on their way.
    """

    sweep_seconds: float = 0.5
    queued_seconds: float = 2.0
    stale_seconds: float = 5.0
    steady_seconds: float = 5.0
    orphan_seconds: float = 10.0


_UNDER_WAY = frozenset({"PENDING", "ENQUEUED", "DELAYED"})

Requeue = Callable[[TenantId, RunId, int], Awaitable[int | None]]
"""Moves the run from this segment to a new one that is queued, and returns its number.

Returns None where the run is not at this segment any more, or neither queued nor driven: what the
sweep has seen may be old. Whoever drove the segment loses the lease.
"""


class Due(Protocol):
    """A segment that may need somebody."""

    @property
    def tenant_id(self) -> TenantId:
        """Return whose run it is."""
        ...

    @property
    def run_id(self) -> RunId:
        """Return the run."""
        ...

    @property
    def segment(self) -> int:
        """Return the segment's number."""
        ...

    @property
    def abandoned(self) -> bool:
        """Return whether it has a driver whose pulse is gone."""
        ...


class Directory(Protocol):
    """What the tables say is due, across tenants."""

    async def due_segments(
        self, *, queued_seconds: float, stale_seconds: float, limit: int
    ) -> Sequence[Due]:
        """Return segments queued for that long, and those whose driver has no fresh pulse."""
        ...

    async def driven_by(self, executor_id: str, *, limit: int) -> Sequence[Due]:
        """Return the segments that this worker drives, as the tables have it."""
        ...

    async def alive_workers(self, *, stale_seconds: float) -> frozenset[str]:
        """Return the executor ids with a fresh pulse."""
        ...


class Pulse(Protocol):
    """The sweeping worker's own heartbeat."""

    @property
    def executor_id(self) -> str:
        """Return whose pulse it is."""
        ...

    def steady_seconds(self) -> float:
        """Return for how long it has not failed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A segment that the queue has given to a worker and that has not come back."""

    workflow_id: str
    executor_id: str


class Queue(Dispatcher, Protocol):
    """The queue as the sweep needs it."""

    async def claimed(self, *, limit: int) -> Sequence[Claimed]:
        """Return what workers have claimed and not finished, the oldest first."""
        ...

    async def statuses(self, workflow_ids: Sequence[str]) -> Mapping[str, str]:
        """Return how the queue knows these ids; those that it doesn't know are missing."""
        ...

    async def give_up(self, workflow_ids: Sequence[str]) -> None:
        """Take these out of the queue's count, whoever had claimed them."""
        ...

    def driven_here(self) -> Collection[str]:
        """Return the workflow ids that this process drives now."""
        ...


class Takeover:
    """The sweep that every worker runs; several at once do no harm: each step is conditional."""

    def __init__(
        self,
        queue: Queue,
        *,
        directory: Directory,
        pulse: Pulse,
        requeue: Requeue,
        clock: Clock,
        pace: Pace,
    ) -> None:
        """Take the queue, the tables' view, and how a run is moved to a new segment."""
        self._queue = queue
        self._directory = directory
        self._pulse = pulse
        self._requeue = requeue
        self._clock = clock
        self._pace = pace
        self._orphans: dict[str, float] = {}

    async def run(self) -> None:
        """Sweep until cancelled, the more workers the more seldom each."""
        alive = 1
        while True:
            try:
                async with asyncio.timeout(_SWEEP_SECONDS):
                    alive = await self.sweep()
            except Exception as error:  # noqa: BLE001 - a worker's main loop: the next one may do
                _log.warning("takeover.failed", error=type(error).__name__, detail=str(error))
            await asyncio.sleep(self._pace.sweep_seconds * min(max(alive, 1), _SPREAD_MOST))

    async def sweep(self) -> int:
        """Find and heal once; return how many workers live, 1 when this one can not tell."""
        # In this order: who claims has beaten before, so no claim here is of a worker just born.
        claimed = await self._queue.claimed(limit=_AT_ONCE)
        alive = await self._directory.alive_workers(stale_seconds=self._pace.stale_seconds)
        due = await self._directory.due_segments(
            queued_seconds=self._pace.queued_seconds,
            stale_seconds=self._pace.stale_seconds,
            limit=_AT_ONCE,
        )
        # Only now: each of these reads may have waited for an outage to end.
        if self._pulse.steady_seconds() < self._pace.steady_seconds:
            return 1
        dead = [each for each in claimed if each.executor_id not in alive]
        if dead:
            # Their runs are due and move to a new segment; this frees their tenants' places.
            await self._queue.give_up([each.workflow_id for each in dead])
            _log.info("takeover.claims_given_up", count=len(dead))
        for each in due:
            if each.abandoned:
                await self._take_over(each, why="abandoned")
        await self._heal_queued([each for each in due if not each.abandoned])
        await self._heal_orphans(claimed)
        return len(alive)

    async def _take_over(self, due: Due, *, why: str) -> None:
        segment = await self._requeue(due.tenant_id, due.run_id, due.segment)
        if segment is None:
            return
        _log.info(
            "segment.taken_over",
            tenant_id=str(due.tenant_id),
            run_id=str(due.run_id),
            segment=segment,
            why=why,
        )
        await self._queue.enqueue(due.tenant_id, run_id=due.run_id, segment=segment)

    async def _heal_queued(self, queued: Sequence[Due]) -> None:
        """Enqueue what never was, and renew what the queue has done with."""
        if not queued:
            return
        known = await self._queue.statuses([_id(each) for each in queued])
        for each in queued:
            match known.get(_id(each)):
                case None:
                    await self._queue.enqueue(
                        each.tenant_id, run_id=each.run_id, segment=each.segment
                    )
                case status if status in _UNDER_WAY:
                    pass
                case status:
                    await self._take_over(each, why=f"queue_says_{status.lower()}")

    async def _heal_orphans(self, claimed: Iterable[Claimed]) -> None:
        """Renew what the tables say is driven here and is not, once that has lasted."""
        me = self._pulse.executor_id
        driven = await self._directory.driven_by(me, limit=_AT_ONCE)
        here = self._queue.driven_here()
        runs = {_id(each): each for each in driven if _id(each) not in here}
        claims = {
            each.workflow_id
            for each in claimed
            if each.executor_id == me and each.workflow_id not in here
        }
        now = self._clock.monotonic()
        self._orphans = {each: self._orphans.get(each, now) for each in (*runs.keys(), *claims)}
        lost = {
            each for each, since in self._orphans.items() if now - since > self._pace.orphan_seconds
        }
        if lost & claims:
            await self._queue.give_up(sorted(lost & claims))
        for each in lost & runs.keys():
            await self._take_over(runs[each], why="orphaned")


def _id(due: Due) -> str:
    return workflow_id(due.run_id, segment=due.segment)

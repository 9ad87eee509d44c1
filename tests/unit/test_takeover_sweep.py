from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest

from core.domain.ids import RunId, TenantId
from core.durable.segment import workflow_id
from core.durable.takeover import Claimed, Pace, Takeover
from core.store.directory import DueSegment
from tests.builders import SteadyClock

_TENANT = TenantId(UUID(int=1))
_ME = "me"


@dataclass
class FakePulse:
    steady: float = 60.0
    executor_id: str = _ME

    def steady_seconds(self) -> float:
        return self.steady


@dataclass
class FakeDirectory:
    pulse: FakePulse
    steady_after: float = 60.0
    alive: frozenset[str] = frozenset({_ME})
    due: list[DueSegment] = field(default_factory=list[DueSegment])
    mine: list[DueSegment] = field(default_factory=list[DueSegment])

    async def due_segments(
        self, *, queued_seconds: float, stale_seconds: float, limit: int
    ) -> Sequence[DueSegment]:
        del queued_seconds, stale_seconds
        self.pulse.steady = self.steady_after
        return self.due[:limit]

    async def driven_by(self, executor_id: str, *, limit: int) -> Sequence[DueSegment]:
        return self.mine[:limit] if executor_id == _ME else []

    async def alive_workers(self, *, stale_seconds: float) -> frozenset[str]:
        del stale_seconds
        return self.alive


@dataclass
class FakeQueue:
    claims: list[Claimed] = field(default_factory=list[Claimed])
    known: dict[str, str] = field(default_factory=dict[str, str])
    here: set[str] = field(default_factory=set[str])
    enqueued: list[tuple[RunId, int]] = field(default_factory=list[tuple[RunId, int]])
    given_up: list[str] = field(default_factory=list[str])

    async def enqueue(self, tenant_id: TenantId, *, run_id: RunId, segment: int) -> None:
        assert tenant_id == _TENANT
        self.enqueued.append((run_id, segment))

    async def claimed(self, *, limit: int) -> Sequence[Claimed]:
        return self.claims[:limit]

    async def statuses(self, workflow_ids: Sequence[str]) -> Mapping[str, str]:
        return {each: self.known[each] for each in workflow_ids if each in self.known}

    async def give_up(self, workflow_ids: Sequence[str]) -> None:
        self.given_up.extend(workflow_ids)

    def driven_here(self) -> Collection[str]:
        return self.here


class Sweeping:
    """A sweep over fakes, with every run still where the directory saw it unless moved."""

    def __init__(self) -> None:
        self.queue = FakeQueue()
        self.pulse = FakePulse()
        self.directory = FakeDirectory(self.pulse)
        self.clock = SteadyClock()
        self.moved: set[RunId] = set()
        self.takeover = Takeover(
            self.queue,
            directory=self.directory,
            pulse=self.pulse,
            requeue=self._requeue,
            clock=self.clock,
            pace=Pace(),
        )

    async def _requeue(self, tenant_id: TenantId, run_id: RunId, segment: int) -> int | None:
        assert tenant_id == _TENANT
        return None if run_id in self.moved else segment + 1


@pytest.fixture
def sweeping() -> Sweeping:
    return Sweeping()


def _due(*, abandoned: bool = False, segment: int = 1) -> DueSegment:
    return DueSegment(
        tenant_id=_TENANT, run_id=RunId(uuid4()), segment=segment, abandoned=abandoned
    )


def _id(due: DueSegment) -> str:
    return workflow_id(due.run_id, segment=due.segment)


async def test_abandoned_segment_is_driven_again_as_the_next_one(sweeping: Sweeping) -> None:
    due = _due(abandoned=True, segment=4)
    sweeping.directory.due = [due]

    await sweeping.takeover.sweep()

    assert sweeping.queue.enqueued == [(due.run_id, 5)]


async def test_segment_that_moved_on_since_it_was_seen_is_left_alone(sweeping: Sweeping) -> None:
    due = _due(abandoned=True)
    sweeping.directory.due = [due]
    sweeping.moved = {due.run_id}

    await sweeping.takeover.sweep()

    assert sweeping.queue.enqueued == []


@pytest.mark.parametrize(
    ("status", "enqueued"),
    [
        (None, 1),
        ("ENQUEUED", None),
        ("PENDING", None),
        ("DELAYED", None),
        ("SUCCESS", 2),
        ("ERROR", 2),
        ("CANCELLED", 2),
        ("MAX_RECOVERY_ATTEMPTS_EXCEEDED", 2),
    ],
)
async def test_queued_segment_is_healed_by_what_the_queue_knows_of_it(
    sweeping: Sweeping, status: str | None, enqueued: int | None
) -> None:
    due = _due()
    sweeping.directory.due = [due]
    if status is not None:
        sweeping.queue.known = {_id(due): status}

    await sweeping.takeover.sweep()

    assert sweeping.queue.enqueued == ([] if enqueued is None else [(due.run_id, enqueued)])


async def test_only_claims_of_workers_without_a_pulse_are_given_up(sweeping: Sweeping) -> None:
    sweeping.directory.alive = frozenset({_ME, "other"})
    sweeping.queue.claims = [
        Claimed(workflow_id="run:a:1", executor_id="dead"),
        Claimed(workflow_id="run:b:1", executor_id="other"),
    ]

    assert await sweeping.takeover.sweep() == 2

    assert sweeping.queue.given_up == ["run:a:1"]


async def test_worker_whose_own_pulse_broke_while_it_looked_judges_nobody(
    sweeping: Sweeping,
) -> None:
    sweeping.directory.steady_after = 4.9
    sweeping.directory.due = [_due(abandoned=True)]
    sweeping.queue.claims = [Claimed(workflow_id="run:a:1", executor_id="dead")]

    assert await sweeping.takeover.sweep() == 1

    assert (sweeping.queue.enqueued, sweeping.queue.given_up) == ([], [])


async def test_segment_said_to_be_driven_here_and_not_is_renewed_once_that_has_lasted(
    sweeping: Sweeping,
) -> None:
    lost, driven = _due(), _due()
    sweeping.directory.mine = [lost, driven]
    sweeping.queue.here = {_id(driven)}
    sweeping.queue.claims = [
        Claimed(workflow_id=_id(each), executor_id=_ME) for each in (lost, driven)
    ]

    await sweeping.takeover.sweep()
    sweeping.clock.move(seconds=9)
    await sweeping.takeover.sweep()
    assert sweeping.queue.given_up == []

    sweeping.clock.move(seconds=2)
    await sweeping.takeover.sweep()
    assert sweeping.queue.given_up == [_id(lost)]
    assert sweeping.queue.enqueued == [(lost.run_id, 2)]


async def test_segment_that_is_driven_here_in_between_starts_its_time_anew(
    sweeping: Sweeping,
) -> None:
    due = _due()
    sweeping.directory.mine = [due]
    await sweeping.takeover.sweep()
    sweeping.clock.move(seconds=9)
    sweeping.queue.here = {_id(due)}
    await sweeping.takeover.sweep()
    sweeping.clock.move(seconds=9)
    sweeping.queue.here = set()

    await sweeping.takeover.sweep()

    assert sweeping.queue.enqueued == []

"""What this process drives now, and whether it may drive more."""

import asyncio
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import contextmanager


class Room:
    """Counts the segments that are driven here, in all and by tenant."""

    def __init__(self, *, segments: int, per_tenant: int) -> None:
        """Take how many segments fit in all and how many of one tenant."""
        self._segments = segments
        self._per_tenant = per_tenant
        self._taken: Counter[str] = Counter()
        self._driven: dict[asyncio.Task[object], str] = {}

    def has_room(self, tenant: str) -> bool:
        """Return whether one more segment of this tenant fits."""
        return self._taken[tenant] < self._per_tenant and sum(self._taken.values()) < self._segments

    @contextmanager
    def taken(self, tenant: str) -> Generator[None]:
        """Take one place for as long as the block runs, whether or not there is one."""
        self._taken[tenant] += 1
        try:
            yield
        finally:
            self._taken[tenant] -= 1
            if not self._taken[tenant]:
                del self._taken[tenant]

    @contextmanager
    def driven(self, tenant: str, *, workflow_id: str) -> Generator[None]:
        """Note that the current task drives this segment; takes a place."""
        task = asyncio.current_task()
        if task is None:  # pragma: no cover - coroutines run in tasks
            raise RuntimeError
        self._driven[task] = workflow_id
        try:
            with self.taken(tenant):
                yield
        finally:
            del self._driven[task]

    def workflow_ids(self) -> frozenset[str]:
        """Return what is driven here."""
        return frozenset(self._driven.values())

    def tasks(self) -> Iterable[asyncio.Task[object]]:
        """Return the tasks that drive."""
        return tuple(self._driven)

"""Work that comes round: sweeps and retention, in every worker, each on its own."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

NOT_URGENT_SECONDS: Final = 60.0
"""How long after a start that is done first which is not urgent: no start waits for it."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something to be done every so often by every worker; doing it twice at once is harmless.

    ``first_after_seconds``: what is not urgent neither slows a start nor burdens who soon ends.
    """

    name: str
    every_seconds: float
    run: Callable[[], Awaitable[None]]
    timeout_seconds: float = 60.0
    first_after_seconds: float = 0.0


class Schedule:
    """Runs each job at its pace; one that fails is logged and tried again."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        """Take the jobs."""
        self._jobs = tuple(jobs)

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            for job in self._jobs:
                group.create_task(_keep_doing(job), name=f"job-{job.name}")


async def _keep_doing(job: Job) -> None:
    await asyncio.sleep(job.first_after_seconds)
    while True:
        try:
            async with asyncio.timeout(job.timeout_seconds):
                await job.run()
        except Exception as error:  # noqa: BLE001 - a worker's main loop: the other jobs go on
            _log.warning("job.failed", job=job.name, error=type(error).__name__, detail=str(error))
        await asyncio.sleep(job.every_seconds)

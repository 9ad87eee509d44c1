import asyncio

import pytest

from core.durable.schedule import Job, Schedule


async def test_job_that_fails_is_tried_again_and_one_that_can_wait_waits() -> None:
    tries: list[str] = []
    both_went_on = asyncio.Event()

    async def fail() -> None:
        tries.append("failing")
        raise ValueError

    async def hang() -> None:
        tries.append("hanging")
        await asyncio.Event().wait()

    async def rest() -> None:
        tries.append("resting")

    async def look() -> None:
        if tries.count("failing") > 2 and tries.count("hanging") > 2:
            both_went_on.set()

    schedule = Schedule(
        [
            Job(name="failing", every_seconds=0.001, run=fail),
            Job(name="hanging", every_seconds=0.001, run=hang, timeout_seconds=0.001),
            Job(name="looking", every_seconds=0.001, run=look),
            Job(name="resting", every_seconds=0.001, run=rest, first_after_seconds=3600),
        ]
    )

    async with asyncio.TaskGroup() as group:
        running = group.create_task(schedule.run())
        async with asyncio.timeout(10):
            await both_went_on.wait()
        running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert "resting" not in tries

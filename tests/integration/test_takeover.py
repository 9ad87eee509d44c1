import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from core.domain.ids import TenantId
from core.durable.client import QueueClient
from core.store.database import APP_ROLE, Database
from tests.databases import Urls
from tests.driving import Runs, Script, main
from tests.forked import Forked
from tests.waiting import until

StartWorker = Callable[[], tuple[str, Forked]]

_TAKEN_OVER_SECONDS = 25.0


@pytest.fixture
def start_worker(urls: Urls, tmp_path: Path) -> Generator[StartWorker]:
    """Start worker processes, each with a name, and kill what is left of them."""
    with ExitStack() as stack:

        def start() -> tuple[str, Forked]:
            name = f"worker-{uuid4().hex[:8]}"
            process = Forked(main, (urls.app, name), environment={}, folder=tmp_path)
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdout.readline() == "ready\n"
            return name, process

        yield start


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


async def _enqueue(
    urls: Urls, runs: Runs, tenant_id: TenantId, *, count: int, script: Script
) -> None:
    async with QueueClient(url=urls.app, role=APP_ROLE) as client:
        for run_id in await runs.start(tenant_id, count=count, script=script):
            await client.enqueue(tenant_id, run_id=run_id, segment=1)


async def _driving(runs: Runs, tenant_id: TenantId, *, count: int) -> None:
    async def driving() -> bool:
        states = (await runs.states(tenant_id)).values()
        return sum(state[0] == "driving" for state in states) == count

    await until(driving)


async def _ended(runs: Runs, tenant_id: TenantId, *, count: int, seconds: float) -> None:
    async def ended() -> bool:
        return await runs.ended(tenant_id) == count

    await until(ended, seconds=seconds)


async def _exit_code(process: Forked, *, seconds: float) -> int:
    return await asyncio.to_thread(process.wait, seconds)


async def test_killed_workers_runs_are_finished_by_another(
    urls: Urls, runs: Runs, start_worker: StartWorker
) -> None:
    tenants = [await runs.tenant(f"tenant-{number}") for number in range(3)]
    first, killed = start_worker()
    for tenant_id in tenants:
        # More than the tenant's share at once: what the dead one held must be given back.
        await _enqueue(urls, runs, tenant_id, count=6, script=Script(steps=3, step_seconds=0.2))
        await _driving(runs, tenant_id, count=3)
    second, _ = start_worker()

    killed.kill()

    for tenant_id in tenants:
        await _ended(runs, tenant_id, count=6, seconds=_TAKEN_OVER_SECONDS)
        for made_by in (await runs.steps_of(tenant_id)).values():
            # Each step once, the first worker's before the second's.
            assert len(made_by) == 3
            assert made_by == sorted(made_by, key=[first, second].index)


async def test_worker_whose_loop_hangs_is_a_dead_one(
    urls: Urls, runs: Runs, start_worker: StartWorker
) -> None:
    tenant_id = await runs.tenant("acme")
    start_worker()
    await _enqueue(urls, runs, tenant_id, count=1, script=Script(steps=2, act="hang"))
    await _driving(runs, tenant_id, count=1)

    second, _ = start_worker()

    await _ended(runs, tenant_id, count=1, seconds=_TAKEN_OVER_SECONDS)
    [state] = (await runs.states(tenant_id)).values()
    assert state == ("ended", 2, second)


async def test_thawed_worker_writes_nothing_and_goes_on_with_new_work(
    urls: Urls, runs: Runs, start_worker: StartWorker
) -> None:
    tenant_id = await runs.tenant("acme")
    first, frozen = start_worker()
    await _enqueue(urls, runs, tenant_id, count=3, script=Script(steps=40, step_seconds=0.05))
    await _driving(runs, tenant_id, count=3)
    frozen.send_signal(signal.SIGSTOP)
    second, other = start_worker()
    await _ended(runs, tenant_id, count=3, seconds=_TAKEN_OVER_SECONDS)

    frozen.send_signal(signal.SIGCONT)
    other.send_signal(signal.SIGTERM)
    assert await _exit_code(other, seconds=8) == 0
    await _enqueue(urls, runs, tenant_id, count=1, script=Script())
    await _ended(runs, tenant_id, count=4, seconds=_TAKEN_OVER_SECONDS)

    results = sorted(state[2] or "" for state in (await runs.states(tenant_id)).values())
    assert results == sorted([first, second, second, second])
    for made_by in (await runs.steps_of(tenant_id)).values():
        assert made_by == sorted(made_by, key=[first, second].index)


async def test_terminated_worker_ends_soon_and_leaves_its_runs_to_be_taken_at_once(
    urls: Urls, runs: Runs, start_worker: StartWorker
) -> None:
    tenant_id = await runs.tenant("acme")
    _, terminated = start_worker()
    await _enqueue(urls, runs, tenant_id, count=2, script=Script(steps=2, act="linger"))
    await _driving(runs, tenant_id, count=2)
    second, _ = start_worker()

    terminated.send_signal(signal.SIGTERM)

    assert await _exit_code(terminated, seconds=8) == 0
    await _ended(runs, tenant_id, count=2, seconds=_TAKEN_OVER_SECONDS)
    assert {state[2] for state in (await runs.states(tenant_id)).values()} == {second}

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from core.durable import client as durable
from core.store.database import Database
from core.store.embedded import EmbeddedPostgres
from core.store.migrate import migrate
from tests.driving import BRISK, Runs, Script, worker
from tests.waiting import until

_PASSWORD = "app-password-of-the-tests"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[EmbeddedPostgres]:
    """A migrated server of the test's own, to kill."""
    own = EmbeddedPostgres(tmp_path)
    own.start()
    try:
        privileged = own.url(
            user="sallyport_admin", password=own.superuser_password, database="postgres"
        )
        migrate(privileged, app_password=_PASSWORD)
        durable.migrate(privileged, application_role="sallyport_app")
        yield own
    finally:
        own.stop()
        own.remove()


@pytest.mark.parametrize(
    ("crashes", "tenants"), [(1, 4), pytest.param(3, 20, marks=pytest.mark.soak)]
)
async def test_every_run_ends_although_postgresql_crashes_under_the_worker(
    server: EmbeddedPostgres, crashes: int, tenants: int
) -> None:
    url = server.url(user="sallyport_app", password=_PASSWORD, database="postgres")
    database = Database(url, pool_size=10)
    runs = Runs(database, executor_id="worker")
    each = 5
    of_tenant = {
        tenant_id: await runs.start(
            tenant_id, count=each, script=Script(steps=10, step_seconds=0.05)
        )
        for tenant_id in [await runs.tenant(f"tenant-{number}") for number in range(tenants)]
    }

    async def ended() -> int:
        return sum([await runs.ended(tenant_id) for tenant_id in of_tenant])

    async with worker(url, runs=runs, database=database, executor_id="worker") as it:
        for tenant_id, ids in of_tenant.items():
            for run_id in ids:
                await it.enqueue(tenant_id, run_id=run_id, segment=1)
        for crash in range(crashes):

            async def some_more_have_ended(crash: int = crash) -> bool:
                return await ended() > crash * tenants * each // (crashes + 1)

            await until(some_more_have_ended, seconds=60)
            life = await asyncio.to_thread(server.keep_running)
            assert life is not None
            os.kill(life.pid, signal.SIGKILL)
            await asyncio.to_thread(server.keep_running)

        async def all_have_ended() -> bool:
            return await ended() == tenants * each

        await until(all_have_ended, seconds=60)

        async def no_place_is_held() -> bool:
            return not await it.claimed(limit=1000)

        await until(no_place_is_held)

    for tenant_id in of_tenant:
        for made in (await runs.steps_of(tenant_id)).values():
            assert len(made) == 10
    await database.close()


@pytest.mark.soak
async def test_no_run_changes_hands_because_every_beat_is_old_after_an_outage(
    server: EmbeddedPostgres,
) -> None:
    url = server.url(user="sallyport_app", password=_PASSWORD, database="postgres")
    database = Database(url, pool_size=10)
    runs = Runs(database, executor_id="worker")
    tenant_id = await runs.tenant("acme")
    ids = await runs.start(tenant_id, count=3, script=Script(steps=40, step_seconds=0.05))

    async with worker(url, runs=runs, database=database, executor_id="worker") as it:
        for run_id in ids:
            await it.enqueue(tenant_id, run_id=run_id, segment=1)

        async def all_are_driven() -> bool:
            return len(it.driven_here()) == len(ids)

        await until(all_are_driven)
        life = await asyncio.to_thread(server.keep_running)
        assert life is not None
        os.kill(life.pid, signal.SIGKILL)
        await asyncio.sleep(3 * BRISK.stale_seconds)  # the outage itself
        await asyncio.to_thread(server.keep_running)

        async def all_have_ended() -> bool:
            return await runs.ended(tenant_id) == len(ids)

        await until(all_have_ended, seconds=60)

    assert set((await runs.states(tenant_id)).values()) == {("ended", 1, "worker")}
    await database.close()

"""Exactly one effect per key, whoever repeats it, and none without the lease."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select, update

from core.domain.effect import Effect
from core.domain.ids import RunId
from core.domain.principal import Principal
from core.domain.run import Lease
from core.errors import LeaseLost
from core.store.database import Database
from core.store.effects import Effects
from core.store.tables import documents, runs, tool_effects
from tests.builders import SteadyClock, make_person, make_tenant


@pytest.fixture
async def alice(database: Database) -> Principal:
    return await make_person(database, await make_tenant(database), "alice@acme.test")


@pytest.fixture
def effect(alice: Principal, clock: SteadyClock) -> Effect:
    return Effect(
        tenant_id=alice.tenant_id, principal=alice, key="key", tool="write", at=clock.now()
    )


async def driven_run(database: Database, requester: Principal) -> Lease:
    run_id = RunId(uuid4())
    async with database.for_tenant(requester.tenant_id) as connection:
        await connection.execute(
            insert(runs).values(
                tenant_id=requester.tenant_id,
                id=run_id,
                requester_id=requester.id,
                kind="agent",
                agent="default",
                agent_version=1,
                config={},
                task="x",
                via="api",
                scopes=[],
                status="running",
                dispatch="driving",
                lease=3,
                budget_micros=1,
                max_steps=1,
            )
        )
    return Lease(tenant_id=requester.tenant_id, run_id=run_id, segment=1, number=3)


async def change_run(database: Database, lease: Lease, /, **values: Any) -> None:  # noqa: ANN401 - columns
    async with database.for_tenant(lease.tenant_id) as connection:
        await connection.execute(update(runs).where(runs.c.id == lease.run_id).values(**values))


async def write(database: Database, effect: Effect) -> str:
    """Insert a row with a new id; a repeated call tells the first id."""
    async with Effects(database).once(effect) as once:
        if once.prior is not None:
            return str(once.prior["id"])
        document_id = uuid4()
        await once.connection.execute(
            insert(documents).values(
                tenant_id=effect.tenant_id,
                id=document_id,
                title="x",
                content="",
                author_id=effect.principal.id,
            )
        )
        once.record({"id": str(document_id)})
        return str(document_id)


async def rows(database: Database, effect: Effect) -> tuple[int, int]:
    async with database.for_tenant(effect.tenant_id) as connection:
        written = await connection.scalar(select(func.count()).select_from(documents))
        kept = await connection.scalar(select(func.count()).select_from(tool_effects))
    return int(written or 0), int(kept or 0)


async def test_a_repeated_key_tells_the_first_outcome(database: Database, effect: Effect) -> None:
    first = await write(database, effect)

    assert await write(database, effect) == first
    assert await rows(database, effect) == (1, 1)


async def test_many_at_once_under_one_key_have_one_effect(
    database: Database, effect: Effect
) -> None:
    told = await asyncio.gather(*(write(database, effect) for _ in range(8)))

    assert len(set(told)) == 1
    assert await rows(database, effect) == (1, 1)


async def test_the_next_in_line_goes_on_where_the_first_failed(
    database: Database, effect: Effect
) -> None:
    begun, fail = asyncio.Event(), asyncio.Event()

    async def failing() -> None:
        async with Effects(database).once(effect):
            begun.set()
            await fail.wait()
            raise ZeroDivisionError

    async with asyncio.TaskGroup() as group:
        first = group.create_task(swallow(failing()))
        await begun.wait()
        second = group.create_task(write(database, effect))
        fail.set()
    assert isinstance(first.result(), ZeroDivisionError)

    assert await write(database, effect) == second.result()
    assert await rows(database, effect) == (1, 1)


async def swallow(failing: Any) -> Exception | None:  # noqa: ANN401 - any coroutine
    try:
        await failing
    except ZeroDivisionError as error:
        return error
    return None


async def test_other_keys_have_effects_of_their_own(database: Database, effect: Effect) -> None:
    assert await write(database, effect) != await write(database, replace(effect, key="other"))


async def test_an_effect_without_an_outcome_is_undone(database: Database, effect: Effect) -> None:
    with pytest.raises(RuntimeError, match="without its outcome"):
        async with Effects(database).once(effect) as once:
            await once.connection.execute(
                insert(documents).values(
                    tenant_id=effect.tenant_id,
                    id=uuid4(),
                    title="x",
                    content="",
                    author_id=effect.principal.id,
                )
            )

    assert await rows(database, effect) == (0, 0)


async def test_the_driver_of_a_run_has_its_effect(
    database: Database, effect: Effect, alice: Principal
) -> None:
    lease = await driven_run(database, alice)

    await write(database, replace(effect, lease=lease))

    assert await rows(database, effect) == (1, 1)


@pytest.mark.parametrize("since", [{"lease": 4}, {"dispatch": "parked"}, {"dispatch": "queued"}])
async def test_who_has_lost_the_run_changes_nothing(
    database: Database, effect: Effect, alice: Principal, since: dict[str, object]
) -> None:
    lease = await driven_run(database, alice)
    await change_run(database, lease, **since)

    with pytest.raises(LeaseLost):
        await write(database, replace(effect, lease=lease))

    assert await rows(database, effect) == (0, 0)


async def test_who_has_lost_the_run_is_not_even_told_what_happened(
    database: Database, effect: Effect, alice: Principal
) -> None:
    lease = await driven_run(database, alice)
    await write(database, replace(effect, lease=lease))
    await change_run(database, lease, lease=4)

    with pytest.raises(LeaseLost):
        await write(database, replace(effect, lease=lease))


async def test_a_run_is_not_taken_over_while_its_effect_is_being_written(
    database: Database, effect: Effect, alice: Principal
) -> None:
    lease = await driven_run(database, alice)
    order: list[str] = []

    async def taken_over() -> None:
        await change_run(database, lease, lease=4)
        order.append("taken over")

    async with (
        asyncio.TaskGroup() as group,
        Effects(database).once(replace(effect, lease=lease)) as once,
    ):
        group.create_task(taken_over())
        await waiting_for_a_lock(database)
        once.record({"id": ""})
        order.append("recorded")

    assert order == ["recorded", "taken over"]


async def waiting_for_a_lock(database: Database) -> None:
    """Return once some transaction of this database waits for a lock."""
    waiting = (
        "select count(*) from pg_stat_activity "
        "where datname = current_database() and wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(20):
        while not await database.hot(waiting):  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)

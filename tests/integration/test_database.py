"""The pools of one database."""

import asyncio

from core.store.database import Database


async def test_many_that_come_at_once_share_one_pool(database: Database) -> None:
    pools = await asyncio.gather(*(database.open() for _ in range(8)))
    assert len({id(pool) for pool in pools}) == 1
    assert await database.hot("select 1") == 1


async def test_connections_are_counted_while_somebody_works_with_them(database: Database) -> None:
    assert database.connections_in_use == 0
    async with database.without_tenant(), (await database.open()).acquire():
        assert database.connections_in_use == 2
    assert database.connections_in_use == 0

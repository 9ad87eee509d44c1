"""The pools of one database."""

import asyncio

import pytest

from core.errors import Misconfigured
from core.store.database import Database
from core.store.embedded import EmbeddedPostgres


async def test_many_that_come_at_once_share_one_pool(database: Database) -> None:
    pools = await asyncio.gather(*(database.open() for _ in range(8)))
    assert len({id(pool) for pool in pools}) == 1
    assert await database.hot("select 1") == 1


async def test_connections_are_counted_while_somebody_works_with_them(database: Database) -> None:
    assert database.connections_in_use == 0
    async with database.without_tenant(), (await database.open()).acquire():
        assert database.connections_in_use == 2
    assert database.connections_in_use == 0


async def test_a_login_that_is_refused_is_called_that(
    postgres: EmbeddedPostgres,
) -> None:
    refused = Database(postgres.url(user="sallyport_app", password="wrong", database="postgres"))
    with pytest.raises(Misconfigured, match="database_login_refused"):
        await refused.hot("select 1")
    with pytest.raises(Misconfigured, match="database_login_refused"):
        async with refused.without_tenant():
            pass
    await refused.close()

"""The pools of one database."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import text

from core.domain.ids import TenantId
from core.errors import Misconfigured
from core.store.database import Database
from core.store.embedded import EmbeddedPostgres
from tests.databases import Urls, database_on

_WHOSE = text(
    "select pg_backend_pid(), nullif(current_setting('app.tenant_id', true), '')::uuid as whose"
)


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


async def test_a_connection_is_a_tenants_for_one_transaction_only(urls: Urls) -> None:
    acme, globex = TenantId(uuid4()), TenantId(uuid4())
    async with database_on(urls, pool_size=1) as database:
        async with database.for_tenant(acme) as connection:
            backend, whose = (await connection.execute(_WHOSE)).one()
        assert whose == acme
        async with database.without_tenant() as connection:
            assert (await connection.execute(_WHOSE)).one() == (backend, None)
        async with database.for_tenant(globex):
            pass  # nothing was asked, so nothing has begun
        async with database.without_tenant() as connection:
            assert (await connection.execute(_WHOSE)).one() == (backend, None)


async def test_what_fails_in_a_tenants_transaction_is_undone(urls: Urls) -> None:
    acme = TenantId(uuid4())
    keep = text("insert into tenants (id, name, tier) values (:id, 'acme', 'free')")

    async def kept_and_failed(database: Database) -> None:
        async with database.for_tenant(acme) as connection:
            await connection.execute(keep, {"id": acme})
            assert (await connection.execute(_WHOSE)).one().whose == acme
            raise _Failed

    async with database_on(urls, pool_size=1) as database:
        with pytest.raises(_Failed):
            await kept_and_failed(database)
        async with database.without_tenant() as connection:
            assert (await connection.execute(_WHOSE)).one().whose is None
        async with database.for_tenant(acme) as connection:
            await connection.execute(keep, {"id": acme})
        async with database.for_tenant(acme) as connection:
            assert await connection.scalar(text("select count(*) from tenants")) == 1


async def test_no_statement_is_prepared_twice(urls: Urls) -> None:
    statements = [text(f"select {number}") for number in range(200)]
    prepared = text("select count(*) from pg_prepared_statements where statement like 'select %'")
    async with database_on(urls, pool_size=1) as database, database.without_tenant() as connection:
        for statement in statements:
            await connection.execute(statement)
        assert await connection.scalar(prepared) >= len(statements)


class _Failed(Exception):
    """What a test raises inside a transaction."""

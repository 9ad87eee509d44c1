"""The database of a process: made and migrated where it is ours, only looked at where it is not."""

import asyncio
import os
import signal
import stat
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from core.durable.segment import SCHEMA
from core.errors import Misconfigured, Unavailable
from core.store import postmaster, server_home
from core.store.embedded import EmbeddedPostgres
from sallyport.settings import StoreSettings
from sallyport.storage import Storage
from tests.databases import Urls
from tests.waiting import until


def external(url: str) -> Storage:
    return Storage(StoreSettings(database_url=SecretStr(url)))


def one(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


async def test_the_embedded_database_is_there_and_migrated_and_stays(tmp_path: Path) -> None:
    settings = StoreSettings(data_dir=tmp_path / "data")
    async with Storage(settings) as storage:
        url = storage.url
        assert one(url, "select count(*) from tenants") == 0
        assert one(url, "select current_user") == "sallyport_app"
        assert await storage.migrate()
        mode = (tmp_path / "data" / "app-password").stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
        async with Storage(settings) as beside:
            assert beside.url == url
        assert one(url, "select 1") == 1, "it belongs to whoever still uses it"
    _forget_queue(settings)
    async with Storage(settings) as storage:
        assert storage.url == url
        found = one(url, f"select to_regnamespace('{SCHEMA}')::text")
        assert found == SCHEMA, "killed between two migrations, it makes up for the second"


async def test_another_database_is_used_as_it_is(urls: Urls) -> None:
    async with external(urls.app) as storage:
        assert storage.url == urls.app


async def test_a_database_that_is_not_migrated_says_what_to_do(urls: Urls) -> None:
    with psycopg.connect(urls.privileged, autocommit=True) as connection:
        connection.execute("drop table alembic_version")
    with pytest.raises(Misconfigured) as refusal:
        await external(urls.app).__aenter__()
    assert refusal.value.code == "migration_needed"


async def test_a_database_of_another_version_says_what_to_do(urls: Urls) -> None:
    with psycopg.connect(urls.privileged, autocommit=True) as connection:
        connection.execute("update alembic_version set version_num = '0000'")
    with pytest.raises(Misconfigured) as refusal:
        await external(urls.app).__aenter__()
    assert (refusal.value.code, refusal.value.facts["found"]) == ("migration_needed", "0000")


async def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await external(f"postgresql://nobody@/none?host={tmp_path}").__aenter__()


@pytest.mark.parametrize(
    "url",
    ["mysql://here/sallyport", "postgresql://[here/sallyport", "postgresql://here/x?colour=red"],
)
async def test_an_address_that_is_none_is_an_invalid_setting(url: str) -> None:
    for refused in (external(url).__aenter__(), external(url).migrate()):
        with pytest.raises(Misconfigured) as refusal:
            await refused
        assert refusal.value.code == "invalid_setting"
        assert refusal.value.facts["key"] == "SALLYPORT_DATABASE_URL"


async def test_a_login_needs_the_role_and_nothing_else(
    urls: Urls, postgres: EmbeddedPostgres
) -> None:
    login = f"stranger_{uuid4().hex}"
    name = str(conninfo_to_dict(urls.app)["dbname"])
    url = postgres.url(user=login, password="x", database=name)
    with psycopg.connect(urls.privileged, autocommit=True) as connection:
        stranger = sql.Identifier(login)
        connection.execute(sql.SQL("create role {} login noinherit password 'x'").format(stranger))
        try:
            with pytest.raises(Misconfigured) as refusal:
                await external(url).__aenter__()
            assert refusal.value.code == "role_not_granted"
            connection.execute(sql.SQL("grant sallyport_app to {}").format(stranger))
            async with external(url) as storage:
                assert storage.url == url
        finally:
            connection.execute(sql.SQL("drop role {}").format(stranger))


async def test_a_login_that_may_not_migrate_is_told_so(urls: Urls) -> None:
    with psycopg.connect(urls.privileged, autocommit=True) as connection:
        connection.execute("revoke select on alembic_version from sallyport_app")
    with pytest.raises(Misconfigured) as refusal:
        await external(urls.app).migrate()
    assert refusal.value.code == "migration_failed"


async def test_a_data_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "data"
    with pytest.raises(Misconfigured) as refusal:
        await Storage(StoreSettings(data_dir=folder)).__aenter__()
    assert refusal.value.code == "data_dir_not_usable"
    assert refusal.value.facts == {"folder": str(folder), "detail": "Not a directory"}


async def test_the_embedded_server_is_started_again_where_it_was_killed(tmp_path: Path) -> None:
    async with Storage(StoreSettings(data_dir=tmp_path / "data")) as storage:
        home = server_home.settle(server_home.control_folder(tmp_path / "data"))
        running = postmaster.find(home.cluster)
        assert running is not None
        async with asyncio.TaskGroup() as group:
            supervision = group.create_task(storage.supervise())
            os.kill(running.pid, signal.SIGKILL)
            await until(lambda: _is_anew(home.cluster, after=running, url=storage.url))
            supervision.cancel()


@pytest.mark.parametrize("password", ["wrong", ""])
async def test_a_login_that_is_refused_is_not_a_database_that_is_away(
    urls: Urls, postgres: EmbeddedPostgres, password: str
) -> None:
    name = conninfo_to_dict(urls.app)["dbname"]
    url = postgres.url(user="sallyport_app", password=password, database=str(name))
    with pytest.raises(Misconfigured) as at_the_start:
        await external(url).__aenter__()
    with pytest.raises(Misconfigured) as at_migrating:
        await external(url).migrate()
    found = {at_the_start.value.code, at_migrating.value.code}
    assert found == {"database_login_refused"}


async def test_a_database_that_is_not_there_is_not_migrated(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await external(f"postgresql://nobody@/none?host={tmp_path}").migrate()


async def test_the_apps_password_is_made_anew_where_it_was_lost(tmp_path: Path) -> None:
    settings = StoreSettings(data_dir=tmp_path / "data")
    async with Storage(settings):
        pass
    (settings.data_dir / "app-password").unlink()
    async with Storage(settings) as storage:
        assert one(storage.url, "select current_user") == "sallyport_app"


async def test_another_database_is_migrated_by_its_owner_and_again(urls: Urls) -> None:
    storage = external(urls.privileged)
    assert await storage.migrate() == await storage.migrate()
    await external(urls.app).supervise()


async def _is_anew(cluster: Path, *, after: postmaster.Postmaster, url: str) -> bool:
    """Return whether another server than the one before answers."""
    now = postmaster.find(cluster)
    if now is None or now.pid == after.pid:
        return False
    try:
        return await asyncio.to_thread(one, url, "select current_user") == "sallyport_app"
    except psycopg.OperationalError:
        return False


def _forget_queue(settings: StoreSettings) -> None:
    """Leave the folder as a process that was killed before the queue was migrated would."""
    (settings.data_dir / "migrated").unlink()
    with EmbeddedPostgres(settings.data_dir) as server:
        admin = server.url(
            user="sallyport_admin", password=server.superuser_password, database="sallyport"
        )
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(SCHEMA)))

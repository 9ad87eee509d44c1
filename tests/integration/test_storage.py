"""The database of a process: made and migrated where it is ours, only looked at where it is not."""

import stat
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from core.durable.segment import SCHEMA
from core.errors import Misconfigured, Unavailable
from core.store.embedded import EmbeddedPostgres
from sallyport.settings import StoreSettings
from sallyport.storage import Storage
from tests.conftest import Urls


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


def _forget_queue(settings: StoreSettings) -> None:
    """Leave the folder as a process that was killed before the queue was migrated would."""
    (settings.data_dir / "migrated").unlink()
    with EmbeddedPostgres(settings.data_dir) as server:
        admin = server.url(
            user="sallyport_admin", password=server.superuser_password, database="sallyport"
        )
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(SCHEMA)))

import asyncio
import time
from collections.abc import Callable

import psycopg
import pytest

from core.errors import Unavailable
from core.store.database import APP_ROLE, Database
from core.store.directory import Directory
from core.store.workers import Heartbeat
from tests.databases import Urls
from tests.driving import SystemClock
from tests.waiting import until

MakeHeart = Callable[[str], Heartbeat]


@pytest.fixture
def heart() -> MakeHeart:
    """Make hearts that beat ten times a second and hang after a fifth of one."""

    def make(url: str) -> Heartbeat:
        return Heartbeat(
            url,
            executor_id="me",
            clock=SystemClock(),
            role=APP_ROLE,
            every_seconds=0.1,
            hung_seconds=0.2,
            first_seconds=1.0,
        )

    return make


def _silence(url: str) -> float:
    """Return the seconds since the last beat, by the database's clock."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select extract(epoch from clock_timestamp() - beat_at)::float from workers"
        ).fetchone()
    assert row is not None
    return float(row[0])


async def test_worker_is_alive_from_entry_to_exit(
    urls: Urls, database: Database, heart: MakeHeart
) -> None:
    directory = Directory(database)

    async with heart(urls.app) as beating:
        assert beating.executor_id == "me"
        assert await directory.alive_workers(stale_seconds=5) == frozenset({"me"})
    assert await directory.alive_workers(stale_seconds=5) == frozenset()


async def test_hung_loop_stops_the_beat_and_a_busy_one_does_not(
    urls: Urls, heart: MakeHeart
) -> None:
    async with heart(urls.app):
        for _ in range(20):
            time.sleep(0.05)  # noqa: ASYNC251 - the loop is to be busy
            await asyncio.sleep(0)
        assert _silence(urls.app) < 0.9

        time.sleep(1.5)  # noqa: ASYNC251 - the loop is to hang
        assert _silence(urls.app) > 1.0

        async def beats_again() -> bool:
            return await asyncio.to_thread(_silence, urls.app) < 0.5

        await until(beats_again)


async def test_lost_row_and_lost_connection_are_made_anew_and_count_as_unsteady(
    urls: Urls, database: Database, heart: MakeHeart
) -> None:
    directory = Directory(database)

    async with heart(urls.app) as beating:
        assert beating.steady_seconds() == float("inf")
        with psycopg.connect(urls.privileged, autocommit=True) as connection:
            connection.execute("delete from workers")
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'sallyport-heartbeat' and datname = current_database()"
            )

        async def alive_again() -> bool:
            return await directory.alive_workers(stale_seconds=5) == frozenset({"me"})

        await until(alive_again)

        async def steady() -> bool:
            return 0.1 < beating.steady_seconds() < 60

        await until(steady)


async def test_rows_of_workers_long_gone_are_swept(
    urls: Urls, database: Database, heart: MakeHeart
) -> None:
    with psycopg.connect(urls.privileged, autocommit=True) as connection:
        connection.execute("insert into workers values ('gone', now() - interval '2 days')")

    async with heart(urls.app):
        assert await Directory(database).alive_workers(stale_seconds=1_000_000) == frozenset({"me"})


async def test_no_database_is_said_at_entry(heart: MakeHeart) -> None:
    with pytest.raises(Unavailable, match="database_unavailable"):
        async with heart("postgresql://nobody@/nowhere?host=/nonexistent"):
            pass

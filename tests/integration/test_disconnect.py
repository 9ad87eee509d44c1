import threading
from typing import Never

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from core.durable.disconnect import Connections, engine_of
from core.errors import Unavailable
from core.store.database import APP_ROLE
from tests.databases import Urls

_NOWHERE = "postgresql://nobody@/nowhere?host=/nonexistent"


class BadCursor(psycopg.Cursor[tuple[str]]):
    """Fails as psycopg does on a dead Unix socket: nothing but the text tells."""

    def execute(self, *_args: object, **_kwargs: object) -> Never:
        raise psycopg.OperationalError("the connection is bad")


class GoingBad(Connections):
    """Gives connections that are bad from their second use on."""

    made: int = 0

    def connect(self) -> psycopg.Connection:
        self.made += 1
        return super().connect()


def test_connection_that_is_bad_counts_as_lost_and_is_replaced(urls: Urls) -> None:
    connections = GoingBad(urls.app, role=APP_ROLE)
    engine = engine_of(connections, pool_size=1)
    try:
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            driver.cursor_factory = BadCursor
            with pytest.raises(DBAPIError) as raised:
                connection.execute(text("select 1"))
        assert raised.value.connection_invalidated
        with engine.connect() as connection:
            assert connection.execute(text("select 1")).scalar_one() == 1
        assert connections.made == 2
    finally:
        engine.dispose()


def test_other_errors_keep_their_connection(urls: Urls) -> None:
    engine = engine_of(Connections(urls.app, role=APP_ROLE), pool_size=1)
    try:
        with engine.connect() as connection, pytest.raises(DBAPIError) as raised:
            connection.execute(text("select 1 / 0"))
        assert not raised.value.connection_invalidated
    finally:
        engine.dispose()


def test_impatient_connecting_fails_at_once() -> None:
    with pytest.raises(psycopg.OperationalError):
        Connections(_NOWHERE, role=APP_ROLE).connect()


def test_patient_connecting_waits_until_it_is_closed() -> None:
    connections = Connections(_NOWHERE, role=APP_ROLE)
    connections.be_patient()
    ended: list[Exception] = []

    def connect() -> None:
        try:
            connections.connect()
        except Unavailable as error:
            ended.append(error)

    waiting = threading.Thread(target=connect)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()

    connections.close()

    waiting.join(10)
    assert [str(error) for error in ended] == ["worker_stopping"]

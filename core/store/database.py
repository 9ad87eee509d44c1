"""The one way to PostgreSQL: transactions that belong to a tenant, and the few hot functions."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, cast

import asyncpg
from asyncpg.transaction import Transaction
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import QueuePool

from core.domain.ids import TenantId
from core.errors import LeaseLost, Misconfigured, SallyportError, StaleEpoch, Unavailable

APP_ROLE = "sallyport_app"

_LEASE_LOST = "SP001"
_STALE_EPOCH = "SP002"
_STATEMENT_SECONDS = 30.0
_CONNECT_SECONDS = 10.0
_HOT_SECONDS = _CONNECT_SECONDS + _STATEMENT_SECONDS  # until a connection is free, and then to run
_STATEMENTS = 400  # there are fewer; with the driver's hundred, some are prepared again and again


class _Driver(Protocol):
    """What we ask of the driver's connection under SQLAlchemy's adapter."""

    def is_closed(self) -> bool: ...


class _Adapter(Protocol):
    """What we ask of SQLAlchemy's adapter of the driver."""

    def connect(
        self,
        *,
        async_creator_fn: Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]],
        prepared_statement_cache_size: int,
    ) -> DBAPIConnection: ...


class _Connection(asyncpg.Connection):
    """A connection whose next transaction is a tenant's, or nobody's."""

    tenant_id: TenantId | None = None

    def transaction(self, **options: Any) -> Transaction:  # noqa: ANN401 - the driver's
        """Return a transaction that has not begun."""
        if self.tenant_id is None:
            return super().transaction(**options)
        return _TenantsTransaction(self, self.tenant_id)


class _TenantsTransaction(Transaction):
    """A transaction that sees one tenant's rows only, begun in one round trip instead of two."""

    def __init__(self, connection: _Connection, tenant_id: TenantId) -> None:
        super().__init__(connection, isolation=None, readonly=False, deferrable=False)
        # Hex digits are all that can come between the quotes: there are no parameters here.
        self._begin = f"begin; set local app.tenant_id = '{tenant_id.hex}'"

    async def start(self) -> None:
        """Begin."""
        await self._connection.execute(self._begin)

    async def commit(self) -> None:
        """Keep what was done."""
        await self._connection.execute("commit")

    async def rollback(self) -> None:
        """Undo what was done."""
        await self._connection.execute("rollback")


class Database:
    """Connections as the app role, which row-level security binds.

    Two pools on one database: SQLAlchemy's for ordinary work, the driver's own for the hot
    functions, where a query builder would cost more than the query.
    """

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        """Take a libpq URL and how many connections each pool may hold."""
        self._url = url
        self._pool_size = pool_size
        self._hot: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            creator=self._adapted,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=_CONNECT_SECONDS,
            hide_parameters=True,
        )
        event.listen(self._engine.sync_engine, "checkout", _refuse_closed)

    async def open(self) -> "asyncpg.Pool[asyncpg.Record]":
        """Open the hot pool and return it. Idempotent.

        Raises:
            Misconfigured: ``database_login_refused``, here and wherever a connection is opened.
            Unavailable: ``database_unavailable``.
        """
        # Two that come first would open two, and nobody would ever close the one.
        async with self._opening:
            if self._hot is None:
                with _translated():
                    self._hot = await asyncpg.create_pool(
                        self._url,
                        min_size=1,
                        max_size=self._pool_size,
                        timeout=_CONNECT_SECONDS,
                        command_timeout=_STATEMENT_SECONDS,
                        server_settings=_SESSION | _PLANS,
                        reset=_keep,
                    )
            return self._hot

    @property
    def connections_in_use(self) -> int:
        """How many connections of both pools somebody works with now."""
        pool = cast("QueuePool", self._engine.pool)
        hot = self._hot.get_size() - self._hot.get_idle_size() if self._hot else 0
        return pool.checkedout() + hot

    async def close(self) -> None:
        """Close both pools; what is under way is ended. Used again, they open anew."""
        if self._hot is not None:
            self._hot.terminate()
            self._hot = None
        self._opening = asyncio.Lock()  # the loop of the next use may be another one
        await self._engine.dispose()

    @asynccontextmanager
    async def for_tenant(self, tenant_id: TenantId) -> AsyncGenerator[AsyncConnection]:
        """Open a transaction that sees one tenant's rows only; commit once, at the end.

        Raises:
            Unavailable: ``database_unavailable``; nothing of the transaction is kept.
        """
        async with self._transaction_of(tenant_id) as connection:
            yield connection

    @asynccontextmanager
    async def without_tenant(self) -> AsyncGenerator[AsyncConnection]:
        """Open a transaction that sees no tenant's rows: for directory and heartbeats."""
        async with self._transaction_of(None) as connection:
            yield connection

    @asynccontextmanager
    async def _transaction_of(self, tenant_id: TenantId | None) -> AsyncGenerator[AsyncConnection]:
        with _translated():
            async with self._engine.begin() as connection:
                pooled = await connection.get_raw_connection()
                # Also where it is None: whoever had the connection before has left theirs.
                cast("_Connection", pooled.driver_connection).tenant_id = tenant_id
                yield connection

    async def hot(self, query: str, *arguments: object) -> object:
        """Run one hot function in one round trip and return its value; it sets the tenant itself.

        Raises:
            LeaseLost: the journal is another driver's now.
            StaleEpoch: the verdict was made under an older configuration.
            Unavailable: ``database_unavailable``.
        """
        pool = self._hot or await self.open()
        with _translated():
            async with asyncio.timeout(_HOT_SECONDS):
                return cast("object", await pool.fetchval(query, *arguments))

    @asynccontextmanager
    async def listening(self, channel: str) -> AsyncGenerator["Line"]:
        """Listen on a connection that no pool has, until the block is left.

        Raises:
            Unavailable: ``database_unavailable``, at once or whenever the line is lost.
        """
        with _translated():
            connection = await self._connect()
            try:
                line = Line(connection)
                await connection.add_listener(channel, line.take)
                yield line
            finally:
                connection.terminate()

    def _adapted(self) -> DBAPIConnection:
        """Connect as ``async_creator`` would, which has no room for the adapter's own options."""
        adapter = cast("_Adapter", self._engine.dialect.dbapi)
        return adapter.connect(
            async_creator_fn=self._connect, prepared_statement_cache_size=_STATEMENTS
        )

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(
            self._url,
            timeout=_CONNECT_SECONDS,
            command_timeout=_STATEMENT_SECONDS,
            server_settings=_SESSION,
            connection_class=_Connection,
        )


class Line:
    """A connection that listens."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Take the connection; when it ends, that is heard too."""
        self._connection = connection
        self._heard: asyncio.Queue[str | None] = asyncio.Queue()
        connection.add_termination_listener(lambda _: self._heard.put_nowait(None))

    def take(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        """Keep one notification until it is asked for."""
        self._heard.put_nowait(str(payload))

    async def heard(self, *, within_seconds: float) -> str | None:
        """Return the next notification; None where none came in time, and the line still holds.

        Raises:
            Unavailable: ``database_unavailable``: the line is lost.
        """
        try:
            payload = await asyncio.wait_for(self._heard.get(), within_seconds)
        except TimeoutError:
            with _translated():
                await self._connection.execute("select 1", timeout=within_seconds)
            return None
        if payload is None:
            raise Unavailable("database_unavailable")
        return payload


_SESSION = {
    "role": APP_ROLE,
    "application_name": "sallyport",
    "timezone": "UTC",
    "idle_in_transaction_session_timeout": "5000",
    # A frozen worker must not hold a lock for longer than its takeover.
    "lock_timeout": "20000",
}


async def look_in(url: str) -> None:
    """Connect once, as the login in ``url``, and leave again.

    Raises:
        Misconfigured: ``database_login_refused``.
        Unavailable: ``database_unavailable``.
    """
    with _translated():
        connection = await asyncpg.connect(url, timeout=_CONNECT_SECONDS)
        await connection.close(timeout=_CONNECT_SECONDS)


# The hot functions find every row by a key. Left to statistics, a plan that was made while the
# tables were small reads them whole, and is kept for as long as the connection.
_PLANS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
}


async def _keep(_connection: object) -> None:
    """Reset nothing on release: every setting that we make is local to its transaction."""


def _refuse_closed(dbapi_connection: DBAPIConnection, _record: object, _proxy: object) -> None:
    """Have the pool connect anew where the server has gone, without asking it first."""
    if cast("_Driver", dbapi_connection.driver_connection).is_closed():
        raise DisconnectionError


class _translated:  # noqa: N801 - reads as a verb in a with statement
    """Turn the driver's errors into ours; everything else passes."""

    def __enter__(self) -> None:
        """Watch the block."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Raise what the error means to us."""
        if error is None or isinstance(error, SallyportError):
            return
        cause = error.orig if isinstance(error, DBAPIError) else error
        cause = getattr(cause, "__cause__", None) or cause
        code = getattr(cause, "sqlstate", None)
        if code == _LEASE_LOST:
            raise LeaseLost("lease_lost") from error
        if code == _STALE_EPOCH:
            raise StaleEpoch("stale_epoch") from error
        if isinstance(cause, asyncpg.InvalidAuthorizationSpecificationError):
            raise Misconfigured("database_login_refused") from error
        if _is_outage(error, cause, code):
            raise Unavailable("database_unavailable") from error


_OUTAGES: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    PoolTimeoutError,  # no connection came free in time: not the built-in one
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a query on a connection that is just being lost
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.LockNotAvailableError,
)


def _is_outage(error: BaseException, cause: object, code: object) -> bool:
    return (
        isinstance(cause, _OUTAGES)
        or isinstance(error, DisconnectionError)
        or (isinstance(error, DBAPIError) and error.connection_invalidated)
        or (isinstance(code, str) and code.startswith("08"))
    )

"""Connections for DBOS that outlive a restart of PostgreSQL and let go at the end."""

import threading

import psycopg
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext

from core.errors import Unavailable

_CONNECT_SECONDS = 5
_RETRY_SECONDS = 0.5

# A transaction that is open while its process is frozen blocks whoever takes over.
_IDLE_IN_TRANSACTION_MS = 5_000
_STATEMENT_MS = 30_000

# admin_shutdown, crash_shutdown, cannot_connect_now
_SHUT_DOWN = ("57P01", "57P02", "57P03")

# What psycopg 3 says of a dead socket, beyond the texts that SQLAlchemy's dialect knows.
_GONE = (
    "connection is bad",
    "connection is closed",
    "connection is lost",
    "server closed the connection",
    "terminating connection",
    "consuming input failed",
    "sending query failed",
    "no connection to the server",
    "ssl connection has been closed",
    "could not receive data from server",
)


class Connections:
    """Makes connections as ``role`` and, when patient, waits for a database that is away.

    DBOS retries a failed connection itself, but sleeps up to a minute in a thread that nobody
    can wake; so a patient maker tries twice a second and never lets it see the failure.
    """

    def __init__(self, url: str, *, role: str) -> None:
        """Take a libpq URL and the role that every connection becomes."""
        self._url = url
        self._role = role
        self._patient = False
        self._closing = threading.Event()

    def be_patient(self) -> None:
        """From now on wait for the database rather than fail."""
        self._patient = True

    def close(self) -> None:
        """Refuse new connections and end every wait for one."""
        self._closing.set()

    def connect(self) -> psycopg.Connection:
        """Return a new connection.

        Raises:
            Unavailable: ``worker_stopping`` after ``close``.
            psycopg.OperationalError: no connection, and not patient.
        """
        while not self._closing.is_set():
            try:
                return psycopg.connect(
                    self._url,
                    connect_timeout=_CONNECT_SECONDS,
                    tcp_user_timeout=_STATEMENT_MS,
                    application_name="sallyport-dispatch",
                    options=(
                        f"-c role={self._role}"
                        f" -c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_MS}"
                        f" -c statement_timeout={_STATEMENT_MS}"
                    ),
                )
            except psycopg.OperationalError:
                if not self._patient:
                    raise
                self._closing.wait(_RETRY_SECONDS)
        raise Unavailable("worker_stopping")


def engine_of(connections: Connections, *, pool_size: int) -> Engine:
    """Return an engine for DBOS that knows a dead connection when it meets one.

    Without the listener psycopg's "connection is bad" (a Unix socket whose server crashed) is no
    disconnect to SQLAlchemy: DBOS then neither retries nor drops the connection, and workflows
    stay PENDING on a live worker. Drop it when DBOS or SQLAlchemy knows the text.
    """
    engine = create_engine(
        "postgresql+psycopg://",
        creator=connections.connect,
        pool_size=pool_size,
        # Bounded by DBOS's threads instead: a wait for the pool can not be woken at the end.
        max_overflow=-1,
    )
    event.listen(engine, "handle_error", _notice_disconnect)
    return engine


def _notice_disconnect(context: ExceptionContext) -> None:
    error = context.original_exception
    if isinstance(error, psycopg.Error) and (
        (error.sqlstate or "").startswith(_SHUT_DOWN)
        or any(gone in str(error).lower() for gone in _GONE)
    ):
        context.is_disconnect = True

"""The PostgreSQL that needs no installing: one server per data folder, for all its users."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import structlog

from core.errors import Misconfigured, Unavailable
from core.store import cluster, postmaster, server_home, watchdog
from core.store.postmaster import Answer, Postmaster
from core.store.server_home import ServerHome

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_LOCK_SECONDS = 180.0
_POLL_SECONDS = 0.02


class EmbeddedPostgres:
    """One PostgreSQL server for one data folder, shared by every process that uses that folder.

    The first user starts it and the last one stops it; users that were killed do not count, and
    a watchdog stops the server when nobody is left to. It listens on a socket in a folder that
    only its own user enters, and asks for a password there too.

    As a context manager it starts on entry and stops on exit. All calls block.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        orphan_grace_seconds: float = 10.0,
        start_timeout_seconds: int = 120,
    ) -> None:
        """Touch nothing yet.

        Args:
            data_dir: made if need be; its server's files live in the folder ``postgres`` there.
            orphan_grace_seconds: how long a server may run on after all its users were killed.
            start_timeout_seconds: for a start, recovery from a crash included, and for a silence.
        """
        self._data_dir = data_dir.absolute()
        self._grace_seconds = orphan_grace_seconds
        self._start_timeout_seconds = start_timeout_seconds
        self._home: ServerHome | None = None
        self._sockets: Path | None = None
        self._share: int | None = None
        self._life: Postmaster | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def superuser_password(self) -> str:
        """The password of ``sallyport_admin``: random, kept in a 0600 file in the data folder."""
        return self._password_file.read_text()

    def start(self) -> None:
        """Have the server running and count this object among its users. Idempotent.

        Raises:
            Misconfigured: the installation or the data folder does not allow it.
            Unavailable: ``embedded_start_failed`` with the log's path and last lines,
                ``embedded_recovering``, ``embedded_watchdog_failed`` or ``embedded_locked``.
        """
        control = server_home.control_folder(self._data_dir)
        with _locked(control):
            self._home = server_home.settle(control)
            joined = self._share is None
            if self._share is None:
                self._share = postmaster.try_lock(control / watchdog.USERS_LOCK, shared=True)
            try:
                life = self._ensure(self._home)
            except BaseException:
                if joined:
                    self._leave()
                raise
            if joined:
                self._life = life

    def stop(self) -> None:
        """Leave, and as the last user stop the server and what guards it. Idempotent.

        Raises:
            Unavailable: ``embedded_stop_failed``, it did not even yield to SIGKILL.
        """
        if self._home is None or self._share is None:
            return
        if not self._home.control.exists():  # deleted under us, and with it all locks
            self._leave()
            self._shut_down(self._home)
            return
        with _locked(self._home.control):
            self._leave()
            if not postmaster.is_locked(self._home.control / watchdog.USERS_LOCK):
                self._shut_down(self._home)

    def remove(self) -> None:
        """Stop the server and delete its whole cluster, wherever it lives.

        Raises:
            Unavailable: ``embedded_in_use``, others use it; this object has left all the same.
        """
        control = server_home.control_folder(self._data_dir)
        with _locked(control):
            self._leave()
            if postmaster.is_locked(control / watchdog.USERS_LOCK):
                raise Unavailable("embedded_in_use", folder=str(control))
            home = server_home.settle(control)
            self._shut_down(home)
            shutil.rmtree(home.room)
            shutil.rmtree(control, ignore_errors=True)  # often the same folder

    def url(self, *, user: str, password: str, database: str) -> str:
        """Return a libpq-style URL over the Unix socket; asyncpg and psycopg take it as it is.

        For SQLAlchemy put ``postgresql+asyncpg`` in the place of the scheme.

        Raises:
            Unavailable: ``embedded_not_started``.
        """
        if self._sockets is None:
            raise Unavailable("embedded_not_started", folder=str(self._data_dir))
        who = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"postgresql://{who}@/{quote(database, safe='')}?host={self._sockets}"

    def is_alive(self) -> bool:
        """Return whether the server answers on its socket and takes logins now."""
        return self._sockets is not None and postmaster.probe(self._sockets) is Answer.READY

    def keep_running(self) -> Postmaster | None:
        """Start the server and its watchdog again if they died; return the life it is in.

        None once this object has left: a late call after ``stop`` starts nothing.

        Raises:
            Unavailable: as ``start``.
        """
        if self._home is None:
            return None
        with _locked(self._home.control):
            if self._share is None:
                return None
            return self._ensure(self._home)

    async def supervise(
        self, *, poll_seconds: float = 1.0, on_restart: Callable[[], None] | None = None
    ) -> None:
        """Keep the server running until cancelled.

        Several processes may do so at once: one restarts it, and all are told.

        Args:
            poll_seconds: the time between two looks.
            on_restart: called in the event loop once per new life of the server, whoever gave
                it; connections of the old one are dead, and ``url`` may have changed.

        Raises:
            Misconfigured: the installation was changed under us; nothing is gained by waiting.
        """
        while True:
            await asyncio.sleep(poll_seconds)
            try:
                life = await asyncio.to_thread(self.keep_running)
            except Unavailable as err:  # a full disk may have room again
                _log.error("database.restart_failed", code=err.code, **err.facts)
                continue
            except OSError as err:
                _log.error("database.restart_failed", code="os_error", errno=err.errno)
                continue
            if life is not None and life != self._life:
                self._life = life
                _log.warning("database.restarted", pid=life.pid)
                if on_restart is not None:
                    on_restart()

    @property
    def _password_file(self) -> Path:
        return self._data_dir / "postgres" / "superuser.password"

    def _leave(self) -> None:
        if self._share is not None:
            os.close(self._share)
            self._share = None
        self._sockets = None

    def _shut_down(self, home: ServerHome) -> None:
        if home.control.exists():
            watchdog.end(home.control)
        if not postmaster.stop(home.cluster):
            raise Unavailable("embedded_stop_failed", log=str(home.control / watchdog.SERVER_LOG))
        server_home.remove_socket_folder(home)

    def _ensure(self, home: ServerHome) -> Postmaster | None:
        """Leave with a server that takes logins and return its life. Needs the start lock."""
        sockets = server_home.socket_folder(home)
        if sockets is None:
            # A server on a folder that was deleted or swapped is out of reach for good.
            postmaster.stop(home.cluster)
            watchdog.end(home.control)
            sockets = server_home.make_socket_folder(home)
        self._sockets = sockets
        self._have_cluster(home)
        # Before the server: if we are killed in between, nothing stays without a watcher.
        try:
            watchdog.launch(
                control=home.control,
                cluster=home.cluster,
                sockets=sockets,
                grace_seconds=self._grace_seconds,
            )
        except (OSError, subprocess.SubprocessError) as err:
            raise Unavailable("embedded_watchdog_failed", folder=str(home.control)) from err
        if not self._answers(home, sockets=sockets):
            cluster.launch(home, sockets=sockets, timeout_seconds=self._start_timeout_seconds)
        return postmaster.find(home.cluster)

    def _have_cluster(self, home: ServerHome) -> None:
        """Leave with a cluster that these programs and this password open, made if need be."""
        version = home.cluster / "PG_VERSION"
        if not version.exists():
            cluster.create(
                home,
                password_file=self._password_file,
                timeout_seconds=self._start_timeout_seconds,
            )
        if version.read_text().strip() != server_home.MAJOR_VERSION:
            raise Misconfigured(
                "embedded_version_mismatch",
                found=version.read_text().strip(),
                wanted=server_home.MAJOR_VERSION,
                folder=str(home.cluster),
            )
        if not self._password_file.exists():
            raise Misconfigured("embedded_password_missing", file=str(self._password_file))

    def _answers(self, home: ServerHome, *, sockets: Path) -> bool:
        """Return whether a server lives and takes logins, once it has recovered if it must.

        False leaves nothing of it: one that lives and stays silent is killed.
        """
        until = time.monotonic() + self._start_timeout_seconds
        while postmaster.find(home.cluster) is not None:
            answer = postmaster.probe(sockets)
            if answer is Answer.READY:
                return True
            if time.monotonic() >= until:
                if answer is Answer.BUSY:  # killed now, it would have to recover all over again
                    raise Unavailable("embedded_recovering", folder=str(home.cluster))
                break
            time.sleep(_POLL_SECONDS)
        postmaster.kill(home.cluster)
        return False


@contextmanager
def _locked(control: Path) -> Generator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(
                postmaster.locked(control / watchdog.START_LOCK, timeout_seconds=_LOCK_SECONDS)
            )
        except TimeoutError as err:
            raise Unavailable("embedded_locked", folder=str(control)) from err
        except FileNotFoundError as err:
            raise Misconfigured("embedded_folder_gone", folder=str(control)) from err
        yield

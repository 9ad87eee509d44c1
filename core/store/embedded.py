"""The PostgreSQL that needs no installing: one server per data folder, for all its users."""

import asyncio
import os
import secrets
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import structlog

from core.errors import Misconfigured, Unavailable
from core.store import postmaster, server_home, watchdog
from core.store.postmaster import SUPERUSER, Postmaster
from core.store.server_home import ServerHome

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_LOCK_SECONDS = 180.0
_START_SECONDS = 60
_POLL_SECONDS = 0.02
_LOG_LINES = 5

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "jit": "off",
    # Parallel workers talk through /dev/shm, which is 64 MB in a container.
    "max_parallel_workers_per_gather": "0",
    "io_method": "sync",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # An error's words, details and statement can carry what people wrote: none reach the log.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_checkpoints": "off",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}


class EmbeddedPostgres:
    """One PostgreSQL server for one data folder, shared by every process that uses that folder.

    The first user starts it and the last one stops it; users that were killed do not count, and
    a watchdog stops the server when nobody is left to. It listens on a socket in a folder that
    only its own user enters, and asks for a password there too.

    As a context manager it starts on entry and stops on exit. All calls block.
    """

    def __init__(self, data_dir: Path, *, orphan_grace_seconds: float = 10.0) -> None:
        """Touch nothing yet.

        Args:
            data_dir: made if need be; its server's files live in the folder ``postgres`` there.
            orphan_grace_seconds: how long a server may run on after all its users were killed.
        """
        self._data_dir = data_dir
        self._grace_seconds = orphan_grace_seconds
        self._home: ServerHome | None = None
        self._sockets: Path | None = None
        self._share: int | None = None

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
            Unavailable: ``embedded_start_failed`` with the log's path and last lines, or
                ``embedded_locked``.
        """
        control = server_home.control_folder(self._data_dir)
        with _locked(control):
            self._home = server_home.settle(control)
            joined = self._share is None
            if self._share is None:
                self._share = postmaster.try_lock(control / watchdog.USERS_LOCK, shared=True)
            try:
                self._ensure(self._home)
            except BaseException:
                if joined:
                    self._leave()
                raise

    def stop(self) -> None:
        """Leave, and as the last user stop the server and what guards it. Idempotent.

        Raises:
            Unavailable: ``embedded_stop_failed``, it did not even yield to SIGKILL.
        """
        if self._home is None or self._share is None:
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
        return self._sockets is not None and postmaster.accepts(self._sockets)

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
            self._ensure(self._home)
            return postmaster.find(self._home.cluster)

    async def supervise(
        self, *, poll_seconds: float = 1.0, on_restart: Callable[[], None] | None = None
    ) -> None:
        """Keep the server running until cancelled.

        Several processes may do so at once: one restarts it, and all are told.

        Args:
            poll_seconds: the time between two looks.
            on_restart: called in the event loop once per new life of the server, whoever gave
                it; connections of the old one are dead.

        Raises:
            Misconfigured: the installation was changed under us; nothing is gained by waiting.
        """
        seen = await asyncio.to_thread(self.keep_running)
        while True:
            await asyncio.sleep(poll_seconds)
            try:
                life = await asyncio.to_thread(self.keep_running)
            except Unavailable as err:  # a full disk may have room again
                _log.error("database.restart_failed", code=err.code, **err.facts)
                continue
            if life is not None and life != seen:
                seen = life
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

    def _shut_down(self, home: ServerHome) -> None:
        watchdog.end(home.control)
        if not postmaster.stop(home.cluster):
            raise Unavailable("embedded_stop_failed", log=str(home.control / watchdog.SERVER_LOG))
        server_home.remove_socket_folder(home)
        self._sockets = None

    def _ensure(self, home: ServerHome) -> None:
        """Leave with a server that takes logins. Needs the start lock."""
        sockets = server_home.socket_folder(home)
        if sockets is None:
            # A server on a folder that was deleted or swapped is out of reach for good.
            postmaster.stop(home.cluster)
            watchdog.end(home.control)
            sockets = server_home.make_socket_folder(home)
        self._sockets = sockets
        self._have_cluster(home)
        # Before the server: if we are killed in between, nothing stays without a watcher.
        watchdog.launch(
            control=home.control,
            cluster=home.cluster,
            sockets=sockets,
            grace_seconds=self._grace_seconds,
        )
        if not _answers(home, sockets=sockets):
            _launch(home, sockets=sockets)

    def _have_cluster(self, home: ServerHome) -> None:
        """Leave with a cluster that these programs and this password open, made if need be."""
        version = home.cluster / "PG_VERSION"
        if not version.exists():
            self._create(home)
        if version.read_text().strip() != server_home.MAJOR_VERSION:
            raise Misconfigured(
                "embedded_version_mismatch",
                found=version.read_text().strip(),
                wanted=server_home.MAJOR_VERSION,
                folder=str(home.cluster),
            )
        if not self._password_file.exists():
            raise Misconfigured("embedded_password_missing", file=str(self._password_file))

    def _create(self, home: ServerHome) -> None:
        """Make the cluster, whole or not at all."""
        password = self._password_file
        if not password.exists():
            _write_private(password, text=secrets.token_urlsafe(32))
        draft = home.room / "cluster.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        server_home.give(draft, account=home.account)
        handed = home.room / "initdb.password"
        handed.unlink(missing_ok=True)
        _write_private(handed, text=password.read_text())
        try:
            server_home.give(handed, account=home.account)
            _run(
                home,
                program="initdb",
                arguments=[
                    f"--pgdata={draft}",
                    f"--username={SUPERUSER}",
                    "--auth=scram-sha-256",
                    f"--pwfile={handed}",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                ],
            )
        finally:
            handed.unlink()
        draft.rename(home.cluster)


@contextmanager
def _locked(control: Path) -> Generator[None]:
    try:
        with postmaster.locked(control / watchdog.START_LOCK, timeout_seconds=_LOCK_SECONDS):
            yield
    except TimeoutError as err:
        raise Unavailable("embedded_locked", folder=str(control)) from err


def _answers(home: ServerHome, *, sockets: Path) -> bool:
    """Return whether a server lives and takes logins, once it has recovered if it does so now.

    False leaves nothing of it: one that lives and does not answer is ended.
    """
    until = time.monotonic() + _START_SECONDS
    while postmaster.find(home.cluster) is not None:
        if postmaster.accepts(sockets):
            return True
        if time.monotonic() >= until:
            break
        time.sleep(_POLL_SECONDS)
    postmaster.stop(home.cluster)
    return False


def _launch(home: ServerHome, *, sockets: Path) -> None:
    """Start the server. Needs the start lock, and that none lives."""
    postmaster.end_orphans(home.cluster)
    postmaster.disown_lock(home.cluster)
    for left in sockets.iterdir():
        left.unlink()
    settings = _SETTINGS | {"unix_socket_directories": str(sockets)}
    options = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in settings.items())
    _run(
        home,
        program="pg_ctl",
        arguments=["start", "--wait", f"--timeout={_START_SECONDS}", f"--options={options}"],
    )


def _run(home: ServerHome, *, program: str, arguments: list[str]) -> None:
    """Run one of PostgreSQL's programs as the server's account, its words into the log.

    A file, because a pipe would stay open as long as the server. The cluster goes by the
    environment, because pg_ctl would hand its name to a shell.
    """
    account = home.account
    log = home.control / watchdog.SERVER_LOG
    words = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        done = subprocess.run(  # noqa: S603 - programs of the pinned package, our arguments
            [str(home.programs / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            check=False,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "PGDATA": str(home.cluster)},
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,
            umask=0o077,
            timeout=2 * _START_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        raise Unavailable("embedded_start_failed", program=program, log=str(log)) from err
    finally:
        os.close(words)
    if done.returncode != 0:
        raise Unavailable(
            "embedded_start_failed",
            program=program,
            log=str(log),
            last_lines=log.read_text(errors="replace").splitlines()[-_LOG_LINES:],
        )


def _write_private(path: Path, *, text: str) -> None:
    """Write a new 0600 file, whole or not at all."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)

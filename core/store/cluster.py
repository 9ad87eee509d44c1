"""Makes a cluster and starts its server with PostgreSQL's own programs."""

import os
import secrets
import shlex
import shutil
import subprocess
from pathlib import Path

from core.errors import Unavailable
from core.store import postmaster, server_home, watchdog
from core.store.server_home import ServerHome

_LOG_LINES = 5
_SPARE_SECONDS = 30  # pg_ctl keeps the time itself; this is for when it does not
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

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


def create(home: ServerHome, *, password_file: Path, timeout_seconds: int) -> None:
    """Make the cluster, whole or not at all, and the superuser's password unless it is there.

    Raises:
        Unavailable: ``embedded_start_failed``.
    """
    if not password_file.exists():
        _write_private(password_file, text=secrets.token_urlsafe(32))
    draft = home.room / "cluster.new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    server_home.give(draft, account=home.account)
    handed = home.room / "initdb.password"
    handed.unlink(missing_ok=True)
    _write_private(handed, text=password_file.read_text())
    try:
        server_home.give(handed, account=home.account)
        _run(
            home,
            program="initdb",
            timeout_seconds=timeout_seconds,
            arguments=[
                f"--pgdata={draft}",
                f"--username={postmaster.SUPERUSER}",
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


def launch(home: ServerHome, *, sockets: Path, timeout_seconds: int) -> None:
    """Start the server. Needs the start lock, and that none lives.

    Raises:
        Unavailable: ``embedded_start_failed``, with the log's path and its last lines.
    """
    postmaster.disown_lock(home.cluster)
    for left in sockets.iterdir():
        left.unlink()
    settings = _SETTINGS | {"unix_socket_directories": str(sockets)}
    options = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in settings.items())
    timeout = f"--timeout={timeout_seconds}"
    _run(
        home,
        program="pg_ctl",
        timeout_seconds=timeout_seconds + _SPARE_SECONDS,
        arguments=["start", "--wait", timeout, f"--options={options}"],
    )


def _run(home: ServerHome, *, program: str, arguments: list[str], timeout_seconds: int) -> None:
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
            env={
                "PATH": "/usr/bin:/bin",
                "LC_ALL": "C",
                "TZ": "UTC",
                "PGDATA": str(home.cluster),
            },
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,
            umask=0o077,
            timeout=timeout_seconds,
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

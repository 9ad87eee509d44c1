"""What can be seen of and done to a PostgreSQL process with the standard library alone.

The watchdog runs without site-packages, so nothing here may import more than that.
"""

import fcntl
import os
import signal
import socket
import stat
import struct
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

SUPERUSER = "sallyport_admin"

_POLL_SECONDS = 0.01
_DELETED = " (deleted)"
_PROBE_SECONDS = 2.0
_ORPHAN_SECONDS = 5.0
_PROC = Path("/proc")
_PROTOCOL_3 = 196608
_CANNOT_CONNECT_NOW = b"C57P03\0"
_STOP_STEPS = (
    (signal.SIGINT, 20.0),  # fast: ends sessions, checkpoints
    (signal.SIGQUIT, 10.0),  # immediate: recovery at the next start
    (signal.SIGKILL, 5.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Postmaster:
    """One life of a server: a restart, by whomever, changes one of the two."""

    pid: int
    started: int
    """Whole seconds since the epoch, as the server itself noted them."""


class Answer(StrEnum):
    """What a server says when asked whether it takes logins."""

    READY = "ready"
    BUSY = "busy"
    """It starts, recovers or stops; it must be let."""
    SILENT = "silent"


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """Take the lock of this file and return its descriptor, or None while another holds it.

    The kernel drops the lock when the last descriptor closes, however its process died: no
    process id is kept that could be stale or belong to somebody else by now.
    """
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        return None
    return held


@contextmanager
def locked(path: Path, *, timeout_seconds: float) -> Generator[None]:
    """Hold the lock of this file; threads exclude each other as processes do.

    Raises:
        TimeoutError: another held it all the time.
    """
    until = time.monotonic() + timeout_seconds
    while (held := try_lock(path)) is None:
        if time.monotonic() >= until:
            raise TimeoutError(path)
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        os.close(held)


def is_locked(path: Path) -> bool:
    """Return whether anybody holds the lock of this file, shared or not."""
    held = try_lock(path)
    if held is None:
        return True
    os.close(held)
    return False


def find(cluster: Path) -> Postmaster | None:
    """Return the living server of this cluster folder.

    None as well where the process id in its lock file is a zombie's or another program's, which
    happens in a container whose first process does not reap, and after a reboot.
    """
    noted = _noted(cluster)
    return noted if noted is not None and _is_server(noted.pid, cluster=cluster) else None


def probe(sockets: Path) -> Answer:
    """Ask the server on this socket folder whether it takes logins, as pg_isready does.

    No password is needed, and "too many connections" is the answer of a server that is well.
    """
    asks = f"user\0{SUPERUSER}\0database\0postgres\0\0".encode()
    message = struct.pack("!ii", 8 + len(asks), _PROTOCOL_3) + asks
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_PROBE_SECONDS)
            connection.connect(str(sockets / ".s.PGSQL.5432"))
            connection.sendall(message)
            answer = connection.recv(1024)
    except OSError:
        return Answer.SILENT
    if not answer:
        return Answer.SILENT
    return Answer.BUSY if _CANNOT_CONNECT_NOW in answer else Answer.READY


def stop(cluster: Path) -> bool:
    """End the server of this cluster, gently first; return whether all of it is gone."""
    for step, patience_seconds in _STOP_STEPS:
        found = find(cluster)
        if found is None:
            break
        with suppress(ProcessLookupError):
            os.kill(found.pid, step)
        until = time.monotonic() + patience_seconds
        while _is_server(found.pid, cluster=cluster) and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
    if find(cluster) is not None:
        return False
    return end_orphans(cluster)


def kill(cluster: Path) -> bool:
    """End a server that no longer listens to anybody; the next one recovers what it had kept."""
    found = find(cluster)
    if found is not None:
        with suppress(ProcessLookupError):
            os.kill(found.pid, signal.SIGKILL)
    return end_orphans(cluster)


def end_orphans(cluster: Path) -> bool:
    """End what a killed postmaster left behind; return whether all of it is gone.

    A backend in a long computation does not notice that its postmaster died, and as long as it
    is attached to the shared memory no new server may start. Call it only without a postmaster.
    """
    until = time.monotonic() + _ORPHAN_SECONDS
    while left := [pid for pid in _process_ids() if _is_server(pid, cluster=cluster)]:
        if time.monotonic() >= until:
            return False
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
    return True


def disown_lock(cluster: Path) -> None:
    """Let a new server start where the lock file names a process that is not a server's.

    PostgreSQL refuses while any process has the noted id, even a zombie or, after a reboot, a
    stranger of the same user. Removing the file would also skip the check for shared memory that
    is still in use; it ignores the id of its grandparent, so that is put in. Call it only where
    ``find`` saw no server, from the process that runs pg_ctl.
    """
    noted = _noted(cluster)
    if noted is None or not _exists(noted.pid):
        return
    path = cluster / "postmaster.pid"
    # The folder may belong to a lesser user than we are: nothing there may redirect our write.
    with os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "r+") as file:
        seen = os.fstat(file.fileno())
        if not stat.S_ISREG(seen.st_mode) or seen.st_nlink != 1:
            return
        rest = file.read().partition("\n")[2]
        file.seek(0)
        file.write(f"{os.getpid()}\n{rest}")
        file.truncate()


def _noted(cluster: Path) -> Postmaster | None:
    """Return what the server's own lock file says, true or stale."""
    try:
        lines = (cluster / "postmaster.pid").read_text(errors="replace").splitlines()
        return Postmaster(pid=int(lines[0]), started=int(lines[2]))
    except (OSError, ValueError, IndexError):
        return None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_server(pid: int, *, cluster: Path) -> bool:
    """Return whether the process lives, is a PostgreSQL and works in this cluster."""
    if not (_PROC / "self").exists():
        return _is_server_by_ps(pid)
    try:
        program = (_PROC / str(pid) / "exe").readlink().name
        folder = (_PROC / str(pid) / "cwd").readlink()
    except OSError:  # gone, a zombie, or not ours to look at
        return False
    # An upgrade of the package, or rm -r on the data folder, leaves "... (deleted)".
    return program.startswith("postgres") and str(folder).removesuffix(_DELETED) == str(cluster)


def _is_server_by_ps(pid: int) -> bool:
    told = subprocess.run(  # noqa: S603 - fixed program, a number
        ["/bin/ps", "-o", "state=,comm=", "-p", str(pid)],
        capture_output=True,
        check=False,
        text=True,
        timeout=_PROBE_SECONDS,
    ).stdout.strip()
    return bool(told) and not told.startswith("Z") and "postgres" in told


def _process_ids() -> list[int]:
    """Return the ids of all processes; none where there is no /proc."""
    if not _PROC.is_dir():
        return []
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]

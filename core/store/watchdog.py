"""Stops an embedded server that nobody uses any more, because SIGKILL gives its users no chance to.

A process of its own, without site-packages, in its own session and adopted by init: neither
Ctrl-C in a terminal nor the death of whoever started it reaches it. One per data folder.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from core.store import postmaster

START_LOCK = "start.lock"
USERS_LOCK = "users.lock"
SERVER_LOG = "server.log"

_WATCHDOG_LOCK = "watchdog.lock"
_POLL_SECONDS = 1.0
_END_SECONDS = 5.0
_LOG_BYTES = 4 * 1024 * 1024
_RUN = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from core.store.watchdog import main; main(sys.argv[2:])"
)


@dataclass(slots=True, kw_only=True)
class Watch:
    """Looks at one data folder, once per ``step``."""

    control: Path
    cluster: Path
    sockets: Path
    grace_seconds: float
    _unused_since: float | None = field(default=None, init=False)

    def step(self, *, now: float) -> bool:
        """Look once, at ``now`` in monotonic seconds; return whether to go on looking.

        A server without users is stopped once that has lasted for the grace; a user that comes
        in between starts the count again. Whoever starts or stops it meanwhile has the word.
        """
        _trim(self.control / SERVER_LOG)
        try:
            held = postmaster.try_lock(self.control / START_LOCK)
        except FileNotFoundError:  # the data folder was deleted, and with it all locks
            return self._stop()
        if held is None:
            return True
        try:
            return self._settle(now=now)
        finally:
            os.close(held)

    def _settle(self, *, now: float) -> bool:
        if postmaster.is_locked(self.control / USERS_LOCK):
            self._unused_since = None
            return True
        if postmaster.find(self.cluster) is None:
            return False
        if self._unused_since is None:
            self._unused_since = now
        if now - self._unused_since < self.grace_seconds:
            return True
        return self._stop()

    def _stop(self) -> bool:
        postmaster.stop(self.cluster)
        shutil.rmtree(self.sockets, ignore_errors=True)
        return False


def launch(*, control: Path, cluster: Path, sockets: Path, grace_seconds: float) -> None:
    """Start the watchdog of this data folder unless it has one. Needs the start lock.

    Raises:
        OSError, subprocess.SubprocessError: our own interpreter did not run.
    """
    if postmaster.is_locked(control / _WATCHDOG_LOCK):
        return
    root = Path(__file__).resolve().parents[2]
    places = [str(place) for place in (root, control, cluster, sockets)]
    subprocess.run(  # noqa: S603 - our own interpreter and code; the rest are arguments
        [sys.executable, "-I", "-S", "-c", _RUN, *places, str(grace_seconds)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
        cwd="/",
        env={},
        start_new_session=True,
        timeout=30,
    )


def end(control: Path) -> None:
    """End the watchdog of this data folder, if it has one. Needs the start lock."""
    lock = control / _WATCHDOG_LOCK
    until = time.monotonic() + _END_SECONDS
    while postmaster.is_locked(lock) and time.monotonic() < until:
        # Only its holder writes the file, and the first thing it does is to empty it.
        with suppress(ValueError, ProcessLookupError):
            os.kill(int(lock.read_text()), signal.SIGTERM)
        time.sleep(0.005)


def main(arguments: Sequence[str]) -> None:
    """Become the watchdog: take its lock, leave the parent, look until nothing is left."""
    control, cluster, sockets = (Path(argument) for argument in arguments[:3])
    held = postmaster.try_lock(control / _WATCHDOG_LOCK)
    if held is None:
        return
    os.ftruncate(held, 0)
    if os.fork():
        os._exit(0)  # the starter waits for this one only; the child keeps the lock
    os.write(held, str(os.getpid()).encode())
    watch = Watch(
        control=control, cluster=cluster, sockets=sockets, grace_seconds=float(arguments[3])
    )
    while watch.step(now=time.monotonic()):
        time.sleep(_POLL_SECONDS)


def _trim(log: Path) -> None:
    """Keep the server's log small: the server appends, so that it may be cut under it."""
    with suppress(OSError):
        if log.stat().st_size > _LOG_BYTES:
            shutil.copyfile(log, log.with_suffix(".old.log"))
            os.truncate(log, 0)

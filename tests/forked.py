"""Processes that have read every module when they start: forked from one that did it once.

Killed, signalled and waited for, they are like any other process. To read our modules and those of
the libraries takes two seconds, which is most of what many of them would do.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Self

_READ = (
    "sallyport.commands.demo",
    "sallyport.commands.mcp",
    "sallyport.commands.serve",
    "sallyport.commands.tool",
    "sallyport.commands.worker",
    "tests.driving",
    "tests.scenarios.crash.processes",
)

Main = Callable[[Sequence[str]], None]


def forking() -> ForkServerContext:
    """Return what forks processes; the one that they are forked from ends with this process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_READ))
    return context


class Forked:
    """A process that runs ``main`` with arguments, on pipes for its standard files."""

    def __init__(
        self,
        main: Main,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
    ) -> None:
        given, out, err = os.pipe(), os.pipe(), os.pipe()
        theirs = (
            Connection(given[0], writable=False),
            Connection(out[1], readable=False),
            Connection(err[1], readable=False),
        )
        self._process = forking().Process(
            target=_become,
            args=(main, list(arguments), dict(environment), str(folder), theirs),
            daemon=True,
        )
        self._process.start()
        for end in theirs:
            end.close()
        self.stdin = os.fdopen(given[1], "w", encoding="utf-8")
        self.stdout = os.fdopen(out[0], encoding="utf-8")
        self.stderr = os.fdopen(err[0], encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        for file in (self.stdin, self.stdout, self.stderr):
            file.close()
        self._process.join()
        self._process.close()

    def wait(self, timeout: float = 60.0) -> int:
        """Wait for the end and return the exit code: minus the signal's number where one ended it.

        Raises:
            TimeoutError: it has not ended.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutError
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it is there."""
        if self._process.pid is not None and self._process.exitcode is None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Kill the process, if it is there."""
        self._process.kill()


def _become(
    main: Main,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    files: Sequence[Connection],
) -> None:
    for number, file in enumerate(files):
        os.dup2(file.fileno(), number)
        file.close()
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1, closefd=False)
    os.environ.clear()  # noqa: TID251 - what a process of its own would have
    os.environ.update(environment)  # noqa: TID251
    os.chdir(folder)
    sys.argv = ["sallyport", *arguments]
    main(arguments)

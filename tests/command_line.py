"""The command line, run as a person or a script would: a bare process of its own, or in here."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from core.store import postmaster, server_home
from sallyport.cli import main
from tests.forked import Forked

SCRIPT = Path(sys.executable).parent / "sallyport"
_SECONDS = 60

Process = subprocess.Popen[str] | Forked
Json = dict[str, Any]  # Any: what a command printed, looked into by the test


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command said, and the code it ended with."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Json:
        """The one document on standard output; fails where there is anything else."""
        return json.loads(self.out)


class CommandLine:
    """Runs commands on one data folder, with next to nothing in the environment."""

    def __init__(self, data_dir: Path, *, environment: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        inherited = {
            name: value
            for name, value in os.environ.items()  # noqa: TID251 - what any process needs
            if name in {"PATH", "HOME"} or name.startswith("COVERAGE_")
        }
        self.settings = {"SALLYPORT_DATA_DIR": str(data_dir), **(environment or {})}
        self._environment = {**inherited, **self.settings}

    def run(self, *arguments: str, code: int = 0, given: str = "") -> Said:
        """Run one command, which must end with ``code``; ``given`` is its standard input."""
        said = self.said(arguments, given=given)
        assert said.code == code, said
        return said

    def json(self, *arguments: str, code: int = 0, given: str = "") -> Json:
        """Run one command with --json and return what it printed."""
        return self.run(*arguments, "--json", code=code, given=given).json

    def said(self, arguments: Sequence[str], *, given: str = "") -> Said:
        """Run one command, however it ends."""
        ended = subprocess.run(
            [str(SCRIPT), *arguments],
            env=self._environment,
            cwd=self.data_dir,
            input=given,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        return Said(code=ended.returncode, out=ended.stdout, err=ended.stderr)

    @contextmanager
    def running(self, *arguments: str) -> Generator["Running"]:
        """Start a command that lasts; it is killed at the end if it has not ended."""
        with self._started(arguments) as process:
            try:
                yield Running(process)
            finally:
                process.kill()

    def _started(self, arguments: Sequence[str]) -> Process:
        return subprocess.Popen(
            [str(SCRIPT), *arguments],
            env=self._environment,
            cwd=self.data_dir,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def postgres_runs(self) -> bool:
        """Return whether a server of this data folder is alive."""
        home = server_home.settle(server_home.control_folder(self.data_dir))
        return postmaster.find(home.cluster) is not None


class CommandLineForked(CommandLine):
    """The same in processes that need read no modules when they start."""

    def said(self, arguments: Sequence[str], *, given: str = "") -> Said:
        with self._started(arguments) as process:
            try:
                process.stdin.write(given)
                process.stdin.close()
                out, err = process.stdout.read(), process.stderr.read()
                return Said(code=process.wait(_SECONDS), out=out, err=err)
            finally:
                process.kill()

    def _started(self, arguments: Sequence[str]) -> Forked:
        return Forked(main, arguments, environment=self._environment, folder=self.data_dir)


class CommandLineHere(CommandLine):
    """The same in this process: without half a second of imports for each command."""

    def said(self, arguments: Sequence[str], *, given: str = "") -> Said:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, logs_as_they_were():
            patch.chdir(self.data_dir)
            for name, value in self.settings.items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", io.StringIO(given))
            with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
                main(arguments)
        code = ended.value.code
        assert isinstance(code, int)
        return Said(code=code, out=out.getvalue(), err=err.getvalue())


@contextmanager
def logs_as_they_were() -> Generator[None]:
    """Leave logging, when the block is left, as it was before."""
    names = [None, *logging.root.manager.loggerDict]
    before = [
        (each, each.handlers, each.level, each.propagate) for each in map(logging.getLogger, names)
    ]
    loud = logging.raiseExceptions
    try:
        yield
    finally:
        for each, handlers, level, propagate in before:
            each.handlers, each.propagate = handlers, propagate
            if each.level != level:  # to set it empties the cache of every logger there is
                each.setLevel(level)
        logging.raiseExceptions = loud
        structlog.reset_defaults()


class Running:
    """A command under way."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def first_line(self) -> str:
        """Return the next line of standard output, waiting for it."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read() if self.process.stderr else ""
        return line

    def line_with(self, text: str) -> str:
        """Return the first line of standard output that has ``text``."""
        while text not in (line := self.first_line()):
            pass
        return line

    def end(self, number: signal.Signals) -> tuple[int, float]:
        """Send a signal; return the exit code, and the seconds it took to end."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(_SECONDS)
        return code, time.monotonic() - began

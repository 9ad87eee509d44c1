"""A server in a process of its own, that tells its CPU time when asked: one line in, one out."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from typing import IO, cast

from bench.harness import ROOT

_STOP_SECONDS = 20


class Server:
    """A server process, as whoever started it sees it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Take the process, and wait until it says where it is."""
        self._process = process
        self.told = self._line()

    def cpu_seconds(self) -> float:
        """Return how much CPU time the process has used, all its threads together."""
        cast("IO[str]", self._process.stdin).write("\n")
        cast("IO[str]", self._process.stdin).flush()
        return float(self._line()["cpu_seconds"])

    def _line(self) -> dict[str, str]:
        return json.loads(cast("IO[str]", self._process.stdout).readline())


@contextmanager
def server(command: Sequence[str]) -> Generator[Server]:
    """Run ``command`` as a server for as long as the block lasts; it ends when its input does.

    However the block is left, the process has ended by then, and its pipes are closed.

    Raises:
        RuntimeError: it ended before; with the end of what it wrote to standard error.
    """
    pipe = subprocess.PIPE
    with (
        TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=errors, text=True, cwd=ROOT
        ) as process,
    ):
        try:
            yield Server(process)
        except (json.JSONDecodeError, BrokenPipeError) as error:
            _end(process)
            errors.seek(0)
            raise RuntimeError(errors.read()[-3000:]) from error
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(BrokenPipeError):  # what it was asked last stays unread where it is gone
        cast("IO[str]", process.stdin).close()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def until_told_to_end(
    serve: Callable[[Callable[[int], None]], Awaitable[None]],
    *,
    cpu_seconds: Callable[[], float] = time.process_time,
    **told: str,
) -> None:
    """Serve, say where and ``told``, answer each line of input with the CPU time, end with it."""
    asked = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(asked), sys.stdin
    )

    def ready(port: int) -> None:
        print(json.dumps({"url": f"http://127.0.0.1:{port}/mcp", **told}), flush=True)

    async def answering() -> None:
        while await asked.readline():
            print(json.dumps({"cpu_seconds": cpu_seconds()}), flush=True)
        serving.cancel()

    async with asyncio.TaskGroup() as group:
        serving = group.create_task(_awaited(serve(ready)))
        group.create_task(answering())


async def _awaited(work: Awaitable[None]) -> None:
    await work

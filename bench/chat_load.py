"""How a server takes a chat platform at its busiest: in time, once each, nothing lost.

A whole ``sallyport serve`` on a data folder of its own, a company whose people are linked, a
platform of ours that counts every call over the limits, and a load from a process of its own. The
load is open-loop: an answer is counted from when its delivery was due. Messages start runs of one
turn, clicks are on an old card; what somebody must approve was asked for just before.
"""

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from bench.chat_office import Counted, Office
from bench.harness import ROOT, say, table

_HEAD = ("kind", "answers", "p50 ms", "p95 ms", "p99 ms", "max ms")
_TIMES = ("p50_ms", "p95_ms", "p99_ms", "max_ms")
_LOOK_SECONDS = 1.0

Told = Mapping[str, Any]  # Any: the load's own JSON
Opening = Callable[[Path], AbstractAsyncContextManager[Office]]
"""Opens a company at work, all in a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the load tells, and what the server and the platform tell afterwards."""

    load: Told
    cpu_ms: float
    lost: int
    more_than_once: int
    left_at_end: int
    drain_seconds: float
    left: int
    figures: Told
    platform: Counted

    def faults(self, *, waits_ms: Mapping[str, int]) -> Iterator[str]:
        """Tell what was not as it should be; the platform waits so long for each kind."""
        if self.load["open_ids"]:
            yield f"{len(self.load['open_ids'])} deliveries were never acknowledged"
        if set(self.load["acknowledged"]) != {"200"}:
            yield f"not all were answered by 200: {self.load['acknowledged']}"
        for kind, times in self.load["kinds"].items():
            if times["max_ms"] > waits_ms[kind]:
                yield f"an answer ({kind}) took {times['max_ms']} ms: waited for {waits_ms[kind]}"
        if self.lost:
            yield f"{self.lost} were acknowledged and not kept"
        if self.more_than_once:
            yield f"{self.more_than_once} were kept or done more than once"
        if self.platform.excesses:
            yield f"{self.platform.excesses} calls were over the platform's limits"
        if self.figures["dead"]:
            yield f"{self.figures['dead']} arrivals were given up"


async def measured(
    office: Office, *, options: Sequence[str], questions: int, drain: float
) -> Measured:
    """Ask the questions and offer the load; then wait until all is handled, or for so long."""
    server = office.server
    for _ in range(questions):
        await office.ask()
    before = server.cpu_seconds()
    told = await offered(*office.load, *options)
    used_ms = (server.cpu_seconds() - before) * 1e3
    left_at_end, ended = await server.left(), time.monotonic()
    left = left_at_end
    while left and time.monotonic() - ended < drain:
        await asyncio.sleep(_LOOK_SECONDS)
        left = await server.left()
    drained = time.monotonic() - ended
    figures, kept = await server.figures(), await server.kept()
    return Measured(
        load=told,
        cpu_ms=round(used_ms / max(told["sent"], 1), 2),
        lost=len(set(told["ids"]) - kept),
        more_than_once=figures["rows_twice"] + figures["runs_twice"],
        left_at_end=left_at_end,
        drain_seconds=round(drained, 1),
        left=left,
        figures=figures,
        platform=await office.counted(),
    )


async def offered(module: str, *options: str) -> Told:
    """Offer the load from a process of its own, and return what it tells."""
    command = [sys.executable, "-m", module, *options]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, cwd=ROOT)
    out, error = await process.communicate()
    if process.returncode:
        raise RuntimeError(error.decode()[-3000:])
    return json.loads(out)


def measure(
    opening: Opening,
    *,
    waits_ms: Mapping[str, int],
    options: Sequence[str],
    questions: int,
    drain: float,
) -> int:
    """Measure a company of its own and tell the figures; return how much was wrong."""

    async def run() -> Measured:
        with TemporaryDirectory(prefix="sallyport-bench-") as folder:
            say("starting")
            async with opening(Path(folder)) as office:
                say(f"the server is process {office.server.pid}")
                return await measured(office, options=options, questions=questions, drain=drain)

    found = asyncio.run(run())
    _tell(found)
    wrong = list(found.faults(waits_ms=waits_ms))
    for fault in wrong:
        say(fault)
    return len(wrong)


def of_a_load(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of every load: click's, in the order in which they are shown."""
    for option in reversed(
        (
            click.option("--rate", default=500.0, show_default=True, help="deliveries a second"),
            click.option("--seconds", default=60.0, show_default=True, help="how long offered"),
            click.option("--duplicates", default=0.1, show_default=True, help="share sent before"),
            click.option("--clicks", default=0.2, show_default=True, help="share that are clicks"),
            click.option("--questions", default=5, show_default=True, help="to be approved"),
            click.option("--drain", default=60.0, show_default=True, help="for the inbox"),
            click.argument("more", nargs=-1),
        )
    ):
        command = option(command)
    return command


def shares_of(shares: Mapping[str, float]) -> Sequence[str]:
    """Return options of a load's own."""
    return [part for name, value in shares.items() for part in (f"--{name}", str(value))]


def _tell(found: Measured) -> None:
    load, figures = found.load, found.figures
    every = ("all", load["sent"], *(load[name] for name in _TIMES))
    by_kind = [
        (kind, times["many"], *(times[name] for name in _TIMES))
        for kind, times in load["kinds"].items()
    ]
    table(_HEAD, [every, *by_kind])
    handled = found.left_at_end - found.left
    told = {
        "offered a second": load["offered_per_second"],
        "answered": load["acknowledged"],
        "the load's own lag, p99 ms": load["lag_p99_ms"],
        "the load's CPU": f"{load['cpu_share']:.0%}",
        "the server's CPU ms a delivery": found.cpu_ms,
        "acknowledged and not kept": found.lost,
        "kept or done twice": found.more_than_once,
        "runs": figures["runs"],
        "left in the inbox when the load ended": found.left_at_end,
        "left later": f"{found.left}, after {found.drain_seconds} s",
        "handled a second then": round(handled / max(found.drain_seconds, 0.1), 1),
        "calls to the platform": found.platform.calls,
        "of them over its limits": found.platform.excesses,
        "cards delivered, after seconds": figures["card_seconds"],
        "each before so many older wishes": figures["cards_went_before"],
        "wishes": figures["wishes"],
    }
    print()
    table(("what", "how much"), list(told.items()))

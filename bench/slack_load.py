"""How a server takes Slack at its busiest: acknowledged in time, once each, nothing lost.

One command: a whole ``sallyport serve`` on a data folder of its own, a company whose people are
linked, a Slack of ours that counts every call over the limits, and a load, each a process of its
own. The load is open-loop (``tests/slack/load.py``): an answer is counted from when its delivery
was due. Messages start runs of one turn, clicks are on an old card; what somebody must approve was
asked for just before. Slack takes an answer within three seconds; the target is far below.

Usage: python -m bench.slack_load [--rate 500] [--seconds 60] [--questions 5] [--drain 60]
"""

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from bench.harness import ROOT, say, table
from bench.slack_office import Office, office_in
from bots.actions import APPROVE
from tests.slack.workspace import ALICE, GENERAL

_HEAD = (
    *("offered/s", "sent", "acknowledged", "p50 ms", "p95 ms", "p99 ms", "max ms"),
    *("lag p99 ms", "the load's CPU"),
)
_SLACK_WAITS_MS = 3_000
_LOOK_SECONDS = 1.0

Told = Mapping[str, Any]  # Any: the load's own JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the load tells, and what the server and Slack tell afterwards."""

    load: Told
    cpu_ms: float
    lost: int
    more_than_once: int
    left_at_end: int
    drain_seconds: float
    left: int
    figures: Told
    slack: Told

    def faults(self) -> Iterator[str]:
        """Tell what was not as it should be."""
        yield from faults(self.load)
        if self.lost:
            yield f"{self.lost} were acknowledged and not kept"
        if self.more_than_once:
            yield f"{self.more_than_once} were kept or done more than once"
        if self.slack["excesses"]:
            yield f"{self.slack['excesses']} calls were over Slack's limits"
        if self.figures["dead"]:
            yield f"{self.figures['dead']} arrivals were given up"


async def measured(
    office: Office, *, options: Sequence[str], questions: int, drain: float
) -> Measured:
    """Ask the questions and offer the load; then wait until all is handled, or for so long."""
    for _ in range(questions):
        await office.people.mentions("please delete the old draft", by=ALICE, channel=GENERAL)
    before = office.cpu_seconds()
    told = await offered(office.url, options=options)
    used_ms = (office.cpu_seconds() - before) * 1e3
    left_at_end, ended = await office.left(), time.monotonic()
    left = left_at_end
    while left and time.monotonic() - ended < drain:
        await asyncio.sleep(_LOOK_SECONDS)
        left = await office.left()
    figures, kept = await office.figures(), await office.kept()
    return Measured(
        load=told,
        cpu_ms=round(used_ms / max(told["sent"], 1), 2),
        lost=len(set(told["ids"]) - kept),
        more_than_once=figures["rows_twice"] + figures["runs_twice"],
        left_at_end=left_at_end,
        drain_seconds=round(time.monotonic() - ended, 1),
        left=left,
        figures=figures,
        slack=await office.told_by_slack(),
    )


async def offered(url: str, *, options: Sequence[str]) -> Told:
    """Offer the load from a process of its own, and return what it tells."""
    command = [sys.executable, "-m", "tests.slack.load", "--url", url, *options]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, cwd=ROOT)
    out, error = await process.communicate()
    if process.returncode:
        raise RuntimeError(error.decode()[-3000:])
    return json.loads(out)


def faults(told: Told) -> Iterator[str]:
    """Tell what was not as Slack wants it."""
    if told["open_ids"]:
        yield f"{len(told['open_ids'])} deliveries were never acknowledged"
    if set(told["acknowledged"]) != {"200"}:
        yield f"not all were answered by 200: {told['acknowledged']}"
    if told["max_ms"] > _SLACK_WAITS_MS:
        yield f"an answer took {told['max_ms']} ms: Slack waits for {_SLACK_WAITS_MS}"


def _row(told: Told) -> list[object]:
    figures = ("p50_ms", "p95_ms", "p99_ms", "max_ms", "lag_p99_ms")
    return [
        told["offered_per_second"],
        told["sent"],
        told["acknowledged"].get("200", 0),
        *(told[name] for name in figures),
        f"{told['cpu_share']:.0%}",
    ]


def _tell(found: Measured) -> None:
    table(_HEAD, [_row(found.load)])
    figures, slack = found.figures, found.slack
    handled = found.left_at_end - found.left
    told = {
        "the server's CPU ms a delivery": found.cpu_ms,
        "acknowledged and not kept": found.lost,
        "kept or done twice": found.more_than_once,
        "runs": figures["runs"],
        "left in the inbox when the load ended": found.left_at_end,
        "left later": f"{found.left}, after {found.drain_seconds} s",
        "handled a second then": round(handled / max(found.drain_seconds, 0.1), 1),
        "calls to Slack": sum(sum(one.values()) for one in slack["calls"].values()),
        "of them over its limits": slack["excesses"],
        "cards delivered, after seconds": figures["card_seconds"],
        "each before so many older wishes": figures["cards_went_before"],
        "wishes": figures["wishes"],
    }
    print()
    table(("what", "how much"), list(told.items()))


@click.command()
@click.option("--rate", default=500.0, show_default=True, help="deliveries a second")
@click.option("--seconds", default=60.0, show_default=True, help="how long they are offered")
@click.option("--duplicates", default=0.1, show_default=True, help="share that came before")
@click.option("--clicks", default=0.2, show_default=True, help="share that are clicks")
@click.option("--questions", default=5, show_default=True, help="what somebody must approve")
@click.option("--drain", default=60.0, show_default=True, help="seconds to wait for the inbox")
@click.argument("more", nargs=-1)
def main(*, questions: int, drain: float, more: tuple[str, ...], **shares: float) -> None:
    """Measure a server of its own; options of the load's own follow after ``--``."""
    options = [part for name, value in shares.items() for part in (f"--{name}", str(value))]
    options += ["--action-id", APPROVE, *more]

    async def run() -> Measured:
        with TemporaryDirectory(prefix="sallyport-bench-") as folder:
            say("starting")
            async with office_in(Path(folder)) as office:
                say(f"the server is process {office.pid}")
                return await measured(office, options=options, questions=questions, drain=drain)

    found = asyncio.run(run())
    _tell(found)
    wrong = list(found.faults())
    for fault in wrong:
        say(fault)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

"""How a server takes Slack at its busiest: acknowledged in time, once each, nothing lost.

The load is a process of its own (``tests/slack/load.py``), open-loop: an answer is counted from
when its delivery was due. Slack takes an answer within three seconds; the target is far below.

Usage: python -m bench.slack_load --url http://127.0.0.1:8080/slack/events [--rate 500]
       [--seconds 60] [--rounds 1]
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from bench.harness import ROOT, say, table

_HEAD = (
    *("offered/s", "sent", "acknowledged", "p50 ms", "p95 ms", "p99 ms", "max ms"),
    *("lag p99 ms", "the load's CPU"),
)
_SLACK_WAITS_MS = 3_000

Told = Mapping[str, Any]  # Any: the load's own JSON


def measured(url: str, *, rate: float, seconds: float, more: Sequence[str] = ()) -> Told:
    """Offer the load from a process of its own, and return what it tells."""
    command = [
        *(sys.executable, "-m", "tests.slack.load", "--url", url),
        *("--rate", str(rate), "--seconds", str(seconds), *more),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return json.loads(done.stdout)


def faults(told: Told) -> Iterator[str]:
    """Tell what was not as Slack wants it; what became of each id is the server's to tell."""
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


@click.command()
@click.option("--url", required=True, help="where a running server takes Slack's requests")
@click.option("--rate", default=500.0, show_default=True, help="deliveries a second")
@click.option("--seconds", default=60.0, show_default=True, help="how long a round takes")
@click.option("--rounds", default=1, show_default=True)
@click.argument("more", nargs=-1)
def main(*, url: str, rate: float, seconds: float, rounds: int, more: tuple[str, ...]) -> None:
    """Measure a server that runs; options of the load's own follow after ``--``."""
    found: list[Told] = []
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        found.append(measured(url, rate=rate, seconds=seconds, more=more))
    table(_HEAD, [_row(told) for told in found])
    wrong = [fault for told in found for fault in faults(told)]
    for fault in wrong:
        say(fault)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

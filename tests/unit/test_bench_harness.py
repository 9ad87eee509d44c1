"""What the benchmarks' figures rest on: medians, percentiles, and servers in their own process."""

import os
import sys
from pathlib import Path

import pytest

from bench.harness import Figures, child, median, percentile, table
from bench.mcp_load import MODERN, Call, Target, load
from bench.serving import server

SERVING = """
import asyncio
from bench.serving import until_told_to_end

async def serve(ready):
    ready(7)
    await asyncio.Event().wait()

asyncio.run(until_told_to_end(serve, tool="echo"))
"""

SAYS = """print('{"pid": "%d"}' % os.getpid(), flush=True)"""


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert percentile(values, 0.5) == 51
    assert percentile(values, 0.99) == 100
    assert percentile([3.0], 0.99) == 3


def test_one_bad_round_of_three_does_not_move_the_median() -> None:
    rounds: list[Figures] = [{"p50_ms": 1.0}, {"p50_ms": 90.0}, {"p50_ms": 2.0}]
    assert median(rounds, "p50_ms") == 2


def test_results_are_a_markdown_table(capsys: pytest.CaptureFixture[str]) -> None:
    table(("server", "calls/s"), [["bare", 1]])
    assert capsys.readouterr().out == "| server | calls/s |\n|---|---|\n| bare | 1 |\n"


def test_figures_are_the_last_line_that_a_child_prints() -> None:
    program = "print('warming up'); print('{\"calls\": 3}')"
    assert child([sys.executable, "-c", program]) == {"calls": 3}


def test_a_child_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="no such server"):
        child([sys.executable, "-c", "raise SystemExit('no such server')"])


def test_a_server_says_where_it_is_and_what_it_used() -> None:
    with server([sys.executable, "-c", SERVING]) as one:
        assert one.told == {"url": "http://127.0.0.1:7/mcp", "tool": "echo"}
        assert 0 < one.cpu_seconds() <= one.cpu_seconds()


def test_a_server_that_does_not_start_says_why() -> None:
    failing = [sys.executable, "-c", "raise SystemExit('no database')"]
    with pytest.raises(RuntimeError, match="no database"), server(failing):
        pass


@pytest.mark.parametrize("dying", [f"{SAYS}; input()", f"os.close(0); {SAYS}"])
def test_a_server_that_dies_under_way_says_why_and_leaves_nothing_open(dying: str) -> None:
    program = f"import os, sys; {dying}; sys.exit('out of memory')"
    before = set(Path("/dev/fd").iterdir())
    with (
        pytest.raises(RuntimeError, match="out of memory"),
        server([sys.executable, "-c", program]) as one,
    ):
        one.cpu_seconds()
    assert set(Path("/dev/fd").iterdir()) <= before
    with pytest.raises(ProcessLookupError):
        os.kill(int(one.told["pid"]), 0)


async def test_a_call_that_fails_ends_the_measurement() -> None:
    async def refused() -> None:
        raise ConnectionError

    class Caller:
        async def __aenter__(self) -> Call:
            return refused

        async def __aexit__(self, *_: object) -> None:
            pass

    target = Target(url="http://here/mcp", token="t", tool="echo", era=MODERN)
    with pytest.raises(ExceptionGroup):
        await load(target, caller=lambda _: Caller(), concurrency=2, seconds=1)

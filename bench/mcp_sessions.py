"""MCP sessions from many clients at once: ours beside the SDK's bare server and ContextForge.

Every client opens a session, lists the tools, calls one ten times and leaves, over and over. Bare
and ours are served by the same function; ContextForge (IBM's gateway) runs as its makers start it,
without its limits and with its cache in memory, and hands each call on to a bare server. It speaks
the handshake era only, so that is what is compared; ours is shown in the modern era besides.

Usage: python -m bench.mcp_sessions [--clients 64] [--calls 10] [--seconds 10] [--rounds 3]
"""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import click

from bench.harness import Databases, Figures, child, databases, median, say, table
from bench.serving import Server, server

_FIGURES = (
    "sessions_per_second",
    "calls_per_second",
    "session_p50_ms",
    "call_p50_ms",
    "call_p99_ms",
    "server_cpu_ms",
    "failed",
)
_HEAD = (
    "server",
    "sessions/s",
    "calls/s",
    "session p50 ms",
    "call p50 ms",
    "call p99 ms",
    "its CPU ms a call",
    "failed",
    "x calls/s of bare",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arm:
    """One server in one era of the protocol."""

    name: str
    server: str
    mode: str


_ARMS = (
    _Arm(name="bare", server="bare", mode="legacy"),
    _Arm(name="sallyport", server="sallyport", mode="legacy"),
    _Arm(name="sallyport, 2026-07-28", server="sallyport", mode="auto"),
    _Arm(name="ContextForge", server="contextforge", mode="legacy"),
    _Arm(name="ContextForge, stateful", server="contextforge_stateful", mode="legacy"),
)


def _commands(where: Databases) -> dict[str, list[str]]:
    gateway = [sys.executable, "-m", "bench.peers.contextforge", "--url"]
    return {
        "bare": [sys.executable, "-m", "bench.peers.bare_mcp"],
        "sallyport": [
            *(sys.executable, "-m", "bench.governed_call"),
            *("--serve", where.migrated("ours"), "--worker"),
        ],
        "contextforge": [*gateway, where.fresh("contextforge")],
        "contextforge_stateful": [*gateway, where.fresh("contextforge_stateful"), "--stateful"],
    }


def _measured(at: Server, *, mode: str, clients: int, calls: int, seconds: float) -> Figures:
    before = at.cpu_seconds()
    told = [f"--{name}={at.told[name]}" for name in ("url", "token", "tool")]
    how = [f"--mode={mode}", f"--clients={clients}", f"--calls={calls}", f"--seconds={seconds}"]
    found = child([sys.executable, "-m", "bench.session_load", *told, *how])
    used = (at.cpu_seconds() - before) * 1e3
    return found | {"server_cpu_ms": used / found["calls"]}


def _rows(found: Mapping[str, list[Figures]]) -> Iterator[list[object]]:
    bare = median(found["bare"], "calls_per_second")
    for arm, rounds in found.items():
        now = {name: median(rounds, name) for name in _FIGURES}
        yield [
            arm,
            f"{now['sessions_per_second']:.1f}",
            f"{now['calls_per_second']:.0f}",
            f"{now['session_p50_ms']:.0f}",
            f"{now['call_p50_ms']:.1f}",
            f"{now['call_p99_ms']:.0f}",
            f"{now['server_cpu_ms']:.2f}",
            f"{now['failed']:.0f}",
            f"{now['calls_per_second'] / bare:.2f}",
        ]


@click.command()
@click.option("--clients", default=64, show_default=True, help="how many at once")
@click.option("--calls", default=10, show_default=True, help="how many in a session")
@click.option("--seconds", default=10.0, show_default=True, help="how long each measurement takes")
@click.option("--rounds", default=3, show_default=True, help="how often all are measured, in turn")
def main(*, clients: int, calls: int, seconds: float, rounds: int) -> None:
    """Measure sessions, peers in the same run."""
    with databases() as where, ExitStack() as stack:
        print(json.dumps(where.describe()))
        commands = _commands(where)
        servers = {name: stack.enter_context(server(one)) for name, one in commands.items()}
        found: dict[str, list[Figures]] = {arm.name: [] for arm in _ARMS}
        for _ in range(rounds):
            for arm in _ARMS:
                say(f"{arm.name}, {clients} clients")
                at = servers[arm.server]
                found[arm.name].append(
                    _measured(at, mode=arm.mode, clients=clients, calls=calls, seconds=seconds)
                )
        print(f"\n{clients} clients at once, sessions of {calls} calls\n")
        table(_HEAD, list(_rows(found)))


if __name__ == "__main__":
    main()

"""Opens MCP sessions and calls in them, from a process of its own, so that no server pays for it.

Each of the clients does the same over and over: connect, make itself known, list the tools, call
one a few times, leave. They are the SDK's own clients, each with connections of its own, as users
have.
"""

import asyncio
import json
import time
from dataclasses import dataclass, field

import click
import httpx2
import uvloop
from mcp import Client, types
from mcp.client.streamable_http import streamable_http_client

from bench.harness import Figures, percentile

_ANSWER_SECONDS = 60.0
_TEXT = "hello"


@dataclass(slots=True, kw_only=True)
class _Measured:
    """What has been done so far; a session counts when it has ended in time."""

    ends: float
    sessions: list[float] = field(default_factory=list[float])
    calls: list[float] = field(default_factory=list[float])
    failed: int = 0
    why: str = ""


async def load(
    url: str, *, token: str, tool: str, mode: str, clients: int, calls: int, seconds: float
) -> Figures:
    """Have so many clients open sessions of so many calls for ``seconds``.

    Raises:
        RuntimeError: not one session ended; with the first reason.
    """
    begun = time.perf_counter()
    measured = _Measured(ends=begun + seconds)

    async def one() -> None:
        while time.perf_counter() < measured.ends:
            try:
                await _session(
                    url, token=token, tool=tool, mode=mode, calls=calls, measured=measured
                )
            except Exception as error:  # noqa: BLE001 - a peer's failure is a figure, whatever it is
                measured.failed += 1
                measured.why = measured.why or repr(error)

    cpu = time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(one())
    if not measured.sessions:
        raise RuntimeError(measured.why or "no session ended")
    elapsed = time.perf_counter() - begun
    return {
        "sessions_per_second": len(measured.sessions) / elapsed,
        "calls_per_second": len(measured.calls) / elapsed,
        "session_p50_ms": percentile(measured.sessions, 0.5),
        "session_p99_ms": percentile(measured.sessions, 0.99),
        "call_p50_ms": percentile(measured.calls, 0.5),
        "call_p99_ms": percentile(measured.calls, 0.99),
        "failed": measured.failed,
        "calls": len(measured.calls),
        "client_cpu_share": (time.process_time() - cpu) / elapsed,
    }


async def _session(
    url: str, *, token: str, tool: str, mode: str, calls: int, measured: _Measured
) -> None:
    begun = time.perf_counter()
    headers = {"authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=_ANSWER_SECONDS) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        listed = await client.list_tools()
        if tool not in {one.name for one in listed.tools}:
            raise RuntimeError(f"{tool} is not listed")
        for _ in range(calls):
            called = time.perf_counter()
            answer = await client.call_tool(tool, {"text": _TEXT})
            told = answer.content[0] if answer.content else None
            if answer.is_error or not isinstance(told, types.TextContent) or _TEXT not in told.text:
                raise RuntimeError(repr(answer)[:300])
            measured.calls.append((time.perf_counter() - called) * 1e3)
    measured.sessions.append((time.perf_counter() - begun) * 1e3)


@click.command()
@click.option("--url", required=True)
@click.option("--token", required=True)
@click.option("--tool", required=True)
@click.option("--mode", default="legacy", help="the SDK's: legacy, or auto for the newest")
@click.option("--clients", default=64)
@click.option("--calls", default=10)
@click.option("--seconds", default=10.0)
def main(
    *, url: str, token: str, tool: str, mode: str, clients: int, calls: int, seconds: float
) -> None:
    """Load one server and print the figures as JSON."""
    work = load(
        url, token=token, tool=tool, mode=mode, clients=clients, calls=calls, seconds=seconds
    )
    print(json.dumps(uvloop.run(work)))


if __name__ == "__main__":
    main()

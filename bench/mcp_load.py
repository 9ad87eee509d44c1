"""Calls one MCP tool over and over, from a process of its own, so that no server pays for it.

A caller waits for each answer before it calls again. Callers are the SDK's own client, as users
have it, or bare sockets: the client costs more CPU a call than a server does, so only with sockets
is it the server that is saturated.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import click
import httpx2
import uvloop
from mcp import Client, types
from mcp.client.streamable_http import streamable_http_client
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION

from bench.harness import Figures, percentile

LEGACY, MODERN = "legacy", "modern"
_CALL_SECONDS = 20.0
_SPOKEN = {LEGACY: LATEST_HANDSHAKE_VERSION, MODERN: LATEST_MODERN_VERSION}
_TEXT = "hello"

Call = Callable[[], Awaitable[None]]
Caller = Callable[["Target"], AbstractAsyncContextManager[Call]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server's tool that returns its text, and in which era of the protocol it is called."""

    url: str
    token: str
    tool: str
    era: str


@asynccontextmanager
async def _by_sdk(target: Target) -> AsyncGenerator[Call]:
    """Open a client of the SDK with connections of its own."""
    headers = {"authorization": f"Bearer {target.token}"}
    mode = "legacy" if target.era == LEGACY else "auto"
    async with (
        httpx2.AsyncClient(headers=headers, timeout=_CALL_SECONDS) as http,
        Client(streamable_http_client(target.url, http_client=http), mode=mode) as client,
    ):

        async def call() -> None:
            answer = await client.call_tool(target.tool, {"text": _TEXT})
            told = answer.content[0] if answer.content else None
            if answer.is_error or not isinstance(told, types.TextContent) or _TEXT not in told.text:
                raise RuntimeError(repr(answer)[:300])

        yield call


@asynccontextmanager
async def _by_socket(target: Target) -> AsyncGenerator[Call]:
    """Open one connection and write the same request to it, call by call."""
    parts = urlsplit(target.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    request = _request(target)

    async def call() -> None:
        writer.write(request)
        async with asyncio.timeout(_CALL_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
            # Both servers answer with JSON of a known length: nothing else is taken.
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            body = await reader.readexactly(int(length))
        if not head.startswith(b"HTTP/1.1 200") or b'"result"' not in body or _is_error(body):
            raise RuntimeError((head[:60] + body[:300]).decode())

    yield call
    writer.close()


def _is_error(body: bytes) -> bool:
    return b'"isError":true' in body or _TEXT.encode() not in body


def _request(target: Target) -> bytes:
    version = _SPOKEN[target.era]
    params: dict[str, object] = {"name": target.tool, "arguments": {"text": _TEXT}}
    headers = {
        "host": urlsplit(target.url).netloc,
        "authorization": f"Bearer {target.token}",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": version,
    }
    if target.era == MODERN:
        headers |= {"mcp-method": "tools/call", "mcp-name": target.tool}
        params["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        }
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    headers["content-length"] = str(len(body))
    path = urlsplit(target.url).path
    told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\n{told}\r\n{body}".encode()


async def load(target: Target, *, caller: Caller, concurrency: int, seconds: float) -> Figures:
    """Have ``concurrency`` callers call for ``seconds``; a call that fails ends the measurement."""
    waits: list[float] = []
    is_ready = asyncio.Barrier(concurrency)

    async def one() -> None:
        async with caller(target) as call:
            for _ in range(_WARM_CALLS):
                await call()
            await is_ready.wait()
            end = time.perf_counter() + seconds
            while (begun := time.perf_counter()) < end:
                await call()
                waits.append((time.perf_counter() - begun) * 1e3)

    cpu = time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(one())
    return {
        "calls": len(waits),
        "calls_per_second": len(waits) / seconds,
        "p50_ms": percentile(waits, 0.5),
        "p99_ms": percentile(waits, 0.99),
        "client_cpu_ms": (time.process_time() - cpu) * 1e3 / len(waits),
    }


_WARM_CALLS = 20


@click.command()
@click.option("--url", required=True)
@click.option("--token", required=True)
@click.option("--tool", required=True)
@click.option("--era", type=click.Choice([LEGACY, MODERN]), default=MODERN)
@click.option("--concurrency", default=1)
@click.option("--seconds", default=4.0)
@click.option("--raw", is_flag=True, help="bare sockets in place of the SDK's client")
def main(
    *, url: str, token: str, tool: str, era: str, concurrency: int, seconds: float, raw: bool
) -> None:
    """Load one server and print the figures as JSON."""
    target = Target(url=url, token=token, tool=tool, era=era)
    caller = _by_socket if raw else _by_sdk
    print(
        json.dumps(
            uvloop.run(load(target, caller=caller, concurrency=concurrency, seconds=seconds))
        )
    )


if __name__ == "__main__":
    main()

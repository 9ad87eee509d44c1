"""The peers of a governed call: the SDK's server with one echo tool, bare or committing a row."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from uuid import uuid4

import asyncpg
import click
import uvloop
from mcp.server import MCPServer

from bench.serving import until_told_to_end
from sallyport.http import serve as serve_http

_POOL = 10
_TABLE = (
    "create table if not exists call (id bigserial primary key,"
    " at timestamptz not null default now(), tenant uuid not null, actor text not null,"
    " tool text not null, digest bytea not null, outcome text not null, detail jsonb not null)"
)
_INSERT = (
    "insert into call (tenant, actor, tool, digest, outcome, detail)"
    " values ($1, $2, 'echo', $3, 'executed', $4)"
)


def _server(pool: "asyncpg.Pool[asyncpg.Record] | None") -> MCPServer:
    server = MCPServer("echo", log_level="WARNING")
    tenant = uuid4()

    @server.tool()
    async def echo(text: str) -> str:  # pyright: ignore[reportUnusedFunction] - registered
        """Return the text unchanged."""
        if pool is not None:
            digest = hashlib.sha256(text.encode()).digest()
            detail = json.dumps({"bytes": len(text)})
            # One statement of its own is one commit in one round trip: the cheapest there is.
            await pool.execute(_INSERT, tenant, "agent:bench", digest, detail)
        return text

    return server


async def _serve(url: str | None, ready: Callable[[int], None]) -> None:
    pool = None
    if url is not None:
        pool = await asyncpg.create_pool(url, min_size=1, max_size=_POOL)
        await pool.execute(_TABLE)
    asgi = _server(pool).streamable_http_app(stateless_http=True, json_response=True)
    asgi.state.stopping = asyncio.Event()
    async with asgi.router.lifespan_context(asgi):
        # The very function that serves ours, so that loop, parser and limits are the same.
        await serve_http(asgi, host="127.0.0.1", port=0, ready=ready)


@click.command()
@click.option("--url", help="a database: one row is committed a call")
def main(url: str | None) -> None:
    """Serve until the input ends."""
    uvloop.run(until_told_to_end(lambda ready: _serve(url, ready), token="none", tool="echo"))  # noqa: S106 - nobody asks for it


if __name__ == "__main__":
    main()

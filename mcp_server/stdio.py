"""MCP over standard input and output, for one person who is known from the start."""

from mcp.server.stdio import stdio_server

from core.app import App
from core.domain.principal import Caller
from mcp_server.server import WAIT_SECONDS, mcp_server


async def serve_stdio(
    app: App, *, caller: Caller, wait_seconds: float = WAIT_SECONDS, public_url: str | None = None
) -> None:
    """Serve ``caller`` until standard input ends.

    Nothing else may write to standard output meanwhile; the SDK sends what does to standard error.
    """
    server = mcp_server(
        app, identify=lambda _context: caller, wait_seconds=wait_seconds, public_url=public_url
    )
    async with stdio_server() as (reads, writes):
        await server.run(reads, writes, server.create_initialization_options())

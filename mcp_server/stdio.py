"""MCP over standard input and output, for one person who is known from the start."""

import asyncio

from mcp import types
from mcp.server.lowlevel import NotificationOptions
from mcp.server.stdio import stdio_server
from mcp.shared.subscriptions import ServerEvent, ToolsListChanged

from core.app import App
from core.domain.principal import Caller
from mcp_server.listening import Listeners, Nudges
from mcp_server.requests import Context
from mcp_server.server import mcp_server
from mcp_server.waiting import Patience


async def serve_stdio(
    app: App,
    *,
    caller: Caller,
    patience: Patience | None = None,
    public_url: str | None = None,
    nudges: Nudges | None = None,
) -> None:
    """Serve ``caller`` until standard input ends; ``nudges`` bring what other processes change.

    Nothing else may write to standard output meanwhile; the SDK sends what does to standard error.
    """
    listeners = Listeners()
    changed = asyncio.Event()
    server = mcp_server(
        app,
        identify=lambda _context: caller,
        patience=patience,
        public_url=public_url,
        listeners=listeners,
    )
    sessions: list[Context] = []

    async def greeted(context: Context, _params: types.NotificationParams | None) -> None:
        sessions[:] = [context]

    async def announce() -> None:
        """Tell the one session of the handshake era, which has no streams to listen on."""
        while await changed.wait():
            changed.clear()
            for context in sessions:
                await context.session.send_tool_list_changed()

    # Sent in the handshake era only, so that nobody is told twice.
    server.add_notification_handler("notifications/initialized", types.NotificationParams, greeted)
    listeners.subscribe(caller.tenant_id, lambda event: _note(event, changed))
    options = server.create_initialization_options(NotificationOptions(tools_changed=True))
    async with stdio_server() as (reads, writes), asyncio.TaskGroup() as group:
        beside = [group.create_task(announce())]
        if nudges is not None:
            beside.append(group.create_task(nudges.follow(listeners.tell)))
        await server.run(reads, writes, options)
        for task in beside:
            task.cancel()


def _note(event: ServerEvent, changed: asyncio.Event) -> None:
    if isinstance(event, ToolsListChanged):
        changed.set()

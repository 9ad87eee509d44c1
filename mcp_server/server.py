"""The MCP server: who speaks is told by the transport, what may happen by App."""

import asyncio
from importlib.metadata import version
from typing import Any

from mcp import types
from mcp.server import Server

from core.app import App
from core.vault import Cipher
from mcp_server.approval_tools import ApprovalTools
from mcp_server.listening import Listeners
from mcp_server.peer import Answer, peer_of
from mcp_server.reading import ReadingMethods
from mcp_server.request_state import boundary
from mcp_server.requests import Context, Identify, guarded
from mcp_server.run_tools import RunTools
from mcp_server.tasks import TaskMethods
from mcp_server.tools import Tools
from mcp_server.waiting import Patience, Waiting

_INSTRUCTIONS = """\
These are your company's tools. Every call is checked against the company's policy, and some calls \
wait for a person's approval.
A result with the status pending_approval or running is not done yet: tell the person so, and ask \
approval_status later. Making the same call again joins the one that is pending.
An error carries a code and a message that says what to do. What a policy or a person has refused \
stays refused; do not look for a way around it."""


def mcp_server(
    app: App,
    *,
    identify: Identify,
    patience: Patience | None = None,
    public_url: str | None = None,
    cipher: Cipher | None = None,
    listeners: Listeners | None = None,
    stopping: asyncio.Event | None = None,
) -> Server[Any]:  # Any: there is no lifespan state
    """Return a server of ``app`` for one transport; it keeps nothing between requests.

    ``public_url`` is where people find our pages. ``cipher`` seals what clients carry for us; where
    there is none, only this process knows it again. ``listeners`` are told what changes. Once
    ``stopping`` is set nobody is kept waiting.
    """
    waiting = Waiting(app, patience=patience or Patience(), pages_url=public_url, stopping=stopping)
    runs = RunTools(app)
    approvals = ApprovalTools(app, waiting=waiting, public_url=public_url)
    tools = Tools(app, own=(*approvals.tools(), *runs.tools()), waiting=waiting)

    async def list_tools(
        context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        cursor = params.cursor if params else None
        return await guarded(tools.listed(identify(context), cursor=cursor))

    async def call_tool(context: Context, params: types.CallToolRequestParams) -> Answer:
        caller, peer = identify(context), peer_of(context, state=params.request_state)
        arguments = params.arguments or {}
        called = tools.called(caller, name=params.name, arguments=arguments, peer=peer)
        return await guarded(called)

    async def set_level(_context: Context, _params: types.SetLevelRequestParams) -> None:
        """Take note of nothing: no log of ours is for a client, and sessions have no memory."""

    server: Server[Any] = Server(
        "sallyport",
        title="Sallyport",
        version=version("sallyport"),
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_subscriptions_listen=(listeners or Listeners()).handler(identify),
        # Without it the SDK lists all tools before each call, to look for header parameters that
        # none of ours has.
        get_tool_input_schema=lambda _name: None,
    )
    # The SDK's own tracing is a tenth of a call's time even where nothing listens.
    server.middleware[:] = [boundary(identify, cipher=cipher)]
    # Not by the constructor, which knows nothing of tasks, and warns of levels that clients set.
    server.add_request_handler("tools/call", types.CallToolRequestParams, call_tool)
    server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, set_level)
    ReadingMethods(app, identify=identify).serve(server)
    TaskMethods(app, identify=identify, result_of_run=runs.result_of).serve(server)
    return server

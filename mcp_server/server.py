"""The MCP server: who speaks is told by the transport, what may happen by App."""

from importlib.metadata import version
from typing import Any

from mcp import types
from mcp.server import Server

from core.app import App
from mcp_server.approval_tools import ApprovalTools
from mcp_server.requests import Context, Identify, guarded
from mcp_server.run_tools import RunTools
from mcp_server.tools import Tools

WAIT_SECONDS = 3.0
"""How long a call with an effect is held before it is told to be pending."""

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
    wait_seconds: float = WAIT_SECONDS,
    public_url: str | None = None,
) -> Server[Any]:  # Any: there is no lifespan state
    """Return a server of ``app`` for one transport; it keeps nothing between requests."""
    own = (*ApprovalTools(app, public_url=public_url).tools(), *RunTools(app).tools())
    tools = Tools(app, own=own, wait_seconds=wait_seconds)

    async def list_tools(
        context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        cursor = params.cursor if params else None
        return await guarded(tools.listed(identify(context), cursor=cursor))

    async def call_tool(
        context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        arguments = params.arguments or {}
        return await guarded(tools.called(identify(context), name=params.name, arguments=arguments))

    server: Server[Any] = Server(
        "sallyport",
        title="Sallyport",
        version=version("sallyport"),
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        # Without it the SDK lists all tools before each call, to look for header parameters that
        # none of ours has.
        get_tool_input_schema=lambda _name: None,
    )
    # The SDK's own tracing is a tenth of a call's time even where nothing listens.
    server.middleware.clear()
    return server

"""The MCP server: who speaks is told by the transport, what may happen by App."""

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any, TypeVar

import structlog
from mcp import MCPError, types
from mcp.server import Server, ServerRequestContext

from core.app import App
from core.domain.principal import Caller
from core.errors import SallyportError
from core.words import sentence_of
from mcp_server.approval_tools import ApprovalTools
from mcp_server.run_tools import RunTools
from mcp_server.tools import Tools

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

Context = ServerRequestContext[Any, Any]  # Any: whatever lifespan and transport hand on
Identify = Callable[[Context], Caller]
"""Says who sent a request; the transport has authenticated them before it gets here."""

T = TypeVar("T")

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
        return await _guarded(tools.listed(identify(context), cursor=cursor))

    async def call_tool(
        context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        arguments = params.arguments or {}
        return await _guarded(
            tools.called(identify(context), name=params.name, arguments=arguments)
        )

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


async def _guarded(work: Awaitable[T]) -> T:
    """Await ``work``; an error that no result can carry leaves as a JSON-RPC error of ours.

    Raises:
        MCPError: in place of anything else, which the SDK would put on the wire word for word for
            clients of the handshake era.
    """
    try:
        return await work
    except MCPError:
        raise
    except SallyportError as error:
        _log.info("mcp.request_refused", code=error.code)
        raise MCPError(
            types.INTERNAL_ERROR, sentence_of(error), data={"code": error.code}
        ) from error
    except Exception as error:
        # The type alone: what an exception says may hold arguments or content.
        _log.error("mcp.request_crashed", error=type(error).__name__)
        raise MCPError(types.INTERNAL_ERROR, "Something went wrong on our side.") from error

"""Where the suite's fixtures meet our server: beside its own handlers, never in place of them."""

from typing import Any, Final

from mcp import types
from mcp.server import Server
from mcp.server.context import HandlerResult
from mcp.server.lowlevel.server import HandlerEntry

from mcp_server.requests import Context
from tests.conformance import pages
from tests.conformance.tools import Say, fixture_tools

_EXTENDED: Final = {
    "tools/list": types.PaginatedRequestParams,
    "tools/call": types.CallToolRequestParams,
    "resources/list": types.PaginatedRequestParams,
    "resources/templates/list": types.PaginatedRequestParams,
    "resources/read": types.ReadResourceRequestParams,
    "prompts/list": types.PaginatedRequestParams,
    "prompts/get": types.GetPromptRequestParams,
    "completion/complete": types.CompleteRequestParams,
}


def add_fixtures(server: Server[Any], *, say: Say) -> None:  # Any: there is no lifespan state
    """Have our server know the suite's tools, resources and prompts beside its own.

    What is asked for by a name or address of the suite's is answered here; everything else goes on
    to our own handlers, and their lists are what the suite's fixtures are added to.
    """
    ours = {method: _entry(server, method) for method in _EXTENDED}
    fixtures = _Fixtures(ours, say=say)
    for method, takes in _EXTENDED.items():
        server.add_request_handler(method, takes, fixtures.answer)
    # The handshake era's, for what no page of ours does: change while somebody looks.
    server.add_request_handler("resources/subscribe", types.SubscribeRequestParams, _accept)
    server.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, _accept)
    server.get_tool_input_schema = fixtures.schema


def _entry(server: Server[Any], method: str) -> HandlerEntry[Any]:  # Any: as above
    entry = server.get_request_handler(method)
    assert entry is not None, method
    return entry


async def _accept(_context: Context, _params: types.RequestParams) -> types.EmptyResult:
    return types.EmptyResult()


class _Fixtures:
    """Answers what is the suite's, and hands on what is ours."""

    def __init__(self, ours: dict[str, HandlerEntry[Any]], *, say: Say) -> None:  # Any: as above
        self._ours = ours
        self._tools = fixture_tools(say)

    def schema(self, tool: str) -> dict[str, Any] | None:  # Any: JSON Schema
        """Return what header parameters are looked for in; none of our own tools has any."""
        fixture = self._tools.get(tool)
        return fixture.definition.input_schema if fixture is not None else None

    async def answer(self, context: Context, params: types.RequestParams) -> HandlerResult:
        match params:
            case types.PaginatedRequestParams():
                return await self._list(context, params)
            case types.CallToolRequestParams() if params.name in self._tools:
                return await self._tools[params.name].call(context, params)
            case types.ReadResourceRequestParams():
                found = pages.resource(params.uri)
            case types.GetPromptRequestParams():
                found = pages.prompt(params)
            case types.CompleteRequestParams():
                found = pages.completion(params)
            case _:
                found = None
        if found is not None:
            return found
        return await self._ours[context.method].handler(context, params)

    async def _list(self, context: Context, params: types.PaginatedRequestParams) -> HandlerResult:
        """Put the suite's before the first page of ours."""
        told = await self._ours[context.method].handler(context, params)
        if params.cursor is not None:
            return told
        match told:
            case types.ListToolsResult():
                told.tools = [*(tool.definition for tool in self._tools.values()), *told.tools]
            case types.ListResourcesResult():
                told.resources = [*pages.RESOURCES, *told.resources]
            case types.ListResourceTemplatesResult():
                told.resource_templates = [*pages.TEMPLATES, *told.resource_templates]
            case types.ListPromptsResult():
                told.prompts = [*pages.PROMPTS, *told.prompts]
            case _:
                raise TypeError(context.method)
        return told

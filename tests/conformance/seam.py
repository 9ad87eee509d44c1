"""Where the suite's fixtures meet our server: beside its own handlers, never in place of them."""

from typing import Any, Final, TypeVar

from mcp import MCPError, types
from mcp.server import Server
from mcp.server.context import HandlerResult
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler

from mcp_server.server import Context
from tests.conformance import pages
from tests.conformance.tools import fixture_tools

R = TypeVar("R", bound=types.Result)

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
_ACCEPTED: Final = {
    "resources/subscribe": types.SubscribeRequestParams,
    "resources/unsubscribe": types.UnsubscribeRequestParams,
    "logging/setLevel": types.SetLevelRequestParams,
}


def add_fixtures(server: Server[Any]) -> None:  # Any: there is no lifespan state
    """Have our server know the suite's tools, resources and prompts beside its own.

    What is asked for by a name or address of the suite's is answered here; everything else goes on
    to our own handlers, and their lists are what the suite's fixtures are added to.
    """
    bus = InMemorySubscriptionBus()
    fixtures = _Fixtures(server, bus=bus)
    for method, takes in _EXTENDED.items():
        server.add_request_handler(method, takes, fixtures.answer)
    for method, takes in _ACCEPTED.items():
        # Methods of the handshake era that say yes and change nothing for a server that keeps
        # nothing between requests.
        server.add_request_handler(method, takes, _accept)
    if server.get_request_handler("subscriptions/listen") is None:
        server.add_request_handler(
            "subscriptions/listen", types.SubscriptionsListenRequestParams, ListenHandler(bus)
        )
    server.get_tool_input_schema = fixtures.schema
    if not any(isinstance(one, RequestStateBoundary) for one in server.middleware):
        security = RequestStateSecurity.ephemeral()
        server.middleware.append(RequestStateBoundary(security, default_audience=server.name))


async def _accept(_context: Context, _params: types.RequestParams) -> types.EmptyResult:
    return types.EmptyResult()


class _Fixtures:
    """Answers what is the suite's, and hands on what is ours."""

    def __init__(self, server: Server[Any], *, bus: InMemorySubscriptionBus) -> None:  # Any: above
        self._tools = fixture_tools(bus)
        self._ours = {method: server.get_request_handler(method) for method in _EXTENDED}

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
        return found if found is not None else await self._required(context, params)

    async def _list(self, context: Context, params: types.PaginatedRequestParams) -> HandlerResult:
        is_first = params.cursor is None
        match context.method:
            case "tools/list":
                tools = await self._own(context, params, types.ListToolsResult(tools=[]))
                added = [tool.definition for tool in self._tools.values()]
                tools.tools = [*added, *tools.tools] if is_first else tools.tools
                return tools
            case "resources/list":
                none = types.ListResourcesResult(resources=[])
                resources = await self._own(context, params, none)
                if is_first:
                    resources.resources = [*pages.RESOURCES, *resources.resources]
                return resources
            case "resources/templates/list":
                nothing = types.ListResourceTemplatesResult(resource_templates=[])
                templates = await self._own(context, params, nothing)
                if is_first:
                    templates.resource_templates = [
                        *pages.TEMPLATES,
                        *templates.resource_templates,
                    ]
                return templates
            case _:
                prompts = await self._own(context, params, types.ListPromptsResult(prompts=[]))
                prompts.prompts = (
                    [*pages.PROMPTS, *prompts.prompts] if is_first else prompts.prompts
                )
                return prompts

    async def _own(self, context: Context, params: types.RequestParams, otherwise: R) -> R:
        """Return our own answer, which is of the same kind as ``otherwise``."""
        entry = self._ours[context.method]
        if entry is None:
            return otherwise
        told = await entry.handler(context, params)
        assert isinstance(told, type(otherwise))
        return told

    async def _required(self, context: Context, params: types.RequestParams) -> HandlerResult:
        entry = self._ours[context.method]
        if entry is None:
            data = params.model_dump(by_alias=True, mode="json", include={"uri", "name"})
            raise MCPError(types.INVALID_PARAMS, "There is no such thing.", data=data)
        return await entry.handler(context, params)

"""The protocol's methods beside tools: resources, prompts and completion, put on a server."""

from typing import Any, Final

from mcp import MCPError, types
from mcp.server import Server
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from core.app import App
from core.domain.canonical import storable
from core.errors import NotFound
from core.words import sentence_of
from mcp_server.completions import Completions
from mcp_server.prompts import Prompts
from mcp_server.requests import Context, Identify, guarded
from mcp_server.resources import Resources

_RESOURCE_NOT_FOUND: Final = -32002
"""What the handshake revisions call it; from 2026-07-28 on it is a matter of invalid params."""


class ReadingMethods:
    """``resources/*``, ``prompts/*`` and ``completion/complete``, for one caller at a time."""

    def __init__(self, app: App, *, identify: Identify) -> None:
        """Take the core, and who asks."""
        self._resources = Resources(app)
        self._prompts = Prompts(app)
        self._completions = Completions(app)
        self._identify = identify

    def serve(self, server: Server[Any]) -> None:  # Any: there is no lifespan state
        """Have ``server`` answer these methods, and say so."""
        paged = types.PaginatedRequestParams
        add = server.add_request_handler
        add("resources/list", paged, self._list_resources)
        add("resources/templates/list", paged, self._list_templates)
        add("resources/read", types.ReadResourceRequestParams, self._read_resource)
        add("prompts/list", paged, self._list_prompts)
        add("prompts/get", types.GetPromptRequestParams, self._get_prompt)
        add("completion/complete", types.CompleteRequestParams, self._complete)

    async def _list_resources(
        self, context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        return await guarded(
            self._resources.listed(self._identify(context), cursor=_cursor_of(params))
        )

    async def _list_templates(
        self, context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        return self._resources.templates(self._identify(context), cursor=_cursor_of(params))

    async def _read_resource(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        return await guarded(self._read(context, params))

    async def _read(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        try:
            return await self._resources.read(self._identify(context), uri=params.uri)
        except NotFound as error:
            is_modern = context.protocol_version in MODERN_PROTOCOL_VERSIONS
            raise MCPError(
                types.INVALID_PARAMS if is_modern else _RESOURCE_NOT_FOUND,
                sentence_of(NotFound("not_found", noun="resource")),
                data={"code": "not_found", "uri": storable(params.uri[:500])},
            ) from error

    async def _list_prompts(
        self, context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListPromptsResult:
        return await guarded(
            self._prompts.listed(self._identify(context), cursor=_cursor_of(params))
        )

    async def _get_prompt(
        self, context: Context, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult:
        return await guarded(
            self._prompts.got(
                self._identify(context), name=params.name, arguments=params.arguments or {}
            )
        )

    async def _complete(
        self, context: Context, params: types.CompleteRequestParams
    ) -> types.CompleteResult:
        return await guarded(
            self._completions.completed(
                self._identify(context), of=params.ref, argument=params.argument
            )
        )


def _cursor_of(params: types.PaginatedRequestParams | None) -> str | None:
    return params.cursor if params else None

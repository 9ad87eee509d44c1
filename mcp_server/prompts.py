"""Prompts over MCP: what people often ask, in words, for whoever has the tools that it takes."""

from collections.abc import Mapping
from typing import Any, Final

from mcp import types

from core.app import App
from core.domain.principal import Caller
from core.errors import InvalidInput, NotFound
from core.tools.prompting import PackPrompt
from mcp_server.paging import page_of

_PAGE: Final = 100


class Prompts:
    """Lists prompts and fills them in."""

    def __init__(self, app: App, *, page: int = _PAGE) -> None:
        """Take the core, and how much is listed at once."""
        self._app = app
        self._page = page

    async def listed(self, caller: Caller, *, cursor: str | None) -> types.ListPromptsResult:
        """Return a page of the caller's prompts by name.

        Raises:
            MCPError: a cursor that is not ours.
        """
        known: Mapping[str, PackPrompt[Any]] = {}  # Any: the store of its pack
        if "tools:call" in caller.scopes:
            known = {prompt.name: prompt for prompt in await self._app.handbook.prompts(caller)}
        page, more = page_of(known, cursor=cursor, size=self._page)
        return types.ListPromptsResult(
            prompts=[_shown(known[name]) for name in page],
            next_cursor=more,
            ttl_ms=0,
            cache_scope="private",
        )

    async def got(
        self, caller: Caller, *, name: str, arguments: Mapping[str, str]
    ) -> types.GetPromptResult:
        """Return a prompt as the person's own message, with what they gave put in as it is.

        Raises:
            InvalidInput: ``unknown_prompt``, ``invalid_prompt``.
        """
        try:
            prompt = await self._app.handbook.prompt(caller, name=name)
        except NotFound as error:
            raise InvalidInput("unknown_prompt") from error
        return types.GetPromptResult(
            description=prompt.description,
            messages=[
                types.PromptMessage(
                    role="user", content=types.TextContent(text=prompt.text(arguments))
                )
            ],
        )


def _shown(prompt: PackPrompt[Any]) -> types.Prompt:
    return types.Prompt(
        name=prompt.name,
        title=prompt.title,
        description=prompt.description,
        arguments=[
            types.PromptArgument(
                name=argument.name,
                description=argument.description,
                required=argument.otherwise is None,
            )
            for argument in prompt.arguments
        ],
    )

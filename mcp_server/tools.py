"""The tools of one caller, listed and called: all of them through App, and so through the door."""

from collections.abc import Mapping
from typing import Any, Final

from mcp import types

from core.app import App
from core.domain.canonical import JsonObject
from core.domain.principal import Caller
from core.errors import SallyportError
from mcp_server.answers import error_answer
from mcp_server.definitions import Definitions
from mcp_server.own_tools import OwnTool
from mcp_server.paging import page_of
from mcp_server.peer import Answer, Peer
from mcp_server.waiting import Waiting

_PAGE: Final = 100
"""Below the 128 tools that the strictest known client takes at once."""


class Tools:
    """Lists and calls tools for whoever is at the other end."""

    def __init__(
        self,
        app: App,
        *,
        own: tuple[OwnTool[Any], ...],  # Any: each takes arguments of its own
        waiting: Waiting,
        page: int = _PAGE,
    ) -> None:
        """Take the core, MCP's own tools, and how calls that are not done yet are waited for."""
        self._app = app
        self._own: Mapping[str, OwnTool[Any]] = {tool.name: tool for tool in own}
        self._own_definitions = {tool.name: tool.definition() for tool in own}
        self._definitions = Definitions()
        self._waiting = waiting
        self._page = page

    async def listed(self, caller: Caller, *, cursor: str | None) -> types.ListToolsResult:
        """Return a page of the caller's tools by name; nobody may keep it for anybody else.

        Raises:
            MCPError: a cursor that is not ours.
            SallyportError: the caller is unknown by now, or the database.
        """
        found: dict[str, types.Tool] = {}
        if "tools:call" in caller.scopes:
            found = {
                tool.name: self._definitions.of(tool) for tool in await self._app.tools(caller)
            }
        # Ours win: a call by this name comes to us, whatever a company named a tool of theirs.
        found |= {
            name: self._own_definitions[name]
            for name, tool in self._own.items()
            if tool.scope in caller.scopes and caller.capability is None
        }
        page, more = page_of(found, cursor=cursor, size=self._page)
        return types.ListToolsResult(
            tools=[found[name] for name in page],
            next_cursor=more,
            ttl_ms=0,
            cache_scope="private",
        )

    async def called(
        self, caller: Caller, *, name: str, arguments: JsonObject, peer: Peer
    ) -> Answer:
        """Return what came of a call; a refusal or failure is a result too, marked as an error.

        Whoever hangs up meanwhile loses nothing: a call with an effect is a run by then, and the
        same call again joins it.
        """
        own = self._own.get(name)
        try:
            if own is not None:
                return await own.call(caller, arguments, peer=peer)
            return await self._waiting.call(caller, tool=name, arguments=arguments, peer=peer)
        except SallyportError as error:
            return error_answer(error)

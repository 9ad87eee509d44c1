"""Two boxes of tools as one: those that everybody has, and those that are a tenant's own."""

from collections.abc import Sequence

from core.domain.canonical import JsonObject
from core.domain.permit import PermittedCall
from core.domain.tool import Preview, Tool, ToolCall, ToolResult
from core.domain.upstream import upstream_of
from core.ports import ToolBox


class JoinedTools:
    """A ToolBox that passes on what concerns an upstream's tool, by the pack that it comes from."""

    def __init__(self, registered: ToolBox, *, upstream: ToolBox) -> None:
        """Take the registered tools, and the box of those that come from upstream servers."""
        self._registered = registered
        self._upstream = upstream

    def tools(self) -> Sequence[Tool]:
        """Return every registered tool, by name."""
        return self._registered.tools()

    def find(self, name: str) -> Tool | None:
        """Return the registered tool of that name."""
        return self._registered.find(name)

    def checked_arguments(self, tool: Tool, arguments: JsonObject) -> JsonObject:
        """Return ``arguments`` as the tool takes them; see the port."""
        return self._of(tool).checked_arguments(tool, arguments)

    async def preview(self, call: ToolCall) -> Preview | None:
        """Return what ``call`` would change; see the port."""
        registered = self._registered.find(call.tool) is not None
        return await (self._registered if registered else self._upstream).preview(call)

    async def call(self, permitted: PermittedCall) -> ToolResult:
        """Make the call; see the port."""
        return await self._of(permitted.tool).call(permitted)

    def _of(self, tool: Tool) -> ToolBox:
        return self._registered if upstream_of(tool) is None else self._upstream

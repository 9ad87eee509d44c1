"""Permits for tests of what stands behind the door."""

from collections.abc import Mapping
from dataclasses import replace
from types import FunctionType
from typing import Any, cast
from uuid import uuid4

from core.domain.canonical import JsonObject, digest_of
from core.domain.ids import CallId
from core.domain.permit import PermittedCall
from core.domain.principal import Principal
from core.domain.run import Lease
from core.domain.tool import Preview, Succeeded, Tool, ToolCall, ToolResult
from core.ports import ToolBox


class OpenDoor:
    """The door when it lets everything through: checks, previews and calls, and asks nobody."""

    def __init__(self, toolbox: ToolBox, *, key: str = "", lease: Lease | None = None) -> None:
        self.toolbox = toolbox
        self._key = key
        self._lease = lease

    def under(self, key: str = "", *, lease: Lease | None = None) -> "OpenDoor":
        """Return a door for one request: called again, it is the same one."""
        return OpenDoor(self.toolbox, key=key, lease=lease)

    async def preview(
        self, requester: Principal, name: str, /, **arguments: object
    ) -> Preview | None:
        return await self.toolbox.preview(self._checked(requester, name, arguments))

    async def call(self, requester: Principal, name: str, /, **arguments: object) -> ToolResult:
        call = self._checked(requester, name, arguments)
        permit = permitted(call, tool=self.tool(name), key=self._key, lease=self._lease)
        return await self.toolbox.call(permit)

    async def output(self, requester: Principal, name: str, /, **arguments: object) -> Any:  # noqa: ANN401 - a test looks into the JSON as it is
        """Call ``name``, which must succeed, and return its output."""
        result = await self.call(requester, name, **arguments)
        assert isinstance(result, Succeeded), result
        return result.output

    async def undo(self, requester: Principal, result: ToolResult) -> ToolResult:
        """Call the inverse that ``result`` carries."""
        assert isinstance(result, Succeeded), result
        assert result.inverse is not None
        return await self.call(requester, result.inverse.tool, **result.inverse.arguments)

    def tool(self, name: str) -> Tool:
        tool = self.toolbox.find(name)
        assert tool is not None, name
        return tool

    def _checked(
        self, requester: Principal, name: str, arguments: Mapping[str, object]
    ) -> ToolCall:
        call = a_call(requester, name, **arguments)
        return replace(
            call, arguments=self.toolbox.checked_arguments(self.tool(name), call.arguments)
        )


def a_call(requester: Principal, tool: str, /, **arguments: object) -> ToolCall:
    """Return a request for ``tool`` by ``requester``, in no run."""
    return ToolCall(
        id=CallId(uuid4()),
        tenant_id=requester.tenant_id,
        requester=requester,
        tool=tool,
        arguments=cast("JsonObject", arguments),
    )


def permitted(
    call: ToolCall, *, tool: Tool, key: str = "", lease: Lease | None = None
) -> PermittedCall:
    """Return the permit that the door would make; ``key`` stands for one request."""
    return cast(
        "PermittedCall",
        _made_by_the_door(
            {
                "call": call,
                "tool": tool,
                "idempotency_key": digest_of([str(call.tenant_id), key or str(call.id)]),
                "lease": lease,
            }
        ),
    )


def _make(parts: Mapping[str, object]) -> PermittedCall:
    return PermittedCall(**parts)  # pyright: ignore[reportArgumentType] - built above


# The seal looks at the module that a function says it is of; only a test says so falsely.
_made_by_the_door = FunctionType(
    _make.__code__, {"__name__": "core.governance.door", "PermittedCall": PermittedCall}
)

"""Keeps one broken tool of a server from costing the others: the SDK refuses a list as a whole."""

from collections.abc import Callable
from contextvars import Context
from types import TracebackType
from typing import Any, Self, cast

import mcp_types

# It has no public name.
from mcp.client._transport import ReadStream  # pyright: ignore[reportPrivateUsage]
from mcp.shared.message import SessionMessage
from mcp_types import methods

_LISTED = "sallyport/listed"

_Item = SessionMessage | Exception
_Listing = dict[str, Any]  # Any: JSON, as a server sent it


def missing_from(page: mcp_types.ListToolsResult) -> frozenset[str]:
    """Return the names of the tools that the server has listed and that are not in the page.

    One whose name is no text is told as the empty one.
    """
    listed = cast("list[str]", (page.meta or {}).get(_LISTED, []))
    return frozenset(listed) - {tool.name for tool in page.tools}


class Sifted:
    """What comes from a server, without the tools that are none."""

    def __init__(
        self, inner: ReadStream[_Item], *, version: Callable[[], str], most_tools: int
    ) -> None:
        """Take the way in, and who knows which revision is spoken.

        Of a list longer than ``most_tools`` nothing will be taken, so it is not looked through.
        """
        self._inner = inner
        self._version = version
        self._most_tools = most_tools

    @property
    def last_context(self) -> Context | None:
        """What the SDK looks for on a way in: the context that a message came from."""
        found: object = getattr(self._inner, "last_context", None)
        return found if isinstance(found, Context) else None

    async def receive(self) -> _Item:
        """Return what comes next."""
        return self._sift(await self._inner.receive())

    async def aclose(self) -> None:
        """Take no more."""
        await self._inner.aclose()

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> _Item:
        """Return what comes next, while anything does."""
        return self._sift(await anext(self._inner))

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Take no more."""
        await self.aclose()

    def _sift(self, item: _Item) -> _Item:
        match item:
            case SessionMessage(
                message=mcp_types.JSONRPCResponse(result={"tools": list()} as told)
            ):
                self._leave_out(told)
            case _:
                pass
        return item

    def _leave_out(self, told: _Listing) -> None:
        """Leave out what is no tool; the names of all stand beside the list, whatever stood there.

        What else is wrong with the answer is the SDK's to say.
        """
        meta = told.setdefault("_meta", {})
        tools: list[object] = told["tools"]
        if not isinstance(meta, dict) or len(tools) > self._most_tools:
            return
        meta[_LISTED] = [_name_of(tool) for tool in tools]
        if not self._is_sound(told) and self._is_sound({**told, "tools": []}):
            told["tools"] = [tool for tool in tools if self._is_sound({**told, "tools": [tool]})]

    def _is_sound(self, told: _Listing) -> bool:
        try:
            methods.parse_server_result("tools/list", self._version(), told)
        except ValueError:
            return False
        return True


def _name_of(tool: object) -> str:
    match tool:
        case {"name": str(name)}:
            return name
        case _:
            return ""

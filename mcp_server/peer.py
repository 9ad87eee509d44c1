"""The other end of a request: what it can do besides wait, and how it hears of us meanwhile."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from mcp import MCPError, types
from mcp_types import MISSING_REQUIRED_CLIENT_CAPABILITY
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from core.domain.canonical import Json
from mcp_server.requests import Context

TASKS: Final = "io.modelcontextprotocol/tasks"
"""The extension by which a client takes a handle instead of a result, and comes back for it."""

Answer = types.CallToolResult | types.InputRequiredResult | dict[str, Any]  # Any: a task's JSON
"""What a tool call is answered with: its result, a page to open first, or a task."""


class OpenPage(Protocol):
    """Asks the client in the middle of its request to show a page to its person."""

    async def __call__(self, *, message: str, url: str, key: str) -> bool:
        """Return whether the person agreed to look: not what they did there."""
        ...


async def _untold(_waited: float, _most: float, _message: str) -> None:
    """Tell nobody: they did not ask."""


async def _is_here() -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What one request says of its client; where it says nothing, the least is assumed.

    ``shows_pages``: it may be answered with a page to open, and will send the request again with
    ``state``, what we gave it then. ``open_page`` is the handshake era's way, where there is one.
    ``report`` tells seconds waited, seconds at most, and what is being waited for.
    """

    takes_tasks: bool = False
    shows_pages: bool = False
    state: str | None = None
    open_page: OpenPage | None = None
    report: Callable[[float, float, str], Awaitable[None]] = _untold
    has_left: Callable[[], Awaitable[bool]] = _is_here


def peer_of(context: Context, *, state: str | None = None) -> Peer:
    """Return the client that sent a request; ``state`` is what it brought back, already opened."""
    can = context.session.client_capabilities
    is_modern = context.protocol_version in MODERN_PROTOCOL_VERSIONS
    pages = can is not None and can.elicitation is not None and can.elicitation.url is not None
    request = context.request
    return Peer(
        takes_tasks=takes_tasks(context),
        shows_pages=pages and is_modern,
        state=state,
        open_page=_opener(context)
        if pages and not is_modern and context.session.can_send_request
        else None,
        report=context.session.report_progress,
        has_left=request.is_disconnected if request is not None else _is_here,
    )


def takes_tasks(context: Context) -> bool:
    """Return whether this very request declares the tasks extension; no earlier one counts."""
    can = context.session.client_capabilities
    declared = (can.extensions or {}) if can is not None else {}
    return context.protocol_version in MODERN_PROTOCOL_VERSIONS and TASKS in declared


def missing_tasks() -> MCPError:
    """Return the error for who asks for a task without declaring the extension."""
    no_settings: dict[str, Json] = {}
    needed: dict[str, Json] = {"extensions": {TASKS: no_settings}}
    return MCPError(
        MISSING_REQUIRED_CLIENT_CAPABILITY,
        "Missing required client capability",
        data={"requiredCapabilities": needed},
    )


def _opener(context: Context) -> OpenPage:
    async def open_page(*, message: str, url: str, key: str) -> bool:
        answer = await context.session.elicit_url(
            message, url, key, related_request_id=context.request_id
        )
        return answer.action == "accept"

    return open_page

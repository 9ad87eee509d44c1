"""What people paste into the MCP clients that they use, in the form that each of them reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from core.domain.canonical import Json, JsonObject

_NAME: Final = "sallyport"
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class Client(StrEnum):
    """An MCP client with a configuration file."""

    CLAUDE_DESKTOP = "claude-desktop"
    CURSOR = "cursor"
    VSCODE = "vscode"


WHERE: Final[Mapping[Client, str]] = {
    Client.CLAUDE_DESKTOP: (
        "claude_desktop_config.json: Settings > Developer > Edit Config, then start it anew"
    ),
    Client.CURSOR: "~/.cursor/mcp.json, or .cursor/mcp.json of one project",
    Client.VSCODE: ".vscode/mcp.json of one project, or MCP: Open User Configuration",
}
"""Where each of them looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """How a client starts us on this machine."""

    command: str
    arguments: Sequence[str]
    environment: Mapping[str, str]


def over_http(client: Client, *, url: str) -> JsonObject:
    """Return what to paste so that the client calls ``url`` and has its person sign in there.

    Claude Desktop reads programs only from its file, and asks an address over the internet where it
    is added as a connector; ``mcp-remote`` is the program that brings it to any address.
    """
    match client:
        case Client.CLAUDE_DESKTOP:
            parts = urlsplit(url)
            is_plain = parts.scheme == "http" and parts.hostname not in _LOOPBACK
            arguments = ["-y", "mcp-remote", url, *(["--allow-http"] if is_plain else [])]
            return _servers("mcpServers", {"command": "npx", "args": arguments})
        case Client.CURSOR:
            return _servers("mcpServers", {"url": url})
        case Client.VSCODE:
            return _servers("servers", {"type": "http", "url": url})


def over_stdio(client: Client, *, program: Program) -> JsonObject:
    """Return what to paste so that the client starts ``program`` and talks to it."""
    entry: dict[str, Json] = {"command": program.command, "args": list(program.arguments)}
    if program.environment:
        entry["env"] = dict(program.environment)
    match client:
        case Client.CLAUDE_DESKTOP:
            return _servers("mcpServers", entry)
        case Client.CURSOR | Client.VSCODE as named:
            typed: dict[str, Json] = {"type": "stdio", **entry}
            return _servers("servers" if named is Client.VSCODE else "mcpServers", typed)


def _servers(key: str, entry: JsonObject) -> JsonObject:
    return {key: {_NAME: entry}}

"""Tools as MCP clients see them: schemas that tell of waiting and errors too, and honest hints."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import cast

from mcp import types

from core.domain.canonical import Json, JsonObject
from core.domain.tool import Risk, Tool

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXT: JsonObject = {"type": "string"}
_ID: JsonObject = {"type": "string", "format": "uuid"}

ERROR: JsonObject = {
    "type": "object",
    "description": "Why there is no result; isError is true beside it.",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "code": _TEXT,
                "message": _TEXT,
                "retry_after_seconds": {"type": "integer"},
                "scope": _TEXT,
            },
            "required": ["code", "message"],
        }
    },
    "required": ["error"],
}
"""The schema of a refusal or a failure: a stable code, and a sentence that says what to do."""

PENDING: JsonObject = {
    "type": "object",
    "description": "The call is not done yet: approval_status tells when it is.",
    "properties": {
        "status": {"type": "string", "enum": ["pending_approval", "running", "unknown"]},
        "approval_id": _ID,
        "call_id": _ID,
        "run_id": _ID,
        "message": _TEXT,
    },
    "required": ["status", "call_id", "run_id", "message"],
    "additionalProperties": False,
}
"""The schema of a call that waits for people, or for a worker."""

_CONFIRMED: JsonObject = {
    "type": "object",
    "description": "A worker died during the call; a person looked, and it had happened.",
    "properties": {"outcome": {"const": "happened"}, "confirmed_by": _TEXT},
    "required": ["outcome", "confirmed_by"],
    "additionalProperties": False,
}


class Definitions:
    """Definitions on the wire, built once for each version of a tool."""

    def __init__(self, *, remembered: int = 10_000) -> None:
        """Take how many to remember at most."""
        self._most = remembered
        self._built: OrderedDict[tuple[str, str], types.Tool] = OrderedDict()

    def of(self, tool: Tool) -> types.Tool:
        """Return the tool as ``tools/list`` gives it."""
        key = (tool.name, tool.definition_digest)
        built = self._built.get(key)
        if built is None:
            built = self._built[key] = _defined(tool)
            while len(self._built) > self._most:
                self._built.popitem(last=False)
        return built


def output_schema(*branches: JsonObject) -> dict[str, Json]:
    """Return the schema of an object that fits one of ``branches``.

    ``anyOf``, not ``oneOf``: where an upstream tool promises no more than an object, an answer that
    is still pending fits its result too, and clients would refuse it for fitting twice.
    """
    shared: dict[str, Json] = {}
    told: list[Json] = []
    for branch in branches:
        # References point from the root of the document, which is here.
        shared |= cast("Mapping[str, Json]", branch.get("$defs", {}))
        told.append({key: value for key, value in branch.items() if key not in _OF_THE_ROOT})
    schema: dict[str, Json] = {"$schema": _DIALECT, "type": "object", "anyOf": told}
    return schema | ({"$defs": shared} if shared else {})


_OF_THE_ROOT = frozenset({"$schema", "$defs"})


def _defined(tool: Tool) -> types.Tool:
    result = tool.output_schema
    branches = (result, PENDING, _CONFIRMED, ERROR) if tool.risk.has_effect else (result, ERROR)
    return types.Tool(
        name=tool.name,
        description=tool.description,
        input_schema=dict(tool.input_schema),
        output_schema=output_schema(*branches),
        annotations=types.ToolAnnotations(
            read_only_hint=not tool.risk.has_effect,
            destructive_hint=tool.risk in {Risk.DESTRUCTIVE, Risk.IRREVERSIBLE},
            # Ours says that one key has one effect; this hint that one set of arguments has. Two
            # tasks may well have the same title.
            idempotent_hint=not tool.risk.has_effect,
        ),
    )

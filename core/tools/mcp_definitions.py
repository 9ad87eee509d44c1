"""What an upstream says of its tools, looked through before anybody may accept it."""

import hashlib
from collections.abc import Collection, Sequence
from typing import cast

import mcp_types

from core.domain.canonical import JsonObject, canonical_json, storable
from core.domain.eraser import Eraser
from core.domain.upstream import Definition, Sighting, tool_name, with_clashes_told
from core.tools.faults import unstorable, validator_of

_LONGEST = 32_000
"""Of a definition's canonical JSON, in characters."""
_NAME_SHOWN = 100


def sightings_of(
    upstream: str,
    tools: Sequence[mcp_types.Tool],
    *,
    broken: Collection[str] = (),
    eraser: Eraser,
) -> tuple[Sighting, ...]:
    """Return what was seen, each under its name here; what cannot be accepted says why.

    ``broken`` names what was listed as a tool and is none. Nothing that ``eraser`` knows is
    repeated.
    """
    seen = {tool.name: _sighting(upstream, tool, eraser=eraser) for tool in tools}
    seen |= {name: _none(upstream, name, eraser=eraser) for name in sorted(broken)}
    return tuple(with_clashes_told(seen).values())


def _sighting(upstream: str, tool: mcp_types.Tool, *, eraser: Eraser) -> Sighting:
    annotations = tool.annotations
    told = Definition(
        name=eraser.text(tool.name),
        title=tool.title or "",
        description=tool.description or "",
        input_schema=cast("JsonObject", tool.input_schema),
        output_schema=cast("JsonObject | None", tool.output_schema),
        annotations=annotations.model_dump(mode="json", by_alias=True, exclude_none=True)
        if annotations
        else {},
    )
    # First: what is too deep to be kept is too deep to be gone through as well.
    if unstorable(told.as_json()):
        told, fault = _named_only(told.name), "upstream_definition_broken"
    else:
        told = Definition.of_json(eraser.object(told.as_json()))
        fault = _fault_of(told, eraser=eraser)
    if fault == "upstream_definition_too_large" or (fault and eraser.finds(_text_of(told))):
        told = _named_only(told.name)
    return _named(upstream, theirs=tool.name, told=told, fault=fault)


def _none(upstream: str, theirs: str, *, eraser: Eraser) -> Sighting:
    told = _named_only(eraser.text(theirs))
    return _named(upstream, theirs=theirs, told=told, fault="upstream_definition_broken")


def _named(upstream: str, *, theirs: str, told: Definition, fault: str | None) -> Sighting:
    """Return the sighting under its name here; under one of ours where it makes none."""
    name = tool_name(upstream, theirs=told.name)
    if name is None:
        digest = hashlib.sha256(theirs.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        return Sighting(
            name=f"{upstream}__{digest}",
            definition=told if fault is None else _named_only(told.name),
            fault="upstream_name_illegal",
        )
    return Sighting(name=name, definition=told, fault=fault)


def _text_of(told: Definition) -> str:
    return canonical_json(told.as_json())


def _fault_of(told: Definition, *, eraser: Eraser) -> str | None:
    if len(_text_of(told)) > _LONGEST:
        return "upstream_definition_too_large"
    # A number that is a secret cannot be blotted out and stay a number.
    if eraser.finds(_text_of(told)):
        return "upstream_definition_broken"
    for schema in (told.input_schema, told.output_schema):
        if schema is None:
            continue
        if schema.get("type") != "object":
            return "upstream_definition_broken"
        try:
            validator_of(schema)
        except ValueError:
            return "upstream_definition_broken"
    return None


def _named_only(theirs: str) -> Definition:
    """Return what can be kept of a definition that cannot."""
    return Definition(
        name=storable(theirs)[:_NAME_SHOWN],
        title="",
        description="",
        input_schema={},
        output_schema=None,
        annotations={},
    )

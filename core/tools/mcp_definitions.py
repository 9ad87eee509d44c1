"""What an upstream says of its tools, looked through before anybody may accept it."""

import hashlib
from collections.abc import Sequence
from typing import cast

import jsonschema_rs
import mcp_types

from core.domain.canonical import JsonObject, canonical_json, storable
from core.domain.upstream import Definition, Sighting, tool_name, with_clashes_told
from core.tools.faults import MASK, unstorable

_LONGEST = 32_000
"""Of a definition's canonical JSON, in characters."""
_NAME_SHOWN = 100


def sightings_of(upstream: str, tools: Sequence[mcp_types.Tool]) -> tuple[Sighting, ...]:
    """Return what was seen, each under its name here; what cannot be accepted says why."""
    seen = {tool.name: _sighting(upstream, tool) for tool in tools}
    return tuple(with_clashes_told(seen).values())


def validator_of(schema: JsonObject) -> jsonschema_rs.Validator:
    """Return what checks against a schema of somebody else; it fetches nothing.

    Raises:
        ValueError: it is no schema, or refers to what is not in it.
    """
    try:
        return jsonschema_rs.validator_for(
            dict(schema), mask=MASK, offline=True, ignore_unknown_formats=True
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        raise ValueError(type(error).__name__) from error


def _sighting(upstream: str, tool: mcp_types.Tool) -> Sighting:
    annotations = tool.annotations
    told = Definition(
        name=tool.name,
        title=tool.title or "",
        description=tool.description or "",
        input_schema=cast("JsonObject", tool.input_schema),
        output_schema=cast("JsonObject | None", tool.output_schema),
        annotations=annotations.model_dump(mode="json", by_alias=True, exclude_none=True)
        if annotations
        else {},
    )
    name = tool_name(upstream, theirs=tool.name)
    fault = _fault_of(told)
    if fault == "upstream_too_large":
        told = _named_only(told)
    if name is None:
        digest = hashlib.sha256(tool.name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        return Sighting(
            name=f"{upstream}__{digest}",
            definition=told if fault is None else _named_only(told),
            fault="upstream_name_illegal",
        )
    if fault is not None and unstorable(told.as_json()):
        told = _named_only(told)
    return Sighting(name=name, definition=told, fault=fault)


def _fault_of(told: Definition) -> str | None:
    if unstorable(told.as_json()):
        return "upstream_schema_broken"
    if len(canonical_json(told.as_json())) > _LONGEST:
        return "upstream_too_large"
    for schema in (told.input_schema, told.output_schema):
        if schema is None:
            continue
        if schema.get("type") != "object":
            return "upstream_schema_broken"
        try:
            validator_of(schema)
        except ValueError:
            return "upstream_schema_broken"
    return None


def _named_only(told: Definition) -> Definition:
    """Return what can be kept of a definition that cannot."""
    return Definition(
        name=storable(told.name)[:_NAME_SHOWN],
        title="",
        description="",
        input_schema={},
        output_schema=None,
        annotations={},
    )

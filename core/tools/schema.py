"""JSON Schemas of argument and output models, as plain as models and clients like them."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Literal, cast

from pydantic import BaseModel

from core.domain.canonical import Json, JsonObject

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = "#/$defs/"


@cache
def schema_of(
    model: type[BaseModel], *, mode: Literal["validation", "serialization"]
) -> JsonObject:
    """Return the model's schema without references, generated titles and single-use unions.

    A field of "this or null" is told by its type list, so that an error names the field rather
    than a union.

    Raises:
        TypeError: the model refers to itself.
    """
    raw = cast("JsonObject", model.model_json_schema(mode=mode))
    definitions = cast("Mapping[str, JsonObject]", raw.get("$defs", {}))
    plain = _plain(raw, definitions=definitions, inside=())
    # The tool's own description says it better than the model's docstring.
    plain.pop("description", None)
    return {"$schema": _DIALECT, **plain}


def unbounded(schema: JsonObject, *, path: str = "") -> Iterator[str]:
    """Yield the path of everything in ``schema`` that a caller could make as large as they like."""
    kinds = schema.get("type")
    told = {kinds} if isinstance(kinds, str) else set(cast("list[str]", kinds or ()))
    closed = {"enum", "const"} & schema.keys()
    if "string" in told and not closed and not {"maxLength", "format"} & schema.keys():
        yield path
    if told & {"integer", "number"} and not closed and not {"maximum"} & schema.keys():
        yield path
    if "array" in told:
        if "maxItems" not in schema:
            yield path
        yield from unbounded(_object(schema.get("items")), path=f"{path}[]")
    if "object" in told and schema.get("additionalProperties") is not False:
        yield path
    for name, field in _object(schema.get("properties")).items():
        yield from unbounded(_object(field), path=f"{path}.{name}".lstrip("."))
    for branch in cast("list[JsonObject]", schema.get("anyOf", [])):
        yield from unbounded(branch, path=path)


def _plain(
    schema: JsonObject, *, definitions: Mapping[str, JsonObject], inside: tuple[str, ...]
) -> dict[str, Json]:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.removeprefix(_REFERENCE)
        if name in inside:
            message = f"{name} refers to itself: a tool's schema is finite"
            raise TypeError(message)
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return _plain(
            {**definitions[name], **beside}, definitions=definitions, inside=(*inside, name)
        )
    plain: dict[str, Json] = {}
    for key, value in schema.items():
        match key:
            case "title" | "$defs":
                continue
            case "properties":
                plain[key] = {
                    name: _plain(_object(field), definitions=definitions, inside=inside)
                    for name, field in _object(value).items()
                }
            case "items":
                plain[key] = _plain(_object(value), definitions=definitions, inside=inside)
            case "anyOf":
                plain[key] = [
                    _plain(branch, definitions=definitions, inside=inside)
                    for branch in cast("list[JsonObject]", value)
                ]
            case _:
                plain[key] = value
    return _nullable(plain)


def _nullable(schema: dict[str, Json]) -> dict[str, Json]:
    branches = cast("list[JsonObject]", schema.get("anyOf", []))
    others = [branch for branch in branches if branch != {"type": "null"}]
    if len(others) != 1 or len(branches) == 1 or not isinstance(others[0].get("type"), str):
        return schema
    told: dict[str, Json] = {**others[0], "type": [cast("str", others[0]["type"]), "null"]}
    if "enum" in told:
        told["enum"] = [*cast("list[Json]", told["enum"]), None]
    if "const" in told:
        told["enum"] = [told.pop("const"), None]
    return {**told, **{key: value for key, value in schema.items() if key != "anyOf"}}


def _object(value: Json) -> JsonObject:
    return cast("JsonObject", value) if isinstance(value, Mapping) else {}

"""What is wrong with arguments, in words that a model or a person can act on."""

import math
from collections.abc import Mapping, Sequence

import jsonschema_rs
import pydantic

from core.domain.canonical import Json, JsonObject

MASK = "the value"
"""Stands for whatever was sent: a fault never repeats it."""

_LONGEST = 200
_MOST = 3
_DEEPEST = 32


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


def unstorable(value: Json) -> str | None:
    """Return why ``value`` could not be stored or signed, or None.

    PostgreSQL holds no NUL, UTF-8 no lone surrogate and JSON no infinity, whatever a schema says.
    """
    left: list[tuple[Json, int]] = [(value, 0)]
    while left:
        item, depth = left.pop()
        if depth > _DEEPEST:
            return f"nested more than {_DEEPEST} deep"
        match item:
            case str():
                if fault := _text_fault(item):
                    return fault
            case bool() | int() | None:
                pass
            case float():
                if not math.isfinite(item):
                    return "a number is not finite"
            case Mapping():
                left.extend((key, depth + 1) for key in item)
                left.extend((inner, depth + 1) for inner in item.values())
            case Sequence():
                left.extend((inner, depth + 1) for inner in item)
    return None


def schema_fault(validator: jsonschema_rs.Validator, value: Mapping[str, Json]) -> tuple[str, str]:
    """Return path and words of what ``validator`` has against ``value``; at most three faults."""
    # One by one: an enumerator of faults is as long as what was sent.
    told: list[tuple[str, str]] = []
    for error in validator.iter_errors(dict(value)):
        told.append(_told(error))
        if len(told) == _MOST:
            break
    path = told[0][0] if told else ""
    return path, _cut("; ".join(_joined(*one) for one in told))


def model_fault(error: pydantic.ValidationError) -> tuple[str, str]:
    """Return path and words of the first thing that the model itself refused."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    return path, _cut(_joined(path, first["msg"]))


def _told(error: jsonschema_rs.ValidationError) -> tuple[str, str]:
    while isinstance(error.kind, jsonschema_rs.ValidationErrorKind.AnyOf):
        error = error.kind.context[0][0]
    return ".".join(str(part) for part in error.instance_path), _cut(error.message)


def _joined(path: str, words: str) -> str:
    return f"{_cut(path)}: {words}" if path else words


def _text_fault(text: str) -> str | None:
    if "\x00" in text:
        return "a text holds a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "a text holds half of a surrogate pair"
    return None


def _cut(words: str) -> str:
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"

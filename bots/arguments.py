"""A call's arguments as inputs of a form: what kind each gets; ``filled.py`` reads them back.

A tool's schema says which input an argument gets. What an input could not give back exactly as it
was (too long, or with characters that nobody sees) is written as JSON, or left alone.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final, cast

from bots.text import fits, is_seen
from core.domain.canonical import Json, JsonObject

LONGEST: Final = 3000
"""The longest text that an input holds."""

_OPTIONS: Final = 100
_LINE: Final = 300
_DIGITS: Final = 15
_DEEP: Final = 8


class Kind(StrEnum):
    """Which input an argument gets."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    YES_NO = "yes_no"
    CHOICE = "choice"
    DAY = "day"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One argument of a tool. ``choices`` are the values that it may have, where they are few."""

    name: str
    label: str
    hint: str
    kind: Kind
    required: bool
    nullable: bool
    longest: int
    choices: tuple[Json, ...] = ()

    @property
    def block(self) -> str:
        """The ``block_id`` of its input: the same for the same name."""
        return f"arg:{hashlib.sha256(self.name.encode('utf-8', 'surrogatepass')).hexdigest()[:20]}"


def arguments_of(schema: JsonObject) -> tuple[Argument, ...]:
    """Return the arguments of a tool with this input schema, in its order."""
    required = schema.get("required")
    needed = set(map(str, required)) if isinstance(required, list | tuple) else set[str]()
    return tuple(
        _argument(name, schema=object_of(told), root=schema, required=name in needed)
        for name, told in object_of(schema.get("properties")).items()
    )


def _argument(name: str, *, schema: JsonObject, root: JsonObject, required: bool) -> Argument:
    meant, nullable = _meant(schema, root=root)
    description = schema.get("description") or meant.get("description")
    longest = meant.get("maxLength")
    choices = meant.get("enum")
    few = isinstance(choices, list | tuple) and 0 < len(choices) <= _OPTIONS
    return Argument(
        name=name,
        label=_label(name),
        hint=description if isinstance(description, str) else "",
        kind=Kind.CHOICE if few else _kind(meant),
        required=required and not nullable,
        nullable=nullable,
        longest=longest if isinstance(longest, int) and 0 < longest <= LONGEST else LONGEST,
        choices=tuple(cast("Sequence[Json]", choices)) if few else (),
    )


def _label(name: str) -> str:
    words = name[:_LINE].replace("_", " ").strip()
    return words[:1].upper() + words[1:] or "-"


def _meant(schema: JsonObject, *, root: JsonObject) -> tuple[JsonObject, bool]:
    """Follow references, and look through ``anyOf`` with null; bounded, whatever refers to what."""
    nullable = False
    for _ in range(_DEEP):
        reference, either = schema.get("$ref"), schema.get("anyOf")
        if isinstance(reference, str):
            name = reference.removeprefix("#/$defs/")
            schema = object_of(object_of(root.get("$defs")).get(name))
        elif isinstance(either, list | tuple):
            kinds = [object_of(one) for one in cast("Sequence[Json]", either)]
            others = [one for one in kinds if one.get("type") != "null"]
            nullable = nullable or len(others) < len(kinds)
            if len(others) != 1:
                return {}, nullable
            schema = others[0]
        else:
            break
    kinds_named = schema.get("type")
    if isinstance(kinds_named, list | tuple) and "null" in kinds_named:
        left = [one for one in cast("Sequence[Json]", kinds_named) if one != "null"]
        return {**schema, "type": left[0] if len(left) == 1 else None}, True
    return schema, nullable


def _kind(schema: JsonObject) -> Kind:
    match schema.get("type"), schema.get("format"):
        case "string", "date":
            return Kind.DAY
        case "string", _:
            return Kind.TEXT
        case "integer", _:
            return Kind.INTEGER
        case "number", _:
            return Kind.NUMBER
        case "boolean", _:
            return Kind.YES_NO
        case _:
            return Kind.JSON


def kind_for(argument: Argument, *, value: Json) -> Kind | None:
    """Return the kind of input that gives ``value`` back as it is; None where none does."""
    if value is None or _holds(argument, value=value):
        return argument.kind
    return Kind.JSON if as_json(value) is not None else None


def _holds(argument: Argument, *, value: Json) -> bool:
    match argument.kind, value:
        case Kind.TEXT, str():
            return len(value) <= argument.longest and fits(value, limit=LONGEST) and is_seen(value)
        case Kind.DAY, str():
            return _is_day(value)
        case Kind.YES_NO, bool():
            return True
        case Kind.INTEGER | Kind.NUMBER, int() | float():
            return _is_short(value) and (argument.kind is Kind.NUMBER or isinstance(value, int))
        case kind, _:
            return kind is Kind.CHOICE and place_of(argument, value=value) is not None


def _is_short(number: float) -> bool:
    whole = not isinstance(number, bool) and abs(number) < 10**_DIGITS
    return whole and "e" not in repr(number)


def place_of(argument: Argument, *, value: Json) -> int | None:
    """Return which of the choices ``value`` is; None where it is none of them."""
    told = as_json(value)
    places = [at for at, one in enumerate(argument.choices) if as_json(one) == told]
    return places[0] if places and told is not None else None


def as_json(value: Json) -> str | None:
    """Return ``value`` as JSON in ASCII, so that every character is seen; None if too long."""
    try:
        told = json.dumps(value, ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None
    return told if len(told) <= LONGEST else None


def _is_day(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def object_of(value: Json) -> JsonObject:
    """Return ``value`` where it is an object; an empty one where it is anything else."""
    return value if isinstance(value, Mapping) else {}

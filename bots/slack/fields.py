"""A call's arguments as the inputs of a form; ``filled.py`` reads them back.

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

from slack_sdk.models.blocks import (
    DatePickerElement,
    NumberInputElement,
    Option,
    PlainTextInputElement,
    PlainTextObject,
    RadioButtonsElement,
    StaticSelectElement,
)

from bots.slack import blocks
from bots.slack.actions import TYPED
from bots.slack.blocks import LABEL, Block
from bots.slack.text import fits, literal, plain
from core.domain.canonical import Json, JsonObject

_LONGEST: Final = 3000
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


def input_of(argument: Argument, *, arguments: JsonObject) -> Block | None:
    """Return the input for an argument, filled with its value; None where none can hold it."""
    value = arguments.get(argument.name)
    kind = kind_for(argument, value=value)
    if kind is None:
        return None
    optional = not argument.required
    hint = argument.hint
    if kind is Kind.JSON:
        hint = f"As JSON. {hint}".strip()
    return blocks.typed(
        argument.label,
        element=_element(argument, kind=kind, value=value, present=argument.name in arguments),
        block=argument.block,
        hint=hint,
        optional=optional,
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
        longest=longest if isinstance(longest, int) and 0 < longest <= _LONGEST else _LONGEST,
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
    return Kind.JSON if _as_json(value) is not None else None


def _holds(argument: Argument, *, value: Json) -> bool:
    match argument.kind, value:
        case Kind.TEXT, str():
            return len(value) <= argument.longest and fits(value, limit=_LONGEST) and _seen(value)
        case Kind.DAY, str():
            return _is_day(value)
        case Kind.YES_NO, bool():
            return True
        case Kind.INTEGER | Kind.NUMBER, int() | float():
            return _is_short(value) and (argument.kind is Kind.NUMBER or isinstance(value, int))
        case kind, _:
            return kind is Kind.CHOICE and _place(argument, value=value) is not None


def _is_short(number: float) -> bool:
    whole = not isinstance(number, bool) and abs(number) < 10**_DIGITS
    return whole and "e" not in repr(number)


def _seen(value: str) -> bool:
    """Return whether an input shows every character of ``value``."""
    return literal(value, limit=2 * _LONGEST).replace("\u2060", "") == value


def _element(argument: Argument, *, kind: Kind, value: Json, present: bool) -> JsonObject:
    match kind:
        case Kind.TEXT:
            text = value if isinstance(value, str) else ""
            return _text(text, longest=argument.longest, multiline=argument.longest > _LINE)
        case Kind.INTEGER | Kind.NUMBER:
            return blocks.told(
                NumberInputElement(
                    action_id=TYPED,
                    is_decimal_allowed=kind is Kind.NUMBER,
                    initial_value=None if value is None else str(value),
                )
            )
        case Kind.YES_NO:
            both = [_option("Yes", value="yes"), _option("No", value="no")]
            chosen = both[0 if value else 1] if isinstance(value, bool) else None
            return blocks.told(
                RadioButtonsElement(action_id=TYPED, options=both, initial_option=chosen)
            )
        case Kind.CHOICE:
            return _choice(argument, value=value, present=present)
        case Kind.DAY:
            day = value if isinstance(value, str) else None
            return blocks.told(DatePickerElement(action_id=TYPED, initial_date=day))
        case Kind.JSON:
            return _text(_as_json(value) or "" if present else "", longest=_LONGEST, multiline=True)


def _text(value: str, *, longest: int, multiline: bool) -> JsonObject:
    return blocks.told(
        PlainTextInputElement(
            action_id=TYPED,
            initial_value=value or None,
            multiline=multiline or "\n" in value,
            max_length=longest,
        )
    )


def _choice(argument: Argument, *, value: Json, present: bool) -> JsonObject:
    options = [
        _option(one if isinstance(one, str) else _as_json(one) or "-", value=str(at))
        for at, one in enumerate(argument.choices)
    ]
    place = _place(argument, value=value) if present else None
    return blocks.told(
        StaticSelectElement(
            action_id=TYPED,
            options=options,
            initial_option=None if place is None else options[place],
        )
    )


def _option(text: str, *, value: str) -> Option:
    return Option(text=PlainTextObject(text=plain(text, limit=LABEL), emoji=False), value=value)


def _place(argument: Argument, *, value: Json) -> int | None:
    told = _as_json(value)
    places = [at for at, one in enumerate(argument.choices) if _as_json(one) == told]
    return places[0] if places and told is not None else None


def _as_json(value: Json) -> str | None:
    """Return ``value`` as JSON in ASCII, so that every character is seen; None if too long."""
    try:
        told = json.dumps(value, ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None
    return told if len(told) <= _LONGEST else None


def _is_day(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def object_of(value: Json) -> JsonObject:
    """Return ``value`` where it is an object; an empty one where it is anything else."""
    return value if isinstance(value, Mapping) else {}

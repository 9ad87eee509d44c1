"""A call's arguments as the inputs of one of Slack's forms, each of Slack's own kind."""

from typing import Final

from slack_sdk.models.blocks import (
    DatePickerElement,
    NumberInputElement,
    Option,
    PlainTextInputElement,
    PlainTextObject,
    RadioButtonsElement,
    StaticSelectElement,
)

from bots.actions import TYPED
from bots.arguments import LONGEST, Argument, Kind, as_json, kind_for, place_of
from bots.slack import blocks
from bots.slack.blocks import LABEL, Block
from bots.slack.text import plain
from core.domain.canonical import Json, JsonObject

_LINE: Final = 300


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
            return _text(as_json(value) or "" if present else "", longest=LONGEST, multiline=True)


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
        _option(one if isinstance(one, str) else as_json(one) or "-", value=str(at))
        for at, one in enumerate(argument.choices)
    ]
    place = place_of(argument, value=value) if present else None
    return blocks.told(
        StaticSelectElement(
            action_id=TYPED,
            options=options,
            initial_option=None if place is None else options[place],
        )
    )


def _option(text: str, *, value: str) -> Option:
    return Option(text=PlainTextObject(text=plain(text, limit=LABEL), emoji=False), value=value)

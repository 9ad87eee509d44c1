"""A call's arguments as the inputs of one of Teams' forms, each of a kind that Teams has."""

from collections.abc import Mapping
from typing import Final

from bots.arguments import LONGEST, Argument, Kind, as_json, kind_for, place_of
from bots.teams.elements import Element, multiline, typed
from bots.teams.text import plain
from core.domain.canonical import Json, JsonObject

_LINE: Final = 300
_OPTION: Final = 75
# A number's input gives 2.0 back as 2, and not every client has a key for the point.
_NUMBER: Final = r"^[+-]?[0-9]*\.?[0-9]+([eE][+-]?[0-9]+)?$"


def input_of(
    argument: Argument, *, arguments: JsonObject, problems: Mapping[str, str]
) -> list[Element] | None:
    """Return the input for an argument, filled with its value; None where none can hold it.

    It is named by the argument's ``block``; so are ``problems``, told beside what is wrong.
    """
    value = arguments.get(argument.name)
    kind = kind_for(argument, value=value)
    if kind is None:
        return None
    return typed(
        argument.label,
        element=_element(argument, kind=kind, value=value, present=argument.name in arguments),
        name=argument.block,
        hint=f"As JSON. {argument.hint}".strip() if kind is Kind.JSON else argument.hint,
        wrong=problems.get(argument.block, ""),
        # What is empty already may stay so.
        required=argument.required and value != "",
    )


def _element(argument: Argument, *, kind: Kind, value: Json, present: bool) -> JsonObject:
    match kind:
        case Kind.TEXT:
            return _text(value if isinstance(value, str) else "", longest=argument.longest)
        case Kind.INTEGER | Kind.NUMBER:
            return _number(value, is_whole=kind is Kind.INTEGER)
        case Kind.YES_NO:
            chosen = ("yes" if value else "no") if isinstance(value, bool) else None
            return _choices({"yes": "Yes", "no": "No"}, chosen=chosen, style="expanded")
        case Kind.CHOICE:
            return _choice(argument, value=value, present=present)
        case Kind.DAY:
            day = {"value": value} if isinstance(value, str) else {}
            return {"type": "Input.Date", **day}
        case Kind.JSON:
            return multiline(value=as_json(value) or "" if present else "", longest=LONGEST)


def _text(value: str, *, longest: int) -> JsonObject:
    if longest > _LINE or "\n" in value:
        return multiline(value=value, longest=longest)
    filled = {"value": value} if value else {}
    return {"type": "Input.Text", "maxLength": longest, **filled}


def _number(value: Json, *, is_whole: bool) -> JsonObject:
    if is_whole:
        return {"type": "Input.Number", **({} if value is None else {"value": value})}
    filled = {} if value is None else {"value": str(value)}
    return {"type": "Input.Text", "regex": _NUMBER, "errorMessage": "A number.", **filled}


def _choice(argument: Argument, *, value: Json, present: bool) -> JsonObject:
    titles = {
        str(at): one if isinstance(one, str) else as_json(one) or "-"
        for at, one in enumerate(argument.choices)
    }
    place = place_of(argument, value=value) if present else None
    return _choices(titles, chosen=None if place is None else str(place), style="compact")


def _choices(titles: Mapping[str, str], *, chosen: str | None, style: str) -> JsonObject:
    choices = [{"title": plain(one, limit=_OPTION), "value": at} for at, one in titles.items()]
    filled = {} if chosen is None else {"value": chosen}
    return {"type": "Input.ChoiceSet", "style": style, "choices": choices, **filled}

"""What was typed into a form, as a call's arguments again."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, cast

from bots.actions import TYPED
from bots.arguments import Argument, Kind, kind_for, object_of
from core.domain.canonical import Json, JsonObject, canonical_json, repeated_key

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,30}", re.ASCII)
_WRONG: Final = {
    Kind.TEXT: "This is not a text.",
    Kind.INTEGER: "Give a whole number.",
    Kind.NUMBER: "Give a number.",
    Kind.YES_NO: "Choose yes or no.",
    Kind.CHOICE: "Choose one of these.",
    Kind.DAY: "Give a day, as YYYY-MM-DD.",
    Kind.JSON: "This is not valid JSON.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What a form gave: the arguments, and what is wrong, by ``block_id``."""

    arguments: JsonObject
    problems: Mapping[str, str] = field(default_factory=dict[str, str])


def typed_in(
    state: Mapping[str, Mapping[str, JsonObject]],
    *,
    arguments: JsonObject,
    offered: Sequence[Argument],
) -> Typed:
    """Return the arguments as a form changed them. ``state`` is its ``view.state.values``.

    An argument without an input keeps its value. One that was emptied becomes null where it may,
    and is left out otherwise.
    """
    changed = dict(arguments)
    problems: dict[str, str] = {}
    for argument in offered:
        answered = state.get(argument.block, {}).get(TYPED)
        kind = kind_for(argument, value=arguments.get(argument.name))
        if answered is None or kind is None:
            continue
        said = _said(answered)
        if said is None:
            _empty(changed, argument=argument)
            continue
        try:
            changed[argument.name] = _read(said, argument=argument, kind=kind)
        except (ValueError, LookupError, RecursionError):
            problems[argument.block] = _WRONG[kind]
    return Typed(arguments=changed, problems=problems)


def _said(answered: JsonObject) -> str | None:
    option = answered.get("selected_option")
    said = object_of(option).get("value") if option else None
    for told in (said, answered.get("selected_date"), answered.get("value")):
        if isinstance(told, str) and told:
            return told
    return None


def _read(said: str, *, argument: Argument, kind: Kind) -> Json:
    """Return what was typed as a value; an error where it is none of this kind."""
    match kind:
        case Kind.TEXT:
            return said
        case Kind.INTEGER | Kind.NUMBER:
            whole = kind is Kind.INTEGER or _WHOLE.fullmatch(said)
            return _integer(said) if whole else _number(said)
        case Kind.YES_NO:
            return ("no", "yes").index(said) == 1
        case Kind.CHOICE:
            return dict(enumerate(argument.choices))[_integer(said)]
        case Kind.DAY:
            return date.fromisoformat(said).isoformat()
        case Kind.JSON:
            return _json(said)


def _integer(said: str) -> int:
    if not _WHOLE.fullmatch(said):
        raise ValueError(said)
    return int(said)


def _json(said: str) -> Json:
    if repeated_key(said) is not None:
        raise ValueError(said)
    told = cast("Json", json.loads(said))
    canonical_json(told)  # Refuses what JSON has no word for.
    return told


def _number(said: str) -> float:
    number = float(said)
    if not math.isfinite(number):
        raise ValueError(said)
    return number


def _empty(changed: dict[str, Json], *, argument: Argument) -> None:
    if changed.get(argument.name) in (None, ""):
        return
    if argument.nullable:
        changed[argument.name] = None
    else:
        del changed[argument.name]

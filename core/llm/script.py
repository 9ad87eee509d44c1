"""Reads a script for the scripted model and lays it out so that any process can find its place."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Final, Self, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.domain.canonical import Json
from core.errors import Misconfigured
from core.llm.reference import Seen, Template, template_of

# The place after the last turn.
END: Final = -1

_Loc = tuple[int | str, ...]


class Outcome(StrEnum):
    """How a call ended, as a script may ask for it."""

    SUCCEEDED = "succeeded"
    DENIED = "denied"
    EXPIRED = "expired"
    FAILED = "failed"


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _When(_Written):
    tool: str
    outcome: Outcome | None = None
    code: str | None = None


class _Call(_Written):
    tool: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    arguments: dict[str, object] = Field(default_factory=dict)


class _Turn(_Written):
    when: _When | None = None
    say: str = ""
    thinking: str = ""
    calls: tuple[_Call, ...] = ()
    delay_ms: int = Field(default=0, ge=0, le=60_000)
    then: "tuple[_Turn, ...]" = ()

    @model_validator(mode="after")
    def _then_needs_when(self) -> Self:
        if self.then and self.when is None:
            message = "then belongs to a turn with when: put the turns after this one"
            raise ValueError(message)
        return self


class _Script(_Written):
    name: str | None = None
    match: str | None = None
    contains: str | None = None
    turns: tuple[_Turn, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_way_to_match(self) -> Self:
        if (self.match is None) == (self.contains is None):
            message = "a script has either match or contains"
            raise ValueError(message)
        return self


class _File(_Written):
    scripts: tuple[_Script, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Filled:
    """A JSON value in which any text may be a template."""

    value: "str | int | float | bool | Template | list[Filled] | dict[str, Filled] | None"

    def fill(self, seen: Seen) -> Json:
        """Return the value with its templates filled in.

        Raises:
            Nothing: a reference names what is not there.
        """
        match self.value:
            case Template() as template:
                return template.fill(seen)
            case list() as many:
                return [one.fill(seen) for one in many]
            case dict() as named:
                return {key: one.fill(seen) for key, one in named.items()}
            case plain:
                return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """What an earlier call must have come to for a turn to be taken."""

    tool: str
    outcome: Outcome | None
    code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One answer: its text, its calls as (tool, arguments), and the place that follows it."""

    say: Template
    thinking: Template
    calls: tuple[tuple[str, Filled], ...]
    delay_ms: int
    follows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A place where the first option that fits is taken, and ``otherwise`` where none does."""

    options: tuple[tuple[When, int], ...]
    otherwise: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script as places: a number in ``places`` never changes its meaning while the file stays."""

    name: str
    pattern: re.Pattern[str]
    places: tuple[Turn | Choice, ...]


@lru_cache(maxsize=16)
def read_scripts(text: str) -> tuple[Script, ...]:
    """Return the scripts of a YAML text, in its order.

    Raises:
        Misconfigured: ``invalid_script`` with ``detail``: line, place and what is wrong.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        loaded = yaml.safe_load(text)
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        line = 0 if mark is None else mark.line + 1
        raise Misconfigured("invalid_script", detail=f"line {line}: {err.problem}") from err
    except yaml.YAMLError as err:
        raise Misconfigured("invalid_script", detail=str(err)) from err
    try:
        written = _File.model_validate(loaded)
    except ValidationError as err:
        raise Misconfigured("invalid_script", detail=_told(err, node=node)) from err
    return tuple(
        _script_of(script, node=node, index=index) for index, script in enumerate(written.scripts)
    )


def _script_of(script: _Script, *, node: yaml.Node | None, index: int) -> Script:
    loc = ("scripts", index)
    try:
        pattern = (
            re.compile(re.escape(script.contains), re.IGNORECASE)
            if script.contains is not None
            else re.compile(script.match or "")
        )
    except re.error as err:
        raise _invalid(f"no regular expression: {err}", loc=(*loc, "match"), node=node) from err
    layout = _Layout(node)
    layout.lay(script.turns, follows=END, loc=(*loc, "turns"))
    name = script.name or script.contains or script.match or ""
    return Script(name=name, pattern=pattern, places=layout.places())


class _Layout:
    """Lays turns out from the last to the first, so that what follows a turn is known before it."""

    def __init__(self, node: yaml.Node | None) -> None:
        self._node = node
        self._backwards: list[Turn | Choice] = []

    def places(self) -> tuple[Turn | Choice, ...]:
        """Return the places numbered from the first turn on."""
        last = len(self._backwards) - 1

        def numbered(place: int) -> int:
            return END if place == END else last - place

        forwards: list[Turn | Choice] = []
        for place in reversed(self._backwards):
            match place:
                case Turn():
                    forwards.append(replace(place, follows=numbered(place.follows)))
                case Choice(options=options, otherwise=otherwise):
                    chosen = tuple((when, numbered(at)) for when, at in options)
                    forwards.append(Choice(options=chosen, otherwise=numbered(otherwise)))
        return tuple(forwards)

    def lay(self, turns: Sequence[_Turn], *, follows: int, loc: _Loc) -> int:
        """Lay ``turns`` before ``follows`` and return where they begin."""
        options: list[tuple[When, int]] = []
        begin = follows
        for index in reversed(range(len(turns))):
            turn = turns[index]
            here = (*loc, index)
            if turn.when is None:
                begin = self._lay_turn(turn, follows=begin, loc=here)
                continue
            after = self.lay(turn.then, follows=begin, loc=(*here, "then"))
            when = When(tool=turn.when.tool, outcome=turn.when.outcome, code=turn.when.code)
            options.insert(0, (when, self._lay_turn(turn, follows=after, loc=here)))
            if index == 0 or turns[index - 1].when is None:
                begin = self._put(Choice(options=tuple(options), otherwise=begin))
                options = []
        return begin

    def _lay_turn(self, turn: _Turn, *, follows: int, loc: _Loc) -> int:
        return self._put(
            Turn(
                say=self._template(turn.say, loc=(*loc, "say")),
                thinking=self._template(turn.thinking, loc=(*loc, "thinking")),
                calls=tuple(
                    (call.tool, self._filled(call.arguments, loc=(*loc, "calls", at, "arguments")))
                    for at, call in enumerate(turn.calls)
                ),
                delay_ms=turn.delay_ms,
                follows=follows,
            )
        )

    def _put(self, place: Turn | Choice) -> int:
        self._backwards.append(place)
        return len(self._backwards) - 1

    def _template(self, text: str, *, loc: _Loc) -> Template:
        try:
            return template_of(text)
        except ValueError as err:
            raise _invalid(str(err), loc=loc, node=self._node) from err

    def _filled(self, value: object, *, loc: _Loc) -> Filled:
        match value:
            case str():
                return Filled(self._template(value, loc=loc))
            case bool() | int() | float() | None:
                return Filled(value)
            case date():
                # YAML makes a date of 2026-03-01; whoever wrote that in a script meant the text.
                return Filled(template_of(value.isoformat()))
            case list():
                many = cast("list[object]", value)
                return Filled([self._filled(one, loc=(*loc, at)) for at, one in enumerate(many)])
            case dict():
                named = cast("dict[object, object]", value)
                return Filled(
                    {
                        str(key): self._filled(one, loc=(*loc, str(key)))
                        for key, one in named.items()
                    }
                )
            case _:
                raise _invalid("not a JSON value", loc=loc, node=self._node)


def _told(err: ValidationError, *, node: yaml.Node | None) -> str:
    # pydantic also calls a list too short whose only item is wrong: the innermost place tells.
    locs = [one["loc"] for one in err.errors()]
    return "; ".join(
        _at(one["msg"], loc=one["loc"], node=node)
        for one in err.errors()
        if not any(loc != one["loc"] and loc[: len(one["loc"])] == one["loc"] for loc in locs)
    )


def _invalid(problem: str, *, loc: _Loc, node: yaml.Node | None) -> Misconfigured:
    return Misconfigured("invalid_script", detail=_at(problem, loc=loc, node=node))


def _at(problem: str, *, loc: _Loc, node: yaml.Node | None) -> str:
    line = 1 if node is None else _line_of(node, loc=loc)
    place = ".".join(str(part) for part in loc)
    return f"line {line}, {place or 'the file'}: {problem}"


def _line_of(node: yaml.Node, *, loc: _Loc) -> int:
    for part in loc:
        inner = _parts_of(node).get(part)
        if inner is None:
            break
        node = inner
    return node.start_mark.line + 1


def _parts_of(node: yaml.Node) -> Mapping[int | str, yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return dict(enumerate(cast("list[yaml.Node]", node.value)))
    if isinstance(node, yaml.MappingNode):
        pairs = cast("list[tuple[yaml.ScalarNode, yaml.Node]]", node.value)
        return {key.value: value for key, value in pairs}
    return {}

"""How a script takes a value from an earlier result, by a path and nothing that is evaluated.

::

    template   = text with references in it: ${{ reference }}
    reference  = "task" | "match." group | "results." tool [ "[" number "]" ] step*
    step       = "." key | "[" number "]" | "[" key "=" value "]"

A tool without a number is its last result; with one, counted from 0, from the end where negative.
``[title=Old draft]`` is the first object of a list whose ``title`` reads so; a value that starts
with ``@`` is a reference of its own (``[title=@match.title]``). A template that is one reference
and nothing else keeps the value's JSON type; anywhere else the value is put in as text.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard, cast

from core.domain.canonical import Json, canonical_json

_HOLE = re.compile(r"\$\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_STEP = re.compile(
    r"\.(?P<key>[^.\[\]=]+)|\[(?P<index>-?\d+)\]|\[(?P<field>[^=\[\]]+)=(?P<value>[^\]]*)\]"
)
_RESULT = re.compile(
    r"results\.(?P<tool>[A-Za-z0-9_-]+)(?:\[(?P<index>-?\d+)\])?(?P<steps>.*)", re.DOTALL
)
_GROUP = re.compile(r"match\.(?P<group>[A-Za-z_][A-Za-z0-9_]*)")


class Nothing(LookupError):
    """What a reference names is not there; ``args[0]`` is the reference as written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What references may look at: the task, its match's groups, each tool's results in order."""

    task: str
    groups: Mapping[str, str]
    results: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Key:
    name: str


@dataclass(frozen=True, slots=True)
class _Index:
    number: int


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    value: "str | Reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One reference, ready to be looked up."""

    written: str
    tool: str | None = None
    group: str | None = None
    nth: int = -1
    steps: tuple[_Key | _Index | _Field, ...] = ()

    def value(self, seen: Seen) -> Json:
        """Return what this names.

        Raises:
            Nothing: it is not there.
        """
        if self.group is not None:
            return self._present(seen.groups.get(self.group))
        if self.tool is None:
            return seen.task
        try:
            found = _json_of(seen.results[self.tool][self.nth])
        except LookupError as err:
            raise Nothing(self.written) from err
        for step in self.steps:
            found = self._step(found, step=step, seen=seen)
        return found

    def _step(self, found: Json, *, step: _Key | _Index | _Field, seen: Seen) -> Json:
        try:
            match step:
                case _Key(name) if isinstance(found, Mapping):
                    return found[name]
                case _Index(number) if _is_list(found):
                    return found[number]
                case _Field(name, value) if _is_list(found):
                    wanted = value if isinstance(value, str) else text_of(value.value(seen))
                    return next(one for one in found if _reads(one, key=name, wanted=wanted))
                case _:
                    raise Nothing(self.written)
        except (LookupError, StopIteration) as err:
            raise Nothing(self.written) from err

    def _present(self, value: str | None) -> str:
        if value is None:
            raise Nothing(self.written)
        return value


@dataclass(frozen=True, slots=True)
class Template:
    """A text with references in it, ready to be filled in."""

    parts: tuple[str | Reference, ...]

    def fill(self, seen: Seen) -> Json:
        """Return the text, or the value itself where the template is one reference alone.

        Raises:
            Nothing: a reference names what is not there.
        """
        if len(self.parts) == 1 and isinstance(self.parts[0], Reference):
            return self.parts[0].value(seen)
        return self.text(seen)

    def text(self, seen: Seen) -> str:
        """Return the text with every reference put in as text.

        Raises:
            Nothing: a reference names what is not there.
        """
        return "".join(
            part if isinstance(part, str) else text_of(part.value(seen)) for part in self.parts
        )


def template_of(text: str) -> Template:
    """Return ``text`` with its references parsed.

    Raises:
        ValueError: what stands between ``${{`` and ``}}`` is no reference.
    """
    parts: list[str | Reference] = []
    end = 0
    for hole in _HOLE.finditer(text):
        if hole.start() > end:
            parts.append(text[end : hole.start()])
        parts.append(reference_of(hole.group(1)))
        end = hole.end()
    if end < len(text):
        parts.append(text[end:])
    return Template(tuple(parts))


def reference_of(written: str) -> Reference:
    """Return the reference that is ``written``.

    Raises:
        ValueError: it is none.
    """
    if written == "task":
        return Reference(written=written)
    if group := _GROUP.fullmatch(written):
        return Reference(written=written, group=group["group"])
    result = _RESULT.fullmatch(written)
    if result is None:
        message = f"{written!r} is not task, match.GROUP or results.TOOL with a path"
        raise ValueError(message)
    nth = -1 if result["index"] is None else int(result["index"])
    steps = _steps_of(result["steps"], written=written)
    return Reference(written=written, tool=result["tool"], nth=nth, steps=steps)


def text_of(value: Json) -> str:
    """Return ``value`` as it stands in a text: a string as it is, anything else as JSON."""
    return value if isinstance(value, str) else canonical_json(value)


def _steps_of(path: str, *, written: str) -> tuple[_Key | _Index | _Field, ...]:
    steps: list[_Key | _Index | _Field] = []
    at = 0
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            message = f"{written!r} cannot be read from {path[at:]!r} on"
            raise ValueError(message)
        steps.append(_step_of(step))
        at = step.end()
    return tuple(steps)


def _step_of(step: re.Match[str]) -> _Key | _Index | _Field:
    if step["key"] is not None:
        return _Key(step["key"])
    if step["index"] is not None:
        return _Index(int(step["index"]))
    value = step["value"]
    wanted = reference_of(value.removeprefix("@")) if value.startswith("@") else value
    return _Field(step["field"], wanted)


def _json_of(content: str) -> Json:
    try:
        return cast("Json", json.loads(content))
    except ValueError:
        return content


def _is_list(value: Json) -> TypeGuard[Sequence[Json]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _reads(value: Json, *, key: str, wanted: str) -> bool:
    return isinstance(value, Mapping) and key in value and text_of(value[key]) == wanted

"""What is different about a tool's definition, in lines that a person can read and trust."""

import difflib
import json

from core.domain.canonical import Json
from core.domain.upstream import Definition

_WIDE = 100


def shown(text: str) -> str:
    """Return text of a stranger with everything made visible that a terminal or an eye would miss.

    Control characters, marks that turn the direction of writing, and what has no width.
    """
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )


def lines_of(definition: Definition | None) -> list[str]:
    """Return a definition line by line; nothing for none."""
    if definition is None:
        return []
    lines = [
        f"name: {shown(definition.name)}",
        f"title: {shown(definition.title)}",
        "description:",
        *(
            f"  {part}"
            for line in definition.description.splitlines()
            for part in _parts(shown(line))
        ),
    ]
    for heading, value in (
        ("takes", definition.input_schema),
        ("returns", definition.output_schema),
        ("says of itself", definition.annotations),
    ):
        lines.append(f"{heading}:")
        lines.extend(f"  {line}" for line in _json_lines(value))
    return lines


def difference(was: Definition | None, *, now: Definition | None) -> tuple[str, ...]:
    """Return every line of both, ``+`` before what is new and ``-`` before what is gone."""
    told = difflib.ndiff(lines_of(was), lines_of(now))
    return tuple(line.rstrip() for line in told if not line.startswith("?"))


def _parts(line: str) -> list[str]:
    return [line[at : at + _WIDE] for at in range(0, len(line), _WIDE)] or [""]


def _json_lines(value: Json) -> list[str]:
    # As ASCII: a letter that looks like another one does not.
    return [] if value is None else json.dumps(value, indent=2, sort_keys=True).splitlines()

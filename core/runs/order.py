"""Which calls of one step may be made side by side."""

from collections.abc import Sequence

from core.domain.canonical import Json
from core.domain.tool import ToolCall

_NAMES_SOMETHING = 8


def waves(calls: Sequence[ToolCall], *, has_effect: Sequence[bool]) -> list[list[int]]:
    """Return the calls' positions in waves: each wave is made at once, one wave after the other.

    Two calls depend on each other where they name the same thing (share a text of eight characters
    or more anywhere in their arguments, as ids are) and at least one of them has an effect. Those
    are made in the order in which the model asked for them; all others side by side.
    """
    if len(calls) == 1:
        return [[0]]
    names = [_names(call.arguments) for call in calls]
    level: list[int] = []
    for later in range(len(calls)):
        before = [
            level[earlier] + 1
            for earlier in range(later)
            if (has_effect[earlier] or has_effect[later]) and names[earlier] & names[later]
        ]
        level.append(max(before, default=0))
    return [
        [position for position, at in enumerate(level) if at == wave]
        for wave in range(max(level, default=-1) + 1)
    ]


def _names(value: Json) -> set[str]:
    match value:
        case str():
            return {value} if len(value) >= _NAMES_SOMETHING else set()
        case dict():
            return set[str]().union(*(_names(item) for item in value.values()))
        case list():
            return set[str]().union(*(_names(item) for item in value))
        case _:
            return set()

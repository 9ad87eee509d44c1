"""What a call would change, as lines with ``-`` for what is there and ``+`` for what would be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bots.text import Measure, fits
from core.domain.tool import Change

_VALUE: Final = 400
_NAME: Final = 80
_WHOLE: Final = 2600


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """The lines, and whether they are all there and none of them cut."""

    text: str
    whole: bool


class Literal(Protocol):
    """Cuts a text for where its surface reads no markup."""

    def __call__(self, text: str, *, limit: int) -> str:
        """Return ``text``, at most ``limit`` long."""
        ...


def shown(
    changes: Sequence[Change],
    *,
    literal: Literal,
    room: int = _WHOLE,
    measure: Measure = len,
) -> Diff:
    """Return the diff of ``changes``, as far as a card has ``room``.

    A value of several lines has each begin with its mark, so that no value can pretend to be
    another field.
    """
    told: list[str] = []
    size, whole = 0, True
    for at, change in enumerate(changes):
        lines = _lines(change, literal=literal)
        size += measure(lines) + 1
        if size > room:
            told.append(f"… and {len(changes) - at} more")
            return Diff(text="\n".join(told), whole=False)
        told.append(lines)
        whole = whole and _fits(change)
    return Diff(text="\n".join(told), whole=whole)


def _fits(change: Change) -> bool:
    values = [value for value in (change.before, change.after) if value is not None]
    return fits(change.field, limit=_NAME) and all(fits(value, limit=_VALUE) for value in values)


def _lines(change: Change, *, literal: Literal) -> str:
    name = " ".join(literal(change.field, limit=_NAME).split()) or "-"
    told: list[str] = []
    if change.before is not None:
        told.append(_marked("-", name=name, value=change.before, literal=literal))
    if change.after is not None:
        told.append(_marked("+", name=name, value=change.after, literal=literal))
    return "\n".join(told) or f"  {name}: nothing"


def _marked(mark: str, *, name: str, value: str, literal: Literal) -> str:
    first, *others = literal(value, limit=_VALUE).split("\n")
    return "\n".join([f"{mark} {name}: {first}", *(f"{mark}   {one}" for one in others)])

"""What was said before in the conversation that a run was asked in: data, never an instruction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from core.domain.canonical import storable

MOST_QUOTES: Final = 50
MOST_CHARACTERS: Final = 20_000
"""Of all quotes of a run together, names included."""
_CUT: Final = "[…]"
_LONGEST_NAME: Final = 200
_LONGEST_TEXT: Final = 4_000


class Speaker(StrEnum):
    """Who said it, as the run sees them: who asks now, the agent itself, or somebody else."""

    ASKER = "asker"
    AGENT = "agent"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """One earlier message. ``by`` is a name as the surface shows it, chosen by its bearer."""

    by: str
    text: str
    role: Speaker
    at: datetime

    @property
    def size(self) -> int:
        """How many characters it counts for."""
        return len(self.by) + len(self.text)


def is_bounded(quotes: Sequence[Quoted]) -> bool:
    """Return whether a run may be told all of these."""
    return len(quotes) <= MOST_QUOTES and sum(one.size for one in quotes) <= MOST_CHARACTERS


def newest_that_fit(quotes: Sequence[Quoted]) -> tuple[Quoted, ...]:
    """Return the last of ``quotes`` that a run may be told, in their order; long ones are cut.

    ``quotes`` are in the order in which they were said. What cannot be stored is replaced.
    """
    kept: list[Quoted] = []
    left = MOST_CHARACTERS
    for quote in reversed(quotes[-MOST_QUOTES:]):
        one = replace(
            quote,
            by=_cut(storable(quote.by), limit=_LONGEST_NAME),
            text=_cut(storable(quote.text), limit=_LONGEST_TEXT),
        )
        left -= one.size
        if left < 0:
            break
        kept.append(one)
    kept.reverse()
    return tuple(kept)


def _cut(text: str, *, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - len(_CUT)] + _CUT

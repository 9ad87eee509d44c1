"""What an agent says, in markdown: harmless, cut where it is too long, and as it grows.

Surfaces read much the same markdown; what they would take for a mention differs.
"""

import re
from collections.abc import Callable
from typing import Final

from bots.text import JOINER, Measure, begun, clean, size_of, within

CUT: Final = "\n\n_The rest is cut off here._"
"""Ends a text whose end is missing."""

_FENCE: Final = "```"
_NOTE: Final = f"{CUT}\n{_FENCE}"
_ELLIPSIS: Final = 3  # In UTF-8; shorter in any other measure.
# A link whose text is not its address hides where it leads: it is shown as it was written.
_LINKED: Final = re.compile(r"\](?=\()")
_DEFINED: Final = re.compile(r"^( {0,3}\[[^\]]{0,999})\](?=:)", re.MULTILINE)
_PICTURE: Final = re.compile(r"!(?=\[)")

Harmless = Callable[[str], str]
"""Breaks what a surface would do more with than show it, and looks no further than a word."""


def unlinked(text: str) -> str:
    """Return markdown in which no link hides where it leads, and nothing is fetched."""
    safe = _DEFINED.sub(rf"\1]{JOINER}", _LINKED.sub(f"]{JOINER}", text))
    return _PICTURE.sub("! ", safe)


def whole(text: str, *, limit: int, harmless: Harmless, measure: Measure = size_of) -> str:
    """Return what an agent says, still markdown; what is too long is cut, and says so."""
    safe = harmless(clean(text, limit=limit + 1))
    if measure(safe) <= limit and len(text) <= limit:
        return safe
    kept = within(safe, limit=limit - measure(_NOTE), measure=measure)
    fence = f"\n{_FENCE}" if kept.count(_FENCE) % 2 else ""
    return f"{kept}{fence}{CUT}"


def so_far(text: str, *, limit: int, harmless: Harmless, measure: Measure = size_of) -> str:
    """Return ``whole`` of a text that still grows: what a longer one begins with, too.

    The last word, and a link that is not whole, wait for what follows.
    """
    longest = limit - measure(_NOTE) - _ELLIPSIS
    told = harmless(clean(_whole_words(text[:limit]), limit=limit))
    return told if measure(told) <= longest else begun(told, limit=longest, measure=measure)


def _whole_words(text: str) -> str:
    """Return ``text`` up to its last blank, and no further than a link that is not whole."""
    end = _word_start(text, end=len(text))
    opened = max(text.rfind("](", 0, end), text.rfind("]:", 0, end))
    if opened >= 0 and text[opened + 2 : end].isspace():
        end = _word_start(text, end=opened)
    return text[:end]


def _word_start(text: str, *, end: int) -> int:
    while end and not text[end - 1].isspace():
        end -= 1
    return end

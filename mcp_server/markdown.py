"""Pages in Markdown (CommonMark, GitHub's tables): what others have written stays text in them.

A tool's description, a task or a result may say anything, and is shown to models and people as
part of a page of ours: it must not become a heading, a link, an image or HTML there.
"""

import re
import unicodedata
from collections.abc import Sequence

_SPECIAL = re.compile(r"[\\`*\[\]<>&|~#$!]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")
# GitHub's renderers make links of bare addresses too.
_BARE_LINK = re.compile(r"(://|www\.|@)", re.IGNORECASE)
# What makes a list or a heading of a line that begins with it.
_OPENING = re.compile(r"^(\d*)([-+=.)])")
_FENCE = re.compile(r"`+")


def inline(text: str) -> str:
    """Return ``text`` on one line, as words and nothing else, wherever it stands."""
    words = " ".join(_visible(text).split())
    words = _BARE_LINK.sub(_unlinked, _SPECIAL.sub(r"\\\g<0>", words))
    return _OPENING.sub(r"\1\\\2", words)


def code(text: str) -> str:
    """Return ``text`` on one line as a code span, for names and ids."""
    words = " ".join(_visible(text).split())
    ticks = "`" * (_longest_fence(words) + 1)
    pad = " " if words.startswith("`") or words.endswith("`") or not words else ""
    return f"{ticks}{pad}{words}{pad}{ticks}"


def block(text: str) -> str:
    """Return ``text`` line by line as a code block that nothing in it can end."""
    lines = [_visible(line) for line in text.splitlines()]
    fence = "`" * max(3, _longest_fence("\n".join(lines)) + 1)
    return "\n".join([f"{fence}text", *lines, fence])


def paragraphs(text: str) -> str:
    """Return the paragraphs of ``text``, each as :func:`inline` has it, quoted."""
    parts = [part for part in re.split(r"\n\s*\n", text) if part.strip()]
    return "\n>\n".join(f"> {inline(part)}" for part in parts)


def listed(facts: Sequence[tuple[str, str]]) -> str:
    """Return a list of ``label: value``; values are Markdown already."""
    return "\n".join(f"- {label}: {value}" for label, value in facts)


def page(*parts: str) -> str:
    """Return the parts as one page, a line apart."""
    return "\n\n".join(part for part in parts if part) + "\n"


def _visible(text: str) -> str:
    """Return ``text`` without characters that hide, reorder or control others."""
    return "".join(
        character if character in "\t\n " or unicodedata.category(character)[0] != "C" else "\ufffd"
        for character in text
    )


def _unlinked(found: re.Match[str]) -> str:
    told = found[0]
    return f"{told[:-1]}\\." if told.endswith(".") else f"\\{told}"


def _longest_fence(text: str) -> int:
    return max((len(found) for found in _FENCE.findall(text)), default=0)

"""Texts of others as Teams may have them: cut to a limit, with nobody mentioned and nothing hidden.

What tools, people and models say is data. It stands in text runs, where Teams reads no markdown, or
in answers, where it does; in either, ``<at>``, links, and the templates that Teams fills in are
broken by an invisible joiner. Lengths are counted as they weigh in a message: bytes of JSON.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from bots import prose
from bots.diff import Diff, shown
from bots.sentences import Lead
from bots.text import JOINER, clean, one_line, size_of, web_address, within
from core.domain.tool import Change

ANSWER: Final = 20_000
"""The heaviest answer in one message."""

STREAMED: Final = 11_000
"""The heaviest answer as it comes: so much of it has room in every message that ends it."""

_OPENING: Final = re.compile(r"(<|&lt;?|&#0*60;?|&#x0*3c;?)(?=[a-z/!?@])", re.IGNORECASE)
_TEMPLATE: Final = re.compile(r"([{$])(?=\{)")
_BLANKS: Final = re.compile(r" (?= )")
_HOST: Final = 80
_DIFF: Final = 4000


def weight(text: str) -> int:
    """Return how many bytes ``text`` takes in JSON."""
    # Each of these takes a second byte.
    twice = text.count('"') + text.count("\\") + text.count("\n") + text.count("\t")
    return len(text.encode("utf-8", "surrogatepass")) + twice


def line(text: str, *, limit: int = 300) -> str:
    """Return ``text`` as one line, no heavier than ``limit``; may be empty."""
    return within(_shut(one_line(text, limit=limit)), limit=limit, measure=weight)


def lines(text: str, *, limit: int = 1000) -> str:
    """Return ``text`` with its lines, no heavier than ``limit``; may be empty."""
    return within(_shut(clean(text, limit=limit).strip()), limit=limit, measure=weight)


def code(text: str, *, limit: int = 100) -> str:
    """Return a name of a program's as one line; ``-`` where there is none."""
    return plain(text, limit=limit)


def plain(text: str, *, limit: int) -> str:
    """Return ``text`` as one line for a label; ``-`` where there is none."""
    return line(text, limit=limit) or "-"


def literal(text: str, *, limit: int) -> str:
    """Return ``text`` with its lines, at most ``limit`` long as it was written; may be empty."""
    return within(_shut(clean(text, limit=limit)), limit=limit, measure=_written)


def diff(changes: Sequence[Change]) -> Diff:
    """Return what a call would change, as far as a card has room."""
    return shown(changes, literal=literal, room=_DIFF, measure=weight)


def spaced(text: str) -> str:
    """Return ``text`` with as many blanks as it has: clients show several as one."""
    return _BLANKS.sub("\u00a0", text)


def markdown(text: str, *, limit: int = ANSWER) -> str:
    """Return what an agent says, still markdown, and harmless.

    Tags are broken, pictures are not fetched, and a link shows where it leads. What is too heavy
    is cut, and says so.
    """
    return prose.whole(text, limit=limit, harmless=_shut, measure=weight)


def markdown_so_far(text: str, *, limit: int = STREAMED) -> str:
    """Return ``markdown`` of a text that still grows: what a longer one begins with, too.

    The last word, and a link that is not whole, wait for what follows.
    """
    return prose.so_far(text, limit=limit, harmless=_shut, measure=weight)


def leading(lead: Lead) -> str:
    """Return a sentence of ours as markdown, with what stands out in it."""
    return f"{lead.sign} **{lead.strong}**{lead.rest}".strip()


def host(url: str | None) -> str:
    """Return where an address of the web leads; empty where it is none."""
    safe = web_address(url)
    return line(urlsplit(safe).hostname or "", limit=_HOST) if safe else ""


def moment(at: datetime) -> str:
    """Return a time that each reader sees in their own zone, on a card."""
    exact = at if at.tzinfo else at.replace(tzinfo=UTC)
    with suppress(OverflowError):
        exact = exact.astimezone(UTC)
    told = f"{exact.replace(tzinfo=None).isoformat(timespec='seconds')}Z"
    return f"{{{{DATE({told}, SHORT)}}}} at {{{{TIME({told})}}}}"


def _shut(text: str) -> str:
    opened = _OPENING.sub(rf"\1{JOINER}", _TEMPLATE.sub(rf"\1{JOINER}", text))
    return prose.unlinked(opened)


def _written(text: str) -> int:
    return size_of(text.replace(JOINER, ""))

"""Texts of others as Slack may have them: cut to a limit, with nobody mentioned and nothing hidden.

What tools, people and models say is data. Slack reads ``<!channel>``, ``<@U…>``, ``<#C…>`` and
``<https://…|label>`` as mentions and links, so no such thing of theirs reaches it whole: ``&<>``
are escaped where Slack reads markup, and an invisible joiner breaks the rest. Lengths are counted
as the platform's clients do, in UTF-16.
"""

import re
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from bots import prose
from bots.sentences import Lead
from bots.text import (
    JOINER,
    clean,
    one_line,
    web_address,
    whole_lines,
    within,
)

MARKDOWN: Final = 12_000
"""The longest markdown in one message."""

_ENTITIES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_ADDRESSED: Final = re.compile(r"(?<!\w)@(?=(?:channel|here|everyone|group)\b)", re.IGNORECASE)
_OPENING: Final = re.compile(r"(<|&lt;?|&#0*60;?|&#x0*3c;?)(?=[!@#a-z])", re.IGNORECASE)
_MENTION: Final = re.compile(
    r"(<|&lt;?|&#0*60;?|&#x0*3c;?)"
    r"(?=!(?:channel|here|everyone|group|subteam|date)|@[UWB]|#[CG]|[a-z][a-z0-9+.-]*:)",
    re.IGNORECASE,
)
_ACCOUNT: Final = re.compile(r"[UW][A-Z0-9]{2,20}", re.ASCII)


def line(text: str, *, limit: int = 300) -> str:
    """Return ``text`` as one line of Slack's own markup, at most ``limit`` long."""
    return within(_broken(one_line(text, limit=limit)), limit=limit, entities=_ENTITIES)


def quoted(text: str, *, limit: int = 1000) -> str:
    """Return ``text`` in Slack's own markup, each of its lines a quotation."""
    said = within(_broken(clean(text, limit=limit)).strip(), limit=limit // 2, entities=_ENTITIES)
    return whole_lines([f">{one}" for one in said.split("\n")], limit=limit)


def code(text: str, *, limit: int = 100) -> str:
    """Return ``text`` as code in Slack's own markup; ``-`` where there is none."""
    told = line(text[: 4 * limit + 1].replace("`", "'"), limit=limit)
    return f"`{told}`" if told else "-"


def plain(text: str, *, limit: int) -> str:
    """Return ``text`` as one line where Slack reads no markup; ``-`` where there is none."""
    told = within(_shut(one_line(text, limit=limit)), limit=limit)
    return told or "-"


def literal(text: str, *, limit: int) -> str:
    """Return ``text`` with its lines where Slack reads no markup; may be empty."""
    return within(_shut(clean(text, limit=limit)), limit=limit)


def markdown(text: str, *, limit: int = MARKDOWN) -> str:
    """Return what an agent says, still markdown, and harmless.

    Mentions are broken, pictures become links, and links lead to the web or to a mailbox. What is
    too long is cut, and says so.
    """
    return prose.whole(text, limit=limit, harmless=_harmless)


def markdown_so_far(text: str, *, limit: int = MARKDOWN) -> str:
    """Return ``markdown`` of a text that still grows: what a longer one begins with, too.

    The last word, and a link that is not whole, wait for what follows.
    """
    return prose.so_far(text, limit=limit, harmless=_harmless)


def leading(lead: Lead) -> str:
    """Return a sentence of ours with what stands out in it."""
    return f"{lead.sign} *{lead.strong}*{lead.rest}" if lead.strong else f"{lead.sign}{lead.rest}"


def link(url: str | None, *, title: str) -> str:
    """Return a link in Slack's own markup that says where it leads; the title without one."""
    told = line(title, limit=150) or "untitled"
    safe = web_address(url)
    if safe is None:
        return told
    host = line(urlsplit(safe).hostname or "", limit=80)
    return f"<{_ascii_markup(safe)}|{told.replace('|', '¦')}> ({host})"


def mention(account: str) -> str:
    """Return the mention of a Slack account; nothing where it cannot be one."""
    return f"<@{account}>" if _ACCOUNT.fullmatch(account) else ""


def moment(at: datetime) -> str:
    """Return a time that each reader sees in their own zone."""
    exact = at if at.tzinfo else at.replace(tzinfo=UTC)
    epoch = int((exact - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    try:
        told = f"{exact.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except OverflowError:
        told = f"{exact:%Y-%m-%d %H:%M}"
    return f"<!date^{max(epoch, 0)}^{{date_short_pretty}} at {{time}}|{told}>"


def _broken(text: str) -> str:
    return _ADDRESSED.sub(f"@{JOINER}", text)


def _shut(text: str) -> str:
    return _broken(_OPENING.sub(rf"\1{JOINER}", text))


def _harmless(text: str) -> str:
    return _broken(prose.unlinked(_MENTION.sub(rf"\1{JOINER}", text)))


def _ascii_markup(url: str) -> str:
    return url.replace("&", "&amp;").replace("'", "%27")

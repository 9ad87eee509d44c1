"""Texts of others as Slack may have them: cut to a limit, with nobody mentioned and nothing hidden.

What tools, people and models say is data. Slack reads ``<!channel>``, ``<@U…>``, ``<#C…>`` and
``<https://…|label>`` as mentions and links, so no such thing of theirs reaches it whole: ``&<>``
are escaped where Slack reads markup, and an invisible joiner breaks the rest. Lengths are counted
as the platform's clients do, in UTF-16.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlsplit

from core.domain.canonical import storable

MARKDOWN: Final = 12_000
"""The longest markdown in one message."""

_JOINER: Final = "\u2060"
_ELLIPSIS: Final = "…"
_CUT: Final = "\n\n_The rest is cut off here._"
_FENCE: Final = "```"
_NOTE: Final = len(f"{_CUT}\n{_FENCE}")

_UNSEEN: Final = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], "\ufffd"),
    # Overrides and isolates: what is read would not be what is there.
    **dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\ufffd"),
    # Of no width, or blank where nobody would look for a blank.
    **dict.fromkeys(
        [
            *(0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x2800, 0x3164),
            *range(0x200B, 0x200D),
            *(0x200E, 0x200F, 0xFEFF, 0xFFA0),
            *range(0x2061, 0x2066),
            *range(0xE0000, 0xE0080),
        ],
        "\ufffd",
    ),
    **dict.fromkeys([0x0B, 0x0C, 0x85, 0x2028, 0x2029], "\n"),
    0x09: "\t",
    0x0A: "\n",
}
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_NO_ENTITIES: Final[Mapping[str, str]] = {}
_ADDRESSED: Final = re.compile(r"(?<!\w)@(?=(?:channel|here|everyone|group)\b)", re.IGNORECASE)
_OPENING: Final = re.compile(r"(<|&lt;?|&#0*60;?|&#x0*3c;?)(?=[!@#a-z])", re.IGNORECASE)
# A link whose text is not its address hides where it leads: it is shown as it was written.
_LINKED: Final = re.compile(r"\](?=\()")
_DEFINED: Final = re.compile(r"^( {0,3}\[[^\]]{0,999})\](?=:)", re.MULTILINE)
_MENTION: Final = re.compile(
    r"(<|&lt;?|&#0*60;?|&#x0*3c;?)"
    r"(?=!(?:channel|here|everyone|group|subteam|date)|@[UWB]|#[CG]|[a-z][a-z0-9+.-]*:)",
    re.IGNORECASE,
)
_PICTURE: Final = re.compile(r"!(?=\[)")
_ACCOUNT: Final = re.compile(r"[UW][A-Z0-9]{2,20}", re.ASCII)
_URL: Final = 2000
_DOLLARS: Final = 10**15
_SMALLEST: Final = 100


def line(text: str, *, limit: int = 300) -> str:
    """Return ``text`` as one line of Slack's own markup, at most ``limit`` long."""
    return _within(_broken(_one_line(text, limit=limit)), limit=limit, entities=_ENTITIES)


def quoted(text: str, *, limit: int = 1000) -> str:
    """Return ``text`` in Slack's own markup, each of its lines a quotation."""
    said = _within(_broken(_clean(text, limit=limit)).strip(), limit=limit // 2, entities=_ENTITIES)
    return whole_lines([f">{one}" for one in said.split("\n")], limit=limit)


def code(text: str, *, limit: int = 100) -> str:
    """Return ``text`` as code in Slack's own markup; ``-`` where there is none."""
    told = line(text[: 4 * limit + 1].replace("`", "'"), limit=limit)
    return f"`{told}`" if told else "-"


def plain(text: str, *, limit: int) -> str:
    """Return ``text`` as one line where Slack reads no markup; ``-`` where there is none."""
    told = _within(_shut(_one_line(text, limit=limit)), limit=limit, entities=_NO_ENTITIES)
    return told or "-"


def literal(text: str, *, limit: int) -> str:
    """Return ``text`` with its lines where Slack reads no markup; may be empty."""
    return _within(_shut(_clean(text, limit=limit)), limit=limit, entities=_NO_ENTITIES)


def markdown(text: str, *, limit: int = MARKDOWN) -> str:
    """Return what an agent says, still markdown, and harmless.

    Mentions are broken, pictures become links, and links lead to the web or to a mailbox. What is
    too long is cut, and says so.
    """
    safe = _safe_markdown(_clean(text, limit=limit + 1))
    if _size(safe) <= limit and len(text) <= limit:
        return safe
    kept = _within(safe, limit=limit - _NOTE, entities=_NO_ENTITIES)
    fence = f"\n{_FENCE}" if kept.count(_FENCE) % 2 else ""
    return f"{kept}{fence}{_CUT}"


def markdown_so_far(text: str, *, limit: int = MARKDOWN) -> str:
    """Return ``markdown`` of a text that still grows: what a longer one begins with, too.

    The last word, and a link that is not whole, wait for what follows.
    """
    longest = limit - _NOTE - 3
    told = _safe_markdown(_clean(_whole_words(text[:limit]), limit=limit))
    return told if _size(told) <= longest else _begun(told, limit=longest)


def link(url: str | None, *, title: str) -> str:
    """Return a link in Slack's own markup that says where it leads; the title without one."""
    told = line(title, limit=150) or "untitled"
    safe = web_address(url)
    if safe is None:
        return told
    host = line(urlsplit(safe).hostname or "", limit=80)
    return f"<{_ascii_markup(safe)}|{told.replace('|', '¦')}> ({host})"


def web_address(url: str | None) -> str | None:
    """Return ``url`` where it is a whole address of the web without credentials, else None."""
    if not url or len(url) > _URL:
        return None
    try:
        safe = quote(storable(url), safe="%/:=&?~#+!$,;'@()*[]")
        parts = urlsplit(safe)
        named = parts.hostname and parts.username is None and parts.port != 0
    except ValueError:
        return None
    fits = parts.scheme in {"http", "https"} and named and len(safe) <= _URL
    return safe if fits else None


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


def money(micros: int) -> str:
    """Return micro-dollars as dollars, such as ``$0.0042`` or ``$0.50``."""
    micros = min(max(micros, 0), _DOLLARS)
    if 0 < micros < _SMALLEST:
        return "less than $0.0001"
    whole, _, part = f"{micros / 1_000_000:,.4f}".rstrip("0").partition(".")
    return f"${whole}.{part.ljust(2, '0')}"


def whole_lines(lines: list[str], *, limit: int) -> str:
    """Return as many of ``lines`` as fit, and how many do not; none of them is cut."""
    kept: list[str] = []
    size = 0
    for at, one in enumerate(lines):
        size += _size(one) + 1
        if size > limit - 30 and not (at == len(lines) - 1 and size <= limit):
            kept.append(f"{_ELLIPSIS} and {len(lines) - at} more")
            break
        kept.append(one)
    return "\n".join(kept)


def fits(text: str, *, limit: int) -> bool:
    """Return whether ``text`` is shown whole within ``limit``, were it not escaped."""
    return len(text) <= limit and _size(text) <= limit


def _clean(text: str, *, limit: int) -> str:
    """Return the beginning of ``text``, without what cannot be kept or seen."""
    begun = storable(text[: limit + 1].replace("\r\n", "\n").replace("\r", "\n"))
    return begun.translate(_UNSEEN)


def _one_line(text: str, *, limit: int) -> str:
    # Blanks are few between words; a text that is mostly blanks may lose its end.
    return " ".join(_clean(text, limit=4 * limit).split())


def _broken(text: str) -> str:
    return _ADDRESSED.sub(f"@{_JOINER}", text)


def _shut(text: str) -> str:
    return _broken(_OPENING.sub(rf"\1{_JOINER}", text))


def _safe_markdown(text: str) -> str:
    safe = _MENTION.sub(rf"\1{_JOINER}", text)
    safe = _DEFINED.sub(rf"\1]{_JOINER}", _LINKED.sub(f"]{_JOINER}", safe))
    return _broken(_PICTURE.sub("! ", safe))


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


def _begun(text: str, *, limit: int) -> str:
    size = 0
    for at, letter in enumerate(text):
        size += _size(letter)
        if size > limit:
            return text[:at]
    return text


def _ascii_markup(url: str) -> str:
    return url.replace("&", "&amp;").replace("'", "%27")


def _size(text: str) -> int:
    return len(text) + sum(letter > "\uffff" for letter in text)


def _within(text: str, *, limit: int, entities: Mapping[str, str]) -> str:
    """Return ``text`` told with ``entities``, cut between letters where it is longer."""
    kept: list[str] = []
    size = roomy = 0
    for letter in text:
        piece = entities.get(letter, letter)
        size += _size(piece)
        if size > limit:
            return "".join(kept[:roomy]) + _ELLIPSIS
        kept.append(piece)
        if size < limit:
            roomy = len(kept)
    return "".join(kept)

"""Texts of others, whatever reads them: cut to a limit, with nothing in them that nobody sees.

What tools, people and models say is data. Each surface breaks its own markup on top of this.
Lengths are counted as the platforms' clients do, in UTF-16.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, urlsplit

from core.domain.canonical import storable

JOINER: Final = "\u2060"
"""Of no width: it stands where a surface would read markup in what somebody wrote."""
ELLIPSIS: Final = "…"
NO_ENTITIES: Final[Mapping[int, str]] = {}

Measure = Callable[[str], int]
"""How long a text is to whoever takes it: the sum of how long its letters are."""

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
_URL: Final = 2000
_DOLLARS: Final = 10**15
_SMALLEST: Final = 100


def clean(text: str, *, limit: int) -> str:
    """Return the beginning of ``text``, without what cannot be kept or seen."""
    begun = storable(text[: limit + 1].replace("\r\n", "\n").replace("\r", "\n"))
    return begun.translate(_UNSEEN)


def one_line(text: str, *, limit: int) -> str:
    """Return the beginning of ``text`` in one line; it may still be longer than ``limit``."""
    # Blanks are few between words; a text that is mostly blanks may lose its end.
    return " ".join(clean(text, limit=4 * limit).split())


def is_seen(text: str) -> bool:
    """Return whether a reader sees every character of ``text``."""
    return JOINER not in text and clean(text, limit=len(text)) == text


def size_of(text: str) -> int:
    """Return the length of ``text`` in UTF-16."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def within(
    text: str,
    *,
    limit: int,
    entities: Mapping[int, str] = NO_ENTITIES,
    measure: Measure = size_of,
) -> str:
    """Return ``text`` told with ``entities``, cut between letters where it is longer."""
    told = _told(text, entities)
    if measure(told) <= limit:
        return told
    kept = _most(text, limit=limit - measure(ELLIPSIS), entities=entities, measure=measure)
    return _told(text[:kept], entities) + ELLIPSIS


def begun(text: str, *, limit: int, measure: Measure = size_of) -> str:
    """Return the beginning of ``text``, at most ``limit`` long: no sign says that it was cut."""
    if measure(text) <= limit:
        return text
    return text[: _most(text, limit=limit, entities=NO_ENTITIES, measure=measure)]


def fits(text: str, *, limit: int) -> bool:
    """Return whether ``text`` is shown whole within ``limit``, were it not escaped."""
    return len(text) <= limit and size_of(text) <= limit


def whole_lines(lines: list[str], *, limit: int, measure: Measure = size_of) -> str:
    """Return as many of ``lines`` as fit, and how many do not; none of them is cut."""
    kept: list[str] = []
    size = 0
    for at, one in enumerate(lines):
        size += measure(one) + measure("\n")
        if size > limit - 30 and not (at == len(lines) - 1 and size <= limit):
            kept.append(f"{ELLIPSIS} and {len(lines) - at} more")
            break
        kept.append(one)
    return "\n".join(kept)


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
    fits_in = parts.scheme in {"http", "https"} and named and len(safe) <= _URL
    return safe if fits_in else None


def money(micros: int) -> str:
    """Return micro-dollars as dollars, such as ``$0.0042`` or ``$0.50``."""
    micros = min(max(micros, 0), _DOLLARS)
    if 0 < micros < _SMALLEST:
        return "less than $0.0001"
    whole, _, part = f"{micros / 1_000_000:,.4f}".rstrip("0").partition(".")
    return f"${whole}.{part.ljust(2, '0')}"


def _most(text: str, *, limit: int, entities: Mapping[int, str], measure: Measure) -> int:
    """Return how many letters of ``text``, which is longer than ``limit``, fit into it."""
    counts = range(len(text))
    # Halved again and again, since to measure many letters costs little more than one.
    fitting = bisect_right(
        counts, limit, lo=1, key=lambda count: measure(_told(text[:count], entities))
    )
    return fitting - 1


def _told(text: str, entities: Mapping[int, str]) -> str:
    return text.translate(entities) if entities else text

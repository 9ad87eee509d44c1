"""One way to write JSON down, so that equal values have equal digests."""

import hashlib
import json
from collections.abc import Mapping, Sequence

Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]
JsonObject = Mapping[str, Json]

_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def canonical_json(value: Json) -> str:
    """Return the one text of ``value``: sorted keys, no spaces, no NaN, UTF-8 kept as it is.

    Half a surrogate pair, which UTF-8 cannot say, is escaped: the text can always be stored.

    Raises:
        ValueError: a float that JSON has no word for.
    """
    told = _ENCODER.encode(value)
    return told if told.isascii() else told.encode("utf-8", "backslashreplace").decode()


def repeated_key(text: str) -> str | None:
    """Return a key that one object of this JSON has twice; None where there is none.

    Which of the two is meant cannot be known, and parsers differ in which they take.

    Raises:
        ValueError: the text is no JSON.
    """
    found: list[str] = []

    def look(pairs: Sequence[tuple[str, object]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                found.append(key)
            seen.add(key)

    # Numbers stay texts: Python would refuse to read a very long one.
    json.loads(text, object_pairs_hook=look, parse_int=str, parse_float=str)
    return found[0] if found else None


def storable(text: str) -> str:
    """Return ``text`` as PostgreSQL and UTF-8 can keep it.

    NUL, and half a surrogate pair, become the replacement character.
    """
    if text.isascii() and "\x00" not in text:
        return text
    kept = text.replace("\x00", "\ufffd")
    return kept.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def digest_of(value: Json) -> str:
    """Return the SHA-256 of the canonical text, in hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()

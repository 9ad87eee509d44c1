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

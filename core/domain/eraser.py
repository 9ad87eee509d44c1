"""Blotting out known secrets, wherever and however something repeats them."""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NoReturn
from urllib.parse import quote, quote_plus

from core.domain.canonical import Json, JsonObject

ERASED: Final = "[credential]"
"""Stands where a secret stood."""

LOG_KEY: Final = "known_secrets"
"""Under this name the log finds the eraser of the call that is being made."""

_BITS_PER_CHARACTER: Final = 6
_SHORTEST_LINE: Final = 16


class Eraser:
    """Knows secrets and shows none: neither printed, nor pickled, nor as JSON."""

    __slots__ = ("_forms", "_pattern")

    def __init__(self, *secrets: str) -> None:
        """Take the secrets that are known already."""
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        for secret in secrets:
            self.learn(secret)

    def __bool__(self) -> bool:
        """Return whether there is anything to erase."""
        return self._pattern is not None

    def __repr__(self) -> str:
        """Return a text without any secret."""
        return "Eraser()"

    def __reduce__(self) -> NoReturn:
        """Refuse to be written down.

        Raises:
            TypeError: always.
        """
        message = "an eraser knows secrets: it stays where it is"
        raise TypeError(message)

    def learn(self, secret: str) -> None:
        """Know one more secret, in each form in which programs repeat one."""
        self._forms.update(form for form in _forms_of(secret) if form)
        # The longest first, or the rest of it would be left standing.
        longest_first = sorted(self._forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)

    def finds(self, text: str) -> bool:
        """Return whether ``text`` repeats a secret."""
        return self._pattern is not None and self._pattern.search(text) is not None

    def text(self, text: str) -> str:
        """Return ``text`` without the secrets."""
        return self._pattern.sub(ERASED, text) if self._pattern else text

    def json(self, value: Json) -> Json:
        """Return ``value`` without the secrets, in keys and values; it keeps its shape."""
        match value:
            case str():
                return self.text(value)
            case None | bool() | int() | float():
                return value
            case Mapping():
                return self.object(value)
            case Sequence():
                return [self.json(each) for each in value]

    def object(self, value: JsonObject) -> JsonObject:
        """Return the object without the secrets, as ``json`` does."""
        if self._pattern is None:
            return value
        return {self.text(key): self.json(each) for key, each in value.items()}


def _forms_of(secret: str) -> Iterator[str]:
    raw = secret.encode()
    plain = (secret, *(line for line in secret.splitlines() if len(line) >= _SHORTEST_LINE))
    for text in plain:
        yield text
        yield text.strip()
        yield quote(text)
        yield quote(text, safe="")
        yield quote_plus(text)
        yield json.dumps(text)[1:-1]
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield repr(text)[1:-1]
    yield raw.hex()
    for offset in range(3):
        within = _base64_within(raw, offset=offset)
        yield within
        yield within.replace("+", "-").replace("/", "_")


def _base64_within(raw: bytes, *, offset: int) -> str:
    """Return what base64 makes of ``raw`` alone where ``offset`` bytes go before it.

    A user's name and a colon do in HTTP's Basic scheme (RFC 7617).
    """
    whole = base64.b64encode(bytes(offset) + raw).decode()
    first = -(-offset * 8 // _BITS_PER_CHARACTER)
    last = (offset + len(raw)) * 8 // _BITS_PER_CHARACTER
    return whole[first:last]

"""What a client is told that came without a token, or with one that carries too little."""

import json
from typing import Any, Final

from starlette.types import Message, Send

from core.domain.principal import Caller, scopes_held
from core.identity.authorization import GRANTABLE_SCOPES, ORDINARY_SCOPES

_MISSING: Final = b'"missing_scope"'
_JSON: Final = b"application/json"


class Challenge:
    """Says how to get a token (RFC 6750 section 3), where there is somewhere to get one."""

    def __init__(self, metadata: str | None) -> None:
        """Take the URL of the resource's document (RFC 9728), if there is one."""
        self._metadata = metadata

    def header(self, *, error: str | None = None, scopes: tuple[str, ...] = ORDINARY_SCOPES) -> str:
        """Return the value of ``WWW-Authenticate``.

        Whoever sent no token is told of no error.
        """
        told = {
            "error": error,
            "scope": " ".join(scopes) if self._metadata else None,
            "resource_metadata": self._metadata,
        }
        listed = ", ".join(f'{name}="{value}"' for name, value in told.items() if value)
        return f"Bearer {listed}".rstrip()

    def stepping_up(self, send: Send, *, caller: Caller) -> Send:
        """Return a ``send`` that turns the answer "scope missing" into a challenge to get it.

        Only what the person could give is challenged for: anything else would have them sign in
        again for nothing. The answer stays the same below it. A stream has begun before anything
        is known, and is left alone.
        """
        held: list[Message] = []

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_plain(message):
                held.append(message)
                return
            if held:
                begun = held.pop()
                scope = _missing_in(message.get("body", b""))
                if scope is not None and scope in _givable(caller):
                    granted = sorted(caller.scopes & frozenset(GRANTABLE_SCOPES))
                    told = self.header(error="insufficient_scope", scopes=(*granted, scope))
                    header = (b"www-authenticate", told.encode())
                    begun = {**begun, "status": 403, "headers": [*begun["headers"], header]}
                await send(begun)
            await send(message)

        return sent


def _is_plain(message: Message) -> bool:
    headers = dict(message.get("headers", ()))
    return message["status"] == 200 and headers.get(b"content-type", b"").startswith(_JSON)  # noqa: PLR2004 - HTTP's OK


def _missing_in(body: bytes) -> str | None:
    """Return the scope that a tool's result says is missing, if it says so."""
    if _MISSING not in body:
        return None
    try:
        answer: Any = json.loads(body)  # Any: our own answer as JSON
        error = answer["result"]["structuredContent"]["error"]
        return str(error.get("scope", "tools:call")) if error["code"] == "missing_scope" else None
    except (ValueError, LookupError, TypeError):
        return None


def _givable(caller: Caller) -> frozenset[str]:
    return (scopes_held(caller.principal) & frozenset(GRANTABLE_SCOPES)) - caller.scopes

"""What a client is told that came without a token, or with one that carries too little or ended."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.types import Message, Send

from core.domain.principal import Caller, scopes_held
from core.identity.authorization import GRANTABLE_SCOPES, ORDINARY_SCOPES

_MISSING: Final = b'"missing_scope"'
# Without its quotes: in some revisions an error stands in a text only, where they are escaped.
_ENDED: Final = b"invalid_token"
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

    def answering(
        self,
        send: Send,
        *,
        caller: Caller,
        steps_up: bool,
        has_ended: Callable[[], Awaitable[bool]],
    ) -> Send:
        """Return a ``send`` that turns an answer into the challenge that belongs to it.

        Of a token that has ended while the request was under way, which ``has_ended`` is asked
        where the answer says so, it makes a 401. Where ``steps_up``, it makes of "scope missing"
        a 403 for what the person could give: anything else would have them sign in again for
        nothing. The answer stays the same below. A stream has begun before anything is known, and
        is left alone.
        """
        held: list[Message] = []

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_plain(message):
                held.append(message)
                return
            if held:
                begun, body = held.pop(), message.get("body", b"")
                if _ENDED in body and await has_ended():
                    begun = _challenged(
                        begun, status=401, header=self.header(error=_ENDED.decode())
                    )
                elif steps_up and (scope := _missing_in(body)) in _givable(caller):
                    granted = sorted(caller.scopes & frozenset(GRANTABLE_SCOPES))
                    told = self.header(error="insufficient_scope", scopes=(*granted, str(scope)))
                    begun = _challenged(begun, status=403, header=told)
                await send(begun)
            await send(message)

        return sent


def _challenged(begun: Message, *, status: int, header: str) -> Message:
    headers = [*begun["headers"], (b"www-authenticate", header.encode())]
    return {**begun, "status": status, "headers": headers}


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

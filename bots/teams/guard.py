"""What stands before Teams' activities: nothing passes that Teams has not just signed."""

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Final

import structlog
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bots.bodies import (
    JSON,
    READ_SECONDS,
    check_request,
    media_type,
    object_of,
    problem,
    read,
    storable,
    text_of,
)
from bots.teams.wire import Wire
from core.domain.canonical import JsonObject
from core.errors import InvalidInput, SallyportError, Unauthenticated

_LARGEST: Final = 256 * 1024
_AUTHORIZATION: Final = "authorization"
_ONCE: Final = (_AUTHORIZATION, "content-type", "content-length")
# Whoever says for whom it passes something on stands between us and others.
_PASSED_ON: Final = ("forwarded", "x-forwarded-for", "x-real-ip")

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


Answering = Callable[[JsonObject], Awaitable[Response]]
"""Answers an activity that Teams has sent."""


class TeamsGuard:
    """An ASGI application: answers Teams once size, time, shape and signature are right.

    What is refused is refused here, with a problem document (RFC 9457). Nothing of a body or of a
    token is logged.
    """

    def __init__(
        self,
        answering: Answering,
        *,
        wire: Wire,
        is_anonymous: bool,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        """Take who answers, who knows whether Teams has sent it, and how long a body may take.

        Where callers are anonymous, none is heard but from this machine.
        """
        self._answering = answering
        self._wire = wire
        self._is_anonymous = is_anonymous
        self._read_seconds = read_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            activity = await self._checked(scope, receive)
            answer = await self._answering(activity)
        except SallyportError as error:
            _log.info("teams.refused", code=error.code, detail=error.facts.get("detail"))
            answer = problem(error)
        await answer(scope, receive, send)

    async def _checked(self, scope: Scope, receive: Receive) -> JsonObject:
        """Return an activity that is Teams'.

        Raises:
            InvalidInput: ``method_not_allowed``, ``body_too_large``, ``unsupported_media_type``,
                ``malformed_body``.
            Unauthenticated: ``teams_not_signed``.
            Unavailable: ``teams_unavailable``.
        """
        headers = Headers(scope=scope)
        check_request(scope["method"], headers, once=_ONCE)
        if media_type(headers) != JSON:
            raise InvalidInput("unsupported_media_type", wanted=JSON)
        self._check_peer(scope, headers)
        body = await read(receive, seconds=self._read_seconds, limit=_LARGEST)
        activity = storable(object_of(text_of(body)))
        await self._wire.parse(activity, authorization=headers.get(_AUTHORIZATION))
        return activity

    def _check_peer(self, scope: Scope, headers: Headers) -> None:
        """Refuse who proves nothing: before their body is read."""
        if not self._is_anonymous:
            if _AUTHORIZATION not in headers:
                raise Unauthenticated("teams_not_signed", detail="it has no token")
        elif not _is_here(scope) or any(name in headers for name in _PASSED_ON):
            raise Unauthenticated("teams_not_signed", detail="it comes from another machine")


def _is_here(scope: Scope) -> bool:
    client = scope.get("client")
    try:
        return client is not None and ip_address(client[0]).is_loopback
    except ValueError:
        return False

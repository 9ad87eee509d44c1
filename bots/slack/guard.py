"""What stands before Slack's events: nothing passes that Slack has not just signed."""

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl

import structlog
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bots.bodies import (
    JSON,
    READ_SECONDS,
    check_request,
    malformed,
    media_type,
    object_of,
    problem,
    read,
    storable,
    text_of,
)
from core.domain.canonical import JsonObject
from core.errors import InvalidInput, SallyportError, Unauthenticated
from core.ports import Clock

_LARGEST: Final = 1_000_000
_OLDEST_SECONDS: Final = 300
_MOST_FIELDS: Final = 100
_TIMESTAMP: Final = "x-slack-request-timestamp"
_SIGNATURE: Final = "x-slack-signature"
_SECONDS: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_SIGNED: Final = re.compile(r"v0=[0-9a-f]{64}", re.ASCII)
_FORM: Final = "application/x-www-form-urlencoded"
_ONCE: Final = (_TIMESTAMP, _SIGNATURE, "content-type", "content-length")
# Bolt obeys some headers that nobody has signed; these tell it no more than how often it was tried.
_PASSED_ON: Final = ("x-slack-retry-num", "x-slack-retry-reason")

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


Answering = Callable[[JsonObject, Mapping[str, str]], Awaitable[Response]]
"""Answers what Slack says: the payload as an object, and headers about earlier attempts."""


class SlackGuard:
    """An ASGI application: answers Slack once size, signature, time and shape are right.

    What is refused is refused here, with a problem document (RFC 9457), and reaches no parser of
    somebody else's. Nothing of a body is logged.
    """

    def __init__(
        self,
        answering: Answering,
        *,
        signing_secret: str,
        clock: Clock,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        """Take who answers, the secret that Slack signs with, and how long a body may take."""
        self._read_seconds = read_seconds
        self._answering = answering
        self._key = signing_secret.encode()
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = Headers(scope=scope)
        try:
            payload = await self._checked(scope["method"], headers, receive)
            tried = {name: headers[name] for name in _PASSED_ON if name in headers}
            answer = await self._answering(payload, tried)
        except SallyportError as error:
            _log.info("slack.refused", code=error.code, detail=error.facts.get("detail"))
            answer = problem(error)
        await answer(scope, receive, send)

    async def _checked(self, method: str, headers: Headers, receive: Receive) -> JsonObject:
        """Return what a request says that is Slack's.

        Raises:
            InvalidInput: ``method_not_allowed``, ``body_too_large``, ``unsupported_media_type``,
                ``malformed_body``.
            Unauthenticated: ``slack_not_signed``.
        """
        check_request(method, headers, once=_ONCE)
        timestamp = self._timestamp(headers)
        body = await read(receive, seconds=self._read_seconds, limit=_LARGEST)
        self._check_signature(headers, timestamp=timestamp, body=body)
        return _parsed(body, kind=media_type(headers))

    def _timestamp(self, headers: Headers) -> str:
        """Return the time that was signed with the body: now, give or take five minutes."""
        told = headers.get(_TIMESTAMP, "")
        if _SECONDS.fullmatch(told) is None:
            raise Unauthenticated("slack_not_signed", detail="it has no time stamp")
        if abs(self._clock.now().timestamp() - int(told)) > _OLDEST_SECONDS:
            raise Unauthenticated("slack_not_signed", detail="it is not of now")
        return told

    def _check_signature(self, headers: Headers, *, timestamp: str, body: bytes) -> None:
        """Compare in constant time (Slack's "Verifying requests from Slack", version v0)."""
        told = headers.get(_SIGNATURE, "")
        if _SIGNED.fullmatch(told) is None:
            raise Unauthenticated("slack_not_signed", detail="it has no signature")
        signed = b"v0:" + timestamp.encode() + b":" + body
        right = "v0=" + hmac.new(self._key, signed, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(told, right):
            raise Unauthenticated("slack_not_signed", detail="its signature is another one")


def _parsed(body: bytes, *, kind: str) -> JsonObject:
    """Return what a body says; never what is no object, or what no database of ours holds."""
    text = text_of(body)
    match kind:
        case "application/json":
            payload = object_of(text)
        case "application/x-www-form-urlencoded":
            payload = _form(text)
        case _:
            raise InvalidInput("unsupported_media_type", wanted=f"{JSON} or {_FORM}")
    return storable(payload)


def _form(text: str) -> JsonObject:
    """Return the fields of a form, or the object in its field ``payload``.

    Bolt's own parser is not used: it loses every form that says "payload" in another field.
    """
    try:
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise malformed("it is no form") from None
    fields = dict(pairs)
    if not fields or len(fields) != len(pairs):
        raise malformed("a field is there twice, or none is")
    return object_of(fields["payload"]) if "payload" in fields else {**fields}

"""What stands before Slack's events: nothing passes that Slack has not just signed."""

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final, cast
from urllib.parse import parse_qsl

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from core.domain.canonical import Json, JsonObject
from core.errors import InvalidInput, SallyportError, Unauthenticated
from core.ports import Clock
from core.tools.faults import unstorable
from core.words import sentence_of

_READ_SECONDS: Final = 10.0
_LARGEST: Final = 1_000_000
_OLDEST_SECONDS: Final = 300
_MOST_FIELDS: Final = 100
_TIMESTAMP: Final = "x-slack-request-timestamp"
_SIGNATURE: Final = "x-slack-signature"
_SECONDS: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_SIGNED: Final = re.compile(r"v0=[0-9a-f]{64}", re.ASCII)
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_ONCE: Final = (_TIMESTAMP, _SIGNATURE, "content-type", "content-length")
# Bolt obeys some headers that nobody has signed; these tell it no more than how often it was tried.
_PASSED_ON: Final = ("x-slack-retry-num", "x-slack-retry-reason")
_STATUS: Final[Mapping[str, int]] = {
    "method_not_allowed": 405,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "slack_not_signed": 401,
    "database_unavailable": 503,
}

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
        read_seconds: float = _READ_SECONDS,
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
        if method != "POST":
            raise InvalidInput("method_not_allowed", method=method)
        for name in _ONCE:
            if len(headers.getlist(name)) > 1:
                raise InvalidInput("malformed_body", detail=f"the header {name} is there twice")
        timestamp = self._timestamp(headers)
        body = await _read(receive, seconds=self._read_seconds)
        self._check_signature(headers, timestamp=timestamp, body=body)
        return _parsed(body, media_type=headers.get("content-type", ""))

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


async def _read(receive: Receive, *, seconds: float) -> bytes:
    """Read the body, counting: a length that was announced is anybody's word."""
    body = bytearray()
    until = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            raise _malformed("it did not come in time") from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > _LARGEST:
            raise InvalidInput("body_too_large", limit=_LARGEST)
        if not message.get("more_body", False):
            return bytes(body)


def _parsed(body: bytes, *, media_type: str) -> JsonObject:
    """Return what a body says; never what is no object, or what no database of ours holds."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed("it is not UTF-8") from None
    match media_type.partition(";")[0].strip().lower():
        case "application/json":
            payload = _object(text)
        case "application/x-www-form-urlencoded":
            payload = _form(text)
        case _:
            raise InvalidInput("unsupported_media_type", wanted=f"{_JSON} or {_FORM}")
    if fault := unstorable(payload):
        raise _malformed(fault)
    return payload


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
        raise _malformed("it is no form") from None
    fields = dict(pairs)
    if not fields or len(fields) != len(pairs):
        raise _malformed("a field is there twice, or none is")
    return _object(fields["payload"]) if "payload" in fields else {**fields}


def _object(text: str) -> JsonObject:
    try:
        parsed = cast("Json", json.loads(text, parse_constant=_refuse_constant))
    except (ValueError, RecursionError):
        raise _malformed("it is no JSON") from None
    if not isinstance(parsed, dict):
        raise _malformed("it is no JSON object")
    return parsed


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _malformed(detail: str) -> InvalidInput:
    return InvalidInput("malformed_body", detail=detail)


def problem(error: SallyportError) -> Response:
    """Return the answer to what was refused."""
    status = _STATUS.get(error.code, 400)
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": error.code,
        "detail": sentence_of(error),
    }
    headers = {"allow": "POST"} if error.code == "method_not_allowed" else None
    media_type = "application/problem+json"
    return JSONResponse(body, status_code=status, headers=headers, media_type=media_type)

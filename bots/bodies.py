"""What all guards do: read a body within bounds, take it for JSON, refuse the rest."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Final, cast

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import Receive

from core.domain.canonical import Json, JsonObject
from core.errors import InvalidInput, SallyportError
from core.tools.faults import unstorable
from core.words import sentence_of

READ_SECONDS: Final = 10.0
"""How long a body may take, unless it is told otherwise."""

JSON: Final = "application/json"
"""The media type of JSON (RFC 8259)."""

_STATUS: Final[Mapping[str, int]] = {
    "method_not_allowed": 405,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "slack_not_signed": 401,
    "teams_not_signed": 401,
    "teams_unavailable": 503,
    "database_unavailable": 503,
}


def check_request(method: str, headers: Headers, *, once: Iterable[str]) -> None:
    """Refuse what is no POST, and what has a header of ``once`` more than once.

    Raises:
        InvalidInput: ``method_not_allowed``, ``malformed_body``.
    """
    if method != "POST":
        raise InvalidInput("method_not_allowed", method=method)
    for name in once:
        if len(headers.getlist(name)) > 1:
            raise malformed(f"the header {name} is there twice")


async def read(receive: Receive, *, seconds: float, limit: int) -> bytes:
    """Read the body, counting its bytes: a length that was announced is anybody's word.

    Raises:
        InvalidInput: ``body_too_large``, ``malformed_body``.
        ClientDisconnect: nobody is there any more.
    """
    body = bytearray()
    until = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            raise malformed("it did not come in time") from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > limit:
            raise InvalidInput("body_too_large", limit=limit)
        if not message.get("more_body", False):
            return bytes(body)


def media_type(headers: Headers) -> str:
    """Return the media type without its parameters, in lower case."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def text_of(body: bytes) -> str:
    """Return a body as text.

    Raises:
        InvalidInput: ``malformed_body``.
    """
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise malformed("it is not UTF-8") from None


def object_of(text: str) -> JsonObject:
    """Return the JSON object that a text is.

    Raises:
        InvalidInput: ``malformed_body``.
    """
    try:
        parsed = cast("Json", json.loads(text, parse_constant=_refuse_constant))
    except (ValueError, RecursionError):
        raise malformed("it is no JSON") from None
    if not isinstance(parsed, dict):
        raise malformed("it is no JSON object")
    return parsed


def storable(payload: JsonObject) -> JsonObject:
    """Return a payload that a database of ours can hold.

    Raises:
        InvalidInput: ``malformed_body``.
    """
    if fault := unstorable(payload):
        raise malformed(fault)
    return payload


def malformed(detail: str) -> InvalidInput:
    """Return the refusal of a body that is not what it should be."""
    return InvalidInput("malformed_body", detail=detail)


def problem(error: SallyportError) -> Response:
    """Return the answer to what was refused, a problem document (RFC 9457)."""
    status = _STATUS.get(error.code, 400)
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": error.code,
        "detail": sentence_of(error),
    }
    headers = {"allow": "POST"} if error.code == "method_not_allowed" else None
    return JSONResponse(
        body, status_code=status, headers=headers, media_type="application/problem+json"
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(name)

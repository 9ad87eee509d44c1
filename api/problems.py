"""Every no of the HTTP side, as a problem document (RFC 9457) with a stable code."""

import math
from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core.errors import (
    COME_AGAIN_SECONDS,
    Conflict,
    Fact,
    Forbidden,
    InvalidInput,
    LimitReached,
    Misconfigured,
    NotFound,
    Refused,
    SallyportError,
    Unauthenticated,
    Unavailable,
)
from core.words import sentence_for, sentence_of

MEDIA_TYPE = "application/problem+json"
_STATUS_OF_CODE: Mapping[str, int] = {
    "malformed_body": 400,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "host_not_allowed": 421,
}
_STATUS_OF_KIND: tuple[tuple[type[SallyportError], int], ...] = (
    (InvalidInput, 422),
    (Unauthenticated, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (LimitReached, 429),
    (Refused, 400),
    (Unavailable, 503),
    (Misconfigured, 503),
)
_CODE_OF_STATUS: Mapping[int, str] = {404: "unknown_address", 405: "method_not_allowed"}


def problem_of(error: SallyportError) -> Response:
    """Return what the caller is told about ``error``; what is not meant for them is a bare 500."""
    status = _status_of(error)
    if status is None:
        return internal_problem()
    return problem(
        error.code,
        status=status,
        detail=sentence_of(error),
        facts=error.facts if isinstance(error, Refused) else {},
        headers=_headers_of(error),
    )


def internal_problem() -> Response:
    """Return the answer to a request that failed on our side: it tells nothing of the inside."""
    return problem(
        "internal_error", status=500, detail=sentence_for("request_failed", {}), facts={}
    )


async def on_error(_request: Request, error: Exception) -> Response:
    """Answer one of our own errors; anything else is for whoever runs the process."""
    if not isinstance(error, SallyportError):
        raise error
    return problem_of(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what the router says: no such address, or none with this method."""
    if not isinstance(error, HTTPException):
        raise error
    code = _CODE_OF_STATUS.get(error.status_code, "http_error")
    facts: dict[str, Fact] = {"method": request.method, "status_code": error.status_code}
    return problem(
        code,
        status=error.status_code,
        detail=sentence_for(code, facts),
        facts={},
        headers=error.headers,
    )


def problem(
    code: str,
    *,
    status: int,
    detail: str,
    facts: Mapping[str, Fact],
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem document."""
    # With the type about:blank, the title is the status's own phrase (RFC 9457 section 4.2.1).
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "facts": dict(facts),
    }
    return JSONResponse(body, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def _status_of(error: SallyportError) -> int | None:
    by_kind = (status for kind, status in _STATUS_OF_KIND if isinstance(error, kind))
    return _STATUS_OF_CODE.get(error.code) or next(by_kind, None)


def _headers_of(error: SallyportError) -> dict[str, str]:
    match error:
        case Unauthenticated(code="no_token"):
            return {"www-authenticate": "Bearer"}
        case Unauthenticated():
            return {"www-authenticate": 'Bearer error="invalid_token"'}
        case LimitReached():
            return {"retry-after": str(max(1, math.ceil(error.retry_after_seconds)))}
        case Unavailable() | Misconfigured():
            return {"retry-after": str(COME_AGAIN_SECONDS)}
        case _:
            return {}

"""Which error is which problem document: one row each."""

import json

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from api.problems import on_error, on_http_error, problem_of
from core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    LeaseLost,
    LimitReached,
    Misconfigured,
    ModelFailed,
    NotFound,
    Refused,
    SallyportError,
    ToolFailed,
    Unauthenticated,
    Unavailable,
)

REQUEST = Request({"type": "http", "method": "GET", "headers": []})


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (InvalidInput("invalid_task", limit=9), 422, {}),
        (InvalidInput("malformed_body", detail="it is odd"), 400, {}),
        (InvalidInput("body_too_large", limit=9), 413, {}),
        (InvalidInput("unsupported_media_type", wanted="x"), 415, {}),
        (InvalidInput("host_not_allowed"), 421, {}),
        (Unauthenticated("no_token"), 401, {"www-authenticate": "Bearer"}),
        (
            Unauthenticated("invalid_token"),
            401,
            {"www-authenticate": 'Bearer error="invalid_token"'},
        ),
        (Forbidden("missing_scope", scope="x"), 403, {}),
        (NotFound("not_found", noun="run"), 404, {}),
        (Conflict("wrong_digest"), 409, {}),
        (LimitReached("rate_limited", retry_after_seconds=7, tool="x"), 429, {"retry-after": "7"}),
        (LimitReached("rate_limited", retry_after_seconds=0, tool="x"), 429, {"retry-after": "1"}),
        (Refused("denied"), 400, {}),
        (Unavailable("database_unavailable"), 503, {"retry-after": "5"}),
        (Misconfigured("migration_needed"), 503, {"retry-after": "5"}),
    ],
)
def test_a_refusal_is_a_problem_with_its_status(
    error: SallyportError, status: int, headers: dict[str, str]
) -> None:
    answer = problem_of(error)
    told = json.loads(bytes(answer.body))
    assert (answer.status_code, told["status"], told["code"]) == (status, status, error.code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(told) == {"type", "title", "status", "code", "detail", "facts"}
    assert told["detail"].endswith(".")
    assert told["detail"] != f"{error.code.replace('_', ' ')}."
    found = {name: value for name, value in answer.headers.items() if name in headers}
    assert found == headers


@pytest.mark.parametrize(
    "error",
    [
        LeaseLost("lease_lost", run="secret"),
        ToolFailed("tool_error", tool="secret"),
        ModelFailed("model_failed", detail="secret"),
    ],
)
def test_what_is_not_meant_for_the_caller_tells_nothing(error: SallyportError) -> None:
    answer = problem_of(error)
    told = json.loads(bytes(answer.body))
    assert (answer.status_code, told["code"], told["facts"]) == (500, "internal_error", {})
    assert "secret" not in str(told)


def test_facts_of_our_own_trouble_stay_with_us() -> None:
    answer = problem_of(Misconfigured("migration_needed", found="0001", wanted="0002"))
    assert json.loads(bytes(answer.body))["facts"] == {}


async def test_the_routers_errors_keep_their_status_and_headers() -> None:
    error = HTTPException(status_code=405, headers={"Allow": "POST"})
    answer = await on_http_error(REQUEST, error)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    teapot = await on_http_error(REQUEST, HTTPException(status_code=418))
    assert json.loads(bytes(teapot.body))["code"] == "http_error"


async def test_an_error_that_is_not_ours_is_left_to_the_process() -> None:
    for handler in (on_error, on_http_error):
        with pytest.raises(KeyError):
            await handler(REQUEST, KeyError())

"""The REST API: every operation that there is, as routes of one ASGI application."""

from collections.abc import Mapping
from functools import cache
from itertools import groupby

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.approvals import APPROVALS
from api.auth import caller_of
from api.calls import CALLS
from api.letters import LETTERS
from api.openapi import document_of
from api.operations import JSON, Asked, Front, Operation
from api.reports import REPORTS
from api.runs import RUNS

PREFIX = "/api/v1"

OPERATIONS: tuple[Operation, ...] = (
    *RUNS,
    *CALLS,
    *APPROVALS,
    *REPORTS,
    *LETTERS,
)
"""Operations of one address stand together."""


def api_routes(front: Front) -> list[BaseRoute]:
    """Return the routes of the API; errors are left to ``api.problems``."""
    routes = [
        _route(path, {one.method: one for one in operations}, front=front)
        for path, operations in groupby(OPERATIONS, key=lambda one: one.path)
    ]
    return [*routes, _document()]


def _route(path: str, operations: Mapping[str, Operation], *, front: Front) -> BaseRoute:
    async def endpoint(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        caller = await caller_of(request, tokens=front.tokens)
        return await operations[method].answer(Asked(front=front, caller=caller, request=request))

    return Route(f"{PREFIX}{path}", endpoint, methods=list(operations))


def _document() -> BaseRoute:
    async def endpoint(_request: Request) -> Response:
        return Response(_document_text(), media_type=JSON)

    return Route(f"{PREFIX}/openapi.json", endpoint, methods=["GET"])


@cache
def _document_text() -> str:
    return document_of(OPERATIONS, prefix=PREFIX)

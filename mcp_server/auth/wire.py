"""How OAuth speaks over HTTP: forms in, JSON out, and errors in the words of the RFCs."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core.domain.authorization import ClientAuth
from core.domain.canonical import JsonObject
from core.errors import AuthorizationRefused, LimitReached, SallyportError
from core.identity.clients import Proof
from core.words import sentence_of

_LARGEST: Final = 64_000
_MOST_FIELDS: Final = 50
_FORM: Final = "application/x-www-form-urlencoded"

ANY_ORIGIN: Final = {"access-control-allow-origin": "*"}
"""Programs that run in a page may come to what no cookie opens: the Inspector is one."""


def address_of(request: Request) -> str:
    """Return the address that a request comes from, whatever its headers say."""
    return request.client.host if request.client else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """The parameters of a request, each at most once, but for those that may come again."""

    values: Mapping[str, str]
    resources: Sequence[str]

    @property
    def resource(self) -> str | None:
        """The one ``resource`` that is named, if any (RFC 8707).

        Raises:
            AuthorizationRefused: ``invalid_request``.
        """
        if len(self.resources) > 1:
            raise AuthorizationRefused("invalid_request", detail="resource is named twice")
        return self.resources[0] if self.resources else None

    def get(self, name: str) -> str | None:
        """Return a parameter; one without a value is none (RFC 6749 section 3.1)."""
        return self.values.get(name) or None

    def wanted(self, name: str) -> str:
        """Return a parameter that must be there.

        Raises:
            AuthorizationRefused: ``invalid_request``.
        """
        value = self.get(name)
        if value is None:
            raise AuthorizationRefused("invalid_request", detail=f"{name} is missing")
        return value


def parameters_of(text: str) -> Parameters:
    """Return the parameters of a query or of a form.

    Raises:
        AuthorizationRefused: ``invalid_request``: one is there twice, or there are too many.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        detail = "it has too many parameters"
        raise AuthorizationRefused("invalid_request", detail=detail) from error
    values: dict[str, str] = {}
    resources: list[str] = []
    for name, value in pairs:
        if "\0" in value:
            raise AuthorizationRefused("invalid_request", detail="it has the character NUL")
        if name == "resource":
            resources.append(value)
        elif name in values:
            raise AuthorizationRefused("invalid_request", detail="a parameter is there twice")
        else:
            values[name] = value
    return Parameters(values=values, resources=resources)


async def form_of(request: Request) -> Parameters:
    """Return the parameters of a posted form.

    Raises:
        AuthorizationRefused: ``invalid_request``.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise AuthorizationRefused("invalid_request", detail=f"its body is no {_FORM}")
    body = await body_of(request)
    try:
        return parameters_of(body.decode("ascii"))
    except UnicodeDecodeError as error:
        raise AuthorizationRefused("invalid_request", detail="its body is no form") from error


async def body_of(request: Request) -> bytes:
    """Return the body of a request, which is small.

    Raises:
        AuthorizationRefused: ``invalid_request``.
    """
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST:
            raise AuthorizationRefused("invalid_request", detail="its body is too large")
    return body


def proof_of(request: Request, *, form: Parameters) -> Proof:
    """Return how the client says who it is (RFC 6749 section 2.3); in one way only.

    Raises:
        AuthorizationRefused: ``invalid_request``, ``invalid_client``.
    """
    named, secret = form.get("client_id"), form.get("client_secret")
    given = request.headers.getlist("authorization")
    if not given:
        client_id = form.wanted("client_id")
        if secret is None:
            return Proof(client_id=client_id, auth=ClientAuth.NONE)
        return Proof(client_id=client_id, auth=ClientAuth.POST, secret=secret)
    if secret is not None or len(given) > 1:
        raise AuthorizationRefused("invalid_request", detail="it proves the client in two ways")
    scheme, _, coded = given[0].partition(" ")
    try:
        told = base64.b64decode(coded.strip(), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise AuthorizationRefused("invalid_client") from error
    client_id, colon, secret = told.partition(":")
    client_id = unquote_plus(client_id)
    if scheme.lower() != "basic" or not colon or named not in {None, client_id}:
        raise AuthorizationRefused("invalid_client")
    return Proof(client_id=client_id, auth=ClientAuth.BASIC, secret=unquote_plus(secret))


def answer(content: JsonObject, *, status: int = 200) -> Response:
    """Return a JSON answer that nobody keeps and any page may read."""
    return JSONResponse(
        content, status_code=status, headers={"cache-control": "no-store", **ANY_ORIGIN}
    )


def refusal(error: SallyportError) -> Response:
    """Return an error as RFC 6749 section 5.2 has it."""
    response = answer({"error": _code(error), "error_description": sentence_of(error)})
    match error:
        case AuthorizationRefused(code="invalid_client"):
            response.status_code = 401
            response.headers["www-authenticate"] = 'Basic realm="sallyport"'
        case AuthorizationRefused():
            response.status_code = 400
        case LimitReached():
            response.status_code = 429
            response.headers["retry-after"] = str(error.retry_after_seconds)
        case _:
            response.status_code = 503
    return response


def _code(error: SallyportError) -> str:
    match error:
        case AuthorizationRefused():
            return error.code
        case _:
            return "temporarily_unavailable"


def preflight() -> Response:
    """Return what a browser wants to hear before a page of another origin may ask."""
    return Response(
        status_code=204,
        headers={
            **ANY_ORIGIN,
            "access-control-allow-methods": "GET, POST",
            "access-control-allow-headers": "authorization, content-type, mcp-protocol-version",
            "access-control-max-age": "86400",
        },
    )

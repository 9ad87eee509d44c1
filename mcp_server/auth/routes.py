"""Every address of the authorization server, and of the documents that lead to it."""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from core.domain.canonical import JsonObject
from core.errors import SallyportError
from core.identity.authorization import Authorization
from core.identity.clients import Clients
from core.identity.delegation import Delegations
from core.identity.families import Families
from core.ports import Clock
from mcp_server.auth.metadata import (
    AUTHORIZE_PATH,
    CONSENT_PATH,
    KEYS_PATH,
    REGISTER_PATH,
    RESOURCE_METADATA_PATH,
    RESOURCE_PATH,
    REVOKE_PATH,
    SERVER_METADATA_PATH,
    TOKEN_PATH,
    resource_metadata,
    server_metadata,
)
from mcp_server.auth.pages import BrowserPages
from mcp_server.auth.sign_in import ConsentPages, SignIn
from mcp_server.auth.tokens import TokenEndpoints
from mcp_server.auth.wire import ANY_ORIGIN, preflight, refusal

_KEPT: Final = {"cache-control": "public, max-age=300", **ANY_ORIGIN}

Endpoint = Callable[[Request], Awaitable[Response]]


class Keys(Protocol):
    """Publishes what verifies our tokens."""

    async def jwks(self) -> JsonObject:
        """Return the public keys (RFC 7517)."""
        ...


def authorization_routes(
    authorization: Authorization,
    *,
    clients: Clients,
    families: Families,
    delegations: Delegations,
    keys: Keys,
    sign_in: SignIn,
    pages: ConsentPages,
    clock: Clock,
) -> list[BaseRoute]:
    """Return the routes of the authorization server whose address is its ``issuer``."""
    url = authorization.issuer
    browser = BrowserPages(authorization, sign_in=sign_in, pages=pages, clock=clock)
    endpoints = TokenEndpoints(
        clients=clients, families=families, delegations=delegations, clock=clock
    )

    async def jwks(request: Request) -> Response:
        if request.method == "OPTIONS":
            return preflight()
        try:
            return JSONResponse(await keys.jwks(), headers=_KEPT)
        except SallyportError as error:
            return refusal(error)

    resource, server = _document(resource_metadata(url)), _document(server_metadata(url))
    read, post = ["GET", "OPTIONS"], ["POST", "OPTIONS"]
    return [
        # The path of the resource behind the well-known one is the right place (RFC 9728 section
        # 3.1); clients of older revisions look without it, and for the server's document with it.
        Route(f"{RESOURCE_METADATA_PATH}{RESOURCE_PATH}", resource, methods=read),
        Route(RESOURCE_METADATA_PATH, resource, methods=read),
        Route(SERVER_METADATA_PATH, server, methods=read),
        Route(f"{SERVER_METADATA_PATH}{RESOURCE_PATH}", server, methods=read),
        Route(KEYS_PATH, jwks, methods=read),
        Route(AUTHORIZE_PATH, browser.authorize, methods=["GET"]),
        Route(CONSENT_PATH, browser.consent, methods=["GET", "POST"]),
        Route(TOKEN_PATH, endpoints.token, methods=post),
        Route(REVOKE_PATH, endpoints.revoke, methods=post),
        Route(REGISTER_PATH, endpoints.register, methods=post),
    ]


def _document(content: JsonObject) -> Endpoint:
    async def document(request: Request) -> Response:
        return preflight() if request.method == "OPTIONS" else JSONResponse(content, headers=_KEPT)

    return document

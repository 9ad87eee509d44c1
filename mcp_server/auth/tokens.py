"""Where clients come themselves: to register, for tokens, and to give them back."""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from core.domain.authorization import Client, ClientAuth, Granted
from core.domain.canonical import Json
from core.errors import AuthorizationRefused, SallyportError
from core.identity import delegation
from core.identity.attempts import Attempts
from core.identity.clients import Clients
from core.identity.delegation import Delegations
from core.identity.families import Families
from core.ports import Clock
from mcp_server.auth.exchange import exchanged
from mcp_server.auth.wire import (
    Parameters,
    address_of,
    answer,
    body_of,
    form_of,
    preflight,
    proof_of,
    refusal,
)

_REGISTRATIONS_AN_HOUR: Final = 200
_REGISTRATIONS_IN_ALL: Final = 2000
_FAILURES_A_MINUTE: Final = 60
_GRANT_TYPES: Final = frozenset({"authorization_code", "refresh_token"})

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class _Registration(BaseModel):
    """What a client says of itself (RFC 7591 section 2); what is not known here is left out."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    redirect_uris: list[str]
    client_name: str | None = None
    token_endpoint_auth_method: str | None = None
    grant_types: list[str] | None = None
    response_types: list[str] | None = None


class TokenEndpoints:
    """Registers clients, and gives, renews and revokes their tokens.

    Failures of an address are counted, in this process: a brake for whoever guesses.
    """

    def __init__(
        self, *, clients: Clients, families: Families, delegations: Delegations, clock: Clock
    ) -> None:
        """Take who knows clients, who gives tokens, and who gives tokens for tokens."""
        self._clients = clients
        self._delegations = delegations
        self._families = families
        self._clock = clock
        self._registrations = Attempts(
            most=_REGISTRATIONS_AN_HOUR, in_all=_REGISTRATIONS_IN_ALL, seconds=3600.0, clock=clock
        )
        self._failures = Attempts(most=_FAILURES_A_MINUTE, seconds=60.0, clock=clock)

    async def register(self, request: Request) -> Response:
        """Take a client in (RFC 7591 section 3)."""
        return await self._told(request, attempts=self._registrations, work=self._register)

    async def token(self, request: Request) -> Response:
        """Give tokens for a code, a refresh token (RFC 6749 section 3.2) or a token (RFC 8693)."""
        return await self._told(request, attempts=self._failures, work=self._token)

    async def revoke(self, request: Request) -> Response:
        """Take a token back (RFC 7009)."""
        return await self._told(request, attempts=self._failures, work=self._revoke)

    async def _told(
        self,
        request: Request,
        *,
        attempts: Attempts,
        work: Callable[[Request], Awaitable[Response]],
    ) -> Response:
        if request.method == "OPTIONS":
            return preflight()
        try:
            attempts.check(address_of(request))
            return await work(request)
        except SallyportError as error:
            if isinstance(error, AuthorizationRefused):
                attempts.count(address_of(request))
            _log.info("client.refused", at=request.url.path, code=error.code)
            return refusal(error)

    async def _register(self, request: Request) -> Response:
        self._registrations.count(address_of(request))
        try:
            told = _Registration.model_validate_json(await body_of(request))
            auth = ClientAuth(told.token_endpoint_auth_method or ClientAuth.BASIC)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the body"
            detail = f"{place[:60]}: {first['msg']}"
            raise AuthorizationRefused("invalid_client_metadata", detail=detail) from error
        except ValueError as error:
            detail = "its token_endpoint_auth_method is not known here"
            raise AuthorizationRefused("invalid_client_metadata", detail=detail) from error
        if "authorization_code" not in (told.grant_types or ["authorization_code"]):
            detail = "its grant_types are without authorization_code"
            raise AuthorizationRefused("invalid_client_metadata", detail=detail)
        if "code" not in (told.response_types or ["code"]):
            detail = "its response_types are without code"
            raise AuthorizationRefused("invalid_client_metadata", detail=detail)
        client, secret = await self._clients.register(
            name=told.client_name or "", redirect_uris=told.redirect_uris, auth=auth
        )
        return answer(self._registered(client, secret=secret), status=201)

    def _registered(self, client: Client, *, secret: str | None) -> dict[str, Json]:
        content: dict[str, Json] = {
            "client_id": client.id,
            "client_id_issued_at": int(self._clock.now().timestamp()),
            "client_name": client.name,
            "redirect_uris": list(client.redirect_uris),
            "token_endpoint_auth_method": client.auth.value,
            "grant_types": sorted(_GRANT_TYPES),
            "response_types": ["code"],
        }
        if secret is not None:
            # RFC 7591 section 3.2.1: zero says that it does not expire by itself.
            content |= {"client_secret": secret, "client_secret_expires_at": 0}
        return content

    async def _token(self, request: Request) -> Response:
        form = await form_of(request)
        grant_type = form.wanted("grant_type")
        proof = proof_of(request, form=form)
        client_id = await self._clients.proven(proof)
        match grant_type:
            case "authorization_code":
                granted = await self._families.redeem(
                    form.wanted("code"),
                    client_id=client_id,
                    verifier=form.wanted("code_verifier"),
                    redirect_uri=form.get("redirect_uri"),
                    resource=form.resource,
                )
            case "refresh_token":
                granted = await self._families.refresh(
                    form.wanted("refresh_token"),
                    client_id=client_id,
                    scope=form.get("scope"),
                    resource=form.resource,
                )
            case delegation.GRANT_TYPE:
                return answer(
                    await exchanged(
                        form, proof=proof, client_id=client_id, delegations=self._delegations
                    )
                )
            case _:
                raise AuthorizationRefused("unsupported_grant_type")
        return answer(_granted(granted))

    async def _revoke(self, request: Request) -> Response:
        form: Parameters = await form_of(request)
        client_id = await self._clients.proven(proof_of(request, form=form))
        await self._families.revoke(form.wanted("token"), client_id=client_id)
        return answer({})


def _granted(granted: Granted) -> dict[str, Json]:
    return {
        "access_token": granted.access_token,
        "token_type": "Bearer",
        "expires_in": granted.expires_in_seconds,
        "refresh_token": granted.refresh_token,
        "scope": " ".join(sorted(granted.scopes)),
    }

"""Token exchange at the token endpoint: a program asks for a token to act for a person."""

from typing import Final

from core.domain.authorization import ClientAuth
from core.domain.canonical import JsonObject
from core.errors import AuthorizationRefused
from core.identity.clients import Proof
from core.identity.delegation import TOKEN_TYPE, Delegations
from mcp_server.auth.wire import Parameters

_JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
# RFC 8693 section 3: an access token of ours may be called by either name.
_TYPES: Final = frozenset({TOKEN_TYPE, _JWT})


async def exchanged(
    form: Parameters, *, proof: Proof, client_id: str, delegations: Delegations
) -> JsonObject:
    """Return the answer to a request of grant type token exchange (RFC 8693 section 2.2.1).

    The client is the actor, so it must have proved which one it is: a public client cannot.

    Raises:
        AuthorizationRefused: with codes of RFC 6749 section 5.2 and RFC 8693 section 2.2.2.
    """
    if proof.auth is ClientAuth.NONE:
        raise AuthorizationRefused("invalid_client")
    _check_types(form)
    if form.get("audience") is not None:
        # RFC 8693 section 2.1: a logical name. Ours have none, only addresses.
        raise AuthorizationRefused("invalid_request", detail="name a resource, not an audience")
    scope, resource = form.get("scope"), form.resource
    delegated = await delegations.exchange(
        form.wanted("subject_token"),
        actor=client_id,
        scopes=frozenset(scope.split()) if scope is not None else None,
        audience=None if resource is None else delegations.audience_of(resource),
    )
    return {
        "access_token": delegated.token,
        "issued_token_type": TOKEN_TYPE,
        "token_type": "Bearer",
        "expires_in": delegated.expires_in_seconds,
        "scope": " ".join(sorted(delegated.scopes)),
    }


def _check_types(form: Parameters) -> None:
    if form.wanted("subject_token_type") not in _TYPES:
        detail = "subject_token_type is not that of an access token"
        raise AuthorizationRefused("invalid_request", detail=detail)
    if (form.get("requested_token_type") or TOKEN_TYPE) not in _TYPES:
        detail = "requested_token_type is not that of an access token"
        raise AuthorizationRefused("invalid_request", detail=detail)
    if form.get("actor_token") is not None or form.get("actor_token_type") is not None:
        detail = "actor_token is not taken: who acts is the client"
        raise AuthorizationRefused("invalid_request", detail=detail)

"""Access tokens of a sign-in: what they say, signed, for one resource (RFC 9068)."""

import hashlib
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from core.domain.canonical import Json, JsonObject
from core.domain.ids import PrincipalId, TenantId, TokenId
from core.domain.token import TokenRecord
from core.errors import Unauthenticated

_PARTS: Final = 3


class Signer(Protocol):
    """Signs claims, and believes its own signatures only: ``core.identity.signing.SigningKeys``."""

    async def sign(self, claims: JsonObject) -> str:
        """Return the claims as a signed JWT."""
        ...

    async def verified(self, token: str, *, issuer: str, audience: str) -> JsonObject:
        """Return the claims of a token that holds now.

        Raises:
            Unauthenticated: ``invalid_token``.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessClaims:
    """What an access token says; whether that still holds, its record tells."""

    tenant_id: TenantId
    principal_id: PrincipalId
    token_id: TokenId
    client_id: str
    session_id: str
    scopes: frozenset[str]


class AccessTokens:
    """Writes and reads access tokens of one issuer for one resource."""

    def __init__(self, signer: Signer, *, issuer: str, resource: str) -> None:
        """Take who signs, our own address, and what the tokens are for."""
        self._signer = signer
        self._issuer = issuer
        self._resource = resource

    @property
    def resource(self) -> str:
        """What the tokens are for (RFC 8707)."""
        return self._resource

    def reached_at(self, issuer: str, *, resource: str) -> None:
        """Take another address: a process that listens on any free port learns late which."""
        self._issuer = issuer
        self._resource = resource

    async def written(self, record: TokenRecord, *, client_id: str, session_id: UUID | str) -> str:
        """Return the token that ``record`` stands behind."""
        claims: dict[str, Json] = {
            "iss": self._issuer,
            "aud": self._resource,
            "sub": str(record.principal.id),
            "tenant_id": str(record.principal.tenant_id),
            "client_id": client_id,
            "scope": " ".join(sorted(record.scopes)),
            "sid": str(session_id),
            "jti": str(record.id),
            "iat": int(record.created_at.timestamp()),
            "exp": int(record.expires_at.timestamp()),
        }
        if record.actors:
            claims["act"] = _acting(record.actors)
        return await self._signer.sign(claims)

    async def read(self, token: str) -> AccessClaims:
        """Return what a token of ours says that has not expired.

        Raises:
            Unauthenticated: ``invalid_token``.
        """
        claims = await self._signer.verified(token, issuer=self._issuer, audience=self._resource)
        told = {
            name: _text(claims, name)
            for name in ("sub", "tenant_id", "jti", "client_id", "sid", "scope")
        }
        try:
            return AccessClaims(
                tenant_id=TenantId(UUID(told["tenant_id"])),
                principal_id=PrincipalId(UUID(told["sub"])),
                token_id=TokenId(UUID(told["jti"])),
                client_id=told["client_id"],
                session_id=told["sid"],
                scopes=frozenset(told["scope"].split()),
            )
        except ValueError as error:
            raise Unauthenticated("invalid_token") from error


def is_signed(token: str) -> bool:
    """Return whether ``token`` has the shape of a JWT, which no opaque token of ours has."""
    return token.count(".") == _PARTS - 1


def token_hash_of(token_id: TokenId) -> bytes:
    """Return the digest that stands in the row of a signed token: it is found by its id."""
    return hashlib.sha256(token_id.bytes).digest()


def _acting(actors: tuple[str, ...]) -> JsonObject:
    """Return who acts, each for the next (RFC 8693 section 4.1): the outermost acts now."""
    first, *rest = actors
    return {"sub": first, "act": _acting(tuple(rest))} if rest else {"sub": first}


def _text(claims: JsonObject, name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str):
        raise Unauthenticated("invalid_token")
    return value

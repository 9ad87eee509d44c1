"""What passes between a person, a client and the authorization server (OAuth 2.1)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from core.domain.ids import TenantId, TokenId
from core.domain.principal import Principal
from core.domain.sign_in import How
from core.domain.token import TokenRecord


class ClientAuth(StrEnum):
    """How a client proves who it is at the token endpoint (RFC 7591 section 2)."""

    NONE = "none"
    BASIC = "client_secret_basic"
    POST = "client_secret_post"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A program that people let act for them. ``secret_hash`` is there unless ``auth`` is none.

    ``name`` is what the client says of itself; of one known by its document, the document's host
    stands behind it.
    """

    id: str
    name: str
    redirect_uris: tuple[str, ...]
    auth: ClientAuth
    secret_hash: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """What a client asks a person for, checked; it waits for an answer until ``expires_at``.

    ``challenge`` is PKCE's, of method S256. ``asks_anew`` is true where the client wants the person
    to be asked even if they have allowed it before. ``session_hash`` is the digest of the browser
    session that was shown it, once one was.
    """

    client_id: str
    client_name: str
    redirect_uri: str
    state: str | None
    challenge: str
    resource: str
    scopes: frozenset[str]
    asks_anew: bool
    expires_at: datetime
    session_hash: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What a client redeems once for tokens, and never a second time.

    ``how`` its person had signed in is not known where it was kept by an earlier release.
    """

    principal: Principal
    client_id: str
    redirect_uri: str
    challenge: str
    resource: str
    scopes: frozenset[str]
    family_id: UUID
    how: How | None
    expires_at: datetime

    @property
    def tenant_id(self) -> TenantId:
        """Whose people's it is."""
        return self.principal.tenant_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """All tokens that one sign-in of one client has led to: they end together.

    ``scopes`` are what the person has allowed, ``how`` is as in its code.
    """

    id: UUID
    principal: Principal
    client_id: str
    resource: str
    scopes: frozenset[str]
    how: How | None
    created_at: datetime
    ends_at: datetime
    revoked_at: datetime | None = None

    @property
    def tenant_id(self) -> TenantId:
        """Whose people's it is."""
        return self.principal.tenant_id


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshToken:
    """What is kept of a refresh token: everything but the token."""

    token_hash: bytes
    family: Family
    access_token_id: TokenId
    expires_at: datetime
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What the token endpoint answers with (RFC 6749 section 5.1), in the clear, once."""

    access_token: str
    refresh_token: str
    expires_in_seconds: int
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenCode:
    """A code that somebody has presented; ``is_replay`` where it was presented before."""

    code: Code
    is_replay: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """Tokens to be kept together: a refresh token's digest, and the access token beside it."""

    family: Family
    access: TokenRecord
    access_hash: bytes
    refresh_hash: bytes
    refresh_expires_at: datetime

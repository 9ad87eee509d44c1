"""Who is at a browser, how they got there, and whose word on it a tenant takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from core.domain.ids import CredentialRef, TenantId
from core.domain.principal import Principal, Role


class How(StrEnum):
    """How somebody signed in: by a one-time link, or through the tenant's identity provider."""

    LINK = "link"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A person at a browser. ``csrf`` must come back with every form that they send."""

    principal: Principal
    session_id: str
    how: How
    csrf: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser's session as its tenant keeps it: everything but its secret."""

    id: UUID
    principal: Principal
    how: How
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTimeLink:
    """A link that signs one person in, once. ``return_to`` is one of our own paths."""

    id: UUID
    principal: Principal
    return_to: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityProvider:
    """The OpenID Connect provider whose word on its people a tenant takes.

    ``email_domains`` are the only domains that it may speak for. With ``group_roles`` (a group's
    name to a role) roles and groups are the provider's to say, at each sign-in; without, ours.
    ``trusts_email`` is for providers that never say ``email_verified`` (Entra), whose admin has
    verified the domains. ``credential`` is None for a public client. With a ``direct_audience``,
    access tokens of the provider's own open the API and MCP.
    """

    tenant_id: TenantId
    issuer: str
    client_id: str
    credential: CredentialRef | None
    email_domains: tuple[str, ...]
    group_roles: Mapping[str, Role]
    groups_claim: str = "groups"
    creates_people: bool = True
    trusts_email: bool = False
    direct_audience: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """A sign-in on its way to the provider and back, bound to one browser, taken once."""

    tenant_id: TenantId
    browser_hash: bytes
    issuer: str
    nonce: str
    verifier: str
    return_to: str
    expires_at: datetime

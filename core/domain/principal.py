"""Who acts, and for which customer."""

from dataclasses import dataclass
from enum import StrEnum

from core.domain.ids import PrincipalId, TenantId, TokenId


class Tier(StrEnum):
    """What a tenant pays for; decides default limits."""

    FREE = "free"
    PRO = "pro"
    ENTERPRISE = "enterprise"


class Role(StrEnum):
    """What a person may do: an admin may decide whatever an approver may."""

    MEMBER = "member"
    APPROVER = "approver"
    ADMIN = "admin"


class Audience(StrEnum):
    """Which front door a token opens; neither takes the other's."""

    API = "api"
    MCP = "mcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A customer organisation; every row, budget and policy belongs to one.

    ``epoch`` rises with every change of people, tokens, tools or policies of the tenant, so that a
    verdict made under an older one can be told.
    """

    id: TenantId
    name: str
    tier: Tier
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who acts: always of one tenant, with roles and groups. ``email`` is lower case."""

    id: PrincipalId
    tenant_id: TenantId
    email: str
    roles: frozenset[Role]
    groups: frozenset[str]

    @property
    def may_approve(self) -> bool:
        """Whether any question may be decided by this person at all."""
        return bool(self.roles & {Role.APPROVER, Role.ADMIN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A principal as a front door saw it: with the scopes that its token leaves, and how it came.

    ``via`` names the front door (``api``, ``mcp``, ``cli``, ``demo``, later ``slack``, ``teams``).
    ``on_behalf`` is true where the operator's command line acts ``--as`` the person.
    """

    principal: Principal
    scopes: frozenset[str]
    via: str
    on_behalf: bool = False
    token_id: TokenId | None = None

    @property
    def tenant_id(self) -> TenantId:
        """The principal's tenant: there is no other way to name one."""
        return self.principal.tenant_id


SCOPES_OF_ROLE: dict[Role, frozenset[str]] = {
    Role.MEMBER: frozenset({"tools:call", "runs:start", "runs:read", "approvals:read"}),
    Role.APPROVER: frozenset(
        {"tools:call", "runs:start", "runs:read", "approvals:read", "approvals:decide"}
    ),
    Role.ADMIN: frozenset(
        {
            "tools:call",
            "runs:start",
            "runs:read",
            "approvals:read",
            "approvals:decide",
            "audit:read",
            "tenant:admin",
        }
    ),
}
"""Scopes that a role holds; a token carries at most those of its principal's roles."""


def scopes_held(principal: Principal) -> frozenset[str]:
    """Return every scope that the principal's roles hold together."""
    return frozenset[str]().union(*(SCOPES_OF_ROLE[role] for role in principal.roles))

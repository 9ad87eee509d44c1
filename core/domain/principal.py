"""Who acts, and for which customer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from core.domain.canonical import Json, JsonObject, canonical_json
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
class Enrolled:
    """A person of a tenant as its operator sees them: disabled ones too."""

    principal: Principal
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How many browser sessions, connected clients and tokens ended with whoever was disabled.

    ``tokens`` are those from the command line and those made of them.
    """

    sessions: int
    clients: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """All that a token opens which was made for a few calls: these tools, with such arguments.

    ``arguments`` None leaves them open. How often, and for how much, is counted where it is kept.
    """

    token_id: TokenId
    tools: frozenset[str]
    arguments: JsonObject | None = None

    def covers(self, tool: str, *, arguments: JsonObject) -> bool:
        """Return whether this call is one of those: what is named must be there, and the same.

        Objects may have more keys than are named; anything else must be equal as JSON.
        """
        return tool in self.tools and (
            self.arguments is None or _is_part(self.arguments, of=arguments)
        )


def _is_part(named: Json, *, of: Json) -> bool:
    if isinstance(named, Mapping) and isinstance(of, Mapping):
        return all(key in of and _is_part(value, of=of[key]) for key, value in named.items())
    # As texts: to Python, true is 1.
    return canonical_json(named) == canonical_json(of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A principal as a front door saw it: with the scopes that its token leaves, and how it came.

    ``via`` names the front door (``api``, ``mcp``, ``cli``, ``demo``, later ``slack``, ``teams``).
    ``on_behalf`` is true where the operator's command line acts ``--as`` the person. ``actors``
    are the agents that act for the person with a delegated token, the one that calls first.
    ``epoch`` is the tenant's at the moment that the token was found good, where that is remembered.
    """

    principal: Principal
    scopes: frozenset[str]
    via: str
    on_behalf: bool = False
    token_id: TokenId | None = None
    actors: tuple[str, ...] = ()
    capability: Capability | None = None
    epoch: int | None = field(default=None, compare=False)

    def may_name(self, tool: str) -> bool:
        """Return whether the caller's token is for calls of this tool at all."""
        return self.capability is None or tool in self.capability.tools

    @property
    def actor(self) -> str:
        """Who acts, as audit and runs name them: never the person where somebody acts for them."""
        acting = (*self.actors, *(("operator",) if self.on_behalf else ()))
        email = self.principal.email
        return f"{' for '.join(acting)} on behalf of {email}" if acting else email

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

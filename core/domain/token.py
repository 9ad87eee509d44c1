"""What is kept of a bearer token: everything but the token."""

from dataclasses import dataclass
from datetime import datetime

from core.domain.ids import TokenId
from core.domain.principal import Audience, Capability, Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """A token as its tenant keeps it; ``scopes`` count as far as the person still holds them.

    ``actors`` are the agents that act for the person with a delegated token, the one that holds it
    first; ``ancestors`` the tokens that it came from, the nearest first. ``is_cut_off`` is true
    where one of those is revoked or gone: with it goes all that was made of it. ``epoch`` is the
    tenant's at the moment that it was read; one that was not read yet has none.
    """

    id: TokenId
    principal: Principal
    audience: Audience
    scopes: frozenset[str]
    expires_at: datetime
    created_at: datetime
    revoked_at: datetime | None = None
    actors: tuple[str, ...] = ()
    ancestors: tuple[TokenId, ...] = ()
    is_cut_off: bool = False
    capability: Capability | None = None
    epoch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How often a capability token may be used, and for how much: money in micro-dollars."""

    uses: int
    amount_micros: int

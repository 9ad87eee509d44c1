"""What is kept of a bearer token: everything but the token."""

from dataclasses import dataclass
from datetime import datetime

from core.domain.ids import TokenId
from core.domain.principal import Audience, Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """A token as its tenant keeps it; ``scopes`` count as far as the person still holds them."""

    id: TokenId
    principal: Principal
    audience: Audience
    scopes: frozenset[str]
    expires_at: datetime
    created_at: datetime
    revoked_at: datetime | None = None

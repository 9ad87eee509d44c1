"""Who is at a browser."""

from dataclasses import dataclass

from core.domain.principal import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A person at a browser. ``csrf`` must come back with every form that they send."""

    principal: Principal
    session_id: str
    csrf: str

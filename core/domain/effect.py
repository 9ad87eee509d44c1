"""What a tool needs to have its effect once, however often it is called."""

from dataclasses import dataclass
from datetime import datetime

from core.domain.ids import TenantId
from core.domain.principal import Principal
from core.domain.run import Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One permitted call, as the repository sees it that writes its effect down.

    ``key`` is the call's idempotency key, ``at`` the time of the call. ``lease`` is checked in the
    transaction of the effect, so that a worker that lost the run changes nothing; None for a call
    that no run drives.
    """

    tenant_id: TenantId
    principal: Principal
    key: str
    tool: str
    at: datetime
    lease: Lease | None = None

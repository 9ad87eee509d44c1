"""What has been spent and what has been done: the figures and records that people may look up."""

from dataclasses import dataclass
from datetime import datetime

from core.domain.audit_chain import KeptRecord
from core.domain.principal import Caller, Role
from core.errors import Forbidden
from core.store.audit import AuditPlace, AuditTrail
from core.store.usage import StoredUsage, UsageTotal


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From ``since`` on, before ``until``; None is without end."""

    since: datetime | None = None
    until: datetime | None = None


ALWAYS = Period()


class Reports:
    """Reads usage and audit, as far as they are the caller's to read."""

    def __init__(self, *, usage: StoredUsage, audit: AuditTrail) -> None:
        """Take where both are kept."""
        self._usage = usage
        self._audit = audit

    async def usage(self, caller: Caller, *, period: Period = ALWAYS) -> tuple[UsageTotal, ...]:
        """Return what the caller's runs and calls used, an admin's company's; costliest first."""
        if "runs:read" not in caller.scopes:
            raise Forbidden("missing_scope", scope="runs:read")
        everyone = Role.ADMIN in caller.principal.roles
        return await self._usage.totals(
            caller.tenant_id,
            requester_id=None if everyone else caller.principal.id,
            since=period.since,
            until=period.until,
        )

    async def audit(
        self,
        caller: Caller,
        *,
        before: tuple[datetime, int] | None = None,
        limit: int = 50,
        period: Period = ALWAYS,
    ) -> tuple[tuple[KeptRecord, ...], tuple[datetime, int] | None]:
        """Return the company's audit records, the newest first, and where to go on."""
        if "audit:read" not in caller.scopes:
            raise Forbidden("missing_scope", scope="audit:read")
        page = await self._audit.page(
            caller.tenant_id,
            before=AuditPlace(at=before[0], seq=before[1]) if before else None,
            limit=limit,
            since=period.since,
            until=period.until,
        )
        last = page[-1] if len(page) == limit else None
        more = (last.record.at, last.seq) if last else None
        return tuple(entry.record for entry in page), more

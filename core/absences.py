"""Being away: who decides in somebody's place, and until when."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from core.domain.audit import AuditRecord, audit_record
from core.domain.canonical import JsonObject
from core.domain.principal import Caller, Principal
from core.errors import Forbidden, InvalidInput, NotFound
from core.ports import Clock, Renew
from core.store.absences import StoredAbsences
from core.store.principals import StoredPeople

_LONGEST_DAYS: Final = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """That a person is away, and who decides in their place where they could."""

    person: Principal
    deputy: Principal
    until: datetime


class Absences:
    """Keeps one absence a person; each says so for themselves."""

    def __init__(
        self, *, absences: StoredAbsences, people: StoredPeople, clock: Clock, renew: Renew
    ) -> None:
        """Take where absences are kept, who is who, the time, and who renews callers."""
        self._absences = absences
        self._people = people
        self._clock = clock
        self._renew = renew

    async def begin(self, caller: Caller, *, deputy: str, until: datetime) -> Absence:
        """Be away until then; ``deputy``, an email, decides where the caller could.

        Raises:
            Forbidden: ``missing_scope``: whoever decides nothing needs no deputy.
            InvalidInput: ``invalid_deputy``, ``invalid_absence``.
        """
        caller = await self._now(caller)
        now = self._clock.now()
        if not now < until <= now + timedelta(days=_LONGEST_DAYS):
            raise InvalidInput("invalid_absence", days=_LONGEST_DAYS)
        try:
            named = await self._people.by_email(caller.tenant_id, email=deputy)
        except NotFound:
            named = None
        if named is None or named.id == caller.principal.id or not named.may_approve:
            raise InvalidInput("invalid_deputy", email=deputy)
        content: JsonObject = {"deputy": named.email, "until": until.isoformat()}
        await self._absences.begin(
            caller.tenant_id,
            principal_id=caller.principal.id,
            deputy_id=named.id,
            since=now,
            until=until,
            audit=self._audit(caller, action="absence.begun", content=content),
        )
        return Absence(person=caller.principal, deputy=named, until=until)

    async def end(self, caller: Caller) -> bool:
        """Be back; False where the caller was not away."""
        caller = await self._now(caller)
        return await self._absences.end(
            caller.tenant_id,
            principal_id=caller.principal.id,
            audit=self._audit(caller, action="absence.ended", content={}),
        )

    async def current(self, caller: Caller) -> Absence | None:
        """Return the caller's own absence, if they are away now."""
        found = await self._absences.of(
            caller.tenant_id, principal_id=caller.principal.id, now=self._clock.now()
        )
        if found is None:
            return None
        deputy_id, until = found
        try:
            standing = await self._people.standing(caller.tenant_id, principal_id=deputy_id)
        except NotFound:
            return None
        return Absence(person=caller.principal, deputy=standing.principal, until=until)

    async def _now(self, caller: Caller) -> Caller:
        caller = await self._renew(caller)
        if "approvals:decide" not in caller.scopes:
            raise Forbidden("missing_scope", scope="approvals:decide")
        return caller

    def _audit(self, caller: Caller, *, action: str, content: JsonObject) -> AuditRecord:
        return audit_record(
            caller.tenant_id,
            at=self._clock.now(),
            action=action,
            actor=caller.actor,
            content={"person": caller.principal.email, **content, "via": caller.via},
        )

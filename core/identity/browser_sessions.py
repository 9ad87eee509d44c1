"""Browser sessions and the links that begin them: secrets go out, only their digests are kept."""

import hashlib
import re
import secrets
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID, uuid4

from core.domain.audit import AuditRecord, audit_record
from core.domain.canonical import JsonObject
from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Principal
from core.domain.sign_in import How, OneTimeLink, Session, SignedIn
from core.errors import InvalidInput, Unauthenticated
from core.ports import Clock

SESSION_LIFE: Final = timedelta(hours=12)
LINK_LIFE: Final = timedelta(minutes=15)

_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_RANDOM_BYTES: Final = 32
_LONGEST_PATH: Final = 8192
# A second slash, or a backslash that browsers read as one, would make a host of what follows.
_OWN_PATH: Final = re.compile(r"/(?![/\\])[!-\[\]-~]*", re.ASCII)


class SessionRecords(Protocol):
    """Where sessions and links are kept, by their SHA-256."""

    async def keep_session(self, session: Session, *, secret_hash: bytes) -> None:
        """Keep a new session."""
        ...

    async def session(self, secret_hash: bytes) -> Session | None:
        """Return the session of an enabled person, whatever its tenant; ended ones too."""
        ...

    async def sessions(
        self, tenant_id: TenantId, *, now: datetime, after: UUID | None, limit: int
    ) -> tuple[Session, ...]:
        """Return the tenant's sessions that still count at ``now``, by id, behind ``after``."""
        ...

    async def revoke_session(
        self, tenant_id: TenantId, *, session_id: UUID, at: datetime
    ) -> Principal:
        """End a session and return whose it was.

        Raises:
            NotFound: ``not_found``.
        """
        ...

    async def revoke_sessions_of(
        self, tenant_id: TenantId, *, principal_id: PrincipalId, at: datetime
    ) -> int:
        """End every session of a person; return how many there were that counted."""
        ...

    async def revoke_sessions_by(self, tenant_id: TenantId, *, how: How, at: datetime) -> int:
        """End every session that was begun in this way; return how many there were."""
        ...

    async def keep_link(self, link: OneTimeLink, *, link_hash: bytes) -> None:
        """Keep a new link."""
        ...

    async def link(self, link_hash: bytes) -> OneTimeLink | None:
        """Return the link of an enabled person, whatever its tenant; used and expired ones too."""
        ...

    async def use_link(self, link: OneTimeLink, *, at: datetime) -> bool:
        """Use the link up; False where somebody was quicker, or its time is over."""
        ...


class AuditSink(Protocol):
    """Where the auditor's records go."""

    async def record(self, *records: AuditRecord) -> None:
        """Keep records of one tenant."""
        ...


class Sessions:
    """Begins and ends sessions, and says who comes with one."""

    def __init__(self, records: SessionRecords, *, audit: AuditSink, clock: Clock) -> None:
        """Take where sessions are kept, and who is told of them."""
        self._records = records
        self._audit = audit
        self._clock = clock

    async def begin(self, person: Principal, *, how: How, instead_of: str | None = None) -> str:
        """Begin a session and return its secret, a new one always; the one before it ends.

        ``instead_of`` is the secret that the browser came with, if it came with one.
        """
        now, secret = self._clock.now(), _secret()
        session = Session(
            id=uuid4(), principal=person, how=how, created_at=now, expires_at=now + SESSION_LIFE
        )
        if instead_of is not None:
            await self.end(instead_of)
        await self._records.keep_session(session, secret_hash=_hash(secret))
        content: JsonObject = {
            "how": how.value,
            "session_id": str(session.id),
            "roles": sorted(person.roles),
            "groups": sorted(person.groups),
        }
        await self._note(person, action="sign_in.succeeded", content=content)
        return secret

    async def who(self, secret: str) -> SignedIn | None:
        """Return who comes with this secret, as they stand now; None where it counts no more."""
        session = await self._counted(secret)
        if session is None:
            return None
        return SignedIn(
            principal=session.principal,
            session_id=str(session.id),
            how=session.how,
            csrf=form_token(secret),
        )

    async def end(self, secret: str) -> None:
        """End the session of this secret, if it counts."""
        session = await self._counted(secret)
        if session is not None:
            person = session.principal
            await self._records.revoke_session(
                person.tenant_id, session_id=session.id, at=self._clock.now()
            )
            await self._note(
                person, action="sign_in.ended", content={"session_id": str(session.id)}
            )

    async def page(
        self, tenant_id: TenantId, *, after: UUID | None = None, limit: int = 100
    ) -> tuple[Session, ...]:
        """Return the tenant's sessions that count now, by id, those behind ``after``."""
        return await self._records.sessions(
            tenant_id, now=self._clock.now(), after=after, limit=min(limit, 1000)
        )

    async def revoke(self, tenant_id: TenantId, *, session_id: UUID) -> Principal:
        """End a session and return whose it was. Twice is once.

        Raises:
            NotFound: ``not_found``.
        """
        return await self._records.revoke_session(
            tenant_id, session_id=session_id, at=self._clock.now()
        )

    async def revoke_all(self, person: Principal) -> int:
        """End every session of a person; return how many there were."""
        return await self._records.revoke_sessions_of(
            person.tenant_id, principal_id=person.id, at=self._clock.now()
        )

    async def revoke_of_provider(self, tenant_id: TenantId) -> int:
        """End every session that the tenant's provider vouched for; return how many there were."""
        return await self._records.revoke_sessions_by(
            tenant_id, how=How.PROVIDER, at=self._clock.now()
        )

    async def make_link(self, person: Principal, *, return_to: str) -> tuple[str, OneTimeLink]:
        """Return the secret of a new link for this person, and what is kept of it.

        Raises:
            InvalidInput: ``invalid_return_to``.
        """
        now, secret = self._clock.now(), _secret()
        link = OneTimeLink(
            id=uuid4(),
            principal=person,
            return_to=own_path(return_to),
            created_at=now,
            expires_at=now + LINK_LIFE,
        )
        await self._records.keep_link(link, link_hash=_hash(secret))
        return secret, link

    async def peek(self, secret: str) -> OneTimeLink:
        """Return the link of this secret, which stays as it is.

        Raises:
            Unauthenticated: ``link_not_valid``: unknown, used, expired, or its person is disabled.
        """
        link = await self._link(secret)
        if link is None or link.used_at is not None or link.expires_at <= self._clock.now():
            raise Unauthenticated("link_not_valid")
        return link

    async def use(self, secret: str) -> OneTimeLink:
        """Use the link of this secret up and return it.

        Raises:
            Unauthenticated: ``link_not_valid``; the auditor is told whose it was.
        """
        link = await self._link(secret)
        if link is None:
            raise Unauthenticated("link_not_valid")
        if not await self._records.use_link(link, at=self._clock.now()):
            failed: JsonObject = {"how": How.LINK.value, "code": "link_not_valid"}
            await self._note(link.principal, action="sign_in.failed", content=failed)
            raise Unauthenticated("link_not_valid")
        return link

    async def _link(self, secret: str) -> OneTimeLink | None:
        if _SECRET.fullmatch(secret) is None:
            return None
        return await self._records.link(_hash(secret))

    async def _counted(self, secret: str) -> Session | None:
        if _SECRET.fullmatch(secret) is None:
            return None
        session = await self._records.session(_hash(secret))
        if (
            session is None
            or session.revoked_at is not None
            or session.expires_at <= self._clock.now()
        ):
            return None
        return session

    async def _note(self, person: Principal, *, action: str, content: JsonObject) -> None:
        await self._audit.record(
            audit_record(
                person.tenant_id,
                at=self._clock.now(),
                action=action,
                actor=person.email,
                content=content,
            )
        )


def form_token(secret: str) -> str:
    """Return what a form must carry to have come from a page that this secret's browser got."""
    return hashlib.sha256(b"form\0" + secret.encode()).hexdigest()


def own_path(return_to: str) -> str:
    """Return ``return_to`` where it is one of our own paths, and nothing else to any browser.

    Raises:
        InvalidInput: ``invalid_return_to``.
    """
    if len(return_to) > _LONGEST_PATH or _OWN_PATH.fullmatch(return_to) is None:
        raise InvalidInput("invalid_return_to")
    return return_to


def _secret() -> str:
    return secrets.token_urlsafe(_RANDOM_BYTES)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()

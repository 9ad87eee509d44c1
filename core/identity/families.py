"""What a client holds once it was let in: access for minutes, and a refresh token that rolls on."""

import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, NoReturn, Protocol
from uuid import UUID, uuid4

import structlog

from core.domain.audit import audit_record
from core.domain.authorization import Family, Granted, Issue, RefreshToken, TakenCode
from core.domain.ids import TenantId, TokenId
from core.domain.principal import Audience, Principal, scopes_held
from core.domain.token import TokenRecord
from core.errors import AuthorizationRefused, Unauthenticated
from core.identity.access import AccessTokens, is_signed, token_hash_of
from core.identity.authorization import GRANTABLE_SCOPES, Recorder, verifies
from core.ports import Clock

ACCESS_LIFE: Final = timedelta(minutes=10)
_REFRESH_LIFE: Final = timedelta(days=30)
_FAMILY_LIFE: Final = timedelta(days=90)

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class FamilyRecords(Protocol):
    """Where codes, families and their tokens are kept, by SHA-256."""

    async def take_code(self, code_hash: bytes, *, at: datetime) -> TakenCode | None:
        """Use the code of an enabled person up, and return it.

        One that was used before ends the family that it began, or never lets it begin.
        """
        ...

    async def begin(self, issue: Issue, *, code_hash: bytes) -> bool:
        """Keep a family with its first tokens; False where its code has been replayed meanwhile."""
        ...

    async def refresh_token(self, token_hash: bytes) -> RefreshToken | None:
        """Return the refresh token of an enabled person; used, expired and revoked ones too."""
        ...

    async def roll(self, used: RefreshToken, *, issue: Issue, at: datetime) -> bool:
        """Use a refresh token up and keep what follows it; False where it was used up already."""
        ...

    async def end(self, tenant_id: TenantId, *, family_id: UUID, at: datetime) -> None:
        """Revoke a family with all its tokens. Twice is once."""
        ...

    async def end_access(self, tenant_id: TenantId, *, token_id: TokenId, at: datetime) -> None:
        """Revoke one access token. Twice is once; one that is not there is none."""
        ...

    async def touch_client(self, client_id: str, *, at: datetime) -> None:
        """Remember that the client is in use; precise to a day."""
        ...


class Families:
    """Redeems codes, rolls refresh tokens on, and ends what must end.

    A secret that comes a second time is in two hands, and nobody can tell which of them is the
    right one: all that came of the sign-in ends (RFC 9700 section 4.14).
    """

    def __init__(
        self,
        records: FamilyRecords,
        *,
        access: AccessTokens,
        recorder: Recorder,
        clock: Clock,
        resource: str,
        ended: Callable[[], None],
    ) -> None:
        """Take where tokens are kept, who writes access tokens, and what they are for.

        ``ended`` is called once anything has been revoked.
        """
        self._records = records
        self._access = access
        self._recorder = recorder
        self._clock = clock
        self._resource = resource
        self._ended = ended

    async def redeem(
        self,
        code: str,
        *,
        client_id: str,
        verifier: str,
        redirect_uri: str | None,
        resource: str | None,
    ) -> Granted:
        """Return tokens for a code. Presented wrongly, it is used up as well.

        Raises:
            AuthorizationRefused: ``invalid_grant``, ``invalid_target``.
        """
        now = self._clock.now()
        code_hash = _hash(code)
        taken = await self._records.take_code(code_hash, at=now)
        if taken is None:
            raise AuthorizationRefused("invalid_grant")
        found = taken.code
        if taken.is_replay:
            self._ended()
            await self._tell_of_reuse(
                found.principal, client_id=found.client_id, family_id=found.family_id, what="code"
            )
            raise AuthorizationRefused("invalid_grant")
        if (
            found.expires_at <= now
            or found.client_id != client_id
            or redirect_uri not in {None, found.redirect_uri}
            or not verifies(verifier, challenge=found.challenge)
        ):
            raise AuthorizationRefused("invalid_grant")
        self._check_resource(resource)
        family = Family(
            id=found.family_id,
            principal=found.principal,
            client_id=client_id,
            resource=found.resource,
            scopes=found.scopes,
            how=found.how,
            created_at=now,
            ends_at=now + _FAMILY_LIFE,
        )
        issue, refresh = self._issue(family, scopes=family.scopes)
        granted = await self._granted(issue, refresh=refresh)
        if not await self._records.begin(issue, code_hash=code_hash):
            raise AuthorizationRefused("invalid_grant")
        await self._records.touch_client(client_id, at=now)
        return granted

    async def refresh(
        self, token: str, *, client_id: str, scope: str | None, resource: str | None
    ) -> Granted:
        """Return new tokens for a refresh token, which is used up; with fewer scopes if so asked.

        Raises:
            AuthorizationRefused: ``invalid_grant``, ``invalid_scope``, ``invalid_target``.
        """
        now = self._clock.now()
        found = await self._records.refresh_token(_hash(token))
        if found is None or found.family.client_id != client_id:
            raise AuthorizationRefused("invalid_grant")
        family = found.family
        if family.revoked_at is not None:
            raise AuthorizationRefused("invalid_grant")
        if found.used_at is not None:
            await self._end_reused(family)
        if found.expires_at <= now or family.ends_at <= now or family.resource != self._resource:
            raise AuthorizationRefused("invalid_grant")
        self._check_resource(resource)
        asked = frozenset((scope or "").split()) or family.scopes
        if beyond := sorted(asked - family.scopes):
            raise AuthorizationRefused("invalid_scope", scopes=[one[:60] for one in beyond[:10]])
        issue, refresh = self._issue(family, scopes=asked)
        granted = await self._granted(issue, refresh=refresh)
        if not await self._records.roll(found, issue=issue, at=now):
            await self._end_reused(family)
        await self._records.touch_client(client_id, at=now)
        return granted

    async def revoke(self, token: str, *, client_id: str) -> None:
        """Make a token of this client worthless (RFC 7009); of a refresh token, its whole family.

        What is no token, or another client's, is left alone: the answer is the same.
        """
        now = self._clock.now()
        if is_signed(token):
            try:
                claims = await self._access.read(token)
            except Unauthenticated:
                return
            if claims.client_id == client_id:
                await self._records.end_access(claims.tenant_id, token_id=claims.token_id, at=now)
                self._ended()
            return
        found = await self._records.refresh_token(_hash(token))
        if found is None or found.family.client_id != client_id:
            return
        family = found.family
        await self._records.end(family.tenant_id, family_id=family.id, at=now)
        self._ended()
        await self._recorder.record(
            audit_record(
                family.tenant_id,
                at=now,
                action="client.signed_out",
                actor=family.principal.email,
                content={"client": client_id, "session": str(family.id)},
            )
        )

    def _check_resource(self, resource: str | None) -> None:
        # Left out, it is the one of the grant, which is ours (RFC 8707 section 2.2).
        if resource not in {None, self._resource}:
            raise AuthorizationRefused("invalid_target", resource=self._resource)

    def _issue(self, family: Family, *, scopes: frozenset[str]) -> tuple[Issue, str]:
        now = self._clock.now()
        token_id = TokenId(uuid4())
        refresh = f"spr_{secrets.token_urlsafe(32)}"
        issue = Issue(
            family=family,
            access=TokenRecord(
                id=token_id,
                principal=family.principal,
                audience=Audience.MCP,
                scopes=scopes & scopes_held(family.principal) & frozenset(GRANTABLE_SCOPES),
                expires_at=now + ACCESS_LIFE,
                created_at=now,
            ),
            access_hash=token_hash_of(token_id),
            refresh_hash=_hash(refresh),
            refresh_expires_at=min(now + _REFRESH_LIFE, family.ends_at),
        )
        return issue, refresh

    async def _granted(self, issue: Issue, *, refresh: str) -> Granted:
        token = await self._access.written(
            issue.access, client_id=issue.family.client_id, session_id=issue.family.id
        )
        return Granted(
            access_token=token,
            refresh_token=refresh,
            expires_in_seconds=int(ACCESS_LIFE.total_seconds()),
            scopes=issue.access.scopes,
        )

    async def _end_reused(self, family: Family) -> NoReturn:
        await self._records.end(family.tenant_id, family_id=family.id, at=self._clock.now())
        self._ended()
        await self._tell_of_reuse(
            family.principal,
            client_id=family.client_id,
            family_id=family.id,
            what="refresh_token",
        )
        raise AuthorizationRefused("invalid_grant")

    async def _tell_of_reuse(
        self, person: Principal, *, client_id: str, family_id: UUID, what: str
    ) -> None:
        tenant_id = person.tenant_id
        _log.warning(
            "client.token_reused",
            tenant_id=str(person.tenant_id),
            session=str(family_id),
            what=what,
        )
        await self._recorder.record(
            audit_record(
                tenant_id,
                at=self._clock.now(),
                action="client.ended_by_reuse",
                actor="system",
                content={
                    "client": client_id,
                    "person": person.email,
                    "session": str(family_id),
                    "what": what,
                },
            )
        )


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()

"""Token exchange: an agent gets a token of its own to act for a person, narrower at every hop."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from uuid import uuid4

from core.domain.audit import AuditRecord, audit_record
from core.domain.ids import TokenId
from core.domain.principal import Audience, Caller, scopes_held
from core.domain.token import TokenRecord
from core.errors import AuthorizationRefused, Unauthenticated
from core.identity.access import AccessTokens, token_hash_of
from core.identity.tokens import TokenRecords, Tokens
from core.ports import Clock

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - RFC 8693 section 3
MOST_HOPS: Final = 4
LONGEST: Final = timedelta(seconds=3600)

_ACTOR: Final = re.compile(r"[!-~]{1,500}", re.ASCII)
# People decide as themselves: an agent never does it for them.
_NEVER_DELEGATED: Final = frozenset({"approvals:decide"})


class Recorder(Protocol):
    """Keeps what the auditor is told."""

    async def record(self, *records: AuditRecord) -> None:
        """Keep records of one tenant."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegated:
    """A token that was exchanged for another, in the clear, once (RFC 8693 section 2.2.1)."""

    token: str
    scopes: frozenset[str]
    expires_in_seconds: int
    actors: tuple[str, ...]


class Delegations:
    """Exchanges tokens (RFC 8693).

    A delegated token never carries more, never lives longer than what it came from, and ends with
    it: revoking any token ends all that was made of it.
    """

    def __init__(
        self,
        tokens: Tokens,
        *,
        records: TokenRecords,
        signed: Mapping[Audience, AccessTokens],
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        """Take who knows tokens, who writes them for which front door, and what is audited."""
        self._tokens = tokens
        self._records = records
        self._signed = signed
        self._recorder = recorder
        self._clock = clock

    def audience_of(self, resource: str) -> Audience:
        """Return the front door at that address (RFC 8707).

        Raises:
            AuthorizationRefused: ``invalid_target``.
        """
        for audience, writer in self._signed.items():
            if writer.resource == resource:
                return audience
        known = ", ".join(sorted(writer.resource for writer in self._signed.values()))
        raise AuthorizationRefused("invalid_target", resource=known)

    async def exchange(
        self,
        subject_token: str,
        *,
        actor: str,
        scopes: frozenset[str] | None = None,
        audience: Audience | None = None,
        ttl: timedelta = LONGEST,
    ) -> Delegated:
        """Return a token with which ``actor`` acts for the person of ``subject_token``.

        ``actor`` is who has proved at the token endpoint to be that; ``subject_token`` in its hands
        is the person's consent. Its scopes are those that were asked for (None: all), that the
        subject's token carries, and that the person holds now; never ``approvals:decide``. It lives
        for ``ttl``, for an hour at most, and not beyond the subject's token. ``audience`` may turn
        from ``api`` to ``mcp``, never back: a model holds what is for MCP.

        Raises:
            AuthorizationRefused: ``invalid_request``, ``invalid_scope``, ``invalid_target``; with
                codes of RFC 8693 section 2.2.2.
        """
        subject, session = await self._subject(subject_token)
        audience = audience or subject.audience
        writer = self._signed[audience]
        if audience is not subject.audience and audience is not Audience.MCP:
            raise AuthorizationRefused(
                "invalid_target", resource=self._signed[subject.audience].resource
            )
        if _ACTOR.fullmatch(actor) is None:
            raise AuthorizationRefused("invalid_request", detail="the actor has no usable name")
        if len(subject.actors) >= MOST_HOPS:
            raise AuthorizationRefused("invalid_request", detail=f"{MOST_HOPS} hops are the most")
        carried = (subject.scopes & scopes_held(subject.principal)) - _NEVER_DELEGATED
        granted = carried if scopes is None else carried & scopes
        if not granted:
            asked = sorted(scopes or _NEVER_DELEGATED)[:10]
            raise AuthorizationRefused("invalid_scope", scopes=[one[:60] for one in asked])
        record = self._record(subject, actor=actor, scopes=granted, audience=audience, ttl=ttl)
        token = await writer.written(record, client_id=actor, session_id=session)
        await self._records.keep(record, token_hash=token_hash_of(record.id))
        await self._recorder.record(_told(record, session=session))
        return Delegated(
            token=token,
            scopes=granted,
            expires_in_seconds=int((record.expires_at - record.created_at).total_seconds()),
            actors=record.actors,
        )

    async def _subject(self, token: str) -> tuple[TokenRecord, str]:
        for audience in self._signed:
            try:
                subject, session = await self._tokens.presented(token, audience=audience)
            except Unauthenticated:
                continue
            if subject.capability is not None:
                detail = "a token for a few calls cannot be handed on"
                raise AuthorizationRefused("invalid_request", detail=detail)
            return subject, session
        raise AuthorizationRefused("invalid_request", detail="subject_token is not valid here")

    def _record(
        self,
        subject: TokenRecord,
        *,
        actor: str,
        scopes: frozenset[str],
        audience: Audience,
        ttl: timedelta,
    ) -> TokenRecord:
        # Whole seconds, as the token says them.
        now = datetime.fromtimestamp(int(self._clock.now().timestamp()), UTC)
        ends = datetime.fromtimestamp(int(subject.expires_at.timestamp()), UTC)
        expires_at = min(now + min(ttl, LONGEST), ends)
        if expires_at <= now:
            raise AuthorizationRefused("invalid_request", detail="no whole second is left to live")
        return TokenRecord(
            id=TokenId(uuid4()),
            principal=subject.principal,
            audience=audience,
            scopes=scopes,
            expires_at=expires_at,
            created_at=now,
            actors=(actor, *subject.actors),
            ancestors=(subject.id, *subject.ancestors),
        )


def _told(record: TokenRecord, *, session: str) -> AuditRecord:
    person = record.principal
    acting = Caller(principal=person, scopes=record.scopes, via="", actors=record.actors)
    return audit_record(
        person.tenant_id,
        at=record.created_at,
        action="token.delegated",
        actor=acting.actor,
        content={
            "token": str(record.id),
            "from": str(record.ancestors[0]),
            "session": session,
            "audience": record.audience.value,
            "scopes": sorted(record.scopes),
            "expires_at": record.expires_at.isoformat(),
        },
    )

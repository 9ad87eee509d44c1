"""Bearer tokens: whoever holds one is its person, with at most the scopes it was given."""

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import uuid4

from core.domain.canonical import JsonObject
from core.domain.ids import PrincipalId, TenantId, TokenId
from core.domain.principal import Audience, Caller, Capability, Principal, scopes_held
from core.domain.token import Allowance, TokenRecord
from core.errors import InvalidInput, Unauthenticated
from core.identity.access import AccessClaims, is_signed
from core.identity.remembered import Authenticated, Epochs, Remembered
from core.ports import Clock

_FORMAT: Final = re.compile(r"sp_(api|mcp)_[A-Za-z0-9_-]{43}", re.ASCII)
_RANDOM_BYTES: Final = 32
_LONGEST: Final = timedelta(days=366)
_LONGEST_OF_CAPABILITY: Final = timedelta(hours=1)
_MOST_USES: Final = 1000
_MOST_TOOLS: Final = 50
_MOST_MICROS: Final = 10_000_000_000
# A model holds this token: people decide elsewhere, as themselves.
_NEVER_OVER_MCP: Final = frozenset({"approvals:decide"})
_OF_CAPABILITY: Final = frozenset({"tools:call"})


class TokenRecords(Epochs, Protocol):
    """Where tokens are kept, by their SHA-256."""

    async def keep(
        self, record: TokenRecord, *, token_hash: bytes, allowance: Allowance | None = None
    ) -> None:
        """Keep a new token; one for a few calls with how much it allows."""
        ...

    async def by_hash(self, token_hash: bytes) -> TokenRecord | None:
        """Return the token of an enabled person, whatever its tenant; expired and revoked too."""
        ...

    async def by_id(self, tenant_id: TenantId, *, token_id: TokenId) -> TokenRecord | None:
        """Return the tenant's token of that id, of an enabled person; expired and revoked too."""
        ...

    async def person(self, tenant_id: TenantId, *, principal_id: PrincipalId) -> Principal | None:
        """Return the person as they are now; None where gone or disabled."""
        ...

    async def revoke(self, tenant_id: TenantId, *, token_id: TokenId, at: datetime) -> None:
        """Make the token worthless. Twice is once.

        Raises:
            NotFound: no such token in this tenant.
        """
        ...

    async def page(
        self,
        tenant_id: TenantId,
        *,
        principal_id: PrincipalId | None,
        after: TokenId | None,
        limit: int,
    ) -> tuple[TokenRecord, ...]:
        """Return the tenant's tokens, or one person's, by id, those behind ``after``.

        Of disabled people too.
        """
        ...


class SignedTokens(Protocol):
    """Reads signed tokens of one audience: ``core.identity.access.AccessTokens``."""

    async def read(self, token: str) -> AccessClaims:
        """Return what a token of ours says that has not expired.

        Raises:
            Unauthenticated: ``invalid_token``.
        """
        ...


class DirectTokens(Protocol):
    """Reads tokens of a tenant's own identity provider, where the tenant takes them."""

    async def verify(self, token: str, *, audience: Audience) -> Caller:
        """Return who comes with ``token`` to the front door of ``audience``.

        Raises:
            Unauthenticated: ``invalid_token``.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Few:
    """A few calls, before there is a token for them."""

    tools: frozenset[str]
    arguments: JsonObject | None
    allowance: Allowance

    def of(self, token_id: TokenId) -> Capability:
        return Capability(token_id=token_id, tools=self.tools, arguments=self.arguments)


class Tokens:
    """Issues tokens and says who comes with one.

    What was authenticated is remembered for seconds, and for one at most where its tenant has
    changed. Whoever meets a StaleEpoch renews the caller, so that a revoked token or a lost role
    never gets a call through on the hot path.
    """

    def __init__(
        self,
        records: TokenRecords,
        *,
        clock: Clock,
        signed: Mapping[Audience, SignedTokens] | None = None,
        direct: DirectTokens | None = None,
        remembered: int = 10_000,
    ) -> None:
        """Take where tokens are kept, who reads signed ones, and how many to remember at most."""
        self._records = records
        self._direct = direct
        self._signed = signed or {}
        self._clock = clock
        self._remembered = Remembered(records, clock=clock, most=remembered)

    async def issue(
        self,
        principal: Principal,
        *,
        audience: Audience,
        scopes: frozenset[str] | None = None,
        ttl: timedelta,
    ) -> str:
        """Return a new token, which nobody can ask for a second time.

        Without ``scopes`` it carries all that the person holds, but over MCP never
        ``approvals:decide``.

        Raises:
            InvalidInput: ``scope_not_allowed``, ``invalid_ttl``.
        """
        allowed = scopes_held(principal)
        if audience is Audience.MCP:
            allowed -= _NEVER_OVER_MCP
        if beyond := sorted((scopes or frozenset[str]()) - allowed):
            raise InvalidInput("scope_not_allowed", scopes=beyond, audience=audience.value)
        if not timedelta() < ttl <= _LONGEST:
            raise InvalidInput("invalid_ttl", longest_days=_LONGEST.days)
        return await self._issued(
            principal, audience=audience, scopes=allowed if scopes is None else scopes, ttl=ttl
        )

    async def issue_capability(
        self,
        principal: Principal,
        *,
        audience: Audience,
        tools: frozenset[str],
        arguments: JsonObject | None = None,
        allowance: Allowance,
        ttl: timedelta,
    ) -> str:
        """Return a token that opens a few calls of the person's and nothing else.

        Where ``arguments`` are given, a call must have them all, and the same. Whether the person
        may make it is for the door to say, at each one.

        Raises:
            InvalidInput: ``invalid_capability``: no tool or too many, or out of range.
        """
        if (
            not 1 <= len(tools) <= _MOST_TOOLS
            or not 1 <= allowance.uses <= _MOST_USES
            or not 0 <= allowance.amount_micros <= _MOST_MICROS
            or not timedelta() < ttl <= _LONGEST_OF_CAPABILITY
        ):
            raise InvalidInput(
                "invalid_capability",
                tools=_MOST_TOOLS,
                uses=_MOST_USES,
                dollars=_MOST_MICROS // 1_000_000,
                seconds=int(_LONGEST_OF_CAPABILITY.total_seconds()),
            )
        return await self._issued(
            principal,
            audience=audience,
            scopes=_OF_CAPABILITY,
            ttl=ttl,
            few=_Few(tools=tools, arguments=arguments, allowance=allowance),
        )

    async def _issued(
        self,
        principal: Principal,
        *,
        audience: Audience,
        scopes: frozenset[str],
        ttl: timedelta,
        few: _Few | None = None,
    ) -> str:
        token_id = TokenId(uuid4())
        token = f"sp_{audience.value}_{secrets.token_urlsafe(_RANDOM_BYTES)}"
        now = self._clock.now()
        record = TokenRecord(
            id=token_id,
            principal=principal,
            audience=audience,
            scopes=scopes,
            expires_at=now + ttl,
            created_at=now,
            capability=few.of(token_id) if few else None,
        )
        allowance = few.allowance if few else None
        await self._records.keep(record, token_hash=_hash(token), allowance=allowance)
        return token

    async def authenticate(self, token: str, *, audience: Audience) -> Caller:
        """Return who comes with ``token``, with the scopes of it that the person still holds.

        It is found by its digest, so no comparison's timing tells anything about a token.

        Raises:
            Unauthenticated: ``invalid_token``: unknown, expired, revoked, of another audience, or
                its person is disabled; which of them, nobody can tell.
        """
        token_hash = _hash(token)
        known = await self._remembered.find(token_hash)
        if known is not None:
            if known.caller.via != audience.value:
                raise Unauthenticated("invalid_token")
            return known.caller
        # Taken before the look: what changes meanwhile counts as older, never as fresher.
        at = self._clock.monotonic()
        try:
            record, _ = await self._found(token, audience=audience)
        except Unauthenticated:
            if self._direct is None or not is_signed(token):
                raise
            # None of ours. It is not remembered: there is no row to ask whether it still holds.
            return await self._direct.verify(token, audience=audience)
        caller = Caller(
            principal=record.principal,
            scopes=record.scopes & scopes_held(record.principal),
            via=audience.value,
            token_id=record.id,
            actors=record.actors,
            capability=record.capability,
            epoch=record.epoch,
        )
        known = Authenticated(
            token_id=record.id,
            caller=caller,
            expires_at=record.expires_at,
            epoch=record.epoch,
            at=at,
        )
        self._remembered.keep(token_hash, known)
        return caller

    async def presented(self, token: str, *, audience: Audience) -> tuple[TokenRecord, str]:
        """Return what is kept of ``token`` now, past everything remembered, and its session's mark.

        Raises:
            Unauthenticated: ``invalid_token``, as for ``authenticate``.
        """
        return await self._found(token, audience=audience)

    async def _found(self, token: str, *, audience: Audience) -> tuple[TokenRecord, str]:
        if is_signed(token) and audience in self._signed:
            claims = await self._signed[audience].read(token)
            record = self._counted(
                await self._records.by_id(claims.tenant_id, token_id=claims.token_id)
            )
            is_as_told = (record.principal.id, record.audience) == (claims.principal_id, audience)
            session = claims.session_id
        else:
            shape = _FORMAT.fullmatch(token)
            if shape is None or shape[1] != audience.value:
                raise Unauthenticated("invalid_token")
            record = self._counted(await self._records.by_hash(_hash(token)))
            is_as_told = record.audience is audience
            session = str(record.id)
        if not is_as_told:
            raise Unauthenticated("invalid_token")
        return record, session

    async def renew(self, caller: Caller) -> Caller:
        """Return the caller as they stand now, past everything remembered; never with more scopes.

        Raises:
            Unauthenticated: ``invalid_token``.
        """
        person, scopes, epoch = await self._now(caller)
        return replace(
            caller,
            principal=person,
            scopes=caller.scopes & scopes & scopes_held(person),
            epoch=epoch,
        )

    def forget(self, token: str) -> None:
        """Have the next sight of ``token`` looked up anew."""
        self._remembered.drop(_hash(token))

    def look_again(self) -> None:
        """Have every remembered token be checked before it opens anything: something has ended."""
        self._remembered.look_again()

    async def revoke(self, tenant_id: TenantId, *, token_id: TokenId) -> None:
        """Make a token worthless. Twice is once.

        Raises:
            NotFound: no such token in this tenant.
        """
        await self._records.revoke(tenant_id, token_id=token_id, at=self._clock.now())
        self._remembered.look_again()

    async def page(
        self,
        tenant_id: TenantId,
        *,
        principal_id: PrincipalId | None = None,
        after: TokenId | None = None,
        limit: int = 100,
    ) -> tuple[TokenRecord, ...]:
        """Return the tenant's tokens, or one person's, by id, those behind ``after``.

        1000 at most.
        """
        return await self._records.page(
            tenant_id, principal_id=principal_id, after=after, limit=min(limit, 1000)
        )

    async def _now(self, caller: Caller) -> tuple[Principal, frozenset[str], int | None]:
        """Return the person as they are now, the scopes that they came with, and the epoch."""
        if caller.token_id is not None:
            self._remembered.drop_token(caller.token_id)
            at = self._clock.monotonic()
            record = self._counted(
                await self._records.by_id(caller.tenant_id, token_id=caller.token_id)
            )
            self._remembered.saw(caller.tenant_id, epoch=record.epoch, at=at)
            return record.principal, record.scopes, record.epoch
        person = await self._records.person(caller.tenant_id, principal_id=caller.principal.id)
        if person is None:
            raise Unauthenticated("invalid_token")
        return person, caller.scopes, None

    def _counted(self, record: TokenRecord | None) -> TokenRecord:
        """Return ``record`` if it opens a door now."""
        if (
            record is None
            or record.revoked_at is not None
            or record.is_cut_off
            or record.expires_at <= self._clock.now()
        ):
            raise Unauthenticated("invalid_token")
        return record


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

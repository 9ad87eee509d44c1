"""Opaque bearer tokens: whoever holds one is its person, with at most the scopes it was given."""

import hashlib
import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import uuid4

from core.domain.ids import PrincipalId, TenantId, TokenId
from core.domain.principal import Audience, Caller, Principal, scopes_held
from core.domain.token import TokenRecord
from core.errors import InvalidInput, Unauthenticated
from core.ports import Clock

_FORMAT: Final = re.compile(r"sp_(api|mcp)_[A-Za-z0-9_-]{43}", re.ASCII)
_RANDOM_BYTES: Final = 32
_LONGEST: Final = timedelta(days=366)
_FRESH_SECONDS: Final = 5.0
# A model holds this token: people decide elsewhere, as themselves.
_NEVER_OVER_MCP: Final = frozenset({"approvals:decide"})


class TokenRecords(Protocol):
    """Where tokens are kept, by their SHA-256."""

    async def keep(self, record: TokenRecord, *, token_hash: bytes) -> None:
        """Keep a new token."""
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
        self, tenant_id: TenantId, *, after: TokenId | None, limit: int
    ) -> tuple[TokenRecord, ...]:
        """Return the tenant's tokens by id, those behind ``after``; of disabled people too."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Authenticated:
    token_id: TokenId
    caller: Caller
    expires_at: datetime
    at: float


class Tokens:
    """Issues tokens and says who comes with one.

    What was authenticated is remembered for seconds; whoever meets a StaleEpoch renews the caller,
    so that a revoked token or a lost role never gets a call through on the hot path.
    """

    def __init__(self, records: TokenRecords, *, clock: Clock, remembered: int = 10_000) -> None:
        """Take where tokens are kept, and how many to remember at most."""
        self._records = records
        self._clock = clock
        self._most = remembered
        self._remembered: OrderedDict[bytes, _Authenticated] = OrderedDict()
        self._hashes: dict[TokenId, bytes] = {}

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
        token = f"sp_{audience.value}_{secrets.token_urlsafe(_RANDOM_BYTES)}"
        now = self._clock.now()
        record = TokenRecord(
            id=TokenId(uuid4()),
            principal=principal,
            audience=audience,
            scopes=allowed if scopes is None else scopes,
            expires_at=now + ttl,
            created_at=now,
        )
        await self._records.keep(record, token_hash=_hash(token))
        return token

    async def authenticate(self, token: str, *, audience: Audience) -> Caller:
        """Return who comes with ``token``, with the scopes of it that the person still holds.

        It is found by its digest, so no comparison's timing tells anything about a token.

        Raises:
            Unauthenticated: ``invalid_token``: unknown, expired, revoked, of another audience, or
                its person is disabled; which of them, nobody can tell.
        """
        shape = _FORMAT.fullmatch(token)
        if shape is None or shape[1] != audience.value:
            raise Unauthenticated("invalid_token")
        token_hash = _hash(token)
        known = self._remembered.get(token_hash)
        if known is not None and self._is_fresh(known):
            self._remembered.move_to_end(token_hash)
            return known.caller
        self._drop(token_hash)
        # Taken before the look: what changes meanwhile counts as older, never as fresher.
        at = self._clock.monotonic()
        record = self._counted(await self._records.by_hash(token_hash))
        if record.audience is not audience:
            raise Unauthenticated("invalid_token")
        caller = Caller(
            principal=record.principal,
            scopes=record.scopes & scopes_held(record.principal),
            via=audience.value,
            token_id=record.id,
        )
        known = _Authenticated(
            token_id=record.id, caller=caller, expires_at=record.expires_at, at=at
        )
        self._remember(token_hash, known)
        return caller

    async def renew(self, caller: Caller) -> Caller:
        """Return the caller as they stand now, past everything remembered; never with more scopes.

        Raises:
            Unauthenticated: ``invalid_token``.
        """
        person, scopes = await self._now(caller)
        return replace(
            caller, principal=person, scopes=caller.scopes & scopes & scopes_held(person)
        )

    def forget(self, token: str) -> None:
        """Have the next sight of ``token`` looked up anew."""
        self._drop(_hash(token))

    async def revoke(self, tenant_id: TenantId, *, token_id: TokenId) -> None:
        """Make a token worthless. Twice is once.

        Raises:
            NotFound: no such token in this tenant.
        """
        await self._records.revoke(tenant_id, token_id=token_id, at=self._clock.now())
        self._drop(self._hashes.get(token_id))

    async def page(
        self, tenant_id: TenantId, *, after: TokenId | None = None, limit: int = 100
    ) -> tuple[TokenRecord, ...]:
        """Return the tenant's tokens by id, those behind ``after``; 1000 at most."""
        return await self._records.page(tenant_id, after=after, limit=min(limit, 1000))

    def _is_fresh(self, known: _Authenticated) -> bool:
        return (
            self._clock.monotonic() - known.at <= _FRESH_SECONDS
            and known.expires_at > self._clock.now()
        )

    async def _now(self, caller: Caller) -> tuple[Principal, frozenset[str]]:
        """Return the person as they are now, and the scopes that they came with."""
        if caller.token_id is not None:
            self._drop(self._hashes.get(caller.token_id))
            record = self._counted(
                await self._records.by_id(caller.tenant_id, token_id=caller.token_id)
            )
            return record.principal, record.scopes
        person = await self._records.person(caller.tenant_id, principal_id=caller.principal.id)
        if person is None:
            raise Unauthenticated("invalid_token")
        return person, caller.scopes

    def _counted(self, record: TokenRecord | None) -> TokenRecord:
        """Return ``record`` if it opens a door now."""
        if (
            record is None
            or record.revoked_at is not None
            or record.expires_at <= self._clock.now()
        ):
            raise Unauthenticated("invalid_token")
        return record

    def _remember(self, token_hash: bytes, known: _Authenticated) -> None:
        self._remembered[token_hash] = known
        self._hashes[known.token_id] = token_hash
        while len(self._remembered) > self._most:
            self._drop(next(iter(self._remembered)))

    def _drop(self, token_hash: bytes | None) -> None:
        known = self._remembered.pop(token_hash, None) if token_hash else None
        if known is not None:
            self._hashes.pop(known.token_id, None)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

"""What people let the agent do as themselves: a token of each upstream server, for each of them."""

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, cast

from core.domain.account import Account
from core.domain.canonical import canonical_json
from core.domain.ids import CredentialRef, PrincipalId, TenantId
from core.domain.principal import Principal
from core.errors import Forbidden, NotFound
from core.identity.entra import EntraExchange, Granted
from core.ports import Clock

_NAME: Final = "sallyport/entra/{}"
# A call that has just begun is to end with the token that it began with.
_SPARE: Final = timedelta(minutes=5)


class Sealed(Protocol):
    """Where tokens are kept: the vault, under names that are no tool's."""

    async def put(
        self,
        tenant_id: TenantId,
        *,
        name: str,
        secret: str,
        owner: PrincipalId | None = None,
        expires_at: datetime | None = None,
    ) -> CredentialRef:
        """Keep a credential, in place of one so named."""
        ...

    async def reveal_own(self, tenant_id: TenantId, *, name: str, owner: PrincipalId) -> str:
        """Return a person's secret of that name.

        Raises:
            NotFound: ``credential_missing``.
        """
        ...

    async def remove(
        self, tenant_id: TenantId, *, name: str, owner: PrincipalId | None = None
    ) -> None:
        """Forget a credential.

        Raises:
            NotFound: ``credential_missing``.
        """
        ...


class Links(Protocol):
    """Whose accounts are."""

    async def person(self, tenant_id: TenantId, *, account: Account) -> Principal | None:
        """Return whose the account is, as they stand now; None where nobody's who is enabled."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What is sealed: a token, what it is of, and the account in Teams by which it was given."""

    account: Account
    scope: str
    granted: Granted

    def as_secret(self) -> str:
        return canonical_json(
            {
                "workspace": self.account.workspace,
                "user": self.account.user,
                "scope": self.scope,
                "access_token": self.granted.access_token,
                "refresh_token": self.granted.refresh_token,
                "expires_at": self.granted.expires_at.isoformat(),
            }
        )

    @classmethod
    def of_secret(cls, secret: str) -> "_Kept":
        told = cast("dict[str, str]", json.loads(secret))
        return cls(
            account=Account(surface="teams", workspace=told["workspace"], user=told["user"]),
            scope=told["scope"],
            granted=Granted(
                access_token=told["access_token"],
                refresh_token=told["refresh_token"],
                expires_at=datetime.fromisoformat(told["expires_at"]),
            ),
        )


class OnBehalfOf:
    """Tokens of people, got for the one that Teams gives its tab, and renewed while they are used.

    One counts for as long as the account is theirs by which it was given, and they are enabled:
    looked at with each use, whatever is still kept.
    """

    def __init__(
        self, exchange: EntraExchange | None, *, sealed: Sealed, links: Links, clock: Clock
    ) -> None:
        """Take who exchanges tokens; None where the server is no app that could."""
        self._exchange = exchange
        self._sealed = sealed
        self._links = links
        self._clock = clock

    async def begin(
        self, person: Principal, *, account: Account, assertion: str, upstream: str, scope: str
    ) -> None:
        """Keep a token of ``scope`` that Entra gives for the one that the person has shown.

        Raises:
            Forbidden: ``acting_ended``, ``acting_consent_needed``, ``acting_refused``,
                ``acting_not_set_up``.
            Unavailable: ``provider_unavailable``.
        """
        exchange = self._on(upstream)
        granted = await exchange.exchanged(
            assertion, tenant=account.workspace, scope=scope, upstream=upstream
        )
        kept = _Kept(account=account, scope=scope, granted=granted)
        await self._keep(person.tenant_id, person=person.id, upstream=upstream, kept=kept)

    async def is_begun(
        self, tenant_id: TenantId, *, person: PrincipalId, upstream: str, scope: str
    ) -> bool:
        """Return whether the agent may act as somebody there, as far as we know."""
        try:
            await self._good(tenant_id, person=person, upstream=upstream, scope=scope)
        except Forbidden:
            return False
        return True

    async def end(self, tenant_id: TenantId, *, person: PrincipalId, upstream: str) -> None:
        """Forget somebody's token; none is as good."""
        with suppress(NotFound):
            await self._sealed.remove(tenant_id, name=_NAME.format(upstream), owner=person)

    async def token(
        self, tenant_id: TenantId, *, person: PrincipalId, upstream: str, scope: str
    ) -> str:
        """Return somebody's token, good for minutes; never another's.

        Raises:
            Forbidden: ``acting_ended``: they have to let the agent in the tab, or once more;
                ``acting_consent_needed``, ``acting_refused``, ``acting_not_set_up``.
            Unavailable: ``provider_unavailable``.
            Misconfigured: what is kept cannot be opened.
        """
        kept = await self._good(tenant_id, person=person, upstream=upstream, scope=scope)
        granted = kept.granted
        if granted.expires_at - self._clock.now() > _SPARE:
            return granted.access_token
        if not granted.refresh_token:
            raise Forbidden("acting_ended", upstream=upstream)
        newer = await self._on(upstream).renewed(
            granted.refresh_token, tenant=kept.account.workspace, scope=scope, upstream=upstream
        )
        if not newer.refresh_token:
            newer = Granted(
                access_token=newer.access_token,
                refresh_token=granted.refresh_token,
                expires_at=newer.expires_at,
            )
        renewed = _Kept(account=kept.account, scope=scope, granted=newer)
        await self._keep(tenant_id, person=person, upstream=upstream, kept=renewed)
        return newer.access_token

    async def _good(
        self, tenant_id: TenantId, *, person: PrincipalId, upstream: str, scope: str
    ) -> _Kept:
        try:
            secret = await self._sealed.reveal_own(
                tenant_id, name=_NAME.format(upstream), owner=person
            )
        except NotFound as error:
            raise Forbidden("acting_ended", upstream=upstream) from error
        kept = _Kept.of_secret(secret)
        owner = await self._links.person(tenant_id, account=kept.account)
        if owner is None or owner.id != person:
            # Kept by a renewal that was under way when the account was taken away.
            await self.end(tenant_id, person=person, upstream=upstream)
            raise Forbidden("acting_ended", upstream=upstream)
        if kept.scope != scope:
            raise Forbidden("acting_ended", upstream=upstream)
        return kept

    async def _keep(
        self, tenant_id: TenantId, *, person: PrincipalId, upstream: str, kept: _Kept
    ) -> None:
        name = _NAME.format(upstream)
        await self._sealed.put(tenant_id, name=name, secret=kept.as_secret(), owner=person)

    def _on(self, upstream: str) -> EntraExchange:
        if self._exchange is None:
            raise Forbidden("acting_not_set_up", upstream=upstream)
        return self._exchange

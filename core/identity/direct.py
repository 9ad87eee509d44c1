"""Access tokens of a tenant's own identity provider, where the tenant takes them as they are."""

from collections.abc import Mapping
from typing import Final, Protocol, cast

from jwt import PyJWT
from jwt.exceptions import PyJWTError

from core.domain.canonical import JsonObject
from core.domain.ids import TenantId
from core.domain.principal import SCOPES_OF_ROLE, Audience, Caller, Principal, scopes_held
from core.domain.sign_in import IdentityProvider
from core.errors import Refused, Unauthenticated
from core.identity.accounts import email_of
from core.identity.oidc import OpenId, texts

# No token of another's making decides: people do that on a page, as themselves.
_NEVER_DIRECT: Final = frozenset({"approvals:decide"})
_OURS: Final = frozenset[str]().union(*SCOPES_OF_ROLE.values())
_LONGEST_TOKEN: Final = 8_192
_MOST_AUDIENCES: Final = 5


class Issuers(Protocol):
    """Which tenant takes tokens of an issuer's own."""

    async def tenant_of_issuer(self, issuer: str, *, audience: str) -> TenantId | None:
        """Return the tenant that takes tokens of this issuer, made for this audience."""
        ...


class DirectAccounts(Protocol):
    """Where providers are kept, and which account there is whom here."""

    async def provider(self, tenant_id: TenantId) -> IdentityProvider | None:
        """Return the tenant's provider, if it has one."""
        ...

    async def person_of_account(
        self, tenant_id: TenantId, *, issuer: str, subject: str
    ) -> Principal | None:
        """Return whom an account is linked to; None where it is linked to nobody.

        Raises:
            NotFound: ``person_disabled``.
        """
        ...

    async def person_of_email(self, tenant_id: TenantId, *, email: str) -> Principal | None:
        """Return who has that email; None where nobody has.

        Raises:
            NotFound: ``person_disabled``.
        """
        ...


class DirectTokens:
    """Says who comes with a JWT that a tenant's provider has made for us.

    Nobody is created and no role is changed by one: that is for sign-in.
    """

    def __init__(self, *, openid: OpenId, issuers: Issuers, accounts: DirectAccounts) -> None:
        """Take who verifies, and where everything is kept."""
        self._openid = openid
        self._issuers = issuers
        self._accounts = accounts
        self._unverified = PyJWT()

    async def verify(self, token: str, *, audience: Audience) -> Caller:
        """Return who comes with ``token`` to the front door of ``audience``.

        They hold what their roles hold, less where the token names scopes of ours, and never
        ``approvals:decide``.

        Raises:
            Unauthenticated: ``invalid_token``, whatever is wrong about it.
            Unavailable: ``provider_unavailable``, ``database_unavailable``.
        """
        provider, wanted = await self._provider(token)
        try:
            claims = await self._openid.verified(token, issuer=provider.issuer, audience=wanted)
            person = await self._person(claims, provider=provider)
        except Refused as error:
            raise Unauthenticated("invalid_token") from error
        held = scopes_held(person) - _NEVER_DIRECT
        named = _scopes(claims) & _OURS
        return Caller(principal=person, scopes=held & named if named else held, via=audience.value)

    async def _provider(self, token: str) -> tuple[IdentityProvider, str]:
        """Return whose token it claims to be: nothing of that is believed yet."""
        if len(token) > _LONGEST_TOKEN:
            raise Unauthenticated("invalid_token")
        try:
            # Only to find out whom to ask: the very same bytes are verified afterwards.
            told = self._unverified.decode(token, options={"verify_signature": False})
        except (PyJWTError, ValueError) as error:
            raise Unauthenticated("invalid_token") from error
        claims = cast("JsonObject", told)
        issuer = claims.get("iss")
        if isinstance(issuer, str):
            for wanted in texts(claims.get("aud"))[:_MOST_AUDIENCES]:
                tenant_id = await self._issuers.tenant_of_issuer(issuer, audience=wanted)
                provider = await self._accounts.provider(tenant_id) if tenant_id else None
                if provider and (provider.issuer, provider.direct_audience) == (issuer, wanted):
                    return provider, wanted
        raise Unauthenticated("invalid_token")

    async def _person(self, claims: JsonObject, *, provider: IdentityProvider) -> Principal:
        person = await self._accounts.person_of_account(
            provider.tenant_id, issuer=provider.issuer, subject=str(claims["sub"])
        )
        if person is None:
            # The subject of an access token is not always that of the ID token (Entra).
            email = email_of(claims, provider=provider)
            person = await self._accounts.person_of_email(provider.tenant_id, email=email)
        if person is None:
            raise Unauthenticated("invalid_token")
        return person


def _scopes(claims: Mapping[str, object]) -> frozenset[str]:
    """Return the scopes of RFC 9068 section 2.2.3, or as Entra (``scp``) and Okta write them."""
    told = cast("JsonObject", claims)
    return frozenset(
        scope for key in ("scope", "scp") for text in texts(told.get(key)) for scope in text.split()
    )

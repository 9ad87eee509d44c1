"""Sign-in through a tenant's own identity provider: whom it may speak for, and as what."""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol
from urllib.parse import urlencode
from uuid import UUID

from core.domain.audit import audit_record
from core.domain.canonical import JsonObject
from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Principal, Role
from core.domain.sign_in import How, IdentityProvider, RoundTrip
from core.errors import Forbidden, NotFound, Refused, SallyportError, Unauthenticated
from core.identity.accounts import Account, account_of
from core.identity.browser_sessions import AuditSink, own_path
from core.identity.oidc import Client, Configuration, OpenId, texts
from core.ports import Clock
from core.vault import Vault

_TRIP_LIFE: Final = timedelta(minutes=10)
_RANDOM_BYTES: Final = 32
_STATE: Final = re.compile(r"([0-9a-f]{32})\.[A-Za-z0-9_-]{43}", re.ASCII)
_ERROR: Final = re.compile(r"[a-z_]{1,64}", re.ASCII)


class Providers(Protocol):
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

    async def link_account(self, person: Principal, *, issuer: str, subject: str) -> None:
        """Link an account to a person for good.

        Raises:
            Conflict: ``identity_mismatch``: the person has another account of this provider.
        """
        ...

    async def set_standing(
        self,
        tenant_id: TenantId,
        *,
        principal_id: PrincipalId,
        roles: frozenset[Role],
        groups: frozenset[str],
    ) -> None:
        """Give the person these roles and groups; verdicts made before are stale from now on."""
        ...


class NewPeople(Protocol):
    """Where people are created."""

    async def create_principal(
        self, tenant_id: TenantId, *, email: str, roles: list[Role], groups: list[str]
    ) -> Principal:
        """Create a person of the tenant.

        Raises:
            Conflict: ``principal_exists``.
        """
        ...


class RoundTrips(Protocol):
    """Where sign-ins are kept that are on their way."""

    async def keep_round_trip(self, trip: RoundTrip, *, state_hash: bytes, now: datetime) -> None:
        """Keep a sign-in that leaves for the provider."""
        ...

    async def take_round_trip(
        self, tenant_id: TenantId, *, state_hash: bytes, browser_hash: bytes, now: datetime
    ) -> RoundTrip | None:
        """Return the sign-in that left from this very browser and forget it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What the browser brings back from the provider; each as it was told, believed by nobody."""

    state: str
    code: str
    issuer: str
    error: str


class Federation:
    """The relying party: authorization code flow with state, nonce and PKCE."""

    def __init__(
        self,
        *,
        openid: OpenId,
        providers: Providers,
        people: NewPeople,
        trips: RoundTrips,
        vault: Vault,
        audit: AuditSink,
        clock: Clock,
    ) -> None:
        """Take who asks providers, and where everything is kept."""
        self._openid = openid
        self._providers = providers
        self._people = people
        self._trips = trips
        self._vault = vault
        self._audit = audit
        self._clock = clock

    async def begin(
        self,
        provider: IdentityProvider,
        *,
        browser: str,
        redirect_uri: str,
        return_to: str,
        login_hint: str = "",
    ) -> str:
        """Return where at the provider to send the browser that holds the secret ``browser``.

        Raises:
            InvalidInput: ``invalid_return_to``.
            Unavailable, Forbidden: see ``OpenId``.
        """
        configuration = await self._openid.configuration(provider.issuer)
        now = self._clock.now()
        state = f"{provider.tenant_id.hex}.{secrets.token_urlsafe(_RANDOM_BYTES)}"
        trip = RoundTrip(
            tenant_id=provider.tenant_id,
            browser_hash=_hash(browser),
            issuer=provider.issuer,
            nonce=secrets.token_urlsafe(_RANDOM_BYTES),
            verifier=secrets.token_urlsafe(_RANDOM_BYTES),
            return_to=own_path(return_to),
            expires_at=now + _TRIP_LIFE,
        )
        await self._trips.keep_round_trip(trip, state_hash=_hash(state), now=now)
        asked = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(_scopes(provider, configuration)),
            "state": state,
            "nonce": trip.nonce,
            "code_challenge": _challenge(trip.verifier),
            "code_challenge_method": "S256",
        }
        if login_hint:
            asked["login_hint"] = login_hint
        endpoint = configuration.authorization_endpoint
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    async def finish(
        self, arrival: Arrival, *, browser: str, redirect_uri: str
    ) -> tuple[Principal, str]:
        """Return who has signed in, as they stand from now on, and where they were going.

        A state counts once, in the browser that it was given to. What fails after that is told to
        the auditor of the tenant.

        Raises:
            Unauthenticated: ``sign_in_expired``: no such sign-in of this browser is under way.
            Refused, Unavailable: why the provider's word does not count.
        """
        shape = _STATE.fullmatch(arrival.state)
        if shape is None:
            raise Unauthenticated("sign_in_expired")
        tenant_id = TenantId(UUID(shape[1]))
        trip = await self._trips.take_round_trip(
            tenant_id,
            state_hash=_hash(arrival.state),
            browser_hash=_hash(browser),
            now=self._clock.now(),
        )
        if trip is None:
            raise Unauthenticated("sign_in_expired")
        try:
            person = await self._arrived(arrival, trip=trip, redirect_uri=redirect_uri)
        except SallyportError as error:
            failed = {"how": How.PROVIDER.value, "code": error.code, **_told(error)}
            await self._note(tenant_id, action="sign_in.failed", actor="system", content=failed)
            raise
        return person, trip.return_to

    async def _arrived(self, arrival: Arrival, *, trip: RoundTrip, redirect_uri: str) -> Principal:
        provider = await self._providers.provider(trip.tenant_id)
        if provider is None or provider.issuer != trip.issuer:
            raise Unauthenticated("sign_in_expired")
        # RFC 9207: a code from another provider must not be taken to this one.
        if arrival.issuer and arrival.issuer != provider.issuer:
            raise Forbidden("provider_refused", detail="its answer names another issuer")
        if arrival.error or not arrival.code:
            named = arrival.error if _ERROR.fullmatch(arrival.error) else "no code"
            raise Forbidden("provider_refused", detail=named.replace("_", " "))
        configuration = await self._openid.configuration(provider.issuer)
        claims = await self._claims(
            provider, configuration, arrival=arrival, trip=trip, redirect_uri=redirect_uri
        )
        account = account_of(claims, provider=provider)
        return await self._person(account, provider=provider)

    async def _claims(
        self,
        provider: IdentityProvider,
        configuration: Configuration,
        *,
        arrival: Arrival,
        trip: RoundTrip,
        redirect_uri: str,
    ) -> JsonObject:
        """Exchange the code and return what the ID token says, and the user info beside it."""
        secret = None
        if provider.credential is not None:
            secret = await self._vault.reveal(trip.tenant_id, ref=provider.credential)
        given = await self._openid.exchange(
            configuration,
            client=Client(id=provider.client_id, secret=secret),
            form={
                "grant_type": "authorization_code",
                "code": arrival.code,
                "redirect_uri": redirect_uri,
                "code_verifier": trip.verifier,
            },
        )
        token, access_token = given.get("id_token"), given.get("access_token")
        if not isinstance(token, str):
            raise Forbidden("provider_refused", detail="it gives no ID token")
        claims = await self._openid.verified(
            token, issuer=provider.issuer, audience=provider.client_id
        )
        self._openid.check_fresh(claims)
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not secrets.compare_digest(
            nonce.encode(), trip.nonce.encode()
        ):
            raise Forbidden("provider_refused", detail="its token is of another sign-in")
        # OpenID Connect Core 1.0 section 3.1.3.7.
        party = claims.get("azp")
        if party not in {None, provider.client_id} or (
            party is None and len(texts(claims.get("aud"))) > 1
        ):
            raise Forbidden("provider_refused", detail="its token is for another client")
        lacking = "email" not in claims or (
            provider.group_roles and provider.groups_claim not in claims
        )
        if lacking and isinstance(access_token, str):
            more = await self._openid.userinfo(configuration, access_token=access_token)
            # Core section 5.3.2: one that is about somebody else must not be used.
            if more and more.get("sub") != claims["sub"]:
                raise Forbidden("provider_refused", detail="its user info is somebody else's")
            claims = {**more, **claims}
        return claims

    async def _person(self, account: Account, *, provider: IdentityProvider) -> Principal:
        """Return the person of an account, created where that is wanted, with roles as told now."""
        tenant_id = provider.tenant_id
        person = await self._providers.person_of_account(
            tenant_id, issuer=account.issuer, subject=account.subject
        )
        if person is None:
            person = await self._providers.person_of_email(tenant_id, email=account.email)
            if person is None:
                person = await self._create(account, provider=provider)
            await self._providers.link_account(
                person, issuer=account.issuer, subject=account.subject
            )
        return await self._as_told(person, account=account, provider=provider)

    async def _create(self, account: Account, *, provider: IdentityProvider) -> Principal:
        if not provider.creates_people:
            raise NotFound("person_unknown", email=account.email)
        person = await self._people.create_principal(
            provider.tenant_id, email=account.email, roles=[Role.MEMBER], groups=[]
        )
        content: JsonObject = {"email": person.email, "roles": sorted(person.roles), "groups": []}
        await self._note(
            provider.tenant_id, action="principal.created", actor="system", content=content
        )
        return person

    async def _as_told(
        self, person: Principal, *, account: Account, provider: IdentityProvider
    ) -> Principal:
        """Return the person with what their groups are worth, where the provider says so."""
        if not provider.group_roles:
            return person
        roles = frozenset(
            {Role.MEMBER}
            | {role for group, role in provider.group_roles.items() if group in account.groups}
        )
        if (roles, account.groups) == (person.roles, person.groups):
            return person
        await self._providers.set_standing(
            person.tenant_id, principal_id=person.id, roles=roles, groups=account.groups
        )
        content: JsonObject = {
            "email": person.email,
            "roles": sorted(roles),
            "groups": sorted(account.groups),
            "roles_before": sorted(person.roles),
            "groups_before": sorted(person.groups),
        }
        await self._note(
            person.tenant_id, action="principal.changed", actor="system", content=content
        )
        return Principal(
            id=person.id,
            tenant_id=person.tenant_id,
            email=person.email,
            roles=roles,
            groups=account.groups,
        )

    async def _note(
        self, tenant_id: TenantId, *, action: str, actor: str, content: JsonObject
    ) -> None:
        await self._audit.record(
            audit_record(
                tenant_id, at=self._clock.now(), action=action, actor=actor, content=content
            )
        )


def _scopes(provider: IdentityProvider, configuration: Configuration) -> tuple[str, ...]:
    wanted = ("openid", "email", "profile")
    if provider.group_roles and "groups" in configuration.scopes:
        return (*wanted, "groups")
    return wanted


def _told(error: SallyportError) -> dict[str, str]:
    return {
        key: str(value)
        for key, value in error.facts.items()
        if isinstance(error, Refused) and value
    }


def _challenge(verifier: str) -> str:
    """Return the S256 challenge (RFC 7636 section 4.2)."""
    return base64.urlsafe_b64encode(_hash(verifier)).rstrip(b"=").decode()


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()

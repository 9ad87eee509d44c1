"""Teams through Microsoft's newer SDK: its token validator, its API client.

Of the SDK's application, its HTTP server and its plugins nothing is used. Without the extra
``teams-sdk`` importing this raises Misconfigured ``teams_sdk_missing``.
"""

import asyncio
import functools
import logging
import ssl
import warnings
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final, Self
from urllib.parse import quote

from jwt import PyJWK, PyJWKClient
from jwt.exceptions import PyJWTError

from bots.teams.bearer import Proof, proof_of
from bots.teams.presented import LEEWAY_SECONDS, Presented, not_signed, presented, service_of
from bots.teams.registration import Addresses, Anonymous, Registration
from bots.teams.signing_keys import SigningKeys
from bots.teams.wire import (
    Reference,
    WireRefused,
    WireUnreachable,
    answered,
    is_nobody,
    member_of,
    new_personal,
    refusal,
)
from core.domain.canonical import JsonObject
from core.errors import Misconfigured
from core.ports import Clock

try:
    with warnings.catch_warnings():
        # It warns of its own previews, none of which is used, while it is imported.
        warnings.simplefilter("ignore")
        import httpx
        from microsoft_teams.api import TypingActivityInput
        from microsoft_teams.api.auth import cloud_environment
        from microsoft_teams.api.auth.cloud_environment import CloudEnvironment
        from microsoft_teams.api.auth.credentials import ManagedIdentityCredentials
        from microsoft_teams.api.clients.conversation import (
            ConversationClient,
            CreateConversationParams,
        )
        from microsoft_teams.apps.auth.token_validator import JwtValidationOptions, TokenValidator
        from microsoft_teams.apps.token_manager import TokenManager
        from microsoft_teams.common import Client, ClientOptions
except ModuleNotFoundError as error:
    raise Misconfigured(
        "teams_sdk_missing", package="microsoft-teams-apps", adapter="teams-sdk"
    ) from error

from pydantic import model_serializer

_SECONDS: Final = 15.0
_CONNECTIONS: Final = 50
_MOST_SERVICES: Final = 100
_UNAUTHORIZED: Final = 401
_NO_ID: Final = "DO_NOT_USE_PLACEHOLDER_ID"


class TeamsSdkWire:
    """The port to Teams on microsoft-teams-apps. Open within ``async with``."""

    def __init__(self, registration: Registration, *, clock: Clock) -> None:
        """Take who we are at Microsoft."""
        # As errors it logs what is wrong with a token, and the addresses in it.
        logging.getLogger("microsoft_teams").setLevel(logging.CRITICAL)
        addresses, egress = registration.addresses, registration.egress()
        self._registration = registration
        self._keys = SigningKeys(
            addresses.openid_metadata, issuer=addresses.issuer, egress=egress, clock=clock
        )
        identity = _Identity(registration)
        self._proof = proof_of(registration, identity=identity, egress=egress, clock=clock)
        self._client = _client(self._proof)
        self._services: OrderedDict[str, ConversationClient] = OrderedDict()

    async def __aenter__(self) -> Self:
        """Open the pool of connections."""
        await self._client.http.__aenter__()
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close it."""
        await self._client.http.aclose()

    async def parse(self, activity: JsonObject, *, authorization: str | None) -> None:
        """Check that Teams has sent an activity; see the port."""
        registration = self._registration
        if isinstance(registration.credentials, Anonymous):
            service_of(activity, registration=registration)
            return
        found = await presented(
            authorization, activity=activity, registration=registration, keys=self._keys
        )
        try:
            await _Validator(registration, found).validate_token(found.token)
        except PyJWTError as error:
            raise not_signed("its token is not valid") from error

    async def send(self, to: Reference, activity: JsonObject) -> str:
        """Send an activity; see the port."""
        service = self._service(to.service_url)
        with self._refusals():
            sent = await service.create_activity(_quoted(to.conversation), _verbatim(activity))
        return "" if sent.id == _NO_ID else sent.id

    async def update(self, to: Reference, *, message: str, activity: JsonObject) -> None:
        """Put an activity in the place of a message of ours."""
        service = self._service(to.service_url)
        with self._refusals():
            await service.update_activity(
                _quoted(to.conversation), _quoted(message), _verbatim(activity)
            )

    async def create(self, *, service_url: str, tenant: str, user: str) -> str:
        """Return the personal conversation with a user."""
        wanted = CreateConversationParams.model_validate(new_personal(tenant=tenant, user=user))
        service = self._service(service_url)
        with self._refusals():
            made = await service.create(wanted)
        return made.id

    async def member(self, to: Reference, *, user: str) -> JsonObject | None:
        """Return what Teams says of a member."""
        service = self._service(to.service_url)
        try:
            with self._refusals():
                found = await service.get_member_by_id(_quoted(to.roster), _quoted(user))
        except WireRefused as error:
            if is_nobody(error):
                return None
            raise
        return member_of(found.model_dump(by_alias=True, exclude_none=True))

    def _service(self, service_url: str) -> ConversationClient:
        url = self._registration.service_at(service_url)
        service = self._services.get(url)
        if service is None:
            service = self._services[url] = ConversationClient(url, self._client)
            if len(self._services) > _MOST_SERVICES:
                self._services.popitem(last=False)
        self._services.move_to_end(url)
        return service

    @contextmanager
    def _refusals(self) -> Generator[None]:
        """Raise what the HTTP client says in the port's words."""
        with answered():
            try:
                yield
            except httpx.HTTPStatusError as error:
                answer, asked = error.response, error.request
                if answer.status_code == _UNAUTHORIZED:
                    shown = asked.headers.get("authorization", "").removeprefix("Bearer ")
                    self._proof.forget(shown)
                raise refusal(
                    status=answer.status_code,
                    retry_after=answer.headers.get("retry-after"),
                    body=answer.content,
                ) from error


class _Validator(TokenValidator):
    """The SDK's validator, on a key that ours has found; its own fetches keys while all wait."""

    def __init__(self, registration: Registration, found: Presented) -> None:
        addresses = registration.addresses
        super().__init__(
            JwtValidationOptions(
                valid_issuers=[addresses.issuer],
                # Its own factory would let audiences by that are no app id.
                valid_audiences=[registration.app_id],
                jwks_uri=addresses.openid_metadata,
                clock_tolerance=LEEWAY_SECONDS,
            )
        )
        self._jwks_client = _KnownKey(addresses.openid_metadata, jwk=found.key.jwk)


class _KnownKey(PyJWKClient):
    """One key, whichever is asked for."""

    def __init__(self, uri: str, *, jwk: PyJWK) -> None:
        super().__init__(uri)
        self._jwk = jwk

    def get_signing_key(self, kid: str) -> PyJWK:  # noqa: ARG002 - the library's signature
        return self._jwk


class _Identity:
    """What an Azure machine has by itself, asked of it by the SDK."""

    def __init__(self, registration: Registration) -> None:
        credentials = ManagedIdentityCredentials(client_id=registration.app_id)
        self._tokens = TokenManager(credentials, _cloud(registration.addresses))
        self._lock = asyncio.Lock()

    async def token(self) -> str | None:
        """Return a token; the SDK's library keeps it until it is nearly over."""
        async with self._lock:
            try:
                found = await self._tokens.get_bot_token()
            except ValueError as error:
                raise WireRefused(status=_UNAUTHORIZED, code="identity_refused") from error
            except Exception as error:
                # The library lets through whatever its HTTP client, and its caches, raise.
                raise WireUnreachable from error
        return None if found is None else str(found)

    def forget(self, token: str | None) -> None:
        """Leave it to the library, which takes no such word."""


class _Verbatim(TypingActivityInput):
    """An activity that is sent as it is: the SDK's own have defaults, and lose what is null.

    What it is an activity of matters to nothing but the SDK's spans.
    """

    as_it_is: dict[str, Any]  # Any: JSON

    @model_serializer
    def _dumped(self) -> dict[str, Any]:
        return self.as_it_is


def _verbatim(activity: JsonObject) -> _Verbatim:
    return _Verbatim(as_it_is=dict(activity))


def _client(proof: Proof) -> Client:
    """Return the SDK's HTTP client on a pool without redirections, and without proxies."""
    log = logging.getLogger("httpx")
    level = log.level
    client = Client(ClientOptions(token=proof.token))
    # It opens that log for all of the process, where each request is written down.
    log.setLevel(level)
    client.http = httpx.AsyncClient(
        verify=_trusted(),
        timeout=_SECONDS,
        limits=httpx.Limits(max_connections=_CONNECTIONS),
        trust_env=False,
        follow_redirects=False,
    )
    return client


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Return whose certificates are believed; to read them takes twenty milliseconds."""
    return httpx.create_ssl_context(trust_env=False)


def _cloud(addresses: Addresses) -> CloudEnvironment:
    return cloud_environment.with_overrides(
        cloud_environment.PUBLIC,
        login_endpoint=addresses.login,
        login_tenant=addresses.login_tenant,
        bot_scope=addresses.scope,
        openid_metadata_url=addresses.openid_metadata,
        token_issuer=addresses.issuer,
    )


def _quoted(name: str) -> str:
    """Return a name as one segment of a path, which the SDK does not see to."""
    return quote(name, safe="")

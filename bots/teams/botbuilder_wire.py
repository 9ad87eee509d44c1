"""Teams through the Bot Framework SDK: its token validation, its adapter, its connector client.

Microsoft has ended the SDK's support. What it leaves to libraries that block (keys, tokens, HTTP
itself) is ours here, put in where it takes such parts.
"""

# pyright: reportMissingTypeStubs=false
# The SDK ships no types; what it returns is cast where it comes in.

import asyncio
import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol, Self, cast

import httpx2
from botbuilder.core import CloudAdapterBase, TurnContext
from botbuilder.schema import (
    Activity,
    ConversationAccount,
    ConversationParameters,
)
from botframework.connector.aio import ConnectorClient
from botframework.connector.auth import (
    BotFrameworkAuthenticationFactory,
    JwtTokenExtractor,
    ManagedIdentityAppCredentials,
    MicrosoftAppCredentials,
    PasswordServiceClientCredentialFactory,
)
from botframework.connector.bot_framework_sdk_client_async import (
    BotFrameworkConnectorConfiguration,
)
from msrest.pipeline import AsyncHTTPPolicy, AsyncHTTPSender, AsyncPipeline, Request, Response
from msrest.pipeline.universal import RawDeserializer
from msrest.universal_http import AsyncClientResponse, ClientRequest

from bots.teams.bearer import Proof, proof_of
from bots.teams.presented import CHANNEL, not_signed, presented, service_of
from bots.teams.registration import Anonymous, Registration
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
from core.errors import SallyportError
from core.ports import Clock

_SECONDS: Final = 15.0
_CONNECTIONS: Final = 50
_MOST_SERVICES: Final = 100
_SUCCESS: Final = range(200, 300)
_UNAUTHORIZED: Final = 401
_AS_IT_IS: Final = {"additional_properties": {"key": "", "type": "{object}"}}

_Anything = Any  # Any: the SDK's own hints


class _Made(Protocol):
    """A conversation as the SDK returns it."""

    id: str


class _Told(Protocol):
    """An answer of the SDK's, with what it was made of."""

    response: httpx2.Response


class _Conversations(Protocol):
    """The SDK's operations that its adapter has no way to."""

    async def create_conversation(self, parameters: ConversationParameters) -> _Made: ...

    async def get_conversation_member(
        self, conversation_id: str, member_id: str, *, raw: bool
    ) -> _Told: ...


class BotBuilderWire:
    """The port to Teams on botbuilder-core. Open within ``async with``."""

    def __init__(self, registration: Registration, *, clock: Clock) -> None:
        """Take who we are at Microsoft."""
        addresses, egress = registration.addresses, registration.egress()
        self._registration = registration
        self._keys = SigningKeys(
            addresses.openid_metadata, issuer=addresses.issuer, egress=egress, clock=clock
        )
        self._http = egress.client(read_seconds=_SECONDS, connections=_CONNECTIONS)
        identity = _Identity(registration)
        proof = proof_of(registration, identity=identity, egress=egress, clock=clock)
        self._connectors = _Connectors(registration, proof=proof, http=self._http)
        self._adapter = _Adapter(registration, keys=self._keys)

    async def __aenter__(self) -> Self:
        """Open the pool of connections."""
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close it."""
        await self._http.aclose()

    async def parse(self, activity: JsonObject, *, authorization: str | None) -> None:
        """Check that Teams has sent an activity; see the port."""
        if isinstance(self._registration.credentials, Anonymous):
            service_of(activity, registration=self._registration)
            return
        found = await presented(
            authorization, activity=activity, registration=self._registration, keys=self._keys
        )
        await self._adapter.authenticate(found.token)

    async def send(self, to: Reference, activity: JsonObject) -> str:
        """Send an activity; see the port."""
        turn = self._turn(to)
        with answered():
            sent = await self._adapter.send_activities(turn, [_Verbatim(activity, to=to)])
        return str(sent[0].id or "")

    async def update(self, to: Reference, *, message: str, activity: JsonObject) -> None:
        """Put an activity in the place of a message of ours."""
        turn = self._turn(to)
        with answered():
            await self._adapter.update_activity(turn, _Verbatim(activity, to=to, message=message))

    async def create(self, *, service_url: str, tenant: str, user: str) -> str:
        """Return the personal conversation with a user."""
        wanted = _VerbatimParameters(new_personal(tenant=tenant, user=user))
        with answered():
            made = await self._conversations(service_url).create_conversation(wanted)
            if not made.id:
                raise WireUnreachable
            return made.id

    async def member(self, to: Reference, *, user: str) -> JsonObject | None:
        """Return what Teams says of a member."""
        conversations = self._conversations(to.service_url)
        try:
            with answered():
                found = await conversations.get_conversation_member(to.roster, user, raw=True)
                # Its model of a member lacks most of what Teams tells.
                return member_of(cast("JsonObject", json.loads(found.response.content)))
        except WireRefused as error:
            if is_nobody(error):
                return None
            raise

    def _conversations(self, service_url: str) -> _Conversations:
        return cast("_Conversations", self._connectors.at(service_url).conversations)

    def _turn(self, to: Reference) -> TurnContext:
        turn = TurnContext(self._adapter, Activity())
        turn.turn_state[CloudAdapterBase.BOT_CONNECTOR_CLIENT_KEY] = self._connectors.at(
            to.service_url
        )
        return turn


class _Adapter(CloudAdapterBase):
    """The SDK's adapter with the SDK's validation, on keys that ours have fetched."""

    def __init__(self, registration: Registration, *, keys: SigningKeys) -> None:
        addresses = registration.addresses
        # It looks here before it would fetch keys, while the event loop waits.
        known = cast("dict[str, _KeySet]", JwtTokenExtractor.metadataCache)  # pyright: ignore[reportUnknownMemberType] - a bare dict
        known[addresses.openid_metadata] = _KeySet(keys)
        super().__init__(
            BotFrameworkAuthenticationFactory.create(
                to_channel_from_bot_login_url=addresses.login,
                to_channel_from_bot_oauth_scope=addresses.scope,
                to_bot_from_channel_token_issuer=addresses.issuer,
                to_bot_from_channel_open_id_metadata_url=addresses.openid_metadata,
                to_bot_from_emulator_open_id_metadata_url=addresses.openid_metadata,
                oauth_url="",
                credential_factory=PasswordServiceClientCredentialFactory(registration.app_id),
            )
        )

    async def authenticate(self, token: str) -> None:
        """Check signature, times, issuer and audience.

        Raises:
            Unauthenticated: ``teams_not_signed``.
        """
        # Where it answers is compared with the token before: here an activity without is let by.
        asked = Activity(channel_id=CHANNEL)
        try:
            await self.bot_framework_authentication.authenticate_request(asked, f"Bearer {token}")
        except Exception as error:
            # It raises PermissionError, PyJWT's errors, and Exception itself.
            raise not_signed("its token is not valid") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """A key as the SDK looks into it."""

    public_key: object
    endorsements: list[str]


class _KeySet:
    """Keys as the SDK asks for them."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys

    async def get(self, key_id: str) -> _Key:
        found = await self._keys.find(key_id)
        if found is None:
            raise not_signed("its key is gone")
        return _Key(public_key=found.jwk.key, endorsements=sorted(found.endorsements))


class _Identity:
    """What an Azure machine has by itself, asked of it by the SDK in a thread."""

    def __init__(self, registration: Registration) -> None:
        scope = registration.addresses.scope.removesuffix("/.default")
        self._credentials = ManagedIdentityAppCredentials(registration.app_id, scope)
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """Return a token; the SDK's library keeps it until it is nearly over."""
        async with self._lock:
            try:
                return str(await asyncio.to_thread(self._credentials.get_access_token))
            except KeyError as error:
                raise WireRefused(status=_UNAUTHORIZED, code="identity_refused") from error
            except Exception as error:
                # The library lets through whatever its HTTP client, and its caches, raise.
                raise WireUnreachable from error

    def forget(self, token: str | None) -> None:
        """Leave it to the library, which takes no such word."""


class _Connectors:
    """The SDK's clients, one for each service, on one pool of connections."""

    def __init__(
        self, registration: Registration, *, proof: Proof, http: httpx2.AsyncClient
    ) -> None:
        self._registration = registration
        self._proof = proof
        self._sender = _Sender(http)
        self._known: OrderedDict[str, ConnectorClient] = OrderedDict()

    def at(self, service_url: str) -> ConnectorClient:
        """Return the client of a service; raises WireRefused where it is not Microsoft's."""
        url = self._registration.service_at(service_url)
        client = self._known.get(url)
        if client is None:
            client = self._known[url] = self._made(url)
            if len(self._known) > _MOST_SERVICES:
                self._known.popitem(last=False)
        self._known.move_to_end(url)
        return client

    def _made(self, url: str) -> ConnectorClient:
        # Its own pipeline follows redirections, tries again by itself, and blocks a thread a call.
        nobody = MicrosoftAppCredentials.empty()
        configuration = BotFrameworkConnectorConfiguration(nobody, url)
        configuration.custom_pipeline = AsyncPipeline(
            [configuration.user_agent_policy, _Shown(self._proof), RawDeserializer()], self._sender
        )
        return ConnectorClient(nobody, custom_configuration=configuration)


class _Shown(AsyncHTTPPolicy[_Anything, _Anything]):
    """Shows our token with each request."""

    def __init__(self, proof: Proof) -> None:
        super().__init__()
        self._proof = proof

    async def send(self, request: Request[_Anything], **config: _Anything) -> _Anything:
        token = await self._proof.token()
        if token is not None:
            request.http_request.headers["Authorization"] = f"Bearer {token}"
        try:
            following = cast("AsyncHTTPPolicy[_Anything, _Anything]", self.next)
            return await following.send(request, **config)  # pyright: ignore[reportUnknownMemberType] - bare Request in its hints
        except WireRefused as error:
            if error.status == _UNAUTHORIZED:
                self._proof.forget(token)
            raise


class _Sender(AsyncHTTPSender[_Anything, _Anything]):
    """Sends a request once; an answer that is no success is raised."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def __aexit__(self, *_error: object) -> None:
        """Leave the pool open: it is the wire's."""

    async def send(self, request: Request[ClientRequest], **_config: object) -> Response[Any, Any]:
        asked = request.http_request
        try:
            answer = await self._http.request(
                asked.method,
                asked.url,
                headers=dict(asked.headers),
                content=cast("str | None", asked.data),  # pyright: ignore[reportUnknownMemberType] - JSON
            )
        except (httpx2.HTTPError, httpx2.InvalidURL, SallyportError) as error:
            raise WireUnreachable from error
        if answer.status_code not in _SUCCESS:
            raise refusal(
                status=answer.status_code,
                retry_after=answer.headers.get("retry-after"),
                body=answer.content,
            )
        return Response(request, _Answer(asked, answer))


class _Answer(AsyncClientResponse):
    """An answer as the SDK reads it."""

    def __init__(self, request: ClientRequest, answer: httpx2.Response) -> None:
        super().__init__(request, answer)
        self.status_code = answer.status_code
        self.headers = dict(answer.headers)
        self.reason = answer.reason_phrase
        self._content = answer.content

    def body(self) -> bytes:
        return self._content


class _Verbatim(Activity):
    """An activity that is sent as it is: the SDK's own drops every field that it does not know."""

    _attribute_map: ClassVar = _AS_IT_IS

    def __init__(self, activity: JsonObject, *, to: Reference, message: str | None = None) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - it has no hints
            type=activity.get("type"), conversation=ConversationAccount(id=to.conversation)
        )
        self.additional_properties = {**activity}
        self.id = message


class _VerbatimParameters(ConversationParameters):
    """What to create a conversation with, sent as it is: the SDK's own writes ``tenantID``."""

    _attribute_map: ClassVar = _AS_IT_IS

    def __init__(self, wanted: JsonObject) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType] - it has no hints
        self.additional_properties = {**wanted}

"""The port to Teams, kept by both adapters: what may come in, what goes out, what a no means."""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bots.teams.registration import (
    Anonymous,
    ManagedIdentity,
    MultiTenant,
    Registration,
    SingleTenant,
)
from bots.teams.wire import Reference, Wire, WireRefused, WireUnreachable
from core.domain.canonical import JsonObject
from core.errors import Unauthenticated, Unavailable
from tests.builders import SteadyClock
from tests.oidc_provider import new_key
from tests.slack.mishaps import Where
from tests.teams.connector import Connector, serving
from tests.teams.conversations import ALICE, GENERAL
from tests.teams.login import (
    APP_ID,
    PASSWORD,
    SCOPE,
    TENANT,
    Key,
    Login,
    signing_in,
)

pytestmark = pytest.mark.together("teams")

Json = dict[str, Any]  # Any: what Teams takes and gives
Adapter = Callable[..., AbstractAsyncContextManager[Wire]]

SDKS = ("botbuilder", "botframework", "msrest", "msal", "microsoft_teams", "httpx", "fastapi")
MESSAGE: JsonObject = {"type": "message", "text": "hello"}


@dataclass(slots=True, kw_only=True)
class Peer:
    """Teams and Microsoft's sign-in, with the wires of one adapter to them."""

    adapter: Adapter
    login: Login
    connector: Connector
    clock: SteadyClock
    stack: AsyncExitStack

    async def wire(self, registration: Registration | None = None) -> Wire:
        made = self.adapter(registration or self.login.registration(), clock=self.clock)
        return await self.stack.enter_async_context(made)

    @property
    def activity(self) -> JsonObject:
        """What Teams says when somebody writes, as far as a wire looks into it."""
        return {
            "type": "message",
            "channelId": "msteams",
            "serviceUrl": self.connector.service_url,
            "conversation": {"id": GENERAL},
        }

    def claims(self, **changed: object) -> Json:
        """Return a good token's claims with some changed; those that are None are left out."""
        whole = self.login.claims(self.connector.service_url) | changed
        return {name: value for name, value in whole.items() if value is not None}

    def to(self, conversation: str = GENERAL, *, service_url: str | None = None) -> Reference:
        return Reference(
            service_url=service_url or self.connector.service_url,
            conversation=conversation,
            tenant=TENANT,
        )

    @property
    def personal(self) -> str:
        return self.connector.teams.personal(ALICE).id


@pytest.fixture(params=["botbuilder", "teams-sdk"])
def adapter(request: pytest.FixtureRequest) -> Adapter:
    # Each SDK takes a second to import: only a worker that asks it pays for that.
    if request.param == "teams-sdk":
        from bots.teams.teams_sdk_wire import TeamsSdkWire  # noqa: PLC0415

        return TeamsSdkWire
    from bots.teams.botbuilder_wire import BotBuilderWire  # noqa: PLC0415

    return BotBuilderWire


@pytest.fixture
async def peer(adapter: Adapter, clock: SteadyClock) -> AsyncGenerator[Peer]:
    async with AsyncExitStack() as stack:
        login = await stack.enter_async_context(signing_in())
        connector = await stack.enter_async_context(serving(Connector(login)))
        yield Peer(adapter=adapter, login=login, connector=connector, clock=clock, stack=stack)


async def refused(peer: Peer, authorization: str | None, activity: JsonObject | None = None) -> str:
    """Return why an activity was refused."""
    wire = await peer.wire()
    with pytest.raises(Unauthenticated) as caught:
        await wire.parse(activity or peer.activity, authorization=authorization)
    assert caught.value.code == "teams_not_signed"
    return str(caught.value.facts["detail"])


# what comes in


async def test_a_token_longer_than_any_is_refused(peer: Peer) -> None:
    assert (
        await refused(peer, peer.login.signed(peer.claims(more="x" * 16_000))) == "it has no token"
    )


async def test_what_teams_has_signed_passes(peer: Peer) -> None:
    wire = await peer.wire()
    await wire.parse(peer.activity, authorization=peer.login.signed(peer.claims()))


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer x.y.z",
        "Bearer x",
        "Basic eDp5",
        "Bearer e30.e30.e30",
        "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6Im9uZSJ9.W10.e30",
        "Bearer \u00e9.\u00e9.\u00e9",
    ],
)
async def test_what_is_no_token_is_refused(peer: Peer, authorization: str | None) -> None:
    await refused(peer, authorization)


async def test_the_scheme_is_written_once_and_with_one_space(peer: Peer) -> None:
    token = peer.login.signed(peer.claims())
    await refused(peer, token.removeprefix("Bearer "))
    await refused(peer, token.replace(" ", "  "))
    await refused(peer, f"{token}, {token}")


@pytest.mark.parametrize("seconds", [-301, -86_400])
async def test_an_expired_token_is_refused(peer: Peer, seconds: int) -> None:
    now = int(time.time())
    await refused(peer, peer.login.signed(peer.claims(exp=now + seconds, nbf=now - 90_000)))


async def test_a_token_of_later_is_refused(peer: Peer) -> None:
    await refused(peer, peer.login.signed(peer.claims(nbf=int(time.time()) + 330)))


async def test_clocks_may_be_five_minutes_apart(peer: Peer) -> None:
    wire, now = await peer.wire(), int(time.time())
    early = peer.claims(nbf=now + 270)
    late = peer.claims(nbf=now - 3600, exp=now - 270)
    for claims in (early, late):
        await wire.parse(peer.activity, authorization=peer.login.signed(claims))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aud", "another-app"),
        ("aud", f"api://{APP_ID}"),
        ("aud", [APP_ID]),
        ("aud", None),
        ("iss", "https://api.botframework.us"),
        ("iss", None),
        # Tokens that we send out ourselves are of these: whoever gets one must not be Teams to us.
        ("iss", "https://sts.windows.net/d6d49420-f39b-4df7-a1dc-d59a935871db/"),
        ("iss", "https://sts.windows.net/f8cdef31-a31e-4b4a-93e4-5f571e91255a/"),
        ("iss", f"https://login.microsoftonline.com/{TENANT}/v2.0"),
        ("exp", None),
        ("exp", "soon"),
        ("nbf", None),
        ("nbf", "then"),
        ("serviceurl", None),
        ("serviceurl", "https://smba.trafficmanager.net/emea/"),
        ("serviceurl", 1),
    ],
)
async def test_a_token_that_says_something_else_is_refused(
    peer: Peer, name: str, value: object
) -> None:
    claims = peer.claims(ver="1.0", appid=APP_ID) | {name: value}
    claims = {key: told for key, told in claims.items() if told is not None}
    await refused(peer, peer.login.signed(claims))


@pytest.mark.parametrize(
    "service_url",
    [
        "https://evil.example/",
        "https://smba.trafficmanager.net.evil.example/",
        "https://evil.trafficmanager.net/amer/",
        "https://evilbotframework.com/",
        "https://smba.trafficmanager.net@evil.example/",
        "https://evil@smba.trafficmanager.net/amer/",
        "https://smba.trafficmanager.net:8443/amer/",
        "https://smba.trafficmanager.net/amer/?x=",
        "https://smba.trafficmanager.net/{amer}/",
        "http://smba.trafficmanager.net/amer/",
        "ftp://127.0.0.1/",
        "https://[::1/",
        "https://smba.trafficmanager.net/amer/\n",
        " https://smba.trafficmanager.net/amer/",
        "https://smba.traffic\tmanager.net/amer/",
        "https://a\x01b.botframework.com/",
        "https://evil.example\\.botframework.com/",
        "https://evil.example%2f.botframework.com/",
        "https://\u212a.botframework.com/",
        "",
        None,
        7,
    ],
)
async def test_a_service_that_is_not_microsofts_is_refused_even_when_signed(
    peer: Peer, service_url: object
) -> None:
    activity = {**peer.activity, "serviceUrl": service_url}
    token = peer.login.signed(peer.claims(serviceurl=service_url))
    assert await refused(peer, token, activity) == "its service is not Microsoft's"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "service_url",
    [
        "https://smba.trafficmanager.net/amer/",
        "https://smba.trafficmanager.net/teams/72f988bf-86f1-41af-91ab-2d7cd011db47/",
        "https://smba.infra.gov.teams.microsoft.us/gov/",
        "https://smba.infra.gcc.teams.microsoft.com/teams",
        "https://europe.api.botframework.com",
    ],
)
async def test_microsofts_services_pass(peer: Peer, service_url: str) -> None:
    wire = await peer.wire(replace(peer.login.registration(), allows_loopback=True))
    token = peer.login.signed(peer.claims(serviceurl=service_url))
    await wire.parse({**peer.activity, "serviceUrl": service_url}, authorization=token)


@pytest.mark.parametrize("channel", ["webchat", "directline", "emulator", "", None])
async def test_another_channel_of_the_same_bot_is_refused(peer: Peer, channel: str | None) -> None:
    activity = {**peer.activity, "channelId": channel}
    await refused(peer, peer.login.signed(peer.claims()), activity)


async def test_an_unsigned_token_is_refused(peer: Peer) -> None:
    await refused(peer, peer.login.signed(peer.claims(), algorithm="none"))


async def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(peer: Peer) -> None:
    public = peer.login.keys["one"].private.public_key()
    secret = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, claims = (
        base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=")
        for one in ({"alg": "HS256", "kid": "one"}, peer.claims())
    )
    # By hand: the library would not sign with such a key.
    signature = hmac.new(secret, head + b"." + claims, hashlib.sha256).digest()
    signed = base64.urlsafe_b64encode(signature).rstrip(b"=")
    await refused(peer, f"Bearer {b'.'.join((head, claims, signed)).decode()}")


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
async def test_only_rs256_counts(peer: Peer, algorithm: str) -> None:
    await refused(peer, peer.login.signed(peer.claims(), algorithm=algorithm))


async def test_a_token_of_another_key_is_refused(peer: Peer) -> None:
    await refused(peer, peer.login.signed(peer.claims(), key=new_key()))


async def test_a_changed_token_is_refused(peer: Peer) -> None:
    head, _, signature = peer.login.signed(peer.claims()).split(".")
    _, changed, _ = peer.login.signed(peer.claims(extra=1)).split(".")
    await refused(peer, f"{head}.{changed}.{signature}")


@pytest.mark.parametrize("kid", [None, "another", ""])
async def test_a_key_that_is_not_published_is_refused(peer: Peer, kid: str | None) -> None:
    await refused(peer, peer.login.signed(peer.claims(), kid=kid))


async def test_a_token_that_brings_its_own_key_is_refused(peer: Peer) -> None:
    own = {"jku": f"{peer.login.url}/mine", "kid": "mine"}
    await refused(peer, peer.login.signed(peer.claims(), key=new_key(), headers=own))


@pytest.mark.parametrize("endorsements", [None, [], ["webchat", "directline"]])
async def test_a_key_that_is_not_endorsed_for_teams_is_refused(
    peer: Peer, endorsements: list[str] | None
) -> None:
    peer.login.keys["one"].endorsements = endorsements
    await refused(peer, peer.login.signed(peer.claims()))


async def test_nothing_of_tokens_and_addresses_is_logged(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for name in ("httpx", "httpx2"):
        caplog.set_level(logging.WARNING, logger=name)  # as the process sets them
    wire = await peer.wire()
    token = peer.login.signed(peer.claims())
    await wire.parse(peer.activity, authorization=token)
    for wrong in (peer.login.signed(peer.claims(exp=1)), "Bearer x.y.z"):
        with pytest.raises(Unauthenticated):
            await wire.parse(peer.activity, authorization=wrong)
    await wire.send(peer.to(), MESSAGE)
    assert [(one.name, one.getMessage()) for one in caplog.records] == []


# Microsoft's keys


async def test_keys_are_fetched_once_and_anew_after_a_day(peer: Peer) -> None:
    wire = await peer.wire()
    token = peer.login.signed(peer.claims())
    for seconds in (0, 3600, 82_000):
        peer.clock.move(seconds=seconds)
        await wire.parse(peer.activity, authorization=token)
    assert peer.login.asked == ["configuration", "keys"]
    peer.clock.move(seconds=1000)
    await wire.parse(peer.activity, authorization=token)
    assert peer.login.asked == ["configuration", "keys"] * 2


async def test_made_up_key_ids_have_keys_fetched_once_a_minute_at_most(peer: Peer) -> None:
    wire = await peer.wire()
    await wire.parse(peer.activity, authorization=peer.login.signed(peer.claims()))
    peer.clock.move(seconds=61)
    for number in range(20):
        token = peer.login.signed(peer.claims(), kid=f"made-up-{number}")
        with pytest.raises(Unauthenticated):
            await wire.parse(peer.activity, authorization=token)
    assert peer.login.asked == ["configuration", "keys"] * 2


async def test_tokens_for_others_have_no_keys_fetched(peer: Peer) -> None:
    await refused(peer, peer.login.signed(peer.claims(aud="another-app")))
    await refused(peer, "Bearer x.y.z")
    assert peer.login.asked == []


async def test_a_new_key_is_taken_within_a_minute(peer: Peer) -> None:
    wire = await peer.wire()
    await wire.parse(peer.activity, authorization=peer.login.signed(peer.claims()))
    peer.login.keys["two"] = Key(private=new_key())
    token = peer.login.signed(peer.claims(), kid="two", key=peer.login.keys["two"].private)
    peer.clock.move(seconds=61)
    await wire.parse(peer.activity, authorization=token)


async def test_a_key_that_was_withdrawn_does_not_count_any_more(peer: Peer) -> None:
    wire = await peer.wire()
    token = peer.login.signed(peer.claims())
    await wire.parse(peer.activity, authorization=token)
    peer.login.keys = {"two": Key(private=new_key())}
    peer.clock.move(seconds=86_401)
    with pytest.raises(Unauthenticated):
        await wire.parse(peer.activity, authorization=token)


async def test_without_keys_teams_is_told_to_come_back(peer: Peer) -> None:
    wire = await peer.wire()
    peer.login.status = 503
    token = peer.login.signed(peer.claims())
    for _ in range(3):
        with pytest.raises(Unavailable, match="teams_unavailable"):
            await wire.parse(peer.activity, authorization=token)
    assert peer.login.asked == ["configuration"]


async def test_known_keys_are_good_while_microsoft_is_away(peer: Peer) -> None:
    wire = await peer.wire()
    token = peer.login.signed(peer.claims())
    await wire.parse(peer.activity, authorization=token)
    peer.login.status = 503
    peer.clock.move(seconds=86_401)
    await wire.parse(peer.activity, authorization=token)


async def test_keys_of_another_issuer_are_not_taken(peer: Peer) -> None:
    wire = await peer.wire()
    peer.login.issuer = "https://login.evil.example"
    with pytest.raises(Unavailable):
        await wire.parse(peer.activity, authorization=peer.login.signed(peer.claims()))


async def test_twenty_at_once_fetch_keys_once(peer: Peer) -> None:
    wire = await peer.wire()
    token = peer.login.signed(peer.claims())
    await asyncio.gather(*(wire.parse(peer.activity, authorization=token) for _ in range(20)))
    assert peer.login.asked == ["configuration", "keys"]


# what goes out


async def test_a_message_is_sent_and_put_in_anothers_place(peer: Peer) -> None:
    wire = await peer.wire()
    id_ = await wire.send(peer.to(), MESSAGE)
    await wire.update(peer.to(), message=id_, activity={"type": "message", "text": "changed"})
    shown = peer.connector.teams.conversations[GENERAL].messages
    assert shown == {id_: {"type": "message", "text": "changed"}}


async def test_a_thread_of_a_channel_is_named_whole(peer: Peer) -> None:
    wire = await peer.wire()
    await wire.send(peer.to(f"{GENERAL};messageid=1699999999999"), MESSAGE)
    assert peer.connector.made("send")[0].conversation == f"{GENERAL};messageid=1699999999999"


async def test_whatever_an_activity_says_arrives_as_it_is(peer: Peer) -> None:
    card: Json = {
        "type": "AdaptiveCard",
        "version": "1.5",
        "refresh": {
            "action": {"type": "Action.Execute", "verb": "refresh", "data": {"ids": "x"}},
            "userIds": ["29:1"],
        },
        "body": [{"type": "TextBlock", "text": "ü \u2028 😀", "isVisible": None}],
        "msteams": {"width": "Full", "entities": []},
    }
    activity: Json = {
        "type": "message",
        "text": None,
        "summary": "a card",
        "textFormat": "markdown",
        "attachments": [
            {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
        ],
        "entities": [
            {
                "type": "https://schema.org/Message",
                "@type": "Message",
                "@id": "",
                "additionalType": ["AIGeneratedContent"],
                "citation": [{"position": 1}],
            },
            {"type": "mention", "mentioned": {"id": "29:1", "name": "A"}, "text": "<at>A</at>"},
        ],
        "channelData": {"feedbackLoop": {"type": "custom"}, "notification": {"alert": True}},
        "recipient": {"id": "29:1", "isTargeted": True},
        "suggestedActions": {"to": [], "actions": []},
        "value": [1, 2.5, False, None, {"a": []}],
        "unheardOf": {"x_y": 1, "XY": "2", "": 3},
    }
    wire = await peer.wire()
    id_ = await wire.send(peer.to(), activity)
    await wire.update(peer.to(), message=id_, activity=activity)
    assert [one.body for one in peer.connector.calls] == [activity, activity]


async def test_a_stream_begins_grows_and_ends(peer: Peer) -> None:
    wire = await peer.wire()

    async def say(kind: str, text: str, **more: object) -> str:
        told = {"type": "streaminfo", "streamType": kind, **more}
        form = "message" if kind == "final" else "typing"
        return await wire.send(
            peer.to(peer.personal),
            {"type": form, "text": text, "entities": [told], "channelData": told},  # type: ignore[dict-item]
        )

    id_ = await say("informative", "Looking…", streamSequence=1)
    assert await say("streaming", "Two", streamSequence=2, streamId=id_) == ""
    assert await say("streaming", "Two tasks", streamSequence=3, streamId=id_) == ""
    assert await say("final", "Two tasks.", streamId=id_) == ""
    shown = peer.connector.teams.conversations[peer.personal].messages
    assert [one["text"] for one in shown.values()] == ["Two tasks."]
    with pytest.raises(WireRefused) as caught:
        await say("streaming", "Two tasks. And", streamSequence=4, streamId=id_)
    assert (caught.value.status, caught.value.code) == (403, "ContentStreamNotAllowed")
    assert "already completed" in caught.value.detail


async def test_a_personal_chat_is_the_same_each_time(peer: Peer) -> None:
    wire = await peer.wire()
    asked = {"service_url": peer.connector.service_url, "tenant": TENANT, "user": ALICE}
    first, second = await wire.create(**asked), await wire.create(**asked)
    assert first == second == peer.personal
    assert peer.connector.calls[0].body == {
        "isGroup": False,
        "members": [{"id": ALICE}],
        "tenantId": TENANT,
        "channelData": {"tenant": {"id": TENANT}},
    }


async def test_a_member_is_told_by_either_id(peer: Peer) -> None:
    alice = peer.connector.teams.people[ALICE]
    wire = await peer.wire()
    for user in (alice.aad, alice.mri):
        found = await wire.member(peer.to(f"{GENERAL};messageid=1"), user=user)
        assert found is not None
        wanted = alice.told() | {"aadObjectId": ALICE}
        wanted.pop("objectId")
        assert {name: found[name] for name in wanted} == wanted


async def test_who_is_no_member_is_none(peer: Peer) -> None:
    wire = await peer.wire()
    assert await wire.member(peer.to(), user="29:nobody") is None


async def test_members_of_a_conversation_that_is_gone_are_refused(peer: Peer) -> None:
    wire = await peer.wire()
    with pytest.raises(WireRefused) as caught:
        await wire.member(peer.to("19:gone@thread.v2"), user=ALICE)
    assert caught.value.code == "ConversationNotFound"


async def test_ids_are_one_segment_of_the_address(peer: Peer) -> None:
    wire = await peer.wire()
    with pytest.raises(WireRefused):
        await wire.member(peer.to("19:x/../../y?z=#"), user="../a b%2F")
    call = peer.connector.calls[0]
    assert (call.name, call.conversation, call.message) == (
        "member",
        "19:x/../../y?z=#",
        "../a b%2F",
    )


async def test_one_wire_speaks_to_several_services(peer: Peer) -> None:
    wire = await peer.wire()
    other = await peer.stack.enter_async_context(serving(Connector(peer.login)))
    for connector in (peer.connector, other, peer.connector):
        await wire.send(peer.to(service_url=connector.service_url), MESSAGE)
    assert [len(one.made("send")) for one in (peer.connector, other)] == [2, 1]
    assert peer.login.asked == ["token"]


# what Teams says no to


@pytest.mark.parametrize("status", [412, 429, 502, 504])
async def test_teams_is_left_alone_for_as_long_as_it_wants(peer: Peer, status: int) -> None:
    wire = await peer.wire()
    peer.connector.mishaps.refuse("send", "Throttled", status=status, retry_after=7)
    with pytest.raises(WireRefused) as caught:
        await wire.send(peer.to(), MESSAGE)
    told = caught.value
    assert (told.status, told.code, told.seconds) == (status, "Throttled", 7.0)
    assert len(peer.connector.calls) == 1, "it was tried again"


async def test_a_no_without_a_reason_is_one_all_the_same(peer: Peer) -> None:
    wire = await peer.wire()
    peer.connector.mishaps.fail("send", status=502)
    with pytest.raises(WireRefused) as caught:
        await wire.send(peer.to(), MESSAGE)
    assert (caught.value.status, caught.value.code, caught.value.seconds) == (502, "unknown", None)


async def test_a_bot_that_was_removed_is_told_so(peer: Peer) -> None:
    wire = await peer.wire()
    peer.connector.teams.conversations[GENERAL].has_bot = False
    with pytest.raises(WireRefused) as caught:
        await wire.send(peer.to(), MESSAGE)
    assert (caught.value.status, caught.value.code) == (403, "BotNotInConversationRoster")


async def test_a_message_that_is_gone_is_told_so(peer: Peer) -> None:
    wire = await peer.wire()
    with pytest.raises(WireRefused) as caught:
        await wire.update(peer.to(), message="1", activity=MESSAGE)
    assert (caught.value.status, caught.value.code) == (404, "ActivityNotFoundInConversation")


async def test_somebody_without_the_app_has_no_chat(peer: Peer) -> None:
    wire = await peer.wire()
    peer.connector.teams.people[ALICE].is_installed = False
    with pytest.raises(WireRefused) as caught:
        await wire.create(service_url=peer.connector.service_url, tenant=TENANT, user=ALICE)
    assert caught.value.status == 403


async def test_no_answer_is_told_apart_from_a_no(peer: Peer) -> None:
    wire = await peer.wire()
    for where in (Where.BEFORE, Where.AFTER):
        peer.connector.mishaps.cut("send", where=where)
        with pytest.raises(WireUnreachable):
            await wire.send(peer.to(), MESSAGE)
    nobody = "http://127.0.0.1:9/amer/"
    with pytest.raises(WireUnreachable):
        await wire.update(peer.to(service_url=nobody), message="1", activity=MESSAGE)
    with pytest.raises(WireUnreachable):
        await wire.create(service_url=nobody, tenant=TENANT, user=ALICE)
    with pytest.raises(WireUnreachable):
        await wire.member(peer.to(service_url=nobody), user=ALICE)


async def test_an_answer_that_nobody_can_read_is_none(peer: Peer) -> None:
    wire = await peer.wire()
    peer.connector.mishaps.fail("update", status=200)
    with pytest.raises(WireUnreachable):
        await wire.update(peer.to(), message="1", activity=MESSAGE)
    peer.connector.mishaps.fail("create", status=201)
    with pytest.raises(WireUnreachable):
        await wire.create(service_url=peer.connector.service_url, tenant=TENANT, user=ALICE)
    peer.connector.mishaps.fail("member", status=200)
    with pytest.raises(WireUnreachable):
        await wire.member(peer.to(), user=ALICE)


async def test_a_redirection_is_not_followed(peer: Peer) -> None:
    wire = await peer.wire()
    moved = f"{peer.connector.url}/moved/"
    with pytest.raises((WireRefused, WireUnreachable)):
        await wire.send(peer.to(service_url=moved), MESSAGE)
    assert peer.connector.calls == []


# our token


async def test_a_token_is_asked_for_once_and_again_before_it_is_over(peer: Peer) -> None:
    wire = await peer.wire()
    for seconds in (0, 1800, 1490):
        peer.clock.move(seconds=seconds)
        await wire.send(peer.to(), MESSAGE)
    assert peer.login.asked == ["token"]
    peer.clock.move(seconds=20)
    await wire.send(peer.to(), MESSAGE)
    assert peer.login.asked == ["token", "token"]


async def test_fifty_at_once_ask_for_one_token(peer: Peer) -> None:
    wire = await peer.wire()
    ids = await asyncio.gather(*(wire.send(peer.to(), MESSAGE) for _ in range(50)))
    assert len(set(ids)) == 50
    assert peer.login.asked == ["token"]


async def test_a_token_is_asked_for_where_the_app_is_registered(peer: Peer) -> None:
    single = peer.login.registration()
    multi = replace(single, credentials=MultiTenant(password=PASSWORD))
    for registration in (single, multi):
        wire = await peer.wire(registration)
        await wire.send(peer.to(), MESSAGE)
    assert [one["tenant"] for one in peer.login.forms] == [TENANT, "botframework.com"]
    assert {one["scope"] for one in peer.login.forms} == {SCOPE}


async def test_a_token_that_teams_does_not_take_is_asked_for_anew(peer: Peer) -> None:
    wire = await peer.wire()
    await wire.send(peer.to(), MESSAGE)
    peer.login.given.clear()
    with pytest.raises(WireRefused) as caught:
        await wire.send(peer.to(), MESSAGE)
    assert caught.value.status == 401
    await wire.send(peer.to(), MESSAGE)
    assert peer.login.asked == ["token", "token"]


async def test_a_wrong_password_is_a_no(peer: Peer) -> None:
    wrong = SingleTenant(tenant=TENANT, password="wrong")
    wire = await peer.wire(replace(peer.login.registration(), credentials=wrong))
    with pytest.raises(WireRefused) as caught:
        await wire.send(peer.to(), MESSAGE)
    assert (caught.value.status, caught.value.code) == (401, "invalid_client")
    assert peer.connector.calls == []


async def test_a_sign_in_that_is_away_is_no_answer(peer: Peer) -> None:
    wire = await peer.wire()
    peer.login.status = 503
    with pytest.raises(WireUnreachable):
        await wire.send(peer.to(), MESSAGE)


async def test_a_forged_service_gets_no_call_and_no_token(peer: Peer) -> None:
    strict = replace(peer.login.registration(), allows_loopback=False)
    wire = await peer.wire(strict)
    forged = peer.to()
    calls = (
        wire.send(forged, MESSAGE),
        wire.update(forged, message="1", activity=MESSAGE),
        wire.create(service_url=forged.service_url, tenant=TENANT, user=ALICE),
        wire.member(forged, user=ALICE),
    )
    for call in calls:
        with pytest.raises(WireRefused) as caught:
            await call
        assert (caught.value.status, caught.value.code) == (403, "foreign_service")
    assert peer.connector.calls == []
    assert peer.login.asked == []


async def test_an_identity_of_the_machine_needs_no_secret(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{peer.login.url}/identity")
    monkeypatch.setenv("IDENTITY_HEADER", "its-header")
    identity = replace(peer.login.registration(), credentials=ManagedIdentity())
    wire = await peer.wire(identity)
    await asyncio.gather(*(wire.send(peer.to(), MESSAGE) for _ in range(5)))
    assert peer.login.asked == ["identity"]
    assert peer.login.forms[0]["client_id"] == APP_ID
    assert peer.login.forms[0]["resource"] == SCOPE.removesuffix("/.default")
    await wire.parse(peer.activity, authorization=peer.login.signed(peer.claims()))


async def test_an_anonymous_app_takes_any_token_and_shows_none(peer: Peer) -> None:
    peer.connector.asks_for_token = False
    wire = await peer.wire(replace(peer.login.registration(), credentials=Anonymous()))
    for authorization in (None, "Bearer x.y.z"):
        await wire.parse(peer.activity, authorization=authorization)
    with pytest.raises(Unauthenticated):
        await wire.parse({**peer.activity, "serviceUrl": "http://10.0.0.1/"}, authorization=None)
    await wire.send(peer.to(), MESSAGE)
    assert peer.login.asked == []


def test_without_teams_nothing_of_an_sdk_is_imported() -> None:
    imported = _python(
        "import bots.teams.guard, bots.teams.bearer, bots.teams.presented, sys;"
        f"print([name for name in {SDKS} if name in sys.modules])"
    )
    assert imported.stdout == "[]\n"


def test_an_sdk_that_is_not_installed_is_said_to_be_missing() -> None:
    missing = _python(
        "import sys; sys.modules['microsoft_teams'] = None; import bots.teams.teams_sdk_wire"
    )
    assert missing.returncode == 1
    assert "teams_sdk_missing package='microsoft-teams-apps'" in missing.stderr


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_password_is_not_shown_with_the_app() -> None:
    shown = repr(SingleTenant(tenant=TENANT, password=PASSWORD)) + repr(
        MultiTenant(password=PASSWORD)
    )
    assert PASSWORD not in shown

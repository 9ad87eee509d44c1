"""The port to Teams, kept by both adapters: what goes out, what a no means, what we show."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bots.teams.registration import (
    Anonymous,
    ManagedIdentity,
    MultiTenant,
    SingleTenant,
)
from bots.teams.wire import WireRefused, WireUnreachable
from core.domain.canonical import JsonObject
from core.errors import Unauthenticated
from tests.slack.mishaps import Where
from tests.teams.connector import Connector, serving
from tests.teams.conversations import ALICE, GENERAL
from tests.teams.login import (
    APP_ID,
    PASSWORD,
    SCOPE,
    TENANT,
)
from tests.teams.peer import Json, Peer

pytestmark = pytest.mark.together("teams")

SDKS = ("botbuilder", "botframework", "msrest", "msal", "microsoft_teams", "httpx", "fastapi")
MESSAGE: JsonObject = {"type": "message", "text": "hello"}


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

"""The Slack of our tests and the emulator agree where both have a method; events arrive sealed."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.loopback import http_client
from tests.outside import Npm
from tests.pages import Browser
from tests.peers.serving import free_port
from tests.peers.slack_emulator import (
    BOT_USER,
    SlackEmulator,
    message_of,
    picked,
    slack_emulator,
    token_of,
)
from tests.rest import listening
from tests.slack.bolt import Heard, app_on
from tests.slack.sdk import Json, Sdk, client_of, refusal
from tests.slack.web_api import serving
from tests.slack.workspace import (
    ALICE,
    BOB,
    CAROL,
    CLIENT_ID,
    CLIENT_SECRET,
    GENERAL,
    Slack,
)

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]

BACK = "http://127.0.0.1:9/slack/oauth_redirect"
SECTION: Json = {"type": "section", "text": {"type": "mrkdwn", "text": "Delete *Old draft*?"}}
BUTTON: Json = {
    "type": "button",
    "action_id": "approve",
    "text": {"type": "plain_text", "text": "Approve"},
    "value": "1",
}
MODAL: Json = {
    "type": "modal",
    "title": {"type": "plain_text", "text": "Why?"},
    "blocks": [SECTION],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One of the two, as its clients see it; ``emulator`` or ``slack`` behind it."""

    url: str
    bot: Sdk
    alice: Sdk
    emulator: SlackEmulator | None = None
    slack: Slack | None = None

    async def trigger(self, user: str) -> str:
        if self.emulator is not None:
            return await self.emulator.trigger(user)
        return self.workspace.trigger(user)

    async def archive(self, channel: str) -> None:
        if self.emulator is not None:
            await self.alice.api_call("conversations.archive", json={"channel": channel})
        else:
            self.workspace.channels[channel].is_archived = True

    @property
    def workspace(self) -> Any:  # noqa: ANN401 - only where there is one
        assert self.slack is not None
        (found,) = self.slack.workspaces.values()
        return found


@asynccontextmanager
async def ours() -> AsyncGenerator[Place]:
    async with serving(Slack()) as slack:
        at = slack.company()
        bot, alice = (client_of(slack.api_url, at.token(user=user)) for user in (None, ALICE))
        yield Place(url=slack.url, bot=bot, alice=alice, slack=slack)


@asynccontextmanager
async def theirs(npm: Npm) -> AsyncGenerator[Place]:
    async with slack_emulator(npm, redirect_uri=BACK) as emulator:
        bot, alice = emulator.client(BOT_USER), emulator.client(ALICE)
        yield Place(url=emulator.url, bot=bot, alice=alice, emulator=emulator)


@pytest.fixture(params=["ours", "theirs"])
async def place(request: pytest.FixtureRequest, npm: Npm) -> AsyncGenerator[Place]:
    async with ours() if request.param == "ours" else theirs(npm) as place:
        yield place


async def test_both_say_who_the_bot_is(place: Place) -> None:
    known = await place.bot.auth_test()
    user = (await place.bot.users_info(user=known["user_id"]))["user"]
    assert (user["is_bot"], user["team_id"]) == (True, known["team_id"])
    assert (await place.bot.team_info())["team"]["id"] == known["team_id"]
    assert known["bot_id"]


async def test_both_keep_messages_alike(place: Place) -> None:
    posted = await place.bot.chat_postMessage(channel=GENERAL, text="Hm", blocks=[SECTION])
    ts = str(posted["ts"])
    reply = await place.bot.chat_postMessage(channel=GENERAL, text="So", thread_ts=ts)
    (root,) = (await place.bot.conversations_history(channel=GENERAL))["messages"]
    assert (root["text"], root["blocks"]) == ("Hm", [SECTION])
    thread = (await place.bot.conversations_replies(channel=GENERAL, ts=ts))["messages"]
    assert [one["text"] for one in thread] == ["Hm", "So"]

    await place.bot.chat_update(channel=GENERAL, ts=ts, text="Done")
    (root,) = (await place.bot.conversations_history(channel=GENERAL))["messages"]
    assert (root["text"], root.get("blocks", [])) == ("Done", [])
    await place.bot.chat_delete(channel=GENERAL, ts=str(reply["ts"]))
    gone = {"channel": GENERAL, "ts": str(reply["ts"])}
    assert await refusal(place.bot, "chat.update", **gone, text="x") == "message_not_found"
    assert await refusal(place.bot, "chat.delete", **gone) == "message_not_found"
    assert await refusal(place.alice, "chat.update", channel=GENERAL, ts=ts, text="x") == (
        "cant_update_message"
    )


@pytest.mark.parametrize(
    ("code", "method", "given"),
    [
        ("channel_not_found", "chat.postMessage", {"channel": "C0NOWHERE", "text": "x"}),
        ("no_text", "chat.postMessage", {"channel": GENERAL}),
        ("message_not_found", "chat.update", {"channel": GENERAL, "ts": "1.0", "text": "x"}),
        ("channel_not_found", "conversations.history", {"channel": "C0NOWHERE"}),
        ("channel_not_found", "conversations.info", {"channel": "C0NOWHERE"}),
        ("user_not_found", "users.info", {"user": "U0NOBODY"}),
        ("users_not_found", "users.lookupByEmail", {"email": "nobody@acme.test"}),
        ("users_list_not_supplied", "conversations.open", {}),
        ("user_not_found", "conversations.open", {"users": "U0NOBODY"}),
        ("user_not_found", "chat.postEphemeral", {
            "channel": GENERAL, "user": "U0NOBODY", "text": "x"}),
        ("invalid_trigger_id", "views.open", {"trigger_id": "1", "view": MODAL}),
        ("file_not_found", "files.completeUploadExternal", {"files": [{"id": "F1"}]}),
    ],
)  # fmt: skip
async def test_both_refuse_by_the_same_code(
    place: Place, code: str, method: str, given: Json
) -> None:
    assert await refusal(place.bot, method, **given) == code


async def test_both_archive(place: Place) -> None:
    await place.archive("C0APPROVALS")
    code = await refusal(place.bot, "chat.postMessage", channel="C0APPROVALS", text="x")
    assert code == "is_archived"


async def test_both_turn_away_whom_they_do_not_know(place: Place) -> None:
    api = f"{place.url}/api/"
    assert await refusal(client_of(api, "somebody's"), "auth.test") == "invalid_auth"
    assert await refusal(client_of(api), "auth.test") == "not_authed"


async def test_both_show_ephemeral_messages_to_nobody_else(place: Place) -> None:
    await place.bot.chat_postEphemeral(channel=GENERAL, user=BOB, text="psst")
    assert (await place.bot.conversations_history(channel=GENERAL))["messages"] == []


async def test_both_open_one_direct_message_with_somebody(place: Place) -> None:
    first = (await place.bot.conversations_open(users=BOB))["channel"]["id"]
    again = (await place.bot.conversations_open(users=BOB))["channel"]["id"]
    by_person = (await place.bot.chat_postMessage(channel=BOB, text="Hello"))["channel"]
    assert first == again == by_person
    assert (await place.bot.conversations_info(channel=first))["channel"]["is_im"]
    found = await place.bot.users_lookupByEmail(email="bob@acme.test")
    assert found["user"]["id"] == BOB


async def test_both_open_a_modal_once_for_a_click(place: Place) -> None:
    trigger = await place.trigger(BOB)
    view = (await place.bot.views_open(trigger_id=trigger, view=MODAL))["view"]
    assert await refusal(place.bot, "views.open", trigger_id=trigger, view=MODAL) == (
        "exchanged_trigger_id"
    )
    old = view["hash"]
    await place.bot.views_update(view_id=view["id"], hash=old, view=MODAL)
    changed = {"view_id": view["id"], "hash": old, "view": MODAL}
    assert await refusal(place.bot, "views.update", **changed) == "hash_conflict"


async def test_both_publish_homes(place: Place) -> None:
    home: Json = {"type": "home", "blocks": [SECTION]}
    first = (await place.bot.views_publish(user_id=BOB, view=home))["view"]
    again = (await place.bot.views_publish(user_id=BOB, view=home))["view"]
    assert first["id"] == again["id"]
    changed = {"user_id": BOB, "view": home, "hash": first["hash"]}
    assert await refusal(place.bot, "views.publish", **changed) == "hash_conflict"


async def test_both_take_a_file_in_three_steps(place: Place) -> None:
    await place.bot.files_upload_v2(channel=GENERAL, content="all of it", filename="answer.md")
    (shared,) = (await place.bot.conversations_history(channel=GENERAL))["messages"]
    assert len(shared["files"]) == 1


async def test_both_keep_reactions(place: Place) -> None:
    ts = str((await place.bot.chat_postMessage(channel=GENERAL, text="Hm"))["ts"])
    mark = {"channel": GENERAL, "timestamp": ts, "name": "eyes"}
    await place.bot.reactions_add(**mark)
    assert await refusal(place.bot, "reactions.add", **mark) == "already_reacted"
    await place.bot.reactions_remove(**mark)
    assert await refusal(place.bot, "reactions.remove", **mark) == "no_reaction"


async def test_both_install_the_app_for_a_code_that_holds_once(place: Place) -> None:
    asked = {"client_id": CLIENT_ID, "scope": "chat:write", "state": "s 1", "redirect_uri": BACK}
    async with http_client() as http:
        page = await Browser(http, home=place.url).get(f"/oauth/v2/authorize?{urlencode(asked)}")
        back = urlsplit(await picked(http, page, user=CAROL))
    told = {name: value for name, (value,) in parse_qs(back.query).items()}
    assert (f"{back.scheme}://{back.netloc}{back.path}", told["state"]) == (BACK, "s 1")

    given = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "code": told["code"]}
    nobody = client_of(f"{place.url}/api/")
    wrong = given | {"client_id": "9.9"}
    assert await refusal(nobody, "oauth.v2.access", **wrong) == "invalid_client_id"
    granted = (await nobody.api_call("oauth.v2.access", data=given)).data
    assert (granted["scope"], granted["token_type"]) == ("chat:write", "bot")
    assert granted["authed_user"]["id"] == CAROL
    assert await refusal(nobody, "oauth.v2.access", **given) == "invalid_code"
    installed = client_of(f"{place.url}/api/", granted["access_token"])
    known = await installed.auth_test()
    assert (known["user_id"], known["team_id"]) == (granted["bot_user_id"], granted["team"]["id"])


async def test_their_events_arrive_sealed_and_people_click_on_what_was_posted(npm: Npm) -> None:
    port, heard = free_port(), Heard()
    bolt = app_on(heard, api_url=f"http://127.0.0.1:{port}/api/", token=token_of(BOT_USER))
    async with listening(bolt) as url:
        events = f"{url}/slack/events"
        async with (
            slack_emulator(npm, events_url=events, port=port) as emulator,
            http_client() as http,
        ):
            said = await emulator.says(f"<@{BOT_USER}> delete it", by=ALICE, channel=GENERAL)
            direct = await emulator.says("Hello", by=ALICE, channel=await emulator.im(ALICE))
            bot, buttons = emulator.client(BOT_USER), {"type": "actions", "elements": [BUTTON]}
            await bot.chat_postMessage(
                channel=GENERAL, thread_ts=said["ts"], text="Sure?", blocks=[buttons]
            )
            people = emulator.people(http, url=events)
            *_, card = await emulator.messages(GENERAL, thread_ts=said["ts"])
            clicked = await people.clicks(message_of(card, people=people), "approve", by=BOB)
            await bot.views_open(trigger_id=clicked.body["trigger_id"], view=MODAL)
            assert [view["user_id"] for view in await emulator.views()] == [BOB]
            assert {one["status_code"] for one in await emulator.deliveries()} == {200}
    *events_heard, click = heard.bodies
    heard_of = [(one["event"]["type"], one["event"]["channel"]) for one in events_heard]
    assert heard_of == [
        ("message", GENERAL),
        ("app_mention", GENERAL),
        ("message", direct["channel"]),
    ]
    assert click["actions"][0]["value"] == "1"

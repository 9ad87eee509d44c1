"""What people do at Slack arrives as Slack sends it: Bolt itself takes it, seal and all."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from tests.loopback import http_client
from tests.rest import listening
from tests.slack.bolt import Heard, app_on
from tests.slack.people import People
from tests.slack.sdk import Json, client_of
from tests.slack.web_api import serving
from tests.slack.workspace import ALICE, BOB, GENERAL, STRANGER, Slack

BUTTON: Json = {
    "type": "button",
    "action_id": "approve",
    "text": {"type": "plain_text", "text": "Approve"},
    "value": "1",
}
MODAL: Json = {
    "type": "modal",
    "callback_id": "why",
    "title": {"type": "plain_text", "text": "Why?"},
    "submit": {"type": "plain_text", "text": "Deny"},
    "blocks": [
        {
            "type": "input",
            "block_id": "reason",
            "label": {"type": "plain_text", "text": "Reason"},
            "element": {"type": "plain_text_input", "action_id": "text"},
        }
    ],
}


@dataclass(frozen=True, slots=True)
class Met:
    people: People
    heard: Heard


@asynccontextmanager
async def meeting() -> AsyncGenerator[Met]:
    async with serving(Slack()) as slack, http_client() as http:
        at, heard = slack.company(), Heard()
        async with listening(app_on(heard, api_url=slack.api_url, token=at.token())) as url:
            people = People(http, slack=slack, at=at, url=f"{url}/slack/events")
            yield Met(people, heard)


@pytest.fixture
async def met() -> AsyncGenerator[Met]:
    async with meeting() as met:
        yield met


async def test_what_is_said_is_an_event(met: Met) -> None:
    people, heard = met.people, met.heard
    said, delivered = await people.says("Hello", by=ALICE)
    assert (delivered.status, heard.events) == (200, ["message:None"])
    event = heard.bodies[0]["event"]
    assert (event["channel_type"], event["text"], event["ts"]) == ("im", "Hello", said.ts)
    asked, _ = await people.mentions("do it", by=BOB, channel=GENERAL)
    reply, _ = await people.says("go on", by=BOB, channel=GENERAL, thread_ts=asked.ts)
    assert heard.events[1:] == ["message:None", "app_mention:None", "message:None"]
    assert heard.bodies[-1]["event"]["parent_user_id"] == BOB
    await people.edits(reply, "stop")
    await people.is_unfurled(asked, link="https://example.test/")
    await people.deletes(reply)
    await people.shares_a_file("Read this", by=ALICE)
    assert [event.partition(":")[2] for event in heard.events[4:]] == [
        *("message_changed", "message_changed", "message_deleted", "file_share")
    ]
    assert len({body["event_id"] for body in heard.bodies}) == len(heard.bodies)


async def test_the_same_event_comes_again(met: Met) -> None:
    _, delivered = await met.people.says("Hello", by=ALICE)
    again = await met.people.again(delivered.body, retry=1)
    assert again.status == 200
    assert [body["event_id"] for body in met.heard.bodies] == [delivered.event_id] * 2


async def test_a_click_carries_what_was_shown(met: Met) -> None:
    at = met.people.at
    card = at.says(at.bot_user, "Delete?", channel=GENERAL)
    card.blocks = [{"type": "actions", "block_id": "answers", "elements": [BUTTON]}]
    clicked = await met.people.clicks(card, "approve", by=BOB)
    (body,) = met.heard.bodies
    assert (clicked.status, body["user"]["id"]) == (200, BOB)
    assert body["actions"][0]["value"] == "1"
    assert body["container"] == {
        "type": "message",
        "message_ts": card.ts,
        "channel_id": GENERAL,
        "is_ephemeral": False,
    }
    card.blocks = []
    with pytest.raises(LookupError):
        await met.people.clicks(card, "approve", by=BOB)
    await met.people.clicks(card, "approve", by=BOB, seen=body["message"]["blocks"])


async def test_a_modal_stays_open_where_it_is_refused(met: Met) -> None:
    at, people = met.people.at, met.people
    opened = await people.commands("/agent", "why", by=BOB, channel=GENERAL)
    assert (opened.status, met.heard.bodies[0]["text"]) == (200, "why")
    bot = client_of(people.slack.api_url, at.token())
    await bot.views_open(trigger_id=opened.body["trigger_id"], view=MODAL)
    (view,) = at.views.values()
    sent = await people.submits(view, by=BOB, reason="No")
    assert sent.json["errors"] == {"reason": "Say more."}
    values = met.heard.bodies[-1]["view"]["state"]["values"]
    assert values["reason"]["text"] == {"type": "plain_text_input", "value": "No"}
    assert (await people.closes(view, by=BOB)).status == 200
    assert at.views == {}


async def test_other_things_people_do_are_heard_too(met: Met) -> None:
    people, at = met.people, met.people.at
    said = at.says(ALICE, "Read me", channel=GENERAL)
    for delivered in (
        await people.opens_home(by=ALICE),
        await people.opens_home(by=ALICE, tab="messages"),
        await people.stops(said, by=ALICE),
        await people.takes_shortcut("ask", by=ALICE),
        await people.takes_shortcut("ask", by=ALICE, on=said),
        (await people.bot_says("Beep", by=at.bot_user, channel=GENERAL))[1],
        *await people.uninstall(),
    ):
        assert delivered.status == 200, delivered


async def test_somebody_of_another_company_is_seen_as_such(met: Met) -> None:
    at = met.people.at
    at.channels[GENERAL].is_ext_shared = True
    await met.people.says("Hello", by=STRANGER, channel=GENERAL)
    (body,) = met.heard.bodies
    assert body["is_ext_shared_channel"]
    assert (body["team_id"], body["event"]["user_team"]) == (at.team, "T0ELSEWHERE")


async def test_what_is_not_sealed_by_slack_is_turned_away(met: Met) -> None:
    body = b'{"type": "event_callback"}'
    wrong = {"X-Slack-Signature": "v0=0"}
    status, _ = await met.people.post(body, content_type="application/json", headers=wrong)
    stale, _ = await met.people.post(body, content_type="application/json", at=1)
    assert (status, stale) == (401, 401)

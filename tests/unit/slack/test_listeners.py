"""What Slack is answered, and what is kept before: through Bolt itself, on a recording inbox."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult

from bots.arrivals import Submission
from bots.slack.listeners import listen
from core.domain.canonical import JsonObject
from core.errors import NotFound, Unavailable
from tests.unit.slack.payloads import (
    BOT,
    TEAM,
    Payload,
    a_click,
    a_command,
    a_mention,
    a_message,
    a_shortcut,
    a_submission,
    an_event,
)


@dataclass
class RecordingInbox:
    """Where arrivals are kept, in memory."""

    rows: dict[tuple[str, str], JsonObject] = field(default_factory=dict)
    fails: Exception | None = None

    async def take(
        self,
        *,
        workspace: str,
        conversation: str,
        position: str,
        external_id: str,
        payload: JsonObject,
        urgent: bool = False,
    ) -> bool:
        if self.fails is not None:
            raise self.fails
        is_new = (workspace, external_id) not in self.rows
        row = {"conversation": conversation, "position": position, "urgent": urgent}
        self.rows[workspace, external_id] = {**row, **payload}
        return is_new


async def authorize() -> AuthorizeResult:
    return AuthorizeResult(
        enterprise_id=None, team_id=TEAM, bot_user_id=BOT, bot_id="B1", bot_token="xoxb-test"
    )


async def in_our_thread(_workspace: str, address: str) -> bool:
    return address == "C1/1700000000.000100"


def mistakes(form: Submission) -> Mapping[str, str]:
    return {"reason": "Say why."} if form.fields.get("reason") == "" else {}


def an_app(inbox: RecordingInbox) -> AsyncApp:
    app = AsyncApp(authorize=authorize, signing_secret="s", process_before_response=True)
    listen(app, inbox=inbox, is_ours=in_our_thread, mistakes=mistakes)
    return app


async def send(app: AsyncApp, payload: Payload) -> tuple[int, str]:
    """Hand a payload to Bolt, as its signature has been found good."""
    answer = await app.async_dispatch(AsyncBoltRequest(body=payload, mode="socket_mode"))
    return answer.status, answer.body


@pytest.mark.parametrize(
    "payload",
    [
        a_message(),
        a_mention(),
        a_message(channel="C1", thread_ts="1700000000.000100", ts="1700000009.000000"),
        an_event("app_home_opened", user="U1", tab="home", event_ts="1.2"),
        an_event("agent_session_stopped", user="U1", channel="D1", thread_ts="1.1"),
        an_event("app_uninstalled"),
        an_event("tokens_revoked", tokens={"bot": [BOT]}),
        an_event("user_change", user={"id": "UEVE", "deleted": True}),
        a_click(),
        a_submission(),
        a_command(),
        a_shortcut(),
    ],
)
async def test_what_is_for_us_is_one_row_and_repeated_it_is_still_one(payload: Payload) -> None:
    inbox = RecordingInbox()
    app = an_app(inbox)
    for _ in range(2):
        status, _ = await send(app, payload)
        assert status == 200
    assert len(inbox.rows) == 1


@pytest.mark.parametrize(
    "payload",
    [
        a_message(bot_id="B9"),
        a_message(user=BOT),
        a_message(subtype="message_changed"),
        a_message(channel="C1"),
        a_message(channel="C1", thread_ts="1699999999.000100"),
        {**a_submission(), "type": "view_closed"},
        a_shortcut(callback_id="ask_about_this", channel=None),
    ],
)
async def test_what_is_not_for_us_is_acknowledged_and_not_kept(payload: Payload) -> None:
    inbox = RecordingInbox()
    status, _ = await send(an_app(inbox), payload)
    assert (status, inbox.rows) == (200, {})


async def test_what_cannot_be_kept_is_sent_again() -> None:
    inbox = RecordingInbox(fails=Unavailable("database_unavailable"))
    app = an_app(inbox)
    for payload in (a_message(), a_click(), a_submission(), a_command(), a_shortcut()):
        status, _ = await send(app, payload)
        assert status == 500


async def test_a_workspace_that_was_left_is_not_sent_again() -> None:
    inbox = RecordingInbox(fails=NotFound("unknown_workspace"))
    assert (await send(an_app(inbox), a_message()))[0] == 200


async def test_a_form_with_a_mistake_says_so_and_is_not_kept() -> None:
    inbox = RecordingInbox()
    payload = a_submission()
    payload["view"]["state"]["values"]["reason"]["typed"]["value"] = None
    status, body = await send(an_app(inbox), payload)
    assert (status, json.loads(body)) == (
        200,
        {"response_action": "errors", "errors": {"reason": "Say why."}},
    )
    assert inbox.rows == {}


async def test_a_form_without_a_mistake_closes() -> None:
    assert await send(an_app(RecordingInbox()), a_submission()) == (200, "")


async def test_an_install_for_a_whole_organisation_is_one_workspace() -> None:
    inbox = RecordingInbox()
    payload = a_message()
    payload["authorizations"][0] |= {"is_enterprise_install": True, "enterprise_id": "E1"}
    await send(an_app(inbox), payload)
    assert [workspace for workspace, _ in inbox.rows] == ["E1"]


async def test_a_shared_channel_belongs_to_the_installation_it_came_through() -> None:
    inbox = RecordingInbox()
    await send(an_app(inbox), {**a_mention(user_team="T999"), "team_id": "T999"})
    assert [workspace for workspace, _ in inbox.rows] == [TEAM]
    (row,) = inbox.rows.values()
    assert row["user_team"] == "T999"

"""The Slack of our tests is as strict as Slack: asked by the SDK that the product uses."""

from collections.abc import AsyncGenerator

import pytest
from slack_sdk.errors import SlackApiError

from tests.loopback import http_client
from tests.slack.limits import A_MINUTE, CHANNEL_BURST, Meter
from tests.slack.mishaps import Arguments, Where
from tests.slack.sdk import Json, Sdk, answered, client_of, refusal
from tests.slack.web_api import serving
from tests.slack.workspace import (
    ALICE,
    BOB,
    CAROL,
    CLIENT_ID,
    CLIENT_SECRET,
    GENERAL,
    LEFT,
    OTHER_BOT,
    SECRET,
    Slack,
    Workspace,
)

TEXT: Json = {"type": "mrkdwn", "text": "Delete *Old draft*?"}
SECTION: Json = {"type": "section", "text": TEXT}
BUTTON: Json = {
    "type": "button",
    "action_id": "approve",
    "text": {"type": "plain_text", "text": "Approve"},
    "value": "1",
}
TASK: Json = {"type": "task_update", "id": "1", "title": "Look", "status": "complete"}


@pytest.fixture
async def slack() -> AsyncGenerator[Slack]:
    async with serving(Slack()) as served:
        yield served


@pytest.fixture
def at(slack: Slack) -> Workspace:
    return slack.company()


@pytest.fixture
def client(slack: Slack, at: Workspace) -> Sdk:
    return client_of(slack.api_url, at.token())


async def test_a_message_is_kept_as_it_was_posted_and_changed(
    client: Sdk, at: Workspace, slack: Slack
) -> None:
    posted = await client.chat_postMessage(channel=GENERAL, text="Hm", blocks=[SECTION])
    ts = str(posted["ts"])
    await client.chat_update(channel=GENERAL, ts=ts, text="Done")
    (message,) = at.of_bot(GENERAL)
    assert (message.ts, message.text, message.blocks, message.edits) == (ts, "Done", [], 1)
    assert [call.method for call in slack.calls] == ["chat.postMessage", "chat.update"]
    await client.chat_delete(channel=GENERAL, ts=ts)
    assert at.of_bot() == []
    assert await refusal(client, "chat.update", channel=GENERAL, ts=ts, text="x") == (
        "message_not_found"
    )


@pytest.mark.parametrize(
    ("code", "method", "given"),
    [
        ("unknown_method", "chat.shout", {}),
        ("invalid_arguments", "chat.postMessage", {"text": "to nobody"}),
        ("channel_not_found", "chat.postMessage", {"channel": "C0NOWHERE", "text": "x"}),
        ("channel_not_found", "chat.postMessage", {"channel": SECRET, "text": "x"}),
        ("no_text", "chat.postMessage", {"channel": GENERAL}),
        ("thread_not_found", "chat.postMessage", {
            "channel": GENERAL, "text": "x", "thread_ts": "1.0"}),
        ("message_not_found", "chat.update", {"channel": GENERAL, "ts": "1.0", "text": "x"}),
        ("user_not_in_channel", "chat.postEphemeral", {
            "channel": GENERAL, "user": LEFT, "text": "x"}),
        ("user_not_found", "users.info", {"user": "U0NOBODY"}),
        ("users_not_found", "users.lookupByEmail", {"email": "left@acme.test"}),
        ("cannot_dm_bot", "conversations.open", {"users": OTHER_BOT}),
        ("invalid_trigger_id", "views.open", {"trigger_id": "1", "view": {
            "type": "modal", "title": {"type": "plain_text", "text": "Hm"}, "blocks": [SECTION]}}),
        ("markdown_text_conflict", "chat.postMessage", {
            "channel": GENERAL, "text": "x", "markdown_text": "y"}),
        ("msg_too_long", "chat.postMessage", {"channel": GENERAL, "markdown_text": "y" * 12_001}),
        ("msg_blocks_too_long", "chat.postMessage", {
            "channel": GENERAL, "text": "x",
            "blocks": [{"type": "markdown", "text": "y" * 7_000}] * 2}),
        ("invalid_thread_ts", "chat.startStream", {"channel": GENERAL}),
        ("file_not_found", "files.completeUploadExternal", {"files": [{"id": "F1"}]}),
    ],
)  # fmt: skip
async def test_what_slack_refuses_is_refused_by_its_code(
    client: Sdk, code: str, method: str, given: Json
) -> None:
    assert await refusal(client, method, **given) == code


@pytest.mark.parametrize(
    "blocks",
    [
        [SECTION] * 51,
        [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3_001}}],
        [{"type": "section", "text": {"type": "mrkdwn", "text": ""}}],
        [{"type": "section", "fields": [{"type": "mrkdwn", "text": "x" * 2_001}]}],
        [{"type": "section", "text": TEXT, "colour": "red"}],
        [{"type": "shout", "text": TEXT}],
        [{"type": "actions", "elements": [BUTTON, BUTTON]}],
        [{"type": "actions", "elements": [BUTTON | {"value": "x" * 2_001}]}],
        [{"type": "actions", "elements": [BUTTON | {"style": "shy"}]}],
        [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
        [SECTION | {"block_id": "one"}, SECTION | {"block_id": "one"}],
        [{"type": "plan", "title": "Plan", "tasks": [{"type": "task_card", "task_id": "1"}]}],
        [{"type": "table", "rows": [[{"type": "raw_text", "text": "a"}]]}] * 2,
    ],
)
async def test_blocks_that_slack_would_not_take_are_refused(
    client: Sdk, blocks: list[Json]
) -> None:
    code = await refusal(client, "chat.postMessage", channel=GENERAL, text="x", blocks=blocks)
    assert code == "invalid_blocks"


async def test_blocks_that_slack_takes_are_taken(client: Sdk, at: Workspace) -> None:
    confirm = {
        "title": {"type": "plain_text", "text": "Sure?"},
        "text": TEXT,
        "confirm": {"type": "plain_text", "text": "Yes"},
        "deny": {"type": "plain_text", "text": "No"},
        "style": "danger",
    }
    task = {"type": "task_card", "task_id": "1", "title": "Look", "status": "complete"}
    option = {"text": {"type": "plain_text", "text": "Once"}, "value": "once"}
    blocks: list[Json] = [
        {"type": "header", "text": {"type": "plain_text", "text": "Delete?", "emoji": True}},
        SECTION | {"accessory": {"type": "overflow", "action_id": "more", "options": [option]}},
        {"type": "section", "fields": [TEXT, TEXT]},
        {"type": "context", "elements": [TEXT, {"type": "plain_text", "text": "x"}]},
        {"type": "divider"},
        {"type": "plan", "title": "Plan", "tasks": [task]},
        {"type": "markdown", "text": "**Hm**"},
        {"type": "actions", "elements": [BUTTON | {"confirm": confirm, "style": "primary"}]},
    ]
    await client.chat_postMessage(channel=GENERAL, text="x", blocks=blocks)
    assert at.of_bot()[0].blocks == blocks


async def test_a_stream_grows_until_it_is_stopped(client: Sdk, at: Workspace, slack: Slack) -> None:
    asked = at.says(ALICE, "Do it", channel=GENERAL)
    stream = await client.chat_stream(
        channel=GENERAL, thread_ts=asked.ts, recipient_team_id=at.team, recipient_user_id=ALICE
    )
    await stream.append(markdown_text="Look", chunks=[TASK | {"status": "in_progress"}])
    await stream.append(markdown_text="ed.", chunks=[TASK])
    await stream.stop(blocks=[SECTION], session_status="active")
    (message,) = at.of_bot(GENERAL, thread_ts=asked.ts)
    assert (message.text, message.tasks["1"]["status"]) == ("Looked.", "complete")
    assert (message.streams, message.blocks) == (False, [SECTION])
    assert at.sessions[GENERAL, asked.ts] == "active"
    assert slack.worries == []
    late = {"channel": GENERAL, "ts": message.ts, "markdown_text": "x"}
    assert await refusal(client, "chat.appendStream", **late) == "message_not_in_streaming_state"


async def test_an_open_stream_cannot_be_changed_in_another_way(client: Sdk, at: Workspace) -> None:
    asked = at.says(ALICE, "Do it", channel=at.im(ALICE).id)
    begun = await client.chat_startStream(channel=asked.channel, thread_ts=asked.ts)
    where = {"channel": asked.channel, "ts": str(begun["ts"])}
    assert await refusal(client, "chat.update", **where, text="x") == "streaming_state_conflict"
    assert await refusal(client, "chat.delete", **where) == "cant_delete_message"
    at.end_stream(asked.channel, where["ts"])
    code = await refusal(client, "chat.stopStream", **where)
    assert code == "message_not_in_streaming_state"
    assert (await client.chat_update(**where, text="All of it"))["ok"]


async def test_a_stream_keeps_the_mode_that_it_began_in(client: Sdk, at: Workspace) -> None:
    asked = at.says(ALICE, "Do it", channel=at.im(ALICE).id)
    where = {"channel": asked.channel}
    begun = await client.chat_startStream(**where, thread_ts=asked.ts, markdown_text="So")
    chunks = {"ts": str(begun["ts"]), "chunks": [TASK]}
    assert await refusal(client, "chat.appendStream", **where, **chunks) == (
        "streaming_mode_mismatch"
    )


async def test_a_stream_in_a_channel_needs_its_reader(client: Sdk, at: Workspace) -> None:
    asked = at.says(ALICE, "Do it", channel=GENERAL)
    code = await refusal(client, "chat.startStream", channel=GENERAL, thread_ts=asked.ts)
    assert code == "missing_recipient_team_id"


async def test_a_modal_opens_once_for_a_click(client: Sdk, at: Workspace) -> None:
    title = {"type": "plain_text", "text": "Why?"}
    view: Json = {"type": "modal", "title": title, "blocks": [SECTION]}
    trigger = at.trigger(BOB)
    await client.views_open(trigger_id=trigger, view=view)
    assert [one.user for one in at.views.values()] == [BOB]
    assert await refusal(client, "views.open", trigger_id=trigger, view=view) == (
        "exchanged_trigger_id"
    )
    code = await refusal(client, "views.publish", user_id=BOB, view={"type": "home", "blocks": []})
    assert code == "invalid_arguments"
    await client.views_publish(user_id=BOB, view={"type": "home", "blocks": [SECTION]})
    assert at.homes[BOB].view["blocks"] == [SECTION]


@pytest.mark.parametrize("code", ["token_revoked", "account_inactive", "token_expired"])
async def test_a_dead_token_is_turned_away(client: Sdk, at: Workspace, code: str) -> None:
    at.revoke(code)
    assert await refusal(client, "auth.test") == code


async def test_a_token_does_what_its_scopes_say(slack: Slack, at: Workspace) -> None:
    narrow = client_of(slack.api_url, at.token(scopes=["users:read"]))
    assert (await narrow.users_info(user=BOB))["ok"]
    assert await refusal(narrow, "chat.postMessage", channel=GENERAL, text="x") == "missing_scope"
    assert await refusal(client_of(slack.api_url, "somebody's"), "auth.test") == "invalid_auth"


async def test_an_archived_channel_takes_nothing(client: Sdk, at: Workspace) -> None:
    posted = await client.chat_postMessage(channel=GENERAL, text="x")
    at.channels[GENERAL].is_archived = True
    assert await refusal(client, "chat.postMessage", channel=GENERAL, text="x") == "is_archived"
    changed = {"channel": GENERAL, "ts": str(posted["ts"]), "text": "y"}
    assert await refusal(client, "chat.update", **changed) == "is_inactive"


async def test_nobody_changes_what_others_said(client: Sdk, at: Workspace) -> None:
    said = at.says(CAROL, "Mine", channel=GENERAL)
    changed = {"channel": GENERAL, "ts": said.ts, "text": "yours"}
    assert await refusal(client, "chat.update", **changed) == "cant_update_message"


def is_odd(given: Arguments) -> bool:
    return given.get("text") == "odd"


async def test_it_misbehaves_as_it_is_told_and_only_so_often(
    client: Sdk, at: Workspace, slack: Slack
) -> None:
    slack.mishaps.limit("chat.postMessage", retry_after=7)
    with pytest.raises(SlackApiError) as limited:
        await client.chat_postMessage(channel=GENERAL, text="x")
    answer = answered(limited.value)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")

    slack.mishaps.limit("chat.postMessage", quietly=True)
    assert await refusal(client, "chat.postMessage", channel=GENERAL, text="x") == "ratelimited"
    slack.mishaps.refuse(None, "fatal_error", when=is_odd)
    assert (await client.chat_postMessage(channel=GENERAL, text="even"))["ok"]
    assert await refusal(client, "chat.postMessage", channel=GENERAL, text="odd") == "fatal_error"
    slack.mishaps.fail("chat.postMessage", status=503)
    with pytest.raises(SlackApiError):
        await client.chat_postMessage(channel=GENERAL, text="x")
    assert [one.text for one in at.of_bot()] == ["even"]


@pytest.mark.parametrize(("where", "said"), [(Where.BEFORE, []), (Where.AFTER, ["x"])])
async def test_a_cut_connection_leaves_it_open_what_became_of_the_call(
    client: Sdk, at: Workspace, slack: Slack, where: Where, said: list[str]
) -> None:
    slack.mishaps.cut("chat.postMessage", where=where)
    with pytest.raises(Exception, match=r"(?i)disconnect|reset|closed"):
        await client.chat_postMessage(channel=GENERAL, text="x")
    assert [one.text for one in at.of_bot()] == said


async def test_a_call_that_hangs_goes_on_when_it_is_let_go(client: Sdk, slack: Slack) -> None:
    slack.mishaps.hang("chat.postMessage").set()
    assert (await client.chat_postMessage(channel=GENERAL, text="x"))["ok"]


async def test_tokens_are_refreshed_where_they_rotate(slack: Slack, at: Workspace) -> None:
    slack.rotates = True
    slack.codes["one"] = (at.team, {"redirect_uri": "", "scope": "chat:write", "user_id": CAROL})
    nobody = client_of(slack.api_url)

    async def access(**given: str) -> Json:
        # The SDK's own call warns about how it says who asks.
        told: Json = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, **given}
        return (await nobody.api_call("oauth.v2.access", data=told)).data

    granted = await access(code="one")
    assert (granted["scope"], granted["authed_user"]) == ("chat:write", {"id": CAROL})
    renewed = {"grant_type": "refresh_token", "refresh_token": granted["refresh_token"]}
    fresh = await access(**renewed)
    assert (await client_of(slack.api_url, fresh["access_token"]).auth_test())["team_id"] == at.team
    with pytest.raises(SlackApiError, match="invalid_refresh_token"):
        await access(**renewed)


async def test_a_file_is_uploaded_in_three_steps(client: Sdk, at: Workspace) -> None:
    await client.files_upload_v2(channel=GENERAL, content="all of it", filename="answer.md")
    assert list(at.uploads.values()) == [b"all of it"]
    assert len(at.of_bot(GENERAL)[0].files) == 1


async def test_limits_are_told_by_429_where_they_are_enforced(client: Sdk, slack: Slack) -> None:
    slack.enforces_limits = True
    for _ in range(CHANNEL_BURST):
        await client.chat_postMessage(channel=GENERAL, text="x")
    assert await refusal(client, "chat.postMessage", channel=GENERAL, text="x") == "ratelimited"
    assert [one.channel for one in slack.meter.excesses] == [GENERAL]


def count(meter: Meter, method: str, *, team: str = "T1", channel: str = "C1") -> float | None:
    return meter.count(team=team, method=method, channel=channel, refuses=True)


class TestMeter:
    def test_a_method_has_its_calls_in_any_minute(self) -> None:
        now = 0.0
        meter = Meter(clock=lambda: now)
        most = A_MINUTE["chat.update"]
        assert [count(meter, "chat.update") for _ in range(most)] == [None] * most
        assert count(meter, "chat.update") == 60.0
        assert count(meter, "chat.update", team="T2") is None
        now = 60.0
        assert count(meter, "chat.update") is None
        assert [one.method for one in meter.excesses] == ["chat.update"]

    def test_a_channel_takes_a_message_a_second_after_a_burst(self) -> None:
        now, taken = 0.0, 0
        meter = Meter(clock=lambda: now)
        for _ in range(100):
            taken += count(meter, "chat.postMessage") is None
            now += 0.1
        assert taken == pytest.approx(CHANNEL_BURST + 9, abs=1)
        assert count(meter, "chat.postMessage", channel="C2") is None

    def test_what_is_only_counted_is_counted_though_it_was_too_much(self) -> None:
        meter = Meter(clock=lambda: 0.0)
        for _ in range(25):
            meter.count(team="T1", method="chat.startStream", channel="C1", refuses=False)
        assert len(meter.excesses) == 5


async def test_it_sums_up_for_other_processes(client: Sdk, slack: Slack) -> None:
    await client.chat_postMessage(channel=GENERAL, text="x")
    await refusal(client, "chat.postMessage", channel=GENERAL)
    async with http_client() as http:
        told = (await http.get(f"{slack.url}/told")).json()
    assert told["calls"] == {"chat.postMessage": {"200": 1, "no_text": 1}}
    assert (told["excesses"], told["messages"]) == (0, 1)

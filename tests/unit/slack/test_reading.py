"""What each payload of Slack's is to us: a row with what handling needs, or nothing."""

# Any: Slack's JSON.
from typing import Any

import pytest

from bots.arrivals import (
    Click,
    Gone,
    Home,
    LeftPerson,
    Message,
    Stopped,
    Submission,
    kept,
    told,
)
from bots.slack import reading
from bots.slack.reading import Reading, Sender, plain_text
from tests.unit.slack.payloads import (
    ALICE,
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

SENDER = Sender(workspace=TEAM, bot_user=BOT)


def test_a_direct_message_is_a_row_of_its_own_thread() -> None:
    read = reading.event(a_message(), sender=SENDER)
    assert read == Reading(
        conversation="D1/1700000000.000100",
        position="1700000000.000100",
        external_id=f"event:{TEAM}:Ev1",
        happening=Message(
            user=ALICE,
            user_team=TEAM,
            channel="D1",
            ts="1700000000.000100",
            thread="1700000000.000100",
            text="Tidy up.",
        ),
    )


def test_a_reply_belongs_to_the_conversation_of_its_thread() -> None:
    read = reading.event(
        a_message(thread_ts="1700000000.000100", ts="1700000009.000000"), sender=SENDER
    )
    assert read is not None
    assert (read.conversation, read.position) == ("D1/1700000000.000100", "1700000009.000000")


def test_a_mention_is_for_us_without_the_mention() -> None:
    read = reading.event(a_mention(f"<@{BOT}> tidy &amp; sort"), sender=SENDER)
    assert read is not None
    assert read.thread is None
    assert isinstance(read.happening, Message)
    assert read.happening.text == "tidy & sort"


def test_a_reply_in_a_channel_is_for_us_only_where_we_are_in_the_thread() -> None:
    read = reading.event(
        a_message(channel="C1", thread_ts="1700000000.000100", ts="1700000009.000000"),
        sender=SENDER,
    )
    assert read is not None
    assert read.thread == "C1/1700000000.000100"


@pytest.mark.parametrize(
    "payload",
    [
        a_message(bot_id="B1"),
        a_message(app_id="A1"),
        a_message(user=BOT),
        a_message(user=None),
        a_message(subtype="message_changed"),
        a_message(subtype="message_deleted"),
        a_message(subtype="channel_join"),
        a_message(subtype="bot_message"),
        a_message(edited={"user": ALICE, "ts": "1"}),
        a_message(hidden=True),
        a_message(channel="C1"),
        a_message(f"<@{BOT}> hello", channel="C1"),
        a_message(f"well, <@{BOT}>", channel="C1", thread_ts="1700000000.000100"),
        a_message("<@UOTHER> what do you say?", channel="C1", thread_ts="1700000000.000100"),
        a_mention(channel="D1"),
        a_mention(bot_id="B1"),
        a_mention(edited={"user": ALICE, "ts": "1"}),
        an_event("link_shared", user=ALICE, channel="C1", links=[]),
        an_event("tokens_revoked", tokens={"oauth": [ALICE], "bot": []}),
        an_event("user_change", user={"id": ALICE, "profile": {"status_text": "at lunch"}}),
        an_event("message", user={"id": ALICE}, channel="D1", ts="1"),
        an_event("message", user=ALICE, channel="D1"),
        {"type": "event_callback", "event": {"type": "message"}},
        {"type": "event_callback"},
    ],
)
def test_what_is_not_for_us_is_nothing(payload: Payload) -> None:
    assert reading.event(payload, sender=SENDER) is None


@pytest.mark.parametrize("subtype", ["file_share", "thread_broadcast", "me_message"])
def test_a_message_with_something_beside_it_is_a_message(subtype: str) -> None:
    assert reading.event(a_message(subtype=subtype), sender=SENDER) is not None


@pytest.mark.parametrize(
    ("payload", "happening", "urgent"),
    [
        (
            an_event("app_home_opened", user=ALICE, tab="home", event_ts="1.2"),
            Home(user=ALICE, tab="home"),
            True,
        ),
        (
            an_event(
                "agent_session_stopped", user=ALICE, channel="D1", thread_ts="1.1", event_ts="1.2"
            ),
            Stopped(user=ALICE, channel="D1", thread="1.1"),
            True,
        ),
        (an_event("app_uninstalled"), Gone(why="uninstalled", at=1700000000), False),
        (
            an_event("tokens_revoked", tokens={"bot": [BOT]}),
            Gone(why="revoked", at=1700000000, bots=(BOT,)),
            False,
        ),
        (
            an_event("user_change", user={"id": "UEVE", "team_id": TEAM, "deleted": True}),
            LeftPerson(user="UEVE", user_team=TEAM),
            False,
        ),
        (
            an_event("user_change", user={"id": "UEVE", "is_restricted": True}),
            LeftPerson(user="UEVE"),
            False,
        ),
    ],
)
def test_events_beside_messages(payload: Payload, happening: object, *, urgent: bool) -> None:
    read = reading.event(payload, sender=SENDER)
    assert read is not None
    assert (read.happening, read.urgent) == (happening, urgent)


def test_a_stop_does_not_wait_behind_the_thread_that_it_stops() -> None:
    said = reading.event(a_message(channel="D1", ts="1.1"), sender=SENDER)
    stop = reading.event(
        an_event(
            "agent_session_stopped", user=ALICE, channel="D1", thread_ts="1.1", event_ts="1.2"
        ),
        sender=SENDER,
    )
    assert said is not None
    assert stop is not None
    assert stop.conversation != said.conversation


def test_a_click_is_named_by_who_pressed_what_and_when() -> None:
    read = reading.click(a_click(), sender=SENDER)
    assert read is not None
    assert read.external_id == f"click:{TEAM}:{ALICE}:1700000002.000300:approve"
    assert read.position == "1700000002.000300"
    assert read.urgent
    assert read.happening == Click(
        user=ALICE,
        user_team=TEAM,
        action="approve",
        value='{"a":"1"}',
        channel="C1",
        thread="1700000000.000100",
        message="1700000001.000200",
        trigger="1.2.trigger",
    )


def test_a_click_at_home_has_no_channel() -> None:
    payload = a_click(container={"type": "view", "view_id": "V1"}, view={"id": "V1"})
    del payload["channel"]
    del payload["message"]
    read = reading.click(payload, sender=SENDER)
    assert read is not None
    assert isinstance(read.happening, Click)
    assert (read.happening.channel, read.happening.view) == ("", "V1")


def test_a_click_on_a_message_that_is_no_reply_names_no_thread() -> None:
    payload = a_click()
    for thread in ("", payload["message"]["ts"]):
        payload["message"]["thread_ts"] = thread
        read = reading.click(payload, sender=SENDER)
        assert read is not None
        assert isinstance(read.happening, Click)
        assert (read.happening.thread, read.happening.message) == ("", "1700000001.000200")


def test_a_choice_in_a_menu_is_its_value() -> None:
    payload = a_click()
    payload["actions"][0]["selected_option"] = {"value": "chosen"}
    read = reading.click(payload, sender=SENDER)
    assert read is not None
    assert isinstance(read.happening, Click)
    assert read.happening.value == "chosen"


def test_a_form_is_what_was_typed_into_it() -> None:
    read = reading.submission(a_submission(), sender=SENDER)
    assert read is not None
    assert read.happening == Submission(
        user=ALICE,
        user_team=TEAM,
        form="deny_form",
        carried='{"a":"1"}',
        fields={"reason": "Not now.", "empty": "", "choice": "high", "due": "2026-12-01"},
        view="V1",
        trigger="1.2.trigger",
    )


@pytest.mark.parametrize(
    "read",
    [
        reading.click(a_click(), sender=SENDER),
        reading.submission(a_submission(), sender=SENDER),
        reading.command(a_command(), sender=SENDER),
        reading.shortcut(a_shortcut(), sender=SENDER),
        reading.event(a_message(), sender=SENDER),
    ],
)
def test_what_is_kept_reads_back_the_same_and_holds_no_token(read: Reading | None) -> None:
    assert read is not None
    payload = kept(read.happening)
    assert told(payload) == read.happening
    assert "verification-token" not in str(payload)
    assert "secret" not in str(payload)


@pytest.mark.parametrize(
    ("read", "payload"),
    [
        (reading.click, a_click(value="x" * 3001)),
        (reading.click, a_click(actions=[])),
        (reading.click, a_click(user=None)),
        (reading.submission, a_submission(view={"callback_id": "f", "private_metadata": 1})),
        (reading.submission, a_submission(user="U1")),
        (reading.command, a_command(trigger_id="")),
        (reading.shortcut, a_shortcut(channel=None)),
        (reading.click, []),
        (reading.command, None),
    ],
)
def test_what_is_not_as_slack_sends_it_is_nothing(
    # Any: each reader by its name.
    read: Any,  # noqa: ANN401 - as above
    payload: object,
) -> None:
    assert read(payload, sender=SENDER) is None


def test_a_megabyte_of_text_is_cut_just_beyond_what_a_task_may_be() -> None:
    read = reading.event(a_message("x" * 1_000_000), sender=SENDER)
    assert read is not None
    assert isinstance(read.happening, Message)
    assert len(read.happening.text) == 50_001


def test_what_cannot_be_stored_is_replaced() -> None:
    read = reading.event(a_message("a\x00b \ud800"), sender=SENDER)
    assert read is not None
    assert isinstance(read.happening, Message)
    assert read.happening.text == "a\ufffdb \ufffd"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("<@UBOT> hello", "hello"),
        ("<@UBOT|sallyport> hello", "hello"),
        ("ask <@U2> and <#C1|general>", "ask @U2 and #general"),
        ("<!here> <!subteam^S1|@ops>", "@here @ops"),
        ("see <https://acme.test/a?b=1&amp;c=2>", "see https://acme.test/a?b=1&c=2"),
        ("see <https://acme.test|our site>", "see our site (https://acme.test)"),
        ("<mailto:bob@acme.test|bob@acme.test>", "bob@acme.test"),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
        ("&amp;lt;", "&lt;"),
        ("a < b > c", "a < b > c"),
    ],
)
def test_markup_is_read_as_its_writer_sees_it(text: str, read: str) -> None:
    assert plain_text(text, bot_user=BOT) == read


def test_a_form_may_have_as_many_inputs_as_a_window_has_blocks() -> None:
    body = a_submission()
    field = {"typed": {"type": "plain_text_input", "value": "x"}}
    body["view"]["state"]["values"] = {f"input-{number}": field for number in range(90)}
    read = reading.submission(body, sender=SENDER)
    assert read is not None
    assert isinstance(read.happening, Submission)
    assert len(read.happening.fields) == 90

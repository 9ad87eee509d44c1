"""What each activity of Teams' is to us: a row with what handling needs, or nothing."""

import pytest

from bots import actions
from bots.arrivals import Click, Command, Message, Shortcut, Submission
from bots.teams.arrivals import Kept, Rated
from bots.teams.reading import TeamsReading, activity_of, look, plain_text, read, text_of_html
from tests.teams.said import (
    ALICE,
    CHANNEL,
    EVE,
    GROUP,
    ROOT,
    SERVICE,
    TENANT,
    Payload,
    a_click,
    a_message,
    a_question_about,
    a_rating,
    activity,
    an_installation,
    mri,
)


def row(payload: Payload) -> TeamsReading:
    told = activity_of(payload)
    assert told is not None
    found = read(told)
    assert found is not None
    assert Kept.of_payload(found.kept.as_payload()) == found.kept
    return found


def nothing(payload: Payload) -> bool:
    told = activity_of(payload)
    return told is not None and read(told) is None


def test_ones_own_chat_is_one_conversation_named_by_its_person() -> None:
    found = row(a_message())
    assert found.conversation == f"@{ALICE}/"
    assert found.external_id == f"event:{TENANT}:a:{ALICE}:1764150000001"
    assert found.thread is None
    assert found.kept.done == Message(
        user=ALICE, channel=f"@{ALICE}", ts="1764150000001", thread="", text="Tidy up."
    )


def test_it_is_kept_where_that_was() -> None:
    seen = row(a_message()).kept.seen
    assert (seen.service_url, seen.conversation) == (SERVICE, f"a:{ALICE}")
    assert (seen.user, seen.mri, seen.is_personal) == (ALICE, mri("alice"), True)


def test_a_mention_in_a_channel_is_for_us_and_read_without_it() -> None:
    found = row(a_message(mention=True, where="channel"))
    assert found.conversation == f"{CHANNEL}/{ROOT}"
    assert found.thread is None
    deed = found.kept.done
    assert isinstance(deed, Message)
    assert (deed.text, deed.thread, deed.is_first) == ("Tidy up.", ROOT, False)


def test_the_first_message_of_a_thread_is_its_own() -> None:
    deed = row(a_message(mention=True, where="channel", id=ROOT)).kept.done
    assert isinstance(deed, Message)
    assert deed.is_first


def test_a_reply_without_a_mention_is_for_us_in_our_threads_only() -> None:
    assert row(a_message(where="channel")).thread == f"{CHANNEL}/{ROOT}"
    assert nothing(a_message(where="channel", id=ROOT))
    assert nothing(a_message(where="groupChat"))


def test_a_group_chat_has_no_threads() -> None:
    deed = row(a_message(mention=True, where="groupChat")).kept.done
    assert isinstance(deed, Message)
    assert (deed.channel, deed.thread) == (GROUP, "")


def test_what_we_or_other_bots_say_is_nothing() -> None:
    ours = a_message()
    ours["from"] = {"id": "28:bot", "role": "bot"}
    assert nothing(ours)


@pytest.mark.parametrize("text", ["help", "Runs", " approvals ", "TOOLS"])
def test_a_word_alone_is_a_command(text: str) -> None:
    deed = row(a_message(text)).kept.done
    assert deed == Command(user=ALICE, text=text.strip().lower(), channel=f"@{ALICE}")


def test_a_click_carries_ids_and_waits_for_nothing_before_it() -> None:
    found = row(a_click("approve", carries={"a": "1", "d": "2"}, where="channel"))
    assert found.urgent
    assert found.conversation == f"click:{found.external_id}"
    assert found.kept.done == Click(
        user=ALICE,
        action="approve",
        value='{"a":"1","d":"2"}',
        channel=CHANNEL,
        thread=ROOT,
        message="1764150000500",
        trigger=found.external_id,
    )


def test_a_button_named_as_a_form_sends_what_was_typed_with_it() -> None:
    deed = row(a_click(actions.DENY_FORM, typed={actions.REASON: "No.", "on": "true"})).kept.done
    assert isinstance(deed, Submission)
    assert (deed.form, deed.carried) == (actions.DENY_FORM, '{"a":"1"}')
    assert deed.fields == {actions.REASON: "No.", "on": "true"}


def test_a_refresh_is_a_look_and_no_row() -> None:
    told = activity_of(a_click("refresh", trigger="automatic"))
    assert told is not None
    asked = look(told)
    assert asked is not None
    assert (asked.tenant, asked.value) == (TENANT, '{"a":"1"}')
    approve = activity_of(a_click())
    assert approve is not None
    assert look(approve) is None


def test_a_question_about_a_message_says_whose_it_is() -> None:
    deed = row(a_question_about("<p>Is this <b>right</b>?</p><p>&lt;yes&gt;</p>")).kept.done
    assert isinstance(deed, Shortcut)
    assert (deed.text, deed.author, deed.name) == ("Is this right?\n<yes>", EVE, "Eve")


def test_the_form_for_it_says_which_form_it_is() -> None:
    data = {"verb": actions.ASK_FORM, "ids": '{"m":"1"}', actions.ASKED: "Is it?"}
    sent = activity(
        "invoke", name="composeExtension/submitAction", value={"commandId": "ask", "data": data}
    )
    deed = row(sent).kept.done
    assert isinstance(deed, Submission)
    assert (deed.form, deed.fields) == (actions.ASK_FORM, {actions.ASKED: "Is it?"})


def test_thumbs_are_about_a_message() -> None:
    up, down = (row(a_rating(one, message="m1", words="Late.")) for one in ("like", "dislike"))
    assert up.kept.rated == Rated(message="m1", good=True)
    assert down.kept.rated == Rated(message="m1", good=False, reason="Late.")


def test_that_the_app_came_or_went_is_kept_whoever_did_it() -> None:
    assert row(an_installation()).kept.change == "installed"
    assert row(an_installation("remove-upgrade")).kept.change == "removed"
    by_nobody = an_installation()
    by_nobody["from"] = {"id": "29:admin"}
    assert row(by_nobody).kept.change == "installed"


@pytest.mark.parametrize(
    "payload",
    [
        activity("typing"),
        activity("messageReaction", reactionsAdded=[{"type": "like"}]),
        activity("invoke", name="adaptiveCard/action", value={"action": "approve"}),
        activity("invoke", name="composeExtension/query", value={}),
        activity("invoke", name="composeExtension/fetchTask", value={"commandId": "ask"}),
        a_rating("love", message="m1"),
    ],
)
def test_all_else_is_nothing(payload: Payload) -> None:
    assert nothing(payload)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"type": "message"},
        {**a_message(), "serviceUrl": None},
        {**a_message(), "conversation": {}},
        {**a_message(), "conversation": "a:1"},
        {**a_message(), "from": "alice"},
        {**a_message(), "timestamp": "yesterday"},
        {**a_message(), "id": "x" * 401},
        {**a_message(), "channelData": {"tenant": {"id": "0d9b6c1e-2f0b-4c0e-9d5f-6a2b9b0a0002"}}},
    ],
)
def test_what_is_no_activity_is_none(payload: Payload) -> None:
    assert activity_of(payload) is None


def test_the_same_activity_has_the_same_name_and_no_other_has() -> None:
    first, again = row(a_message()), row(a_message())
    assert first.external_id == again.external_id
    others = [
        a_message(id="1764150000002"),
        a_message(where="channel", mention=True),
        a_message(tenant="0d9b6c1e-2f0b-4c0e-9d5f-6a2b9b0a0002"),
    ]
    assert len({first.external_id, *(row(one).external_id for one in others)}) == len(others) + 1


def test_a_later_message_comes_later() -> None:
    later = row(a_message(timestamp="2026-11-26T10:00:00.124Z"))
    assert row(a_message()).position < later.position


def test_ids_of_entra_are_the_same_in_either_case() -> None:
    loud = a_message()
    loud["from"]["aadObjectId"] = ALICE.upper()
    assert row(loud) == row(a_message())


def test_escapes_are_told_once() -> None:
    assert plain_text("&amp;lt;b&amp;gt; &lt;i&gt;&nbsp;x", ours="") == "&lt;b&gt; <i> x"
    assert plain_text("<at>Sallyport</at> ask <at>Bob</at>", ours="<at>Sallyport</at>") == (
        "ask @Bob"
    )


def test_html_is_read_as_its_text() -> None:
    told = text_of_html("<div>One<br>two <at id='0'>Bob</at></div><script>x</script>&amp;lt;")
    assert told == "One\ntwo @Bob\nx&lt;"


@pytest.mark.parametrize(
    ("conversation", "is_personal"),
    [
        ({"id": "a:1", "conversationType": "personal"}, True),
        ({"id": "a:1"}, True),
        ({"id": GROUP, "conversationType": "groupChat"}, False),
        ({"id": GROUP}, False),
        ({"id": f"{CHANNEL};messageid={ROOT}"}, False),
        ({"id": "a:1", "conversationType": "meeting"}, False),
    ],
)
def test_only_where_nobody_else_reads_it_is_a_conversation_somebody_s_own(
    conversation: Payload, *, is_personal: bool
) -> None:
    told = a_message(mention=True)
    told["conversation"] = conversation
    found = row(told)
    assert found.kept.seen.is_personal == is_personal
    assert found.conversation.startswith("@") == is_personal


def test_a_form_is_sent_from_where_its_sender_is() -> None:
    for where, channel in (("personal", f"@{ALICE}"), ("channel", CHANNEL), ("groupChat", GROUP)):
        sent = row(a_click(actions.DENY_FORM, where=where)).kept.done
        assert isinstance(sent, Submission)
        assert sent.channel == channel


@pytest.mark.parametrize("field", ["id", "replyToId", "type"])
def test_an_id_has_so_many_bytes_as_an_index_holds(field: str) -> None:
    assert activity_of({**a_message(), field: "\U0001f511" * 100}) is not None
    assert activity_of({**a_message(), field: "\U0001f511" * 101}) is None


@pytest.mark.parametrize(
    ("told", "position"),
    [
        ("0001-01-01T00:00:00", "-62135596800.000000"),
        ("2026-11-26T10:00:00", "1795687200.000000"),
        ("2026-11-26T12:00:00+02:00", "1795687200.000000"),
    ],
)
def test_a_time_without_a_zone_is_utc(told: str, position: str) -> None:
    assert row({**a_message(), "timestamp": told}).position == position

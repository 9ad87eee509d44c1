"""What Slack has of a message becomes what is wished of it, whatever Slack says on the way."""

from dataclasses import replace
from typing import cast
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.outbox import ApiCall, Never, Took
from bots.slack.delivering import next_call, sent_after
from core.domain.canonical import Json, JsonObject
from core.domain.delivery import Kind, Parcel, Place, Wish
from tests.nouns import NOON, TENANT

THREAD = "C1/1700.0001"
ANSWERS: dict[str, JsonObject] = {
    "chat.postMessage": {"channel": "C1", "ts": "1700.0002"},
    "chat.startStream": {"ts": "1700.0002"},
    "conversations.open": {"channel": {"id": "D1"}},
}


def a_parcel(
    payload: JsonObject, *, address: str = THREAD, sent: JsonObject | None = None
) -> Parcel:
    wish = Wish(
        place=Place(surface="slack", workspace="T1", address=address),
        key="run:1",
        kind=Kind.PROGRESS,
        payload=payload,
    )
    return Parcel(
        id=uuid4(),
        version=1,
        tenant_id=TENANT,
        wish=wish,
        sent=sent or {},
        attempts=0,
        wished_at=NOON,
    )


def said(text: str, **more: Json) -> JsonObject:
    return {"text": text, "blocks": [{"type": "section", "text": text}], **more}


def streamed(text: str, *, status: str = "processing", **tasks: str) -> JsonObject:
    told = [{"id": name, "title": name, "status": stands} for name, stands in tasks.items()]
    return said(
        text,
        status=status,
        asker="U1",
        final=status == "active",
        stream={"title": "Working", "tasks": told, "text": text, "blocks": [{"type": "divider"}]},
    )


def call_of(parcel: Parcel) -> ApiCall:
    call = next_call(parcel)
    assert call is not None
    return call


def taken(parcel: Parcel, *, most: int = 20) -> tuple[Parcel, list[ApiCall]]:
    """Have Slack take every call until nothing is left to do."""
    made: list[ApiCall] = []
    for _ in range(most):
        call = next_call(parcel)
        if call is None:
            return parcel, made
        made.append(call)
        answer = ANSWERS.get(call.method, {})
        sent = sent_after(parcel, call, Took(answer=answer))
        assert sent is not None
        parcel = replace(parcel, sent=sent)
    raise AssertionError([call.method for call in made])


def chunks_of(call: ApiCall) -> list[dict[str, str]]:
    return cast("list[dict[str, str]]", call.arguments.get("chunks", []))


def wished_now(parcel: Parcel, payload: JsonObject) -> Parcel:
    return replace(parcel, wish=replace(parcel.wish, payload=payload))


def methods(calls: list[ApiCall]) -> list[str]:
    return [call.method for call in calls]


def test_a_message_is_posted_once_and_then_edited_when_it_is_to_be_another() -> None:
    parcel, made = taken(a_parcel(said("one")))
    assert methods(made) == ["chat.postMessage"]
    assert made[0].arguments["thread_ts"] == "1700.0001"
    assert made[0].arguments["unfurl_links"] is False
    assert next_call(parcel) is None
    _, more = taken(wished_now(parcel, said("two")))
    assert methods(more) == ["chat.update"]
    assert more[0].arguments["ts"] == "1700.0002"


def test_somebody_by_themselves_is_written_to_in_a_conversation_that_is_opened_first() -> None:
    parcel, made = taken(a_parcel(said("hello"), address="@U7/"))
    assert methods(made) == ["conversations.open", "chat.postMessage"]
    assert made[0].arguments == {"users": "U7"}
    assert made[1].arguments["channel"] == "D1"
    assert "thread_ts" not in made[1].arguments
    assert parcel.sent["ts"] == "1700.0002"


def test_a_run_is_streamed_with_what_is_new_only_and_ended_with_its_blocks() -> None:
    parcel, made = taken(a_parcel(streamed("I look", find="in_progress")))
    assert methods(made) == ["agents.sessions.setStatus", "chat.startStream"]
    assert made[1].arguments["recipient_user_id"] == "U1"
    parcel, more = taken(
        wished_now(parcel, streamed("I look at it", find="complete", read="in_progress"))
    )
    (appended,) = more
    assert appended.arguments["chunks"] == [
        {"type": "task_update", "id": "find", "title": "find", "status": "complete"},
        {"type": "task_update", "id": "read", "title": "read", "status": "in_progress"},
        {"type": "markdown_text", "text": " at it"},
    ]
    end = streamed("I look at it. Done.", status="active", find="complete", read="complete")
    parcel, last = taken(wished_now(parcel, end))
    assert methods(last) == ["chat.stopStream"]
    assert last[0].arguments["blocks"] == [{"type": "divider"}]
    assert last[0].arguments["session_status"] == "active"
    assert next_call(parcel) is None


def test_a_run_that_waits_ends_its_stream_and_is_edited_from_then_on() -> None:
    parcel, _ = taken(a_parcel(streamed("I want to delete it", drop="in_progress")))
    waiting = streamed("I want to delete it", status="suspended", drop="pending")
    parcel, made = taken(wished_now(parcel, waiting))
    assert methods(made) == ["chat.stopStream", "chat.update"]
    assert made[0].arguments["session_status"] == "suspended"
    parcel, more = taken(wished_now(parcel, streamed("Deleted.", status="active", drop="complete")))
    assert methods(more) == ["chat.update", "agents.sessions.setStatus"]
    assert next_call(parcel) is None


def test_text_that_begins_otherwise_than_what_was_said_is_edited_in() -> None:
    parcel, _ = taken(a_parcel(streamed("The answer is 41")))
    _, made = taken(wished_now(parcel, streamed("It is 42")))
    assert methods(made) == ["chat.stopStream", "chat.update"]


def test_what_may_have_been_said_in_a_stream_is_not_said_in_it_again() -> None:
    parcel, _ = taken(a_parcel(streamed("I look")))
    parcel = wished_now(parcel, streamed("I look at it"))
    lost = call_of(parcel)
    assert lost.method == "chat.appendStream"
    _, made = taken(replace(parcel, sent={**parcel.sent, **lost.before}))
    assert methods(made) == ["chat.stopStream", "chat.update"]
    assert chunks_of(made[0]) == []
    assert made[1].arguments["text"] == "I look at it"


@pytest.mark.parametrize("code", ["unknown_method", "missing_scope", "feature_not_enabled"])
def test_where_nothing_can_be_streamed_a_message_is_edited_instead(code: str) -> None:
    parcel = a_parcel(streamed("I look"), sent={"no_status": True})
    call = call_of(parcel)
    assert call.method == "chat.startStream"
    sent = sent_after(parcel, call, Never(code=code))
    assert sent is not None
    _, made = taken(replace(parcel, sent=sent))
    assert methods(made) == ["chat.postMessage"]


def test_a_stream_gives_way_to_a_message_where_the_limits_do_not_let_it_begin() -> None:
    call = call_of(a_parcel(streamed("I look"), sent={"no_status": True}))
    assert call.or_else is not None
    assert call.or_else.method == "chat.postMessage"


def test_a_message_whose_acknowledgement_was_lost_is_looked_for_before_it_is_posted_again() -> None:
    parcel = a_parcel(said("one"))
    lost = call_of(parcel)
    parcel = replace(parcel, sent={**parcel.sent, **lost.before})
    look = call_of(parcel)
    assert look.method == "conversations.replies"
    # Of a long thread Slack tells the oldest first: what came before the wish is not asked for.
    assert (
        float(str(look.arguments["oldest"]))
        < NOON.timestamp()
        <= 120 + float(str(look.arguments["oldest"]))
    )
    there = Took(answer={"messages": [{"ts": "9.9", "metadata": lost.arguments["metadata"]}]})
    found = sent_after(parcel, look, there)
    assert found is not None
    assert found["ts"] == "9.9"
    assert call_of(replace(parcel, sent=found)).method == "chat.update"
    absent = sent_after(parcel, look, Took(answer={"messages": [{"ts": "9.9"}]}))
    assert absent == {}


def test_a_message_that_somebody_deleted_is_posted_anew_but_not_for_ever() -> None:
    parcel, _ = taken(a_parcel(said("one")))
    parcel = wished_now(parcel, said("two"))
    for _ in range(3):
        call = call_of(parcel)
        assert call.method == "chat.update"
        sent = sent_after(parcel, call, Never(code="message_not_found"))
        assert sent is not None
        parcel, made = taken(replace(parcel, sent=sent))
        assert methods(made) == ["chat.postMessage"]
        parcel = wished_now(parcel, said(f"after {made[0].arguments['metadata']}"))
    assert sent_after(parcel, call_of(parcel), Never(code="message_not_found")) is None


@pytest.mark.parametrize("code", ["channel_not_found", "is_archived", "token_revoked"])
@pytest.mark.parametrize("sent", [{}, {"ts": "1", "channel": "C1", "shown": "x"}])
def test_nothing_more_is_said_where_the_channel_or_the_workspace_is_gone(
    code: str, sent: JsonObject
) -> None:
    parcel = a_parcel(said("one"), sent=sent)
    assert sent_after(parcel, call_of(parcel), Never(code=code)) is None


def test_a_status_that_cannot_be_set_is_done_without() -> None:
    parcel = a_parcel(streamed("I look"))
    call = call_of(parcel)
    assert call.method == "agents.sessions.setStatus"
    sent = sent_after(parcel, call, Never(code="unknown_method"))
    assert sent is not None
    assert call_of(replace(parcel, sent=sent)).method == "chat.startStream"


def test_a_private_note_is_said_once() -> None:
    parcel, made = taken(a_parcel({"text": "no", "ephemeral_to": "U3"}))
    assert methods(made) == ["chat.postEphemeral"]
    assert made[0].arguments["user"] == "U3"
    assert next_call(parcel) is None


def test_a_home_is_published_where_it_has_changed() -> None:
    parcel, made = taken(a_parcel({"view": {"type": "home", "blocks": []}}, address="@U1/"))
    assert methods(made) == ["views.publish"]
    assert next_call(parcel) is None


def test_text_longer_than_a_call_takes_goes_in_several() -> None:
    parcel, _ = taken(a_parcel(streamed("a")))
    long = "a" * 30_000
    parcel, made = taken(wished_now(parcel, streamed(long, status="active")))
    sizes = [len(one["text"]) for call in made for one in chunks_of(call)]
    assert max(sizes) <= 12_000
    assert sum(sizes) == 29_999
    assert made[-1].method == "chat.stopStream"


@given(
    steps=st.lists(
        st.tuples(
            st.text("ab ", max_size=6),
            st.sampled_from(["processing", "suspended", "active"]),
            st.sampled_from([None, "unknown_method", "message_not_found", "invalid_blocks"]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_it_always_comes_to_an_end(steps: list[tuple[str, str, str | None]]) -> None:
    parcel = a_parcel(streamed("begin"))
    for text, status, trouble in steps:
        parcel = wished_now(parcel, streamed(text, status=status))
        call = next_call(parcel)
        if call is not None and trouble is not None:
            sent = sent_after(parcel, call, Never(code=trouble))
            if sent is None:
                return
            parcel = replace(parcel, sent=sent)
        parcel, _ = taken(parcel)

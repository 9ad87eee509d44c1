"""What Teams has of a message becomes what is wished of it, whatever Teams says on the way."""

from collections.abc import Mapping
from dataclasses import replace
from typing import cast
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots.limits import Limits
from bots.outbox import ApiCall, Never, Took
from bots.teams.delivering import (
    CONVERSATION_GONE,
    MESSAGE_GONE,
    NO_REFERENCE,
    RATES,
    STREAM_FULL,
    STREAM_OVER,
    next_call,
    sent_after,
)
from bots.wording import ANSWER_BELOW, GOES_ON_BELOW
from core.domain.canonical import Json, JsonObject
from core.domain.delivery import Kind, Parcel, Place, Wish
from tests.builders import SteadyClock
from tests.nouns import NOON, TENANT

CHANNEL = "19:general@thread.tacv2"
THREAD = f"{CHANNEL}/1700"
OWN = "@0f8fad5b-d9cb-469f-a165-70867728950e/"
CHAT = "a:1alice"
ANSWERS: dict[str, JsonObject] = {
    "conversations.create": {"conversation": CHAT},
    "activities.send": {"id": "m1"},
    "more.send": {"id": "m2"},
    "stream.begin": {"id": "s1", "began": 1000.0},
}


def a_parcel(
    payload: JsonObject,
    *,
    address: str = THREAD,
    kind: Kind = Kind.PROGRESS,
    sent: JsonObject | None = None,
) -> Parcel:
    wish = Wish(
        place=Place(surface="teams", workspace="entra", address=address),
        key="run:1",
        kind=kind,
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
    return {"activity": {"text": text, "entities": [{"type": "ai"}]}, **more}


def streamed(text: str, *, status: str = "processing", informative: str = "Looking") -> JsonObject:
    is_final = status == "active"
    card: JsonObject = {"attachments": [{"content": f"{status}: {text}"}]}
    activity: JsonObject = {"text": text, "attachments": [{"content": "done"}]}
    return {
        "activity": activity if is_final else card,
        "status": status,
        "final": is_final,
        "stream": {"informative": informative, "text": text},
    }


def call_of(parcel: Parcel) -> ApiCall:
    call = next_call(parcel)
    assert call is not None
    return call


def taken(parcel: Parcel, *, most: int = 20) -> tuple[Parcel, list[ApiCall]]:
    """Have Teams take every call until nothing is left to do."""
    made: list[ApiCall] = []
    for _ in range(most):
        call = next_call(parcel)
        if call is None:
            return parcel, made
        made.append(call)
        parcel = replace(parcel, sent={**parcel.sent, **call.before})
        sent = sent_after(parcel, call, Took(answer=ANSWERS.get(call.method, {})))
        assert sent is not None
        parcel = replace(parcel, sent=sent)
    raise AssertionError([call.method for call in made])


def refused(parcel: Parcel, code: str) -> Parcel:
    """Have Teams refuse the next call."""
    sent = sent_after(parcel, call_of(parcel), Never(code=code))
    assert sent is not None
    return replace(parcel, sent=sent)


def wished_now(parcel: Parcel, payload: JsonObject, *, kind: Kind = Kind.PROGRESS) -> Parcel:
    return replace(parcel, wish=replace(parcel.wish, payload=payload, kind=kind))


def methods(calls: list[ApiCall]) -> list[str]:
    return [call.method for call in calls]


def activity_of(call: ApiCall) -> Mapping[str, Json]:
    return cast("Mapping[str, Json]", call.arguments["activity"])


def info_of(call: ApiCall) -> Mapping[str, Json]:
    (info,) = [
        one
        for one in cast("list[Mapping[str, Json]]", activity_of(call)["entities"])
        if one["type"] == "streaminfo"
    ]
    return info


def test_a_message_is_sent_once_to_its_thread_and_then_edited_when_it_is_to_be_another() -> None:
    parcel, made = taken(a_parcel(said("one")))
    assert methods(made) == ["activities.send"]
    assert made[0].arguments["conversation"] == f"{CHANNEL};messageid=1700"
    assert activity_of(made[0]) == {
        "type": "message",
        **cast("JsonObject", said("one")["activity"]),
    }
    assert next_call(parcel) is None
    _, more = taken(wished_now(parcel, said("two")))
    assert methods(more) == ["activities.update"]
    assert more[0].arguments["message"] == "m1"


def test_a_chat_without_threads_is_written_to_as_it_is_called() -> None:
    _, (call,) = taken(a_parcel(said("one"), address="19:group@thread.v2/"))
    assert call.arguments["conversation"] == "19:group@thread.v2"


def test_somebody_by_themselves_is_written_to_in_a_conversation_that_is_asked_for_first() -> None:
    parcel, made = taken(a_parcel(said("hello"), address=OWN))
    assert methods(made) == ["conversations.create", "activities.send"]
    assert made[0].arguments == {"user": OWN[1:-1]}
    assert made[1].arguments["conversation"] == CHAT
    assert parcel.sent["id"] == "m1"


def test_a_run_is_streamed_first_what_is_done_and_then_all_of_the_text_so_far() -> None:
    parcel, made = taken(a_parcel(streamed(""), address=OWN, sent={"conversation": CHAT}))
    assert methods(made) == ["stream.begin"]
    assert activity_of(made[0])["type"] == "typing"
    assert activity_of(made[0])["text"] == "Looking"
    first = {"type": "streaminfo", "streamType": "informative", "streamSequence": 1}
    assert info_of(made[0]) == first
    parcel, made = taken(wished_now(parcel, streamed("", informative="Reading")))
    assert info_of(made[0]) == {**first, "streamId": "s1", "streamSequence": 2}
    parcel, made = taken(wished_now(parcel, streamed("I look")))
    assert info_of(made[0])["streamType"] == "streaming"
    parcel, made = taken(wished_now(parcel, streamed("I look at it", informative="Else")))
    assert activity_of(made[0])["text"] == "I look at it"
    assert info_of(made[0])["streamSequence"] == 4
    assert next_call(wished_now(parcel, streamed("I look at it", informative="More"))) is None
    end = streamed("I look at it. Done.", status="active")
    parcel, made = taken(wished_now(parcel, end))
    assert methods(made) == ["stream.end"]
    assert activity_of(made[0])["type"] == "message"
    assert activity_of(made[0])["attachments"] == [{"content": "done"}]
    assert info_of(made[0]) == {"type": "streaminfo", "streamId": "s1", "streamType": "final"}
    assert next_call(parcel) is None


@pytest.mark.parametrize("address", [THREAD, "19:group@thread.v2/"])
def test_what_others_read_too_is_not_streamed(address: str) -> None:
    _, made = taken(a_parcel(streamed("I look"), address=address))
    assert methods(made) == ["activities.send"]
    assert "attachments" in activity_of(made[0])


def test_a_run_that_waits_ends_its_stream_with_what_it_said_and_is_edited_from_then_on() -> None:
    parcel, _ = taken(a_parcel(streamed("I want to delete it"), address=OWN))
    waiting = streamed("I want to delete it", status="suspended")
    parcel, made = taken(wished_now(parcel, waiting))
    assert methods(made) == ["stream.end", "activities.update"]
    assert activity_of(made[0])["text"] == "I want to delete it"
    assert made[1].arguments["message"] == "s1"
    parcel, made = taken(wished_now(parcel, streamed("I want to delete it")))
    assert methods(made) == ["activities.update"]


def test_a_stream_that_has_said_nothing_ends_as_the_card_itself() -> None:
    parcel, _ = taken(a_parcel(streamed(""), address=OWN))
    waiting = streamed("", status="suspended")
    _, made = taken(wished_now(parcel, waiting))
    assert methods(made) == ["stream.end"]
    assert activity_of(made[0])["attachments"] == [{"content": "suspended: "}]


def test_text_that_begins_otherwise_than_what_was_said_is_edited_in() -> None:
    parcel, _ = taken(a_parcel(streamed("The answer is 41"), address=OWN))
    _, made = taken(wished_now(parcel, streamed("It is 42", status="active")))
    assert methods(made) == ["stream.end", "activities.update"]
    assert activity_of(made[0])["text"] == "The answer is 41"
    assert activity_of(made[1])["text"] == "It is 42"


def test_a_stream_that_lasts_too_long_goes_on_below_and_its_answer_is_a_message_of_its_own() -> (
    None
):
    parcel, _ = taken(a_parcel(streamed("It began"), address=OWN))
    parcel = refused(wished_now(parcel, streamed("It began and")), STREAM_FULL)
    parcel, made = taken(parcel)
    assert methods(made) == ["stream.end", "activities.send"]
    assert activity_of(made[0])["text"] == f"It began\n\n{GOES_ON_BELOW}"
    assert activity_of(made[1])["attachments"] == [{"content": "processing: It began and"}]
    parcel, made = taken(wished_now(parcel, streamed("It began and went on")))
    assert methods(made) == ["activities.update"]
    answer = streamed("It began and went on.", status="active")
    parcel, made = taken(wished_now(parcel, answer, kind=Kind.FINAL))
    assert methods(made) == ["activities.update", "activities.send"]
    assert activity_of(made[0])["text"] == ANSWER_BELOW
    assert activity_of(made[1])["text"] == "It began and went on."
    undone = wished_now(parcel, said("Undone.", final=True), kind=Kind.FINAL)
    assert methods(taken(undone)[1]) == ["activities.update"]


def test_a_long_stream_without_words_becomes_a_card_and_its_answer_a_message_of_its_own() -> None:
    parcel, _ = taken(a_parcel(streamed(""), address=OWN))
    parcel = refused(wished_now(parcel, streamed("", informative="Still")), STREAM_FULL)
    parcel, made = taken(parcel)
    assert methods(made) == ["stream.end"]
    assert activity_of(made[0])["attachments"] == [{"content": "processing: "}]
    answer = streamed("Found.", status="active")
    _, made = taken(wished_now(parcel, answer, kind=Kind.FINAL))
    assert methods(made) == ["activities.update", "activities.send"]


def test_a_card_that_tells_of_an_answer_below_is_edited_in_and_not_answered_below_itself() -> None:
    parcel, _ = taken(a_parcel(streamed("It began"), address=OWN))
    parcel, _ = taken(refused(wished_now(parcel, streamed("It began and")), STREAM_FULL))
    closed: JsonObject = {"activity": {"attachments": [{"content": "closed"}]}, "final": False}
    _, made = taken(wished_now(parcel, closed, kind=Kind.FINAL))
    assert methods(made) == ["activities.update"]
    assert activity_of(made[0])["attachments"] == [{"content": "closed"}]


@pytest.mark.parametrize("code", [STREAM_FULL, "stream_stopped", "ContentStreamNotAllowed"])
def test_the_answer_of_a_stream_that_teams_has_ended_is_told_below(code: str) -> None:
    parcel, _ = taken(a_parcel(streamed("It began"), address=OWN))
    answer = streamed("It began and ended.", status="active")
    parcel, made = taken(refused(wished_now(parcel, answer, kind=Kind.FINAL), code))
    assert methods(made) == ["activities.send"]
    undone = wished_now(parcel, said("Undone.", final=True), kind=Kind.FINAL)
    assert methods(taken(undone)[1]) == ["activities.update"]


def test_a_stream_whose_end_was_not_acknowledged_is_a_message_like_any_other() -> None:
    parcel, _ = taken(a_parcel(streamed("It began"), address=OWN))
    answer = streamed("It began and ended.", status="active")
    parcel, made = taken(refused(wished_now(parcel, answer), STREAM_OVER))
    assert methods(made) == ["activities.update"]
    assert made[0].arguments["message"] == "s1"


@pytest.mark.parametrize("code", ["ContentStreamNotAllowed", "stream_busy", "http_400"])
def test_where_nothing_can_be_streamed_a_card_is_sent_instead(code: str) -> None:
    parcel, made = taken(
        refused(a_parcel(streamed("I look"), address=OWN, sent={"conversation": CHAT}), code)
    )
    assert methods(made) == ["activities.send"]
    _, made = taken(wished_now(parcel, streamed("I look at")))
    assert methods(made) == ["activities.update"]


def test_what_goes_on_streaming_after_a_lost_acknowledgement_has_a_number_of_its_own() -> None:
    parcel, _ = taken(a_parcel(streamed("I"), address=OWN))
    parcel = wished_now(parcel, streamed("I look"))
    lost = call_of(parcel)
    again = call_of(replace(parcel, sent={**parcel.sent, **lost.before}))
    assert (info_of(lost)["streamSequence"], info_of(again)["streamSequence"]) == (2, 3)


def test_a_stream_that_may_have_begun_is_not_begun_again() -> None:
    parcel = a_parcel(streamed("I"), address=OWN, sent={"conversation": CHAT})
    parcel = replace(parcel, sent={**parcel.sent, **call_of(parcel).before})
    assert next_call(parcel) is None
    _, made = taken(wished_now(parcel, streamed("I look")))
    assert methods(made) == ["activities.send"]


def test_progress_that_may_be_there_is_dropped_and_what_comes_after_it_is_sent() -> None:
    parcel = a_parcel(streamed("one"))
    parcel = replace(parcel, sent={**parcel.sent, **call_of(parcel).before})
    assert next_call(parcel) is None
    assert call_of(wished_now(parcel, streamed("two"))).method == "activities.send"


@pytest.mark.parametrize("kind", [Kind.APPROVAL, Kind.FINAL, Kind.ERROR, Kind.PRIVATE])
def test_what_must_not_be_missed_is_sent_again_where_it_may_be_there(kind: Kind) -> None:
    parcel = a_parcel(said("one"), kind=kind)
    parcel = replace(parcel, sent={**parcel.sent, **call_of(parcel).before})
    assert call_of(parcel).method == "activities.send"


def test_a_message_that_somebody_deleted_is_sent_anew_but_not_for_ever() -> None:
    parcel, _ = taken(a_parcel(said("0")))
    for number in range(1, 4):
        parcel = refused(wished_now(parcel, said(str(number))), MESSAGE_GONE)
        parcel, made = taken(parcel)
        assert methods(made) == ["activities.send"]
    parcel = wished_now(parcel, said("4"))
    assert sent_after(parcel, call_of(parcel), Never(code=MESSAGE_GONE)) is None


@pytest.mark.parametrize(
    "code",
    ["BotNotInConversationRoster", "MessageWritesBlocked", "not_installed", "workspace_left"],
)
@pytest.mark.parametrize("sent", [{}, {"id": "m1", "shown": "x"}])
@pytest.mark.parametrize("address", [THREAD, OWN])
def test_nothing_more_is_said_where_the_agent_is_not_or_is_not_wanted(
    code: str, sent: JsonObject, address: str
) -> None:
    for payload in (said("one"), streamed("one")):
        parcel = a_parcel(payload, address=address, sent=sent)
        assert sent_after(parcel, call_of(parcel), Never(code=code)) is None


def test_a_chat_that_is_another_one_by_now_is_asked_for_again_but_a_channel_is_gone() -> None:
    parcel = a_parcel(said("one"), address=OWN, sent={"conversation": "a:old"})
    _, made = taken(refused(parcel, CONVERSATION_GONE))
    assert methods(made) == ["conversations.create", "activities.send"]
    gone = a_parcel(said("one"))
    assert sent_after(gone, call_of(gone), Never(code=CONVERSATION_GONE)) is None


def test_text_longer_than_a_stream_takes_is_shown_at_its_end() -> None:
    long = "a" * 30_000
    parcel, made = taken(a_parcel(streamed(long), address=OWN, sent={"conversation": CHAT}))
    assert len(cast("str", activity_of(made[0])["text"])) == 20_000
    assert next_call(wished_now(parcel, streamed(long + "b"))) is None
    _, made = taken(wished_now(parcel, streamed(long, status="active")))
    assert activity_of(made[0])["text"] == long


@settings(deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.text("ab ", max_size=6),
            st.sampled_from(["processing", "suspended", "active"]),
            st.sampled_from([None, STREAM_FULL, STREAM_OVER, MESSAGE_GONE, "http_413"]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_it_always_comes_to_an_end(steps: list[tuple[str, str, str | None]]) -> None:
    parcel = a_parcel(streamed("begin"), address=OWN)
    for text, status, trouble in steps:
        parcel = wished_now(parcel, streamed(text, status=status))
        call = next_call(parcel)
        if call is not None and trouble is not None:
            sent = sent_after(parcel, call, Never(code=trouble))
            if sent is None:
                return
            parcel = replace(parcel, sent=sent)
        parcel, _ = taken(parcel)


# Teams takes so many in so many seconds from an app, in a conversation.
WINDOWS = ((1.0, 7), (2.0, 8), (30.0, 60), (3600.0, 1800))


@settings(deadline=None)
@given(
    pauses=st.lists(st.one_of(st.floats(0, 0.3), st.floats(0, 3), st.floats(60, 600)), max_size=50),
    crowd=st.integers(1, 60),
)
def test_no_conversation_is_ever_told_more_than_teams_lets_it(
    pauses: list[float], crowd: int
) -> None:
    clock = SteadyClock()
    limits = Limits(RATES, clock=clock)
    uses = call_of(a_parcel(said("one"))).uses
    at: list[float] = []
    for pause in pauses:
        clock.move(seconds=pause)
        for _ in range(crowd):
            clock.move(seconds=limits.seconds_until(*uses) + 1e-6)
            limits.take(*uses)
            at.append(clock.monotonic())
    for seconds, most in WINDOWS:
        first = 0
        for last, moment in enumerate(at):
            while at[first] <= moment - seconds:
                first += 1
            assert last - first + 1 <= most


def test_an_hour_of_nothing_but_messages_stays_below_what_an_hour_takes() -> None:
    clock = SteadyClock()
    limits = Limits(RATES, clock=clock)
    uses = call_of(a_parcel(said("one"))).uses
    clock.move(seconds=3600)
    began, sent = clock.monotonic(), 0
    while clock.monotonic() - began < 3600:
        limits.take(*uses)
        sent += 1
        clock.move(seconds=limits.seconds_until(*uses) + 1e-6)
    assert 1600 < sent <= 1800


def test_a_stream_and_an_edit_take_their_time_and_hold_up_nobody_else() -> None:
    clock = SteadyClock()
    limits = Limits(RATES, clock=clock)
    clock.move(seconds=600)
    begin = call_of(a_parcel(streamed("I"), address=OWN, sent={"conversation": CHAT})).uses
    limits.take(*begin)
    assert limits.seconds_until(*begin) == 1.5
    assert limits.seconds_until(*call_of(a_parcel(said("one"))).uses) == 0
    parcel, _ = taken(a_parcel(said("one")))
    edit = call_of(wished_now(parcel, said("two"))).uses
    limits.take(*edit)
    assert limits.seconds_until(*edit) == 3


def test_an_app_stays_below_fifty_calls_a_second_in_a_tenant() -> None:
    clock = SteadyClock()
    limits = Limits(RATES, clock=clock)
    clock.move(seconds=600)
    at: list[float] = []
    for number in range(300):
        uses = call_of(a_parcel(said("one"), address=f"19:{number}@thread.v2/")).uses
        clock.move(seconds=limits.seconds_until(*uses) + 1e-6)
        limits.take(*uses)
        at.append(clock.monotonic())
    assert max(sum(one <= moment < one + 1 for moment in at) for one in at) <= 50


def below(card: str, **more: Json) -> JsonObject:
    return said("Done.", more={"attachments": [{"content": card}]}, final=True, **more)


@pytest.mark.parametrize("address", [THREAD, OWN])
def test_what_stands_below_an_answer_is_a_message_of_its_own_after_it(address: str) -> None:
    parcel, made = taken(a_parcel(below("Undo"), address=address, kind=Kind.FINAL))
    assert methods(made)[-2:] == ["activities.send", "more.send"]
    assert "attachments" not in activity_of(made[-2])
    assert activity_of(made[-1])["attachments"] == [{"content": "Undo"}]
    edited, again = taken(wished_now(parcel, below("Undone"), kind=Kind.FINAL))
    assert [(one.method, one.arguments["message"]) for one in again] == [("more.update", "m2")]
    assert taken(edited)[1] == []


def test_what_stands_below_comes_once_its_stream_has_ended() -> None:
    parcel, _ = taken(a_parcel(streamed("Do"), address=OWN))
    _, made = taken(wished_now(parcel, below("Undo", status="active"), kind=Kind.FINAL))
    assert methods(made) == ["stream.end", "more.send"]


def test_an_answer_is_not_said_again_because_what_is_below_could_not_be() -> None:
    parcel, _ = taken(a_parcel(said("Done."), kind=Kind.FINAL))
    parcel = refused(wished_now(parcel, below("Undo"), kind=Kind.FINAL), "BadSyntax")
    assert taken(parcel)[1] == []
    edited = wished_now(parcel, below("Undone"), kind=Kind.FINAL)
    assert methods(taken(edited)[1]) == ["more.send"]


def test_an_answer_that_was_deleted_is_said_anew_without_its_card() -> None:
    parcel, _ = taken(a_parcel(below("Undo"), kind=Kind.FINAL))
    changed = wished_now(parcel, {**below("Undo"), "activity": {"text": "Done!"}}, kind=Kind.FINAL)
    assert methods(taken(refused(changed, MESSAGE_GONE))[1]) == ["activities.send"]


def test_a_note_to_somebody_who_was_never_seen_is_dropped_but_a_question_is_not() -> None:
    note = a_parcel(said("You are linked."), address=OWN, kind=Kind.PRIVATE)
    dropped = refused(note, NO_REFERENCE)
    assert taken(dropped)[1] == []
    # Wished again later, when they may have been seen, it is said.
    assert methods(taken(replace(dropped, id=uuid4()))[1]) == methods(taken(note)[1]) != []
    question = a_parcel(said("May it?"), address=OWN, kind=Kind.APPROVAL)
    assert sent_after(question, call_of(question), Never(code=NO_REFERENCE)) is None

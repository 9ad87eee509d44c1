"""What a card, a message and a page offer, and to whom."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

import pytest
from slack_sdk.models.messages.chunk import TaskUpdateChunk

from bots import actions
from bots.slack import cards, home, messages, notes
from bots.views import ApprovalView, RunView, Stage
from core.domain.canonical import Json, JsonObject
from core.domain.tool import Change, Risk
from tests import chat_views as views


def offered(node: Json) -> Iterator[str]:
    """Return the actions that a message offers."""
    if isinstance(node, Mapping):
        if "action_id" in node:
            yield str(node["action_id"])
        for value in node.values():
            yield from offered(value)
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for value in node:
            yield from offered(value)


def told(message: JsonObject) -> str:
    return json.dumps(message, ensure_ascii=False)


def test_an_open_card_offers_its_answers() -> None:
    assert list(offered(cards.approval_card(views.OPEN, with_buttons=True))) == [
        actions.APPROVE,
        actions.DENY,
        actions.APPROVE_SIMILAR,
        actions.EDIT,
        actions.DETAILS,
    ]


def test_the_requester_is_told_and_offered_nothing() -> None:
    card = cards.approval_card(views.OPEN, with_buttons=False)
    assert list(offered(card)) == []
    assert "2 different approvers" in told(card)


@pytest.mark.parametrize(
    "view", [views.APPROVED, views.DENIED, views.EXPIRED, views.WITHDRAWN, views.HAPPENED]
)
def test_a_closed_card_offers_nothing(view: ApprovalView) -> None:
    assert list(offered(cards.approval_card(view, with_buttons=True))) == []


def test_a_locked_card_says_who_decided_and_why() -> None:
    card = told(cards.approval_card(views.DENIED, with_buttons=True))
    assert "*Denied* by bob@acme.test" in card
    assert "The lawyers still need it." in card


def test_all_who_agreed_are_named() -> None:
    card = told(cards.approval_card(views.APPROVED, with_buttons=True))
    assert "*Approved* by beth@acme.test and bob@acme.test" in card


def test_what_is_irreversible_is_never_approved_in_bulk() -> None:
    card = cards.approval_card(replace(views.OPEN, risk=Risk.IRREVERSIBLE), with_buttons=True)
    assert actions.APPROVE_SIMILAR not in list(offered(card))


def test_a_question_of_outcome_has_answers_of_its_own() -> None:
    assert list(offered(cards.approval_card(views.UNKNOWN, with_buttons=True))) == [
        actions.HAPPENED,
        actions.DID_NOT,
        actions.RETRY,
        actions.DETAILS,
    ]


def test_a_button_carries_ids_and_no_more() -> None:
    approve = cards.answers(views.OPEN)[0]
    assert actions.ids_of(str(approve["value"])) == {
        "a": str(views.OPEN.approval_id),
        "d": "3fa9c07d51be",
    }


def test_a_reminder_mentions_and_links_nobody() -> None:
    view = replace(views.OPEN, summary="Ask <!channel> & <https://evil.test|the bank>.")
    said = told(cards.reminder(view))
    assert "Ask &lt;!channel&gt; &amp; &lt;https://evil.test|the bank&gt;" in said


def test_a_page_that_is_no_address_gets_no_button() -> None:
    assert cards.details_button(replace(views.OPEN, url="javascript:alert(1)")) is None


def test_a_card_says_what_it_has_no_room_for() -> None:
    long = replace(views.OPEN, changes=(Change(field="text", before=None, after="x" * 999),))
    assert "Not all of it fits here" in told(cards.approval_card(long, with_buttons=True))


def test_a_summary_too_long_for_a_headline_is_told_whole() -> None:
    long = replace(views.OPEN, summary="Delete " + "x" * 200 + " now.")
    assert "x" * 200 + " now." in told(cards.approval_card(long, with_buttons=True))


@pytest.mark.parametrize(
    ("view", "stops"), [(views.WORKING, True), (views.WAITING, True), (views.DONE, False)]
)
def test_a_run_can_be_stopped_while_it_is_under_way(view: RunView, stops: bool) -> None:  # noqa: FBT001 - a case
    assert (actions.STOP in list(offered(messages.run_message(view)))) is stops


def test_an_answer_offers_undo_and_feedback() -> None:
    assert list(offered(messages.run_message(views.DONE))) == [actions.UNDO, actions.FEEDBACK]


def test_an_answer_without_words_is_still_an_answer() -> None:
    assert "There is nothing to add" in told(messages.run_message(replace(views.DONE, text=" ")))


def test_a_run_tells_of_its_cost_and_budget() -> None:
    assert "$0.0069 of $0.50 used" in told(messages.run_message(views.WAITING))


def test_a_stream_ends_with_what_stands_below_the_answer() -> None:
    assert messages.run_stream(views.WORKING)["blocks"] == []
    assert list(offered(messages.run_stream(views.DONE)["blocks"])) == [
        actions.UNDO,
        actions.FEEDBACK,
    ]


@pytest.mark.parametrize("view", [views.WORKING, views.WAITING, views.DONE, views.STOPPED])
def test_a_streams_tasks_are_chunks_of_slacks(view: RunView) -> None:
    for task in cast("Sequence[JsonObject]", messages.run_stream(view)["tasks"]):
        chunk = TaskUpdateChunk(
            id=str(task["id"]), title=str(task["title"]), status=str(task["status"])
        )
        assert chunk.to_dict()["id"] == task["id"]  # pyright: ignore[reportUnknownMemberType] # untyped
        assert task["status"] in {"pending", "in_progress", "complete", "error"}


def test_a_stream_has_room_for_so_many_tasks() -> None:
    many = replace(views.WORKING, lines=views.WORKING.lines * 40, stage=Stage.WORKING)
    tasks = messages.run_stream(many)["tasks"]
    assert isinstance(tasks, list)
    assert len(tasks) == 50
    assert tasks[-1] == {
        "id": "more",
        "title": "71 more",
        "status": "in_progress",
        "details": "",
    }


def test_only_admins_have_switches() -> None:
    assert actions.SWITCH_TOOL in list(offered(home.home(views.HOME)))
    assert actions.SWITCH_TOOL not in list(offered(home.home(replace(views.HOME, switches=()))))


def test_who_has_to_sign_in_is_told_nothing_else() -> None:
    message = notes.sign_in("https://agents.acme.test/link/one-time")
    assert list(offered(message)) == [actions.LINK]

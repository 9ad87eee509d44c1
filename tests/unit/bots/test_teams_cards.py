"""What a card and a message of Teams offer, and to whom."""

import json
from dataclasses import replace
from typing import cast

import pytest

from bots import actions
from bots.teams import cards, elements
from bots.teams.linked import TeamsTeller
from bots.teams.reading import REFRESH
from bots.teams.rendering import TeamsRendering
from bots.views import ApprovalView, RunView, Source, Stage
from core.domain.account import Account, AccountLink, Linked
from core.domain.canonical import JsonObject
from core.domain.tool import Change, Risk
from core.errors import Conflict, Forbidden
from tests import chat_views as views
from tests.nouns import NOON, a_person
from tests.teams.adaptive_cards import cards_in, hidden, offered, parts, problems

TEAMS = TeamsRendering()
TENANT = "0c8b1d2e-2f0a-4c52-9c8e-7f6a5b4c3d2e"
BOB = "7c6e1b7a-6c1f-4d53-9b1e-0e9d8c0b0b01"
CLOSED = [views.APPROVED, views.DENIED, views.EXPIRED, views.WITHDRAWN, views.HAPPENED]


def told(message: JsonObject) -> str:
    return json.dumps(message, ensure_ascii=False)


def offers(message: JsonObject) -> list[str]:
    return [verb for card in cards_in(message) for verb in offered(card)]


def activity(view: RunView) -> JsonObject:
    return cast("JsonObject", TEAMS.run_payload(view, asker="bob")["activity"])


def test_who_may_answer_is_offered_each_answer() -> None:
    assert offers(TEAMS.decider_card(views.OPEN)) == [
        actions.APPROVE,
        actions.DENY_FORM,
        actions.APPROVE_SIMILAR,
        actions.EDIT,
        "open",
    ]


def test_a_personal_chat_has_the_buttons_in_its_message() -> None:
    message = TEAMS.approval_payload(views.FRESH, decides=True)
    assert offers(message) == [actions.APPROVE, actions.DENY_FORM, "open"]


def test_where_many_read_nobody_is_offered_anything_and_those_asked_look_anew() -> None:
    message = TEAMS.shared_card(views.OPEN, viewers=["29:1bob"])
    (card,) = cards_in(message)
    assert offers(message) == []
    assert "alice@acme.test asks, through an agent, to:" in told(message)
    assert card["refresh"] == {
        "action": {
            "type": "Action.Execute",
            "verb": REFRESH,
            "data": {"ids": actions.carried(cards.ids_of(views.OPEN))},
        },
        "userIds": ["29:1bob"],
    }


def test_no_more_than_sixty_have_a_view_of_their_own() -> None:
    (card,) = cards_in(TEAMS.shared_card(views.OPEN, viewers=[f"29:{at}" for at in range(70)]))
    assert len(cast("list[str]", cast("JsonObject", card["refresh"])["userIds"])) == 60


def test_without_viewers_everybodys_teams_may_ask() -> None:
    (card,) = cards_in(TEAMS.shared_card(views.OPEN, viewers=[]))
    assert "userIds" not in cast("JsonObject", card["refresh"])


def test_the_requester_is_told_and_offered_nothing() -> None:
    message = TEAMS.approval_payload(views.OPEN, decides=False)
    assert offers(message) == []
    assert "2 different approvers" in told(message)


@pytest.mark.parametrize("view", CLOSED)
def test_a_closed_card_offers_nothing_to_anybody(view: ApprovalView) -> None:
    assert offers(TEAMS.approval_payload(view, decides=True)) == []
    assert offers(TEAMS.decider_card(view)) == []
    (card,) = cards_in(TEAMS.shared_card(view, viewers=["29:1bob"]))
    assert "refresh" not in card


def test_a_locked_card_says_who_decided_and_why() -> None:
    card = told(TEAMS.approval_payload(views.DENIED, decides=True))
    assert '"Denied"' in card
    assert " by bob@acme.test" in card
    assert "The lawyers still need it." in card


def test_what_is_irreversible_is_never_approved_in_bulk() -> None:
    card = TEAMS.decider_card(replace(views.OPEN, risk=Risk.IRREVERSIBLE))
    assert actions.APPROVE_SIMILAR not in offers(card)


def test_a_question_of_outcome_has_answers_of_its_own() -> None:
    assert offers(TEAMS.decider_card(views.UNKNOWN)) == [
        actions.HAPPENED,
        actions.DID_NOT,
        actions.RETRY,
        "open",
    ]


def test_what_cannot_be_taken_back_by_a_click_is_asked_again() -> None:
    folded = [
        verb
        for card in (TEAMS.decider_card(views.OPEN), TEAMS.decider_card(views.UNKNOWN))
        for part in parts(card)
        if part["type"] == "Action.ShowCard"
        for verb in offered(part["card"])
    ]
    assert folded == [actions.DENY_FORM, actions.APPROVE_SIMILAR, actions.RETRY]


def test_a_button_carries_ids_and_no_more() -> None:
    approve = cards.answers(views.OPEN)[0]
    carried = cast("JsonObject", approve["data"])
    assert list(carried) == ["ids"]
    assert actions.ids_of(str(carried["ids"])) == {
        "a": str(views.OPEN.approval_id),
        "d": "3fa9c07d51be",
    }


def test_an_answer_by_button_takes_no_input_along() -> None:
    approve, deny = cards.answers(views.OPEN)[:2]
    assert approve["associatedInputs"] == "none"
    (sent,) = (one for one in parts(deny) if one["type"] == "Action.Execute")
    assert "associatedInputs" not in sent


@pytest.mark.parametrize("url", ["javascript:alert(1)", f"https://acme.test/{'x' * 600}", None])
def test_a_page_that_is_no_address_gets_no_button(url: str | None) -> None:
    assert cards.details_button(replace(views.OPEN, url=url)) is None


def test_a_card_says_what_it_has_no_room_for() -> None:
    long = replace(views.OPEN, changes=(Change(field="text", before=None, after="x" * 999),))
    assert "Not all of it fits here" in told(TEAMS.decider_card(long))


def test_a_diff_shows_every_blank() -> None:
    spaced = replace(views.OPEN, changes=(Change(field="text", before="a  b", after="a b"),))
    card = told(TEAMS.decider_card(spaced))
    assert "- text: a\u00a0 b" in card
    assert "+ text: a b" in card


def test_only_accounts_of_entra_are_mentioned() -> None:
    view = replace(views.OPEN, mention=(BOB, "U0BOB12345", "<at>", BOB))
    (card,) = cards_in(TEAMS.approval_payload(view, decides=True))
    called = cast("list[JsonObject]", cast("JsonObject", card["msteams"])["entities"])
    assert [cast("JsonObject", one["mentioned"])["id"] for one in called] == [BOB]
    assert problems(card) == hidden(card) == []


def test_a_reminder_says_who_waits_and_hides_nothing() -> None:
    message = TEAMS.reminder_payload(replace(views.OPEN, summary="See [it](https://evil.test)"))
    assert "alice@acme.test still waits" in told(message)
    assert hidden(message) == []


@pytest.mark.parametrize(
    ("view", "stops"), [(views.WORKING, True), (views.WAITING, True), (views.DONE, False)]
)
def test_a_run_can_be_stopped_while_it_is_under_way(view: RunView, stops: bool) -> None:  # noqa: FBT001 - a case
    assert (actions.STOP in offers(TEAMS.run_payload(view, asker="bob"))) is stops


@pytest.mark.parametrize(
    ("view", "status", "is_final"),
    [
        (views.WORKING, "processing", False),
        (views.WAITING, "suspended", False),
        (views.DONE, "active", True),
        (views.STOPPED, "active", True),
    ],
)
def test_a_run_says_where_it_stands(view: RunView, status: str, is_final: bool) -> None:  # noqa: FBT001 - a case
    payload = TEAMS.run_payload(view, asker="bob")
    assert (payload["status"], payload["final"], payload["asker"]) == (status, is_final, "bob")
    assert ("stream" in payload) is (view.stage is Stage.WORKING)


def test_a_stream_says_what_is_done_until_there_is_text() -> None:
    assert TEAMS.run_payload(views.WORKING, asker="bob")["stream"] == {
        "informative": "Working on it: Search the documents for “old banner”…",
        "text": "",
    }


def test_an_answer_begins_with_what_was_streamed() -> None:
    working = replace(views.DONE, stage=Stage.WORKING)
    stream = cast("JsonObject", TEAMS.run_payload(working, asker="bob")["stream"])
    assert stream["text"]
    assert str(activity(views.DONE)["text"]).startswith(str(stream["text"]))


def test_an_answer_is_an_ais_with_its_sources_and_teams_own_thumbs() -> None:
    answer = activity(views.DONE)
    (label,) = cast("list[JsonObject]", answer["entities"])
    assert label["additionalType"] == ["AIGeneratedContent"]
    assert [
        cast("JsonObject", one["appearance"]) for one in cast("list[JsonObject]", label["citation"])
    ] == [
        {
            "@type": "DigitalDocument",
            "name": "Website relaunch: what is left",
            "abstract": "docs.acme.test",
            "url": "https://docs.acme.test/relaunch",
        },
        {
            "@type": "DigitalDocument",
            "name": "Project “Website relaunch”, 14 tasks",
            "abstract": "Project “Website relaunch”, 14 tasks",
        },
    ]
    assert answer["channelData"] == {"feedbackLoop": {"type": "default"}}
    assert str(answer["text"]).endswith("\n\nSources: [1] [2]")


def test_a_source_that_the_answer_refers_to_is_not_listed_again() -> None:
    answer = activity(replace(views.DONE, text="It is so [1]."))
    assert str(answer["text"]) == "It is so [1].\n\nSources: [2]"


def test_an_answer_offers_undo() -> None:
    assert offers(TEAMS.run_payload(views.DONE, asker="bob")) == [actions.UNDO]


def test_an_answer_without_words_is_still_an_answer_and_no_ais() -> None:
    answer = activity(replace(views.DONE, text=" ", sources=()))
    assert "There is nothing to add" in str(answer["text"])
    assert "entities" not in answer


def test_what_has_stopped_says_why_and_what_is_next() -> None:
    text = str(activity(views.STOPPED)["text"])
    assert "has used its budget" in text
    assert "Ask again, for less or in other words." in text


def test_an_answer_too_long_is_cut_and_says_so() -> None:
    sources = tuple(Source(title="中" * 99, url="https://acme.test") for _ in range(12))
    long = replace(views.DONE, text="word " * 9000, sources=sources)
    answer = activity(long)
    assert 15_000 < len(str(answer["text"])) <= 20_000
    assert "The rest is cut off here." in str(answer["text"])
    assert "[10] … and 2 more" in str(answer["text"])
    assert elements.bytes_of(answer) <= elements.HEAVIEST


def test_a_changed_question_is_put_below_why_not() -> None:
    note = TEAMS.refusal(Conflict("wrong_digest"), asked=views.FRESH)
    assert offers(note) == [actions.APPROVE, actions.DENY_FORM, "open"]
    assert note["shows_card"] is True


def test_a_refusal_tells_its_code() -> None:
    note = TEAMS.refusal(Forbidden("self_approval"))
    assert "self_approval" in told(note)
    assert "shows_card" not in note


def test_who_has_to_sign_in_is_told_nothing_else() -> None:
    message = TEAMS.sign_in("https://agents.acme.test/link/one-time")
    assert offers(message) == ["open"]
    assert "one-time" not in str(cast("JsonObject", message["activity"])["summary"])


def test_a_list_of_questions_asks_why_not_in_a_form() -> None:
    message = TEAMS.approvals((views.OPEN, views.FRESH))
    assert offers(message).count(actions.DENY) == 2
    assert actions.DENY_FORM not in offers(message)


def test_a_list_has_no_more_questions_than_have_room() -> None:
    large = tuple(Change(field="f", before="中" * 390, after=None) for _ in range(6))
    message = TEAMS.approvals((replace(views.OPEN, changes=large),) * 8)
    shown = offers(message).count(actions.APPROVE)
    assert 1 <= shown < 8
    assert f"… and {8 - shown} more" in told(message)
    assert problems(message) == []


def test_who_was_linked_may_take_it_back() -> None:
    account = Account(surface="teams", workspace=TENANT, user=BOB)
    link = AccountLink(account=account, person=a_person(), how=Linked.PAGE, linked_at=NOON)
    (wish,) = TeamsTeller().linked(link, told=account)
    assert (wish.place.address, wish.payload["final"]) == (f"@{BOB}/", True)
    assert offers(wish.payload) == [actions.UNLINK]
    assert problems(wish.payload) == hidden(wish.payload) == []
    other = replace(account, user="another")
    assert f"“{BOB}”" in told(TeamsTeller().linked(link, told=other)[0].payload)

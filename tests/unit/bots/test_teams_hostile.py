"""Whatever a view contains: it renders, Teams takes it, and nothing in it is more than text."""

from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots import actions
from bots.arguments import arguments_of
from bots.filled import Typed, typed_in
from bots.teams import text
from bots.teams.rendering import TeamsRendering
from bots.views import Ability, ApprovalView, HomeView, RunView, Source, Stage
from core.domain.approval import GrantScope, Question
from core.domain.canonical import JsonObject
from core.domain.tool import Change, Preview, Risk
from core.errors import Conflict
from tests import chat_views as views
from tests.chat_hostile import (
    HUGE,
    PIECES,
    VOICE,
    approvals,
    homes,
    runs,
    shapes,
    texts,
    thorough,
    urls,
    values,
)
from tests.teams.adaptive_cards import cards_in, hidden, offered, problems

TEAMS = TeamsRendering()
ASKED = tuple(f"7c6e1b7a-6c1f-4d53-9b1e-0e9d8c0b{at:04x}" for at in range(25))
VIEWERS = [f"29:1{'x' * 86}{at:02}" for at in range(70)]
UNDER_WAY = {Stage.WORKING, Stage.WAITING}


def offers(rendered: JsonObject) -> list[str]:
    return [verb for card in cards_in(rendered) for verb in offered(card) if verb != "open"]


def _is_sound(rendered: JsonObject) -> None:
    assert problems(rendered) == []
    assert hidden(rendered) == []


def _is_sound_run(view: RunView) -> None:
    payload = TEAMS.run_payload(view, asker="bob")
    _is_sound(payload)
    if view.stage in UNDER_WAY:
        assert offers(payload) == [actions.STOP]
    else:
        assert len(offers(payload)) == min(len(view.undoable), 6)
    stream = cast("JsonObject", payload.get("stream", {"informative": "", "text": ""}))
    assert len(str(stream["informative"])) <= 1000
    assert text.weight(str(stream["text"])) <= text.STREAMED
    if view.stage is Stage.WORKING:
        done = TEAMS.run_payload(replace(view, stage=Stage.DONE), asker="bob")
        assert str(cast("JsonObject", done["activity"])["text"]).startswith(
            str(stream["text"]).strip()
        )


def _is_sound_question(view: ApprovalView) -> None:
    _is_sound(TEAMS.shared_card(replace(view, mention=ASKED), viewers=VIEWERS))
    _is_sound(TEAMS.decider_card(view))
    _is_sound(TEAMS.approval_payload(view, decides=False))
    _is_sound(TEAMS.reminder_payload(view))
    _is_sound(TEAMS.deny_form(view))
    _is_sound(TEAMS.refusal(Conflict("wrong_digest"), asked=view))
    assert offers(TEAMS.decider_card(view)) == _answers(view)


def _answers(view: ApprovalView) -> list[str]:
    if not view.is_open:
        return []
    if view.question is Question.OUTCOME:
        return [actions.HAPPENED, actions.DID_NOT, actions.RETRY]
    may_repeat = GrantScope.RUN in view.scopes and view.risk is not Risk.IRREVERSIBLE
    return [
        actions.APPROVE,
        actions.DENY_FORM,
        *([actions.APPROVE_SIMILAR] if may_repeat else []),
        *([actions.EDIT] if view.may_edit else []),
    ]


@thorough
@given(runs)
def test_no_run_breaks_its_message(view: RunView) -> None:
    _is_sound_run(view)


@thorough
@given(approvals)
def test_no_question_breaks_its_card(view: ApprovalView) -> None:
    _is_sound_question(view)


@thorough
@given(
    approvals,
    st.dictionaries(texts, shapes, max_size=4),
    st.dictionaries(texts, values, max_size=4),
)
def test_no_schema_breaks_the_form(
    view: ApprovalView, properties: JsonObject, others: JsonObject
) -> None:
    schema: JsonObject = {"properties": properties, "required": list(properties)[:1]}
    arguments = {**others, **dict.fromkeys(properties, "x")}
    offered_now = arguments_of(schema)
    wrong = {one.block: f"This is not {one.name}." for one in offered_now}
    preview = Preview(summary=view.summary, changes=view.changes).as_json()
    edit = replace(views.EDITED, arguments=arguments, preview=preview)
    forms = (
        TEAMS.edit_form(view, schema=schema, arguments=arguments),
        TEAMS.retry_form(view, schema=schema, typed=Typed(arguments=arguments, problems=wrong)),
        TEAMS.confirm_form(view, schema=schema, edit=edit),
    )
    for form in forms:
        _is_sound(form)
        assert actions.EDIT_FORM in offers(form)
    kept = typed_in({}, arguments=arguments, offered=offered_now)
    assert kept.arguments == arguments


@thorough
@given(homes)
def test_nothing_breaks_a_list(view: HomeView) -> None:
    _is_sound(TEAMS.approvals(view.questions))
    _is_sound(TEAMS.runs(view.runs))
    _is_sound(TEAMS.tools(view))


@thorough
@given(texts, urls)
def test_nobodys_message_breaks_a_form(said: str, url: str | None) -> None:
    _is_sound(TEAMS.ask_form(said, ids={}))
    _is_sound(TEAMS.sign_in(url or ""))


pieces = st.lists(st.sampled_from((*PIECES, "{", "$", "at>")), max_size=40).map("".join)


@settings(max_examples=100)
@given(pieces, st.data())
def test_a_growing_text_is_only_ever_added_to(said: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(min_value=0, max_value=len(said)))
    begun, later = text.markdown_so_far(said[:at]), text.markdown_so_far(said)
    assert later.startswith(begun)
    assert text.markdown(said).startswith(later)


@pytest.mark.parametrize("said", HUGE, ids=lambda said: ascii(said[:9]))
def test_no_enormous_text_breaks_anything(said: str) -> None:
    line = replace(views.DONE.lines[0], id=said, title=said, detail=said)
    source = Source(title=said, url=f"https://acme.test/{said}")
    undoable = replace(views.DONE.undoable[0], summary=said)
    for known in (views.WORKING, views.WAITING, views.DONE, views.STOPPED):
        run = replace(known, task=said, text=said, needs=said, problem=said, url=said)
        many = replace(run, lines=(line,) * 12, sources=(source,) * 12, undoable=(undoable,) * 12)
        _is_sound_run(replace(many, cost_micros=10**5000))
    change = Change(field=said, before=said, after=said)
    voice = replace(VOICE, by=said, reason=said)
    tool = Ability(tool=said, what=said, risk=Risk.SAFE, asks=said)
    for known in (views.OPEN, views.DENIED, views.EXPIRED, views.UNKNOWN):
        asked = replace(
            known,
            **dict.fromkeys(("tool", "requester", "summary", "target", "why", "reason"), said),
            **dict.fromkeys(("approvers", "digest", "url", "escalated_to", "edited_by"), said),
        )
        many = replace(asked, changes=(change,) * 12, voices=(voice,) * 12, mention=(said,) * 12)
        _is_sound_question(replace(many, needed=10**5000))
        short = Change(field="f", before=said[:100], after=said[:100])
        _is_sound_question(replace(many, changes=(short,) * 60, url="https://acme.test/page"))
        _is_sound(TEAMS.approvals((many,) * 9))
    page = replace(views.HOME, can=(tool,) * 12, asks=(tool,) * 12, cannot=(tool,) * 12)
    _is_sound(TEAMS.tools(page))
    schema: JsonObject = {"properties": {said: {"type": "string", "description": said}}}
    _is_sound(TEAMS.edit_form(views.OPEN, schema=schema, arguments={said: said}))
    _is_sound(TEAMS.ask_form(said, ids={}))


@settings(max_examples=20)
@given(st.sampled_from(HUGE), st.integers(min_value=2_500, max_value=11_500))
def test_a_text_that_grows_too_long_is_still_only_added_to(said: str, at: int) -> None:
    begun = text.markdown_so_far(said[:at])
    assert text.markdown_so_far(said).startswith(begun)
    assert text.markdown(said).startswith(begun)

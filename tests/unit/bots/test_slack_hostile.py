"""Whatever a view contains: it renders, Slack takes it, and it mentions and links nobody."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots.arguments import arguments_of
from bots.filled import typed_in
from bots.slack import cards, home, messages, modals, notes
from bots.slack.text import markdown, markdown_so_far
from bots.views import (
    Ability,
    ApprovalView,
    HomeView,
    RunView,
    Source,
)
from core.domain.canonical import JsonObject
from core.domain.tool import Change
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
from tests.slack_limits import mentioned, problems


def _is_sound(rendered: JsonObject) -> None:
    assert problems(rendered) == []
    assert mentioned(rendered) == []


@thorough
@given(runs)
def test_no_run_breaks_its_message(view: RunView) -> None:
    _is_sound(messages.run_message(view))
    streamed = messages.run_stream(view)
    assert mentioned(streamed) == []
    assert len(str(streamed["text"])) <= 12_000


@thorough
@given(approvals, st.booleans())
def test_no_question_breaks_its_card(view: ApprovalView, with_buttons: bool) -> None:  # noqa: FBT001 - drawn
    _is_sound(cards.approval_card(view, with_buttons=with_buttons))
    _is_sound(modals.deny_form(view))


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
    _is_sound(modals.edit_form(view, schema=schema, arguments=arguments))
    kept = typed_in({}, arguments=arguments, offered=arguments_of(schema))
    assert kept.arguments == arguments


@thorough
@given(homes)
def test_nothing_breaks_the_home_page(view: HomeView) -> None:
    _is_sound(home.home(view))
    _is_sound(notes.approvals_message(view.questions))
    _is_sound(notes.runs_message(view.runs))
    _is_sound(notes.tools_message(view))


@thorough
@given(texts, urls)
def test_nobodys_message_breaks_a_form(said: str, url: str | None) -> None:
    _is_sound(modals.ask_form(said, ids={}))
    _is_sound(notes.sign_in(url or ""))


pieces = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@settings(max_examples=100)
@given(pieces, st.data())
def test_a_growing_text_is_only_ever_added_to(said: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(min_value=0, max_value=len(said)))
    begun, later, whole_text = markdown_so_far(said[:at]), markdown_so_far(said), markdown(said)
    assert later.startswith(begun)
    assert whole_text.startswith(later)


@pytest.mark.parametrize("said", HUGE, ids=lambda said: ascii(said[:9]))
def test_no_enormous_text_breaks_anything(said: str) -> None:
    line = replace(views.DONE.lines[0], id=said, title=said, detail=said)
    source = Source(title=said, url=said)
    undoable = replace(views.DONE.undoable[0], summary=said)
    for known in (views.WORKING, views.WAITING, views.DONE, views.STOPPED):
        run = replace(known, task=said, text=said, needs=said, problem=said, url=said)
        many = replace(run, lines=(line,) * 12, sources=(source,) * 12, undoable=(undoable,) * 12)
        _is_sound(messages.run_message(replace(many, cost_micros=10**5000)))
        assert mentioned(messages.run_stream(many)) == []
    change, voice = (
        Change(field=said, before=said, after=said),
        replace(VOICE, by=said, reason=said),
    )
    for known in (views.OPEN, views.DENIED, views.EXPIRED, views.UNKNOWN):
        asked = replace(
            known,
            **dict.fromkeys(("tool", "requester", "summary", "target", "why", "reason"), said),
            **dict.fromkeys(("approvers", "digest", "url", "escalated_to", "edited_by"), said),
        )
        many = replace(asked, changes=(change,) * 12, voices=(voice,) * 12, mention=(said,) * 12)
        _is_sound(cards.approval_card(replace(many, needed=10**5000), with_buttons=True))
        _is_sound(notes.approvals_message((many,) * 9))
        tool = Ability(tool=said, what=said, risk=known.risk, asks=said)
        tools = (tool,) * 12
        page = replace(views.HOME, questions=(many,) * 9, can=tools, asks=tools, switches=tools)
        _is_sound(home.home(page))
    schema: JsonObject = {"properties": {said: {"type": "string", "description": said}}}
    _is_sound(modals.edit_form(views.OPEN, schema=schema, arguments={said: said}))
    _is_sound(modals.ask_form(said, ids={}))


@settings(max_examples=20)
@given(st.sampled_from(HUGE), st.integers(min_value=11_800, max_value=12_200))
def test_a_text_that_grows_too_long_is_still_only_added_to(said: str, at: int) -> None:
    begun = markdown_so_far(said[:at])
    assert markdown_so_far(said).startswith(begun)
    assert markdown(said).startswith(begun)

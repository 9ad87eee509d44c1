"""A call's arguments become Teams' inputs and come back as they were, or as they were changed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots import actions
from bots.arguments import Argument, Kind
from bots.filled import Typed, typed_in
from bots.teams import forms
from bots.teams.fields import input_of
from bots.teams.reading import REFRESH
from core.domain.canonical import Json, JsonObject
from tests import chat_views as views
from tests.teams.adaptive_cards import cards_in, offered, parts, problems

OFFERED = {one.name: one for one in views.OFFERED}
KINDS = {
    Kind.TEXT: "Input.Text",
    Kind.INTEGER: "Input.Number",
    Kind.NUMBER: "Input.Text",
    Kind.YES_NO: "Input.ChoiceSet",
    Kind.CHOICE: "Input.ChoiceSet",
    Kind.DAY: "Input.Date",
    Kind.JSON: "Input.Text",
}


def inputs_of(form: JsonObject) -> dict[str, JsonObject]:
    """Return a form's inputs by their names."""
    (card,) = cards_in(form)
    return {str(one["id"]): one for one in parts(card) if str(one["type"]).startswith("Input.")}


def given_back(inputs: Mapping[str, JsonObject]) -> Mapping[str, Mapping[str, JsonObject]]:
    """Return what Teams says of inputs that nobody touched: all of it as text."""
    return {
        name: {actions.TYPED: {"value": str(one.get("value", ""))}} for name, one in inputs.items()
    }


def untouched(
    offered_now: Sequence[Argument], *, arguments: JsonObject
) -> Mapping[str, Mapping[str, JsonObject]]:
    made = [input_of(one, arguments=arguments, problems={}) for one in offered_now]
    return given_back({str(one[0]["id"]): one[0] for one in made if one})


def typed(name: str, said: str) -> Typed:
    state = {OFFERED[name].block: {actions.TYPED: {"value": said}}}
    return typed_in(state, arguments=views.ARGUMENTS, offered=views.OFFERED)


@pytest.mark.parametrize("name", OFFERED)
def test_each_argument_gets_its_input(name: str) -> None:
    form = forms.edit_form(views.CREATE, schema=views.SCHEMA, arguments=views.ARGUMENTS)
    made = inputs_of(form)[OFFERED[name].block]
    assert made["type"] == KINDS[OFFERED[name].kind]
    assert made["label"] == OFFERED[name].label


def test_a_form_that_nobody_touched_changes_nothing() -> None:
    form = forms.edit_form(views.CREATE, schema=views.SCHEMA, arguments=views.ARGUMENTS)
    state = given_back(inputs_of(form))
    assert len(state) == len(OFFERED)
    kept = typed_in(state, arguments=views.ARGUMENTS, offered=views.OFFERED)
    assert (kept.arguments, kept.problems) == (views.ARGUMENTS, {})


anything: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(OFFERED)), anything)
def test_no_value_is_changed_by_being_shown(name: str, value: Json) -> None:
    offered_now, arguments = (OFFERED[name],), {name: value}
    state = untouched(offered_now, arguments=arguments)
    kept = typed_in(state, arguments=arguments, offered=offered_now)
    assert kept.problems == {}
    assert kept.arguments == arguments
    assert type(kept.arguments[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "said", "value"),
    [
        ("title", "Choose two", "Choose two"),
        ("priority", "0", "low"),
        ("due_date", "2026-12-01", "2026-12-01"),
        ("due_date", "", None),
        ("effort", "12", 12),
        ("share", "0.25", 0.25),
        ("share", "2", 2),
        ("urgent", "yes", True),
        ("labels", '["a"]', ["a"]),
    ],
)
def test_what_was_typed_is_what_is_approved(name: str, said: str, value: Json) -> None:
    assert typed(name, said).arguments == {**views.ARGUMENTS, name: value}


def test_what_is_wrong_stands_beside_its_input() -> None:
    wrong = typed("effort", "3.5")
    form = forms.retry_form(views.CREATE, schema=views.SCHEMA, typed=wrong)
    (card,) = cards_in(form)
    body = cast("Sequence[JsonObject]", card["body"])
    at = next(at for at, one in enumerate(body) if one.get("id") == OFFERED["effort"].block)
    assert "Give a whole number." in str(body[at + 1])
    assert problems(form) == []


def test_what_nobody_would_see_is_shown_as_json() -> None:
    form = forms.edit_form(
        views.CREATE, schema=views.SCHEMA, arguments={"title": "old \u202ebanner"}
    )
    assert inputs_of(form)[OFFERED["title"].block]["value"] == '"old \\u202ebanner"'


def test_what_is_too_long_to_edit_is_left_alone_and_named() -> None:
    arguments = {**views.ARGUMENTS, "title": "x" * 4000}
    form = forms.edit_form(views.CREATE, schema=views.SCHEMA, arguments=arguments)
    assert "kept as it is: Title" in str(form)
    assert OFFERED["title"].block not in inputs_of(form)


def test_what_a_form_has_no_room_for_is_left_alone_and_named() -> None:
    names = [f"part_{at}" for at in range(9)]
    schema: JsonObject = {"properties": {name: {"type": "string"} for name in names}}
    arguments = dict.fromkeys(names, "中" * 900)
    form = forms.edit_form(views.CREATE, schema=schema, arguments=arguments)
    assert len(inputs_of(form)) == 3
    assert "kept as it is: Part 3, Part 4" in str(form)
    assert problems(form) == []


def test_a_form_carries_ids_and_approves_only_what_was_shown() -> None:
    ids = {"a": str(views.CREATE.approval_id), "d": "3fa9c07d51be"}
    first = forms.edit_form(views.CREATE, schema=views.SCHEMA, arguments=views.ARGUMENTS)
    confirm = forms.confirm_form(views.CREATE, schema=views.SCHEMA, edit=views.EDITED)
    assert carried(first, verb=actions.EDIT_FORM) == ids
    assert carried(confirm, verb=actions.EDIT_FORM) == {**ids, "e": "77e0c2b1a9d4"}


def test_a_form_about_a_question_leads_back_to_it() -> None:
    for form in (
        forms.deny_form(views.OPEN),
        forms.edit_form(views.OPEN, schema=views.SCHEMA, arguments=views.ARGUMENTS),
    ):
        assert carried(form, verb=REFRESH)["a"] == str(views.OPEN.approval_id)


def test_a_reason_is_not_needed_and_a_question_is() -> None:
    reason = inputs_of(forms.deny_form(views.OPEN))[actions.REASON]
    asked = inputs_of(forms.ask_form("hello", ids={}))[actions.ASKED]
    assert "isRequired" not in reason
    assert asked["isRequired"] is True


def test_a_dialog_sends_what_teams_sends_from_one() -> None:
    form = forms.ask_form("hello", ids={"m": "1"})
    (sent,) = (one for one in parts(form["card"]) if str(one["type"]).startswith("Action."))
    assert (sent["type"], form["title"]) == ("Action.Submit", "Ask about this")
    assert sent["data"] == {"verb": actions.ASK_FORM, "ids": '{"m":"1"}'}


def test_feedback_is_about_a_run() -> None:
    form = forms.feedback_form(views.DONE.run_id)
    assert list(offered(form["card"])) == [actions.FEEDBACK_FORM]
    assert carried(form, verb=actions.FEEDBACK_FORM) == {"r": str(views.DONE.run_id)}


def test_a_text_of_several_lines_stays_one() -> None:
    argument = replace(OFFERED["title"], longest=200)
    made = input_of(argument, arguments={"title": "a\nb"}, problems={})
    assert made is not None
    assert made[0]["isMultiline"] is True


def carried(form: JsonObject, *, verb: str) -> dict[str, str]:
    (found,) = (one for one in parts(form["card"]) if one.get("verb") == verb)
    return actions.ids_of(str(cast("JsonObject", found["data"])["ids"]))

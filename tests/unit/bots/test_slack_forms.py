"""A call's arguments become inputs and come back as they were, or as they were changed."""

from collections.abc import Mapping
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots import actions
from bots.arguments import Argument, Kind, arguments_of
from bots.filled import typed_in
from bots.slack import modals
from bots.slack.fields import input_of
from core.domain.canonical import Json, JsonObject
from tests import chat_views as views

OFFERED = {one.name: one for one in arguments_of(views.SCHEMA)}


def given_back(block: JsonObject) -> JsonObject:
    """Return what Slack says of an input that nobody touched."""
    element = cast("JsonObject", block["element"])
    match element["type"]:
        case "static_select" | "radio_buttons":
            return {"type": element["type"], "selected_option": element.get("initial_option")}
        case "datepicker":
            return {"type": "datepicker", "selected_date": element.get("initial_date")}
        case kind:
            return {"type": kind, "value": element.get("initial_value")}


def untouched(
    offered: tuple[Argument, ...], *, arguments: JsonObject
) -> Mapping[str, Mapping[str, JsonObject]]:
    inputs = [input_of(one, arguments=arguments) for one in offered]
    return {
        str(block["block_id"]): {actions.TYPED: given_back(block)}
        for block in inputs
        if block is not None
    }


def typed(name: str, answer: JsonObject) -> JsonObject:
    state = {OFFERED[name].block: {actions.TYPED: answer}}
    return typed_in(state, arguments=views.ARGUMENTS, offered=tuple(OFFERED.values())).arguments


def test_each_argument_gets_its_input() -> None:
    assert {name: one.kind for name, one in OFFERED.items()} == {
        "title": Kind.TEXT,
        "priority": Kind.CHOICE,
        "due_date": Kind.DAY,
        "effort": Kind.INTEGER,
        "share": Kind.NUMBER,
        "urgent": Kind.YES_NO,
        "labels": Kind.JSON,
    }


def test_a_form_that_nobody_touched_changes_nothing() -> None:
    offered = tuple(OFFERED.values())
    state = untouched(offered, arguments=views.ARGUMENTS)
    assert len(state) == len(OFFERED)
    assert typed_in(state, arguments=views.ARGUMENTS, offered=offered).arguments == views.ARGUMENTS


anything: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(OFFERED)), anything)
def test_no_value_is_changed_by_being_shown(name: str, value: Json) -> None:
    offered, arguments = (OFFERED[name],), {name: value}
    kept = typed_in(untouched(offered, arguments=arguments), arguments=arguments, offered=offered)
    assert kept.problems == {}
    assert kept.arguments == arguments
    assert type(kept.arguments[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "answer", "value"),
    [
        ("title", {"value": "Choose two"}, "Choose two"),
        ("priority", {"selected_option": {"value": "0"}}, "low"),
        ("due_date", {"selected_date": "2026-12-01"}, "2026-12-01"),
        ("due_date", {"selected_date": None}, None),
        ("effort", {"value": "12"}, 12),
        ("share", {"value": "0.25"}, 0.25),
        ("share", {"value": "2"}, 2),
        ("urgent", {"selected_option": {"value": "yes"}}, True),
        ("labels", {"value": '["a"]'}, ["a"]),
    ],
)
def test_what_was_typed_is_what_is_approved(name: str, answer: JsonObject, value: Json) -> None:
    assert typed(name, answer) == {**views.ARGUMENTS, name: value}


def test_an_argument_that_was_emptied_is_left_out() -> None:
    assert "effort" not in typed("effort", {"value": None})


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("effort", {"value": "3.5"}),
        ("effort", {"value": "9" * 40}),
        ("share", {"value": "nan"}),
        ("share", {"value": "much"}),
        ("due_date", {"selected_date": "soon"}),
        ("priority", {"selected_option": {"value": "7"}}),
        ("urgent", {"selected_option": {"value": "maybe"}}),
        ("labels", {"value": "[1,"}),
        ("labels", {"value": "[NaN]"}),
        ("labels", {"value": '{"a": 1, "a": 2}'}),
        ("labels", {"value": "[" * 2900}),
    ],
)
def test_what_cannot_be_read_is_told_at_its_input(name: str, answer: JsonObject) -> None:
    state = {OFFERED[name].block: {actions.TYPED: answer}}
    got = typed_in(state, arguments=views.ARGUMENTS, offered=tuple(OFFERED.values()))
    assert list(got.problems) == [OFFERED[name].block]
    assert got.arguments == views.ARGUMENTS


def test_what_nobody_would_see_is_shown_as_json() -> None:
    block = input_of(OFFERED["title"], arguments={"title": "old \u202ebanner"})
    assert block is not None
    assert cast("JsonObject", block["element"])["initial_value"] == '"old \\u202ebanner"'


def test_what_is_too_long_to_edit_is_left_alone_and_named() -> None:
    form = modals.edit_form(
        views.CREATE, schema=views.SCHEMA, arguments={**views.ARGUMENTS, "title": "x" * 4000}
    )
    assert "kept as it is: Title" in str(form)


def test_a_form_carries_ids_only() -> None:
    form = modals.edit_form(views.CREATE, schema=views.SCHEMA, arguments=views.ARGUMENTS)
    assert actions.ids_of(str(form["private_metadata"])) == {
        "a": str(views.CREATE.approval_id),
        "d": "3fa9c07d51be",
    }

"""The packs that ship: what they promise, and that no argument whatever breaks them."""

from typing import cast

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.canonical import Json, JsonObject
from core.domain.principal import Role
from core.domain.tool import Risk, Tool
from core.errors import InvalidInput
from core.tools.authoring import BoundPack
from core.tools.builtin.documents.pack import DOCUMENTS
from core.tools.builtin.tasks.pack import TASKS
from core.tools.registry import Registry
from tests.builders import SteadyClock

REGISTRY = Registry(
    [
        # No store: nothing here is called.
        BoundPack(name=TASKS.name, tools=TASKS.tools, store=None),
        BoundPack(name=DOCUMENTS.name, tools=DOCUMENTS.tools, store=None),
    ],
    clock=SteadyClock(),
)
TOOLS = {tool.name: tool for tool in REGISTRY.tools()}
each_tool = pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS.keys())


def test_the_listed_tools_are_the_documented_ones_at_their_risk() -> None:
    listed = {name: tool.risk.value for name, tool in TOOLS.items() if tool.listed}

    assert listed == {
        "list_projects": "safe",
        "list_tasks_in_project": "safe",
        "create_task": "cautious",
        "update_task_status": "cautious",
        "assign_task": "cautious",
        "delete_task": "destructive",
        "send_message_to_user": "irreversible",
        "search_documents": "safe",
        "read_document": "safe",
        "write_document": "cautious",
        "delete_document": "destructive",
    }


def test_what_only_undo_calls_is_hidden_and_asks_nobody() -> None:
    hidden = {name: tool.risk for name, tool in TOOLS.items() if not tool.listed}

    assert hidden == dict.fromkeys(
        (
            "put_back_assignee",
            "put_back_task_status",
            "remove_created_task",
            "restore_task",
            "take_back_document_write",
            "restore_document",
        ),
        Risk.CAUTIOUS,
    )


@each_tool
def test_every_listed_effect_but_a_message_can_be_undone(tool: Tool) -> None:
    undoable = tool.listed and tool.risk in {Risk.CAUTIOUS, Risk.DESTRUCTIVE}

    assert tool.reversible == undoable


@each_tool
def test_limits_prices_and_approvers_are_the_documented_ones(tool: Tool) -> None:
    assert tool.per_minute == (30 if tool.risk.has_effect else 60)
    assert tool.cost_micros == (2000 if tool.name == "search_documents" else 0)
    assert (tool.approver, tool.needed) == (Role.APPROVER, 1)
    assert tool.idempotent


@each_tool
def test_descriptions_say_what_comes_back_and_when_to_use_it(tool: Tool) -> None:
    assert "Returns" in tool.description
    assert "Use it" in tool.description or not tool.listed or tool.name == "list_projects"


@each_tool
def test_lists_are_ten_or_fifty_long_and_never_more_than_fifty(tool: Tool) -> None:
    properties = cast("dict[str, JsonObject]", tool.input_schema["properties"])

    if "limit" in properties:
        assert properties["limit"]["maximum"] == 50
        assert properties["limit"]["default"] == (50 if tool.name == "list_projects" else 10)


def fitting(schema: JsonObject) -> st.SearchStrategy[Json]:
    """Return what fits a schema as our tools have them: flat, bounded, nothing left open."""
    told = schema["type"]
    kinds = {told} if isinstance(told, str) else set(cast("list[str]", told))
    if "enum" in schema:
        return st.sampled_from(cast("list[Json]", schema["enum"]))
    nothing = st.none() if "null" in kinds else st.nothing()
    match schema:
        case {"format": "uuid"}:
            return st.uuids().map(str)
        case {"format": "date"}:
            return nothing | st.dates().map(str)
        case {"minimum": int(least), "maximum": int(most)}:
            return nothing | st.integers(least, most)
        case {"maxLength": int(most)}:
            least = cast("int", schema.get("minLength", 0))
            return nothing | st.text(min_size=least, max_size=min(most, least + 40))
        case _:
            raise NotImplementedError(schema)


def arguments_of(tool: Tool) -> st.SearchStrategy[JsonObject]:
    fields = {
        name: fitting(field)
        for name, field in cast("dict[str, JsonObject]", tool.input_schema["properties"]).items()
    }
    required = cast("list[str]", tool.input_schema.get("required", []))
    return st.fixed_dictionaries({name: fields.pop(name) for name in required}, optional=fields)


@each_tool
@given(data=st.data())
@settings(max_examples=10)
def test_arguments_that_fit_the_schema_are_taken_and_then_stay_as_they_are(
    tool: Tool, data: st.DataObject
) -> None:
    arguments = data.draw(arguments_of(tool))
    texts = [value for value in arguments.values() if isinstance(value, str)]
    # The schema cannot say these two: nothing but space, and what no database holds.
    beyond = any("\x00" in text or len(text.strip()) < 3 for text in texts)

    try:
        checked = REGISTRY.checked_arguments(tool, arguments)
    except InvalidInput:
        if not beyond:
            raise
        return
    assert REGISTRY.checked_arguments(tool, checked) == checked
    jsonschema_rs.validate(dict(tool.input_schema), checked)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@each_tool
@given(data=st.data())
@settings(max_examples=10)
def test_any_object_at_all_is_taken_or_refused_in_few_words(
    tool: Tool, data: st.DataObject
) -> None:
    names = st.sampled_from(sorted(cast("JsonObject", tool.input_schema["properties"])))
    arguments = data.draw(st.dictionaries(names | st.text(), ANYTHING, max_size=4))
    try:
        checked = REGISTRY.checked_arguments(tool, arguments)
    except InvalidInput as refusal:
        assert 0 < len(str(refusal.facts["detail"])) <= 200  # noqa: PT017 - most are refused
    else:
        jsonschema_rs.validate(dict(tool.input_schema), checked)

"""What a stranger's tool is called here, and how what it says of itself is shown."""

from dataclasses import replace

import pytest

from core.domain.upstream import Definition, Sighting, tool_name, with_clashes_told
from core.domain.upstream_diff import difference, shown

ADD = Definition(
    name="add",
    title="Add",
    description="Add two numbers.\nThey may be negative.",
    input_schema={"type": "object", "properties": {"a": {"type": "integer"}}},
    output_schema=None,
    annotations={"readOnlyHint": True},
)


@pytest.mark.parametrize(
    ("theirs", "name"),
    [
        ("add", "web__add"),
        ("getWeather", "web__getweather"),
        ("files/read.text", "web__files_read_text"),
        ("加算", None),
        ("", None),
        ("!!!", None),
        ("x" * 59, "web__" + "x" * 59),
        ("x" * 60, None),
    ],
)
def test_a_name_is_made_of_theirs_or_there_is_none(theirs: str, name: str | None) -> None:
    assert tool_name("web", theirs=theirs) == name


def test_of_two_with_one_name_neither_has_it() -> None:
    seen = {
        "a.b": Sighting(name="web__a_b", definition=ADD),
        "a_b": Sighting(name="web__a_b", definition=ADD),
        "c": Sighting(name="web__c", definition=ADD),
    }
    told = with_clashes_told(seen)
    assert [told[name].fault for name in seen] == [
        "upstream_name_clash",
        "upstream_name_clash",
        None,
    ]


def test_a_definition_comes_back_from_json_as_it_was() -> None:
    whole = replace(ADD, output_schema={"type": "object"})
    for one in (ADD, whole):
        assert Definition.of_json(one.as_json()) == one
    assert ADD.digest != whole.digest


@pytest.mark.parametrize(
    "changed",
    [
        replace(ADD, title="Sum"),
        replace(ADD, description="Add two numbers."),
        replace(ADD, input_schema={"type": "object"}),
        replace(ADD, output_schema={"type": "object"}),
        replace(ADD, annotations={}),
    ],
)
def test_whatever_changes_is_another_digest_and_is_seen_in_the_difference(
    changed: Definition,
) -> None:
    assert changed.digest != ADD.digest
    assert [line for line in difference(ADD, now=changed) if line[0] in "+-"]


def test_the_difference_of_a_definition_and_nothing_is_all_of_it() -> None:
    assert all(line.startswith("+ ") for line in difference(None, now=ADD))
    assert all(line.startswith("- ") for line in difference(ADD, now=None))
    assert not [line for line in difference(ADD, now=ADD) if line[0] in "+-"]


def test_the_difference_names_a_line_that_was_slipped_in() -> None:
    slipped = replace(ADD, description=f"{ADD.description}\n{'very ' * 30}hidden")
    lines = [line for line in difference(ADD, now=slipped) if line[0] in "+-"]
    assert len(lines) == 2
    assert "hidden" in lines[1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("plain ✓", "plain ✓"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u200bb", "a\\u200bb"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_an_eye_would_miss_is_made_visible(text: str, told: str) -> None:
    assert shown(text) == told

"""A stranger's definitions are looked through before anybody is asked to accept them."""

from typing import Any

import mcp_types
import pytest

from core.domain.eraser import Eraser
from core.tools.faults import validator_of
from core.tools.mcp_definitions import sightings_of

OBJECT: dict[str, Any] = {"type": "object"}


def seen(name: str = "add", **fields: Any) -> tuple[str, str | None]:  # noqa: ANN401 - of Tool
    tool = mcp_types.Tool.model_validate({"name": name, "input_schema": OBJECT, **fields})
    (sighting,) = sightings_of("web", [tool], eraser=Eraser())
    return sighting.name, sighting.fault


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({}, None),
        ({"output_schema": OBJECT}, None),
        ({"input_schema": {**OBJECT, "$schema": "http://json-schema.org/draft-07/schema#"}}, None),
        ({"input_schema": {**OBJECT, "$defs": {"a": {}}, "$ref": "#/$defs/a"}}, None),
        ({"input_schema": {}}, "upstream_definition_broken"),
        ({"input_schema": {"type": "string"}}, "upstream_definition_broken"),
        ({"input_schema": {**OBJECT, "required": "a"}}, "upstream_definition_broken"),
        ({"input_schema": {**OBJECT, "$ref": "https://x.test/a"}}, "upstream_definition_broken"),
        ({"input_schema": {**OBJECT, "$ref": "file:///etc/passwd"}}, "upstream_definition_broken"),
        ({"input_schema": {**OBJECT, "$ref": "#/nowhere"}}, "upstream_definition_broken"),
        ({"input_schema": {**OBJECT, "$schema": "https://x.test"}}, "upstream_definition_broken"),
        ({"output_schema": {"type": "array"}}, "upstream_definition_broken"),
        ({"description": "a\x00b"}, "upstream_definition_broken"),
        ({"description": "x" * 40_000}, "upstream_definition_too_large"),
    ],
)
def test_a_definition_that_cannot_be_pinned_says_why(
    fields: dict[str, Any], fault: str | None
) -> None:
    assert seen(**fields) == ("web__add", fault)


def test_a_name_that_makes_none_is_told_under_one_of_ours() -> None:
    name, fault = seen("!" * 500)
    assert name.startswith("web__")
    assert (len(name), fault) == (17, "upstream_name_illegal")


def test_what_is_too_large_is_kept_by_name_only() -> None:
    tool = mcp_types.Tool(name="add", description="x" * 40_000, input_schema=OBJECT)
    (sighting,) = sightings_of("web", [tool], eraser=Eraser())
    assert (sighting.definition.name, sighting.definition.description) == ("add", "")


def test_a_pattern_that_would_take_for_ever_does_not() -> None:
    takes = validator_of({"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}})
    assert not takes.is_valid({"a": "a" * 200 + "!"})

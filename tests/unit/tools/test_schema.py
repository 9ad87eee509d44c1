"""Schemas of what pydantic can say that plain fields do not."""

from typing import Literal

from pydantic import BaseModel

from core.tools.authoring import Output
from core.tools.schema import schema_of


class Point(BaseModel):
    """Where something is."""

    title: str
    at: int = 0


class Shape(BaseModel):
    title: str
    kind: Literal["dot"] | None
    centre: Point
    either: int | str
    either_or_nothing: int | str | None
    nothing: None
    corners: list[Point]


def test_a_field_named_title_survives_and_generated_titles_do_not() -> None:
    schema = schema_of(Shape, mode="validation")

    assert schema["properties"]["title"] == {"type": "string"}  # pyright: ignore - JSON
    assert schema["properties"]["centre"] == {  # pyright: ignore - JSON
        "type": "object",
        "description": "Where something is.",
        "properties": {"title": {"type": "string"}, "at": {"type": "integer", "default": 0}},
        "required": ["title"],
    }


def test_references_are_written_out_within_lists_too() -> None:
    assert "$ref" not in str(schema_of(Shape, mode="validation"))


def test_this_or_null_is_told_by_the_type_and_other_unions_stay() -> None:
    properties = schema_of(Shape, mode="validation")["properties"]

    assert properties["kind"] == {"type": ["string", "null"], "enum": ["dot", None]}  # pyright: ignore - JSON
    assert properties["either"] == {"anyOf": [{"type": "integer"}, {"type": "string"}]}  # pyright: ignore - JSON
    assert len(properties["either_or_nothing"]["anyOf"]) == 3  # pyright: ignore - JSON
    assert properties["nothing"] == {"type": "null"}  # pyright: ignore - JSON


def test_what_is_returned_always_has_what_has_a_default() -> None:
    class Counted(Output):
        title: str
        count: int = 0

    assert schema_of(Counted, mode="validation")["required"] == ["title"]
    assert schema_of(Counted, mode="serialization")["required"] == ["title", "count"]

"""What cannot be stored is refused before anything stores it."""

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.canonical import Json, canonical_json
from core.tools.faults import MASK, schema_fault, unstorable

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None)),  # lone surrogates too
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_whatever_passes_can_be_written_down_and_signed(value: Json) -> None:
    if unstorable(value) is None:
        text = canonical_json(value)
        assert text.encode()
        assert "\\u0000" not in text


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"a": ["x\x00"]}, "NUL"),
        ({"x\x00": 1}, "NUL"),
        (["\udfff"], "surrogate"),
        ([float("inf")], "not finite"),
        ({"a": float("nan")}, "not finite"),
    ],
)
def test_what_cannot_be_stored_is_named(value: Json, why: str) -> None:
    assert why in (unstorable(value) or "")


def test_nesting_has_an_end() -> None:
    value: Json = 1
    for _ in range(32):
        value = [value]

    assert unstorable(value) is None
    assert unstorable([value]) == "nested more than 32 deep"


def test_a_fault_in_a_union_names_the_first_of_its_branches() -> None:
    schema = {"properties": {"a": {"anyOf": [{"maximum": 5}, {"type": "string"}]}}}
    validator = jsonschema_rs.Draft202012Validator(schema, mask=MASK)

    assert schema_fault(validator, {"a": 6}) == (
        "a",
        "a: the value is greater than the maximum of 5",
    )


def test_of_many_faults_three_are_told() -> None:
    schema: dict[str, object] = {"additionalProperties": {"type": "string"}}
    validator = jsonschema_rs.Draft202012Validator(schema, mask=MASK)

    _, words = schema_fault(validator, {"a": 1, "b": 2, "c": 3, "d": 4})

    assert words.count(MASK) == 3

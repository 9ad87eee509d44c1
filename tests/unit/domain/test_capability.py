"""Which calls a token for a few calls covers, by tool and by arguments."""

from typing import Final
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.canonical import Json, JsonObject, canonical_json
from core.domain.ids import TokenId
from core.domain.principal import Capability

TOKEN: Final = TokenId(UUID(int=1))

values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab"), inner, max_size=2),
    max_leaves=5,
)
objects: st.SearchStrategy[JsonObject] = st.dictionaries(
    st.text("abc", max_size=1), values, max_size=3
)


def covers(named: JsonObject | None, arguments: JsonObject, *, tool: str = "push") -> bool:
    capability = Capability(token_id=TOKEN, tools=frozenset({"push"}), arguments=named)
    return capability.covers(tool, arguments=arguments)


@pytest.mark.parametrize(
    ("named", "arguments"),
    [
        ({"a": 1}, {"a": True}),
        ({"a": 0}, {"a": False}),
        ({"a": "1"}, {"a": 1}),
        ({"a": [1]}, {"a": [1, 2]}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": []}, {"a": {}}),
        ({"a": {"b": 1}}, {"a": {}}),
        ({"a": {"b": 1}}, {"a": 1}),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}]}),
        ({"a": None}, {}),
    ],
)
def test_what_is_not_the_same_as_json_is_not_covered(
    named: JsonObject, arguments: JsonObject
) -> None:
    assert not covers(named, arguments)


@given(objects, objects)
def test_more_keys_are_covered_and_other_values_are_not(
    named: JsonObject, more: JsonObject
) -> None:
    assert covers(named, {**more, **named})
    assert covers(None, more)
    assert not covers(None, more, tool="pull")
    if covers(named, more):
        assert all(
            isinstance(value, dict) or canonical_json(more[key]) == canonical_json(value)
            for key, value in named.items()
        )

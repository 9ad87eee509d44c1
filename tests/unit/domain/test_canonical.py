"""One text for equal values, another for any other, and always one that can be kept."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.canonical import Json, canonical_json, digest_of, repeated_key, storable

ANY_TEXT = st.text(st.characters(codec=None, categories=None), max_size=20)
JSON: st.SearchStrategy[Json] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_the_canonical_text_says_the_same_value(value: Json) -> None:
    assert json.loads(canonical_json(value)) == value


@given(JSON)
def test_the_canonical_text_can_always_be_stored(value: Json) -> None:
    told = canonical_json(value)
    assert told == told.encode().decode()
    assert "\x00" not in told


@given(st.dictionaries(ANY_TEXT, JSON, min_size=1, max_size=6), st.randoms())
def test_the_order_of_keys_does_not_count(value: dict[str, Json], chance: object) -> None:
    keys = list(value)
    getattr(chance, "shuffle")(keys)  # noqa: B009 - hypothesis gives a random.Random
    assert digest_of({key: value[key] for key in keys}) == digest_of(value)


@given(JSON, JSON)
def test_different_texts_have_different_digests(one: Json, other: Json) -> None:
    same = canonical_json(one) == canonical_json(other)
    assert (digest_of(one) == digest_of(other)) is same


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, True), (0, False), (1, 1.0), (0, None), ("", None), ([], {}), ("\ud800", "\\ud800")],
)
def test_values_that_python_takes_for_equal_are_told_apart(one: Json, other: Json) -> None:
    assert digest_of(one) != digest_of(other)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_json_cannot_say_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"n": [value]})


@given(JSON)
def test_no_key_of_a_value_is_there_twice(value: Json) -> None:
    assert repeated_key(json.dumps(value)) is None


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"a": 1, "a": 1}', "a"),
        ('[{"b": [{"a": 1, "\\u0061": {}}]}]', "a"),
        ('{"": 1, "b": 2, "": 3}', ""),
        ('{"a": {"a": 1}, "b": {"a": 1}}', None),
        ("9" * 5000, None),
    ],
)
def test_a_key_that_is_there_twice_is_found(text: str, key: str | None) -> None:
    assert repeated_key(text) == key


@given(ANY_TEXT)
def test_storable_text_is_kept_as_it_is_and_only_that(text: str) -> None:
    kept = storable(text)
    kept.encode()
    assert "\x00" not in kept
    assert storable(kept) == kept
    assert (kept == text) is _fits(text)


def test_a_pair_of_halves_is_one_character() -> None:
    assert storable("a\ud83d\ude00b\x00c\ud83d") == "a\U0001f600b\ufffdc\ufffd"


def _fits(text: str) -> bool:
    return "\x00" not in text and not any(0xD800 <= ord(one) <= 0xDFFF for one in text)

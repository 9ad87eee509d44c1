"""What a run is told of its conversation: the newest that fits, and no more."""

from hypothesis import given
from hypothesis import strategies as st

from core.domain.canonical import storable
from core.domain.quoted import (
    MOST_CHARACTERS,
    MOST_QUOTES,
    Quoted,
    Speaker,
    is_bounded,
    newest_that_fit,
)
from tests.nouns import NOON


def said(text: str, *, by: str = "Alice") -> Quoted:
    return Quoted(by=by, text=text, role=Speaker.OTHER, at=NOON)


@given(st.lists(st.builds(said, st.text(max_size=30), by=st.text(max_size=5)), max_size=60))
def test_what_fits_is_the_newest_in_its_order(quotes: list[Quoted]) -> None:
    kept = newest_that_fit(quotes)
    assert is_bounded(kept)
    assert [one.text for one in kept] == [storable(one.text) for one in quotes[-MOST_QUOTES:]]


def test_long_ones_are_cut_and_old_ones_left_out() -> None:
    kept = newest_that_fit([said(f"{number} " + "x" * 9000) for number in range(10)])
    assert [one.text.split()[0] for one in kept] == ["6", "7", "8", "9"]
    assert all(one.text.endswith("[…]") and len(one.text) == 4000 for one in kept)
    assert is_bounded(kept)


def test_too_much_is_seen() -> None:
    assert not is_bounded([said("x")] * (MOST_QUOTES + 1))
    assert not is_bounded([said("x" * MOST_CHARACTERS)])
    assert is_bounded([said("x" * (MOST_CHARACTERS - 5))])

"""Where a text is cut: between letters, and as late as it may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.teams.text import weight
from bots.text import ELLIPSIS, Measure, begun, size_of, within

ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;"})
texts = st.text(alphabet='a<&"\n\u2060\xe9\u4e2d\ud83d\udc00\U0001f600', max_size=30)
measures = pytest.mark.parametrize("measure", [size_of, weight])


@measures
@given(text=texts, limit=st.integers(min_value=3, max_value=60))
def test_what_is_too_long_is_cut_as_late_as_it_may_be(
    measure: Measure, text: str, limit: int
) -> None:
    told = text.translate(ENTITIES)
    cut = within(text, limit=limit, entities=ENTITIES, measure=measure)
    if measure(told) <= limit:
        assert cut == told
        return
    # No letter's entity is cut: the beginnings of the text are all that may come of it.
    room = limit - measure(ELLIPSIS)
    beginnings = [text[:count].translate(ENTITIES) for count in range(len(text))]
    assert cut == max((one for one in beginnings if measure(one) <= room), key=len) + ELLIPSIS


@measures
@given(text=texts, limit=st.integers(min_value=0, max_value=60))
def test_a_beginning_is_the_longest_that_fits(measure: Measure, text: str, limit: int) -> None:
    beginnings = [text[:count] for count in range(len(text) + 1)]
    longest = max((one for one in beginnings if measure(one) <= limit), key=len)
    assert begun(text, limit=limit, measure=measure) == longest


def test_a_letter_beyond_the_basic_plane_is_two_long_and_half_of_one_is_one() -> None:
    assert [size_of(one) for one in ("a", "\u4e2d", "\U0001f600", "\ud83d")] == [1, 1, 2, 1]

"""Cursors lead back to where they were made, and nothing else passes for one."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.tools.builtin.paging import LONGEST_CURSOR, after_moment, after_text, cursor_of

ID = UUID("5a11f0e7-0000-4000-8000-0000000000aa")


@given(st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=120), st.uuids())
def test_a_cursor_leads_back_to_its_row(sort: str, last: UUID) -> None:
    assert after_text(cursor_of(sort, last=last)) == (sort, last)


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_cursor_in_time_keeps_every_microsecond(moment: datetime, last: UUID) -> None:
    assert after_moment(cursor_of(moment, last=last)) == (moment, last)


@given(st.text(max_size=LONGEST_CURSOR))
def test_anything_else_is_refused_and_never_breaks(cursor: str) -> None:
    for after in (after_text, after_moment):
        try:
            after(cursor)
        except InvalidInput as refusal:
            assert refusal.code == "invalid_cursor"  # noqa: PT017 - most text is refused, not all


def test_the_start_needs_no_cursor() -> None:
    assert after_text(None) is None
    assert after_moment(None) is None


@pytest.mark.parametrize(
    "cursor",
    [
        cursor_of("a\x00", last=ID),
        cursor_of("a", last=ID)[:-3],
        cursor_of("a", last=ID) + "*",
        "W10",
        "é",
        "[" * 999,
    ],
)
def test_what_was_changed_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput):
        after_text(cursor)


@pytest.mark.parametrize(
    "sort",
    [
        "yesterday",
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))).isoformat(),
        "2026-13-01",
    ],
)
def test_a_time_that_is_none_is_refused(sort: str) -> None:
    with pytest.raises(InvalidInput):
        after_moment(cursor_of(sort, last=ID))

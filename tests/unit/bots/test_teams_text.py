"""Texts of others reach Teams as data: cut, with nobody mentioned, and nothing filled in."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.teams import text
from core.domain.tool import Change

JOINER = "\u2060"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("<at>Bob</at> & co", f"<{JOINER}at>Bob<{JOINER}/at> & co"),
        ("&lt;at>Bob&#60;/at>", f"&lt;{JOINER}at>Bob&#60;{JOINER}/at>"),
        ("{{DATE(2020-01-01T00:00:00Z)}}", f"{{{JOINER}{{DATE(2020-01-01T00:00:00Z)}}}}"),
        ("${name}", f"${JOINER}{{name}}"),
        ("a < b, {x}, [1]", "a < b, {x}, [1]"),
        ("[bank](https://evil.test)", f"[bank]{JOINER}(https://evil.test)"),
        ("two\nlines\tand\u2028more", "two lines and more"),
        ("\u202eevil\x00\ud800", "\ufffdevil\ufffd\ufffd"),
    ],
)
def test_a_line_is_one_line_in_which_nothing_is_read(said: str, told: str) -> None:
    assert text.line(said) == told


@pytest.mark.parametrize(
    ("said", "bytes_of_json"), [("ab", 2), ("中", 3), ("😀", 4), ('"', 2), ("\\", 2), ("\n", 2)]
)
def test_a_text_weighs_what_it_takes_in_json(said: str, bytes_of_json: int) -> None:
    assert text.weight(said) == bytes_of_json


@given(st.text(), st.integers(min_value=10, max_value=60))
def test_no_text_is_heavier_than_its_limit(said: str, limit: int) -> None:
    for told in (text.line(said, limit=limit), text.lines(said, limit=limit)):
        assert text.weight(told) <= limit


def test_a_cut_falls_between_letters() -> None:
    assert text.line("中中中中", limit=11) == "中中…"


def test_what_has_no_words_still_has_a_label() -> None:
    assert text.plain(" \n", limit=20) == text.code("", limit=20) == "-"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("see [the page](https://acme.test/a)", f"see [the page]{JOINER}(https://acme.test/a)"),
        ("[go]: javascript:x", f"[go]{JOINER}: javascript:x"),
        ("![x](https://evil.test/?q=1)", f"! [x]{JOINER}(https://evil.test/?q=1)"),
        ("<https://evil.test>", f"<{JOINER}https://evil.test>"),
        ("<b>bold</b> <!-- x -->", f"<{JOINER}b>bold<{JOINER}/b> <{JOINER}!-- x -->"),
        ("**bold** [1] `if a[0]: b < c`", "**bold** [1] `if a[0]: b < c`"),
    ],
)
def test_markdown_keeps_its_form_and_loses_its_teeth(said: str, told: str) -> None:
    assert text.markdown(said) == told


def test_a_long_answer_says_that_it_is_cut_and_closes_its_code() -> None:
    told = text.markdown("```\n" + "中" * 20_000)
    assert text.weight(told) <= text.ANSWER
    assert told.endswith("…\n```\n\n_The rest is cut off here._")


def test_a_growing_text_waits_for_its_last_word() -> None:
    assert text.markdown_so_far("go [there](java") == "go "


@pytest.mark.parametrize("unseen", ["\u200b", "\u200e", "\u00ad", "\ufeff", "\u3164", "\U000e0041"])
def test_what_nobody_sees_is_made_visible(unseen: str) -> None:
    for told in (text.line(f"a{unseen}b"), text.markdown(f"a{unseen}b")):
        assert told == "a\ufffdb"


def test_as_many_blanks_are_shown_as_there_are() -> None:
    assert text.spaced("a b  c   d") == "a b\u00a0 c\u00a0\u00a0 d"


@pytest.mark.parametrize(
    ("at", "told"),
    [
        (datetime(2026, 11, 20, 12, tzinfo=UTC), "2026-11-20T12:00:00Z"),
        (datetime(2026, 11, 20, 12, 0, 0, 7, UTC).replace(tzinfo=None), "2026-11-20T12:00:00Z"),
        (datetime(2026, 11, 20, 12, tzinfo=timezone(timedelta(hours=2))), "2026-11-20T10:00:00Z"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=2))), "0001-01-01T00:00:00Z"),
    ],
)
def test_a_moment_is_each_readers_own(at: datetime, told: str) -> None:
    assert text.moment(at) == f"{{{{DATE({told}, SHORT)}}}} at {{{{TIME({told})}}}}"


@pytest.mark.parametrize(
    ("url", "host"), [("https://docs.acme.test/a", "docs.acme.test"), ("javascript:x", "")]
)
def test_an_address_says_where_it_leads(url: str, host: str) -> None:
    assert text.host(url) == host


def test_no_value_can_pretend_to_be_another_field() -> None:
    diff = text.diff([Change(field="text", before=None, after="hello\n+ risk: safe")])
    assert diff.text == "+ text: hello\n+   + risk: safe"


@pytest.mark.parametrize("said", ["{" * 400, "<a" * 200, "中" * 400, "😀" * 200])
def test_a_diff_that_says_it_is_whole_is(said: str) -> None:
    diff = text.diff([Change(field="text", before=None, after=said)])
    assert diff.whole
    assert diff.text.replace(JOINER, "") == f"+ text: {said}"

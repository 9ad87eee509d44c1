"""Texts of others reach Slack as data: cut, escaped, and with nobody mentioned."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots import actions
from bots.diff import shown
from bots.slack import text
from bots.text import money
from core.domain.tool import Change

JOINER = "\u2060"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("<!channel> & co", "&lt;!channel&gt; &amp; co"),
        ("&lt;!here&gt;", "&amp;lt;!here&amp;gt;"),
        ("ask @here, not bob@here.test", f"ask @{JOINER}here, not bob@here.test"),
        ("two\nlines\tand\u2028more", "two lines and more"),
        ("\u202eevil\x00\ud800", "\ufffdevil\ufffd\ufffd"),
    ],
)
def test_a_line_is_one_line_of_escaped_text(said: str, told: str) -> None:
    assert text.line(said) == told


def test_a_cut_never_splits_an_entity() -> None:
    assert text.line("&&&&", limit=12) == "&amp;&amp;…"


def test_length_is_counted_as_clients_do() -> None:
    assert text.line("😀😀😀", limit=5) == "😀😀…"


def test_every_line_of_a_quotation_is_quoted() -> None:
    assert text.quoted("so\n*Risk*\n> mine") == ">so\n>*Risk*\n>&gt; mine"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("see [the page](https://acme.test/a)", f"see [the page]{JOINER}(https://acme.test/a)"),
        ("write to [us](mailto:us@acme.test)", f"write to [us]{JOINER}(mailto:us@acme.test)"),
        ("[go](javascript:alert(1))", f"[go]{JOINER}(javascript:alert(1))"),
        ("[go](java&#115;cript:x)", f"[go]{JOINER}(java&#115;cript:x)"),
        ("[go]: javascript:x", f"[go]{JOINER}: javascript:x"),
        ("![x](https://evil.test/?q=1)", f"! [x]{JOINER}(https://evil.test/?q=1)"),
        ("<!channel>", f"<{JOINER}!channel>"),
        ("`<@U0BOB12345>`", f"`<{JOINER}@U0BOB12345>`"),
        ("<https://evil.test|bank>", f"<{JOINER}https://evil.test|bank>"),
        ("&lt;!here&gt;", f"&lt;{JOINER}!here&gt;"),
        ("`if a[0]: b < c` <b> <!-- -->", "`if a[0]: b < c` <b> <!-- -->"),
    ],
)
def test_markdown_keeps_its_form_and_loses_its_teeth(said: str, told: str) -> None:
    assert text.markdown(said) == told


def test_a_long_answer_says_that_it_is_cut_and_closes_its_code() -> None:
    told = text.markdown("```\n" + "x" * 20_000)
    assert len(told) <= text.MARKDOWN
    assert told.endswith("…\n```\n\n_The rest is cut off here._")


def test_a_growing_text_waits_for_its_last_word() -> None:
    assert text.markdown_so_far("go [there](java") == "go "
    assert text.markdown_so_far("go [there](https://x.test) no") == (
        f"go [there]{JOINER}(https://x.test) "
    )


@pytest.mark.parametrize("unseen", ["\u200b", "\u200e", "\u00ad", "\ufeff", "\u3164", "\U000e0041"])
def test_what_nobody_sees_is_made_visible(unseen: str) -> None:
    for told in (text.line(f"a{unseen}b"), text.markdown(f"a{unseen}b")):
        assert told == "a\ufffdb"


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://acme.test/a?b=c&d", "https://acme.test/a?b=c&d"),
        ("https://acme.test/ü|<x>", "https://acme.test/%C3%BC%7C%3Cx%3E"),
        ("javascript:alert(1)", None),
        ("slack://open", None),
        ("https://user:word@acme.test", None),
        ("https:///nowhere", None),
        ("https://[", None),
        (None, None),
    ],
)
def test_only_whole_addresses_of_the_web_are_opened(url: str | None, safe: str | None) -> None:
    assert text.web_address(url) == safe


def test_a_link_says_where_it_leads() -> None:
    told = text.link("https://evil.test/x", title="bank.test|<!here>")
    assert told == "<https://evil.test/x|bank.test¦&lt;!here&gt;> (evil.test)"


@pytest.mark.parametrize("account", ["U0BOB12345", "W0BOB12345"])
def test_an_account_is_mentioned(account: str) -> None:
    assert text.mention(account) == f"<@{account}>"


@pytest.mark.parametrize("account", ["!channel", "U0> <!here", "", "C0123456"])
def test_what_is_no_account_is_not(account: str) -> None:
    assert text.mention(account) == ""


@pytest.mark.parametrize(
    ("micros", "told"),
    [
        (0, "$0.00"),
        (1, "less than $0.0001"),
        (4_200, "$0.0042"),
        (500_000, "$0.50"),
        (1_234_560_000, "$1,234.56"),
        (-5, "$0.00"),
    ],
)
def test_money_is_told_in_dollars(micros: int, told: str) -> None:
    assert money(micros) == told


def test_a_moment_is_each_readers_own() -> None:
    at = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert text.moment(at) == (
        "<!date^1795176000^{date_short_pretty} at {time}|2026-11-20 12:00 UTC>"
    )


def test_no_value_can_pretend_to_be_another_field() -> None:
    diff = shown(
        [Change(field="text", before=None, after="hello\n+ risk: safe")], literal=text.literal
    )
    assert diff.text == "+ text: hello\n+   + risk: safe"
    assert diff.whole


@pytest.mark.parametrize(
    "changes",
    [
        [Change(field="text", before=None, after="x" * 500)],
        [Change(field="text", before="x" * 390, after=None)] * 9,
        [Change(field="f" * 100, before="x", after=None)],
    ],
)
def test_a_diff_says_when_it_is_not_whole(changes: list[Change]) -> None:
    assert not shown(changes, literal=text.literal).whole


_STORABLE = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)


@given(st.dictionaries(st.text(max_size=5), _STORABLE, max_size=3))
def test_what_a_button_carries_comes_back(ids: dict[str, str]) -> None:
    assert actions.ids_of(actions.carried(ids)) == ids


@pytest.mark.parametrize(
    "value", [None, "", "no", "[1]", '{"a":', "[" * 1900, '{"a": 1}', "9" * 1900]
)
def test_what_we_did_not_write_carries_nothing(value: str | None) -> None:
    assert actions.ids_of(value) == {}


@pytest.mark.parametrize("escaped", [r"\u0000", r"x\ud800", r"\udc00\ud800"])
def test_what_no_database_can_look_for_is_not_carried(escaped: str) -> None:
    assert actions.ids_of(f'{{"s":"teams","u":"{escaped}"}}') == {"s": "teams"}

"""Every code that can be raised has a sentence, and every sentence gets the facts that it names."""

import ast
import functools
from collections.abc import Iterator
from string import Formatter

import pytest

from core import errors
from core.errors import Misconfigured, SallyportError
from core.words import SENTENCES, sentence_for, sentence_of
from tests.architecture.sources import modules, place

UNSEEN = {
    "lease_lost": "for the driver only, who writes and says nothing more",
    "stale_epoch": "for the door and the App only, who judge again",
    "request_repeated": "for whoever starts a run, who looks for the twin and joins it",
}
"""Codes that never reach anybody, each with its reason."""

ERRORS = frozenset(
    name
    for name, one in vars(errors).items()
    if isinstance(one, type) and issubclass(one, SallyportError)
)


@functools.cache
def raised() -> tuple[tuple[str, str, set[str] | None], ...]:
    """Return place, code and facts of each error that is made with a literal code."""
    return tuple(_raised())


def _raised() -> Iterator[tuple[str, str, set[str] | None]]:
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=str(code)), *_]) if (
                    name in ERRORS
                ):
                    given = {one.arg for one in node.keywords}
                    whole = None if None in given else {arg for arg in given if arg}
                    yield f"{place(path)}:{node.lineno}", code, whole
                case _:
                    pass


def named(template: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(template) if field}


def test_errors_are_found_in_the_source() -> None:
    assert len(raised()) > 50


def test_every_code_that_can_be_raised_has_a_sentence() -> None:
    mute = {code: where for where, code, _ in raised() if code not in SENTENCES}
    assert {code: mute[code] for code in mute.keys() - UNSEEN.keys()} == {}


def test_every_sentence_gets_the_facts_that_it_names() -> None:
    short = [
        (where, code, named(SENTENCES[code]) - facts)
        for where, code, facts in raised()
        if code in SENTENCES and facts is not None and named(SENTENCES[code]) - facts
    ]
    assert short == []


@pytest.mark.parametrize("code", sorted(SENTENCES))
def test_a_sentence_is_one(code: str) -> None:
    told = SENTENCES[code]
    assert told[0].isupper() or told.startswith("{")
    assert told[-1] in ".:?" or told.endswith("}")


def test_a_list_is_told_as_people_would() -> None:
    told = sentence_for("wrong_answer", {"answers": ["approve", "deny"]})
    assert told == "This approval takes one of: approve, deny."


def test_a_missing_fact_reads_as_nothing() -> None:
    assert sentence_for("not_found", {}) == "There is no such ."


def test_a_code_without_a_sentence_is_told_with_its_facts() -> None:
    assert sentence_for("something_else", {"key": "value"}) == "something else (key: value)."
    assert sentence_for("something_else", {}) == "something else."


def test_facts_are_never_taken_for_a_template() -> None:
    error = Misconfigured("unknown_setting", key="{detail.__class__}")
    assert sentence_of(error) == "The setting {detail.__class__} is not known."


def test_an_error_says_code_and_facts_in_a_log() -> None:
    assert str(Misconfigured("unknown_setting", key="A")) == "unknown_setting key='A'"
    assert str(Misconfigured("x")) == "x"

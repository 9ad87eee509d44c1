"""A form says at once what is wrong with it, where nobody has to be asked."""

import pytest

from bots.actions import ASK_FORM, ASKED, DENY_FORM, EDIT_FORM, FEEDBACK_FORM, REASON
from bots.arrivals import Submission
from bots.mistakes import mistakes


@pytest.mark.parametrize(
    ("form", "fields", "wrong"),
    [
        (DENY_FORM, {REASON: ""}, set[str]()),
        (DENY_FORM, {REASON: "x" * 2000}, set[str]()),
        (DENY_FORM, {REASON: "x" * 2001}, {REASON}),
        (FEEDBACK_FORM, {REASON: "x" * 2001}, {REASON}),
        (ASK_FORM, {ASKED: "Why?"}, set[str]()),
        (ASK_FORM, {ASKED: "  "}, {ASKED}),
        (ASK_FORM, {}, {ASKED}),
        (EDIT_FORM, {"arg:1": ""}, set[str]()),
        ("unknown", {}, set[str]()),
    ],
)
def test_each_form_says_what_is_wrong(form: str, fields: dict[str, str], wrong: set[str]) -> None:
    sent = Submission(user="U1", form=form, carried="", fields=fields)
    assert set(mistakes(sent)) == wrong

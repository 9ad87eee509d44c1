"""What is wrong with a form, as far as nobody has to be asked: it says so itself, at once."""

from collections.abc import Mapping
from typing import Final

from bots.actions import ASK_FORM, ASKED, DENY_FORM, FEEDBACK_FORM, LONGEST_REASON, REASON
from bots.arrivals import TEXT, Submission

_REASONED: Final = frozenset({DENY_FORM, FEEDBACK_FORM})


def mistakes(form: Submission) -> Mapping[str, str]:
    """Return a sentence for each input that cannot be taken, by its block; pure."""
    reason, asked = form.fields.get(REASON, ""), form.fields.get(ASKED, "").strip()
    if form.form in _REASONED and len(reason) > LONGEST_REASON:
        return {REASON: f"A reason has at most {LONGEST_REASON} characters."}
    if form.form == ASK_FORM and not 0 < len(asked) < TEXT:
        return {ASKED: "Say what you want to know, or have done."}
    return {}

"""The forms: why not, with other arguments, asking about a message, what was wrong.

A form carries ids only; what it is about is looked up anew when it comes back.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from slack_sdk.models.blocks import PlainTextInputElement, PlainTextObject
from slack_sdk.models.views import View

from bots import actions
from bots.actions import LONGEST_REASON
from bots.arguments import arguments_of
from bots.slack import blocks
from bots.slack.blocks import Block
from bots.slack.fields import input_of
from bots.slack.text import code, line, literal, plain
from bots.views import ApprovalView
from bots.wording import (
    JUDGED_ANEW,
    KEPT,
    NO_TEXT,
    READ_AS_DATA,
    READ_BY_ADMINS,
    REASON_HINT,
    RISKS,
    WHAT_TO_ASK,
    WHAT_WAS_WRONG,
    WHY_NOT,
)
from core.domain.canonical import JsonObject
from core.domain.ids import RunId

_TITLE: Final = 24
_INPUTS: Final = 90
_TASK: Final = 3000


def deny_form(view: ApprovalView) -> JsonObject:
    """Return the form that asks why; it may be sent without a reason."""
    told = [
        *_about(view),
        blocks.typed(
            "Reason",
            element=_lines(longest=LONGEST_REASON, placeholder=WHY_NOT),
            block=actions.REASON,
            hint=REASON_HINT,
            optional=True,
        ),
    ]
    return _form(
        "Deny this call",
        submit="Deny",
        callback=actions.DENY_FORM,
        ids=actions.of_approval(view.approval_id, digest=view.digest),
        told=told,
    )


def edit_form(view: ApprovalView, *, schema: JsonObject, arguments: JsonObject) -> JsonObject:
    """Return the form with an input for each of the call's arguments.

    ``schema`` is the tool's input schema. What comes back is read by ``filled.typed_in``.
    """
    offered = arguments_of(schema)
    made = [(one, input_of(one, arguments=arguments)) for one in offered[:_INPUTS]]
    told = [*_about(view), *(block for _, block in made if block is not None)]
    left = [one.label for one, block in made if block is None]
    left += [one.label for one in offered[_INPUTS:]]
    if left:
        names = ", ".join(line(one, limit=60) for one in left[:10])
        told.append(blocks.aside(f"⚠️ {KEPT} {names}"))
    told.append(blocks.aside(JUDGED_ANEW))
    return _form(
        "Edit and approve",
        submit="Approve",
        callback=actions.EDIT_FORM,
        ids=actions.of_approval(view.approval_id, digest=view.digest),
        told=told,
    )


def ask_form(message: str, *, ids: Mapping[str, str]) -> JsonObject:
    """Return the form that asks about somebody's message. ``ids`` say which one it is."""
    said = literal(message, limit=1500).strip()
    told = [
        blocks.section(READ_AS_DATA),
        blocks.quotation(said or NO_TEXT),
        blocks.typed(
            "Your question",
            element=_lines(longest=_TASK, placeholder=WHAT_TO_ASK),
            block=actions.ASKED,
        ),
    ]
    return _form("Ask about this", submit="Ask", callback=actions.ASK_FORM, ids=ids, told=told)


def feedback_form(run_id: RunId) -> JsonObject:
    """Return the form that asks what was wrong with an answer."""
    told = [
        blocks.typed(
            "What was wrong?",
            element=_lines(longest=LONGEST_REASON, placeholder=WHAT_WAS_WRONG),
            block=actions.REASON,
            hint=READ_BY_ADMINS,
            optional=True,
        )
    ]
    return _form(
        "Feedback",
        submit="Send",
        callback=actions.FEEDBACK_FORM,
        ids=actions.of_run(run_id),
        told=told,
    )


def _about(view: ApprovalView) -> tuple[Block, ...]:
    facts = f"{RISKS[view.risk]} · {code(view.tool)} · asked by {line(view.requester, limit=100)}"
    return (blocks.section(line(view.summary or view.tool)), blocks.aside(facts))


def _lines(*, longest: int, placeholder: str) -> JsonObject:
    return blocks.told(
        PlainTextInputElement(
            action_id=actions.TYPED, multiline=True, max_length=longest, placeholder=placeholder
        )
    )


def _form(
    title: str, *, submit: str, callback: str, ids: Mapping[str, str], told: Sequence[Block]
) -> JsonObject:
    view = View(
        type="modal",
        callback_id=callback,
        title=PlainTextObject(text=plain(title, limit=_TITLE)),
        submit=PlainTextObject(text=plain(submit, limit=_TITLE)),
        close=PlainTextObject(text="Cancel"),
        private_metadata=actions.carried(ids),
        blocks=[dict(one) for one in told],
    )
    return blocks.told(view)

"""The forms: why not, with other arguments, asking about a message, what was wrong.

A form is a card that whoever clicked sees in place of the one they clicked, or in a dialog. It
carries ids only; what it is about is looked up anew when it comes back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bots import actions, sentences
from bots.arguments import arguments_of
from bots.filled import Typed
from bots.teams import cards, elements, text
from bots.teams.elements import Button, Element, aside, bold, mono, paragraph
from bots.teams.fields import input_of
from bots.teams.reading import REFRESH
from bots.views import ApprovalView
from bots.wording import (
    JUDGED_ANEW,
    KEPT,
    NO_TEXT,
    NOT_ALL,
    ON_ITS_PAGE,
    READ_AS_DATA,
    READ_BY_ADMINS,
    SENT_AS_IS,
    WHAT_TO_ASK,
    WHAT_WAS_WRONG,
    WOULD_DO,
)
from core.domain.approval import Edit
from core.domain.canonical import JsonObject
from core.domain.ids import RunId
from core.domain.tool import Preview

_TASK: Final = 3000
_QUOTED: Final = 1500
_INPUTS: Final = 90
# What a form says beside its inputs has room for what it would do.
_ROOM: Final = 9_000
_LEFT: Final = 10
_EDIT: Final = "Edit and approve"
_SEE: Final = "See what it does"
_NONE_WRONG: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inputs:
    """The inputs that have room, and the labels of arguments that have none."""

    shown: tuple[Element, ...]
    left: tuple[str, ...]


def deny_form(view: ApprovalView) -> JsonObject:
    """Return the form that asks why; it may be sent without a reason."""
    body, sent = cards.asks_reason(view, label="Deny")
    return _form("Deny this call", body=[*_about(view), *body], buttons=[sent, _back(view)])


def edit_form(view: ApprovalView, *, schema: JsonObject, arguments: JsonObject) -> JsonObject:
    """Return the form with an input for each of the call's arguments; it approves nothing yet.

    ``schema`` is the tool's input schema. What comes back is read by ``filled.typed_in``.
    """
    return _edit(view, above=(), inputs=_inputs(schema, arguments=arguments))


def retry_form(view: ApprovalView, *, schema: JsonObject, typed: Typed) -> JsonObject:
    """Return the form again, with what was wrong beside its input; what could be read stays."""
    inputs = _inputs(schema, arguments=typed.arguments, problems=typed.problems)
    wrong = elements.warning(f"⚠️ {len(typed.problems)} of these cannot be read.")
    return _edit(view, above=(wrong,), inputs=inputs)


def confirm_form(view: ApprovalView, *, schema: JsonObject, edit: Edit) -> JsonObject:
    """Return the form as it was typed in, below what the call would do now.

    Sent as it is, it approves just that; sent with other arguments, it shows what those would do.
    """
    preview = Preview.of_json(edit.preview)
    diff = text.diff(preview.changes)
    digest = edit.digest[: actions.DIGEST_SHOWN]
    above = [paragraph(bold(WOULD_DO))]
    if preview.changes:
        above += elements.verbatim("What changes", text=diff.text)
    if not diff.whole:
        above.append(elements.warning("⚠️ ", bold(NOT_ALL), f" {ON_ITS_PAGE}"))
    above.append(aside("Digest ", mono(text.code(digest)), f" · {SENT_AS_IS}"))
    return _edit(
        replace(view, summary=preview.summary),
        above=above,
        inputs=_inputs(schema, arguments=edit.arguments),
        submit="Approve",
        confirmed=digest,
    )


def ask_form(message: str, *, ids: Mapping[str, str]) -> JsonObject:
    """Return the form that asks about somebody's message, in a dialog. ``ids`` say which."""
    told = [
        paragraph(READ_AS_DATA),
        elements.quotation(text.lines(message, limit=_QUOTED) or NO_TEXT),
        *elements.typed(
            "Your question",
            element=elements.multiline(longest=_TASK, placeholder=WHAT_TO_ASK),
            name=actions.ASKED,
            required=True,
        ),
    ]
    sent = elements.sends_dialog("Ask", form=actions.ASK_FORM, ids=ids)
    return _form("Ask about this", body=told, buttons=[sent])


def feedback_form(run_id: RunId) -> JsonObject:
    """Return the form that asks what was wrong with an answer."""
    told = elements.typed(
        "What was wrong?",
        element=elements.multiline(longest=actions.LONGEST_REASON, placeholder=WHAT_WAS_WRONG),
        name=actions.REASON,
        hint=READ_BY_ADMINS,
    )
    ids = actions.of_run(run_id)
    sent = elements.sends("Send", form=actions.FEEDBACK_FORM, ids=ids, style="positive")
    return _form("Feedback", body=told, buttons=[sent])


def _edit(
    view: ApprovalView,
    *,
    above: Sequence[Element],
    inputs: _Inputs,
    submit: str = _SEE,
    confirmed: str = "",
) -> JsonObject:
    told = [*_about(view), *above, *inputs.shown]
    if inputs.left:
        told.append(aside(f"⚠️ {KEPT} {', '.join(inputs.left)}"))
    told.append(aside(JUDGED_ANEW))
    ids = {**cards.ids_of(view), **({"e": confirmed} if confirmed else {})}
    sent = elements.sends(submit, form=actions.EDIT_FORM, ids=ids, style="positive")
    details = cards.details_button(view)
    buttons = [sent, _back(view), *([details] if details else [])]
    return _form(_EDIT, body=told, buttons=buttons)


def _inputs(
    schema: JsonObject,
    *,
    arguments: JsonObject,
    problems: Mapping[str, str] = _NONE_WRONG,
) -> _Inputs:
    """Return the inputs that have room, in their order: what has none keeps its value."""
    made: list[Element] = []
    left: list[str] = []
    room = _ROOM
    for at, one in enumerate(arguments_of(schema)):
        inputs = input_of(one, arguments=arguments, problems=problems) if at < _INPUTS else None
        needed = elements.bytes_of(inputs)
        if inputs is None or needed > room:
            left.append(text.plain(one.label, limit=60))
        else:
            made += inputs
            room -= needed
    named = [*left[:_LEFT], *(["…"] if len(left) > _LEFT else [])]
    return _Inputs(shown=tuple(made), left=tuple(named))


def _about(view: ApprovalView) -> tuple[Element, ...]:
    head = bold(text.plain(view.summary or view.tool, limit=300))
    return (paragraph(head), aside(sentences.asked_by(view, markup=text)))


def _back(view: ApprovalView) -> Button:
    """Return the button that shows the question's card again."""
    return elements.button("Back", verb=REFRESH, ids=cards.ids_of(view))


def _form(title: str, *, body: Sequence[Element], buttons: Sequence[Button]) -> JsonObject:
    return elements.form(
        title, body=[elements.headline(title), *body], buttons=buttons, fallback=title
    )

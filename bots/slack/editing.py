"""The forms of an edit: what to change, what that would do, and only then the yes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, cast

from bots import actions
from bots.actions import DIGEST_SHOWN
from bots.diff import shown
from bots.filled import Typed
from bots.slack import blocks
from bots.slack.blocks import Block
from bots.slack.modals import edit_form
from bots.slack.text import code, line, literal
from bots.views import ApprovalView
from bots.wording import NOT_ALL, ON_ITS_PAGE, SENT_AS_IS, WOULD_DO
from core.domain.approval import Edit
from core.domain.canonical import JsonObject
from core.domain.tool import Preview

_PROBLEMS: Final = 10


def first_form(view: ApprovalView, *, schema: JsonObject, arguments: JsonObject) -> JsonObject:
    """Return the form with the call's arguments; sending it approves nothing yet."""
    return _with(
        edit_form(view, schema=schema, arguments=arguments), submit="See what it does", above=()
    )


def retry_form(view: ApprovalView, *, schema: JsonObject, typed: Typed) -> JsonObject:
    """Return the form again, saying what was wrong; what could be read stays typed in."""
    told = "\n".join(f"⚠️ {line(one)}" for one in [*typed.problems.values()][:_PROBLEMS])
    form = edit_form(view, schema=schema, arguments=typed.arguments)
    return _with(form, submit="See what it does", above=(blocks.section(told),))


def confirm_form(view: ApprovalView, *, schema: JsonObject, edit: Edit) -> JsonObject:
    """Return the form as it was typed in, below what the call would do now.

    Sent as it is, it approves just that; sent with other arguments, it shows what those would do.
    """
    preview = Preview.of_json(edit.preview)
    diff = shown(preview.changes, literal=literal)
    above: list[Block] = [
        blocks.header(WOULD_DO),
        blocks.section(line(preview.summary)),
    ]
    if preview.changes:
        above.append(blocks.verbatim("What changes", text=diff.text))
    if not diff.whole:
        above.append(blocks.aside(f"⚠️ *{NOT_ALL}* {ON_ITS_PAGE}"))
    digest = edit.digest[:DIGEST_SHOWN]
    above.append(blocks.aside(f"Digest {code(digest)} · {SENT_AS_IS}"))
    changed = replace(view, summary=preview.summary)
    form = edit_form(changed, schema=schema, arguments=edit.arguments)
    ids = actions.of_approval(view.approval_id, digest=view.digest)
    carried = actions.carried({**ids, "e": digest})
    return {**_with(form, submit="Approve", above=above), "private_metadata": carried}


def _with(form: JsonObject, *, submit: str, above: Sequence[Block]) -> JsonObject:
    below = cast("Sequence[Block]", form["blocks"])
    button: JsonObject = {"type": "plain_text", "text": submit}
    return {**form, "submit": button, "blocks": [*above, *below][:100]}

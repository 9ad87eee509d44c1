"""The card of a question: open with buttons, open without, and locked once it is closed.

Whoever decides reads here what would happen, to what, at whose wish and why they are asked. A
button carries the question's id and the digest as far as it is shown, and never arguments.
"""

from collections.abc import Sequence
from typing import Final

from bots import actions
from bots.diff import shown
from bots.slack import blocks
from bots.slack.blocks import Block, Confirm
from bots.slack.text import code, line, literal, mention, moment, quoted
from bots.text import money, web_address
from bots.views import ApprovalView, Voice
from bots.wording import (
    MADE_AGAIN,
    RISKS,
    SAID,
    UNKNOWN_OUTCOME,
    after,
    counted,
    diff_title,
    is_outcome,
    sentence,
    status_of,
    times,
)
from core.domain.approval import Answer, GrantScope
from core.domain.canonical import JsonObject
from core.domain.tool import Risk

_VOICES: Final = 8
_MENTIONED: Final = 20


def approval_card(view: ApprovalView, *, with_buttons: bool) -> JsonObject:
    """Return the message of a question: ``text`` and ``blocks``.

    ``with_buttons`` is for those whose answer is wanted; without, it tells the requester who is
    asked. Once the question is closed there are no buttons for anybody.
    """
    if not view.is_open:
        return _locked(view)
    asked = "What became of it?" if is_outcome(view) else "Approval needed"
    told = [_headline(view, with_buttons=with_buttons), blocks.header(sentence(view))]
    if is_outcome(view):
        told.append(blocks.section(UNKNOWN_OUTCOME))
    told += [blocks.fields(_facts(view)), *_what(view), *_reasons(view), _progress(view)]
    if with_buttons:
        told.append(blocks.buttons(answers(view)))
    told.append(blocks.aside(_small_print(view)))
    text = f"{asked}: {line(view.summary or view.tool)} (asked by {line(view.requester)})"
    return blocks.message(text, blocks=told)


def reminder(view: ApprovalView) -> JsonObject:
    """Return what reminds people of a question: short, for its card says the rest."""
    said = f"⏰ {line(view.requester, limit=100)} still waits for an answer: {sentence(view)}"
    there = details_button(view)
    told = [blocks.section(said, accessory=there)]
    told.append(blocks.aside(f"Reminded {times(view.reminded)}{_when_over(view)}"))
    return blocks.message(said, blocks=told)


def compact(view: ApprovalView) -> tuple[Block, ...]:
    """Return a question in a few lines with its buttons, for a list of them."""
    head = f"*{line(view.summary or view.tool)}*"
    facts = f"{RISKS[view.risk]} · asked by {line(view.requester, limit=100)}"
    if not view.is_open:
        return (blocks.section(f"{_status(view)}\n{head}\n{facts}"),)
    ends = f"Open until {moment(view.expires_at)} · digest {code(_digest(view))}"
    return (
        blocks.section(f"{head}\n{facts}\n{ends}"),
        *_what(view),
        blocks.buttons(answers(view)),
    )


def answers(view: ApprovalView) -> tuple[JsonObject, ...]:
    """Return the buttons of an open question; none of a closed one."""
    if not view.is_open:
        return ()
    value = actions.carried(actions.of_approval(view.approval_id, digest=view.digest))
    told = _outcomes(value) if is_outcome(view) else _permits(view, value=value)
    details = details_button(view)
    return (*told, details) if details else told


def details_button(view: ApprovalView) -> JsonObject | None:
    """Return the button that opens the question's page, where it has one."""
    url = web_address(view.url)
    return blocks.button("Details", action=actions.DETAILS, url=url) if url else None


def _permits(view: ApprovalView, *, value: str) -> tuple[JsonObject, ...]:
    spoken = view.summary or view.tool
    told = [
        blocks.button(
            "Approve",
            action=actions.APPROVE,
            value=value,
            style="primary",
            spoken=f"Approve: {spoken}",
        ),
        blocks.button(
            "Deny", action=actions.DENY, value=value, style="danger", spoken=f"Deny: {spoken}"
        ),
    ]
    if GrantScope.RUN in view.scopes and view.risk is not Risk.IRREVERSIBLE:
        asked = Confirm(
            title="Approve similar calls, too?",
            text=f"This call is made, and until this run ends, every other call of "
            f"{code(view.tool, limit=60)} in it, whatever its arguments. Nobody is asked again.",
            yes="Approve similar",
            danger=True,
        )
        told.append(
            blocks.button(
                "Approve similar in this run",
                action=actions.APPROVE_SIMILAR,
                value=value,
                confirm=asked,
            )
        )
    if view.may_edit:
        told.append(blocks.button("Edit and approve", action=actions.EDIT, value=value))
    return tuple(told)


def _outcomes(value: str) -> tuple[JsonObject, ...]:
    again = Confirm(
        title="Make the call again?",
        text=MADE_AGAIN,
        yes="Make it again",
        danger=True,
    )
    return (
        blocks.button("Happened", action=actions.HAPPENED, value=value, style="primary"),
        blocks.button("Did not happen", action=actions.DID_NOT, value=value),
        blocks.button("Retry", action=actions.RETRY, value=value, style="danger", confirm=again),
    )


def _locked(view: ApprovalView) -> JsonObject:
    status = _status(view)
    told = [
        blocks.section(f"{status}{_when(view)}\n{after(view)}".rstrip()),
        blocks.header(sentence(view)),
        blocks.aside(
            f"Asked by {line(view.requester, limit=100)} · {code(view.tool)} · {RISKS[view.risk]}"
        ),
        *_what(view),
    ]
    told += [_reason(voice) for voice in view.voices[-_VOICES:] if voice.reason.strip()]
    if view.voices:
        told.append(blocks.aside("\n".join(_voice(voice) for voice in view.voices[-_VOICES:])))
    if view.edited_by:
        told.append(blocks.aside(_edited(view)))
    told.append(blocks.aside(_small_print(view)))
    text = f"{status.replace('*', '')}: {line(view.summary or view.tool)}"
    return blocks.message(text, blocks=told)


def _headline(view: ApprovalView, *, with_buttons: bool) -> Block:
    who = " ".join(filter(None, map(mention, view.mention[:_MENTIONED])))
    requester = line(view.requester, limit=100)
    if is_outcome(view):
        said = f"❓ *What became of this call?* It was made for {requester}."
    elif with_buttons:
        said = f"🔐 *Approval needed.* {requester} asks, through an agent, to:"
    else:
        asked = line(view.approvers, limit=200) or "somebody else"
        said = f"✋ *Waiting for approval* by {asked}. Nothing happens until then."
    return blocks.section(f"{who} {said}".strip())


def _facts(view: ApprovalView) -> Sequence[str]:
    undo = "↩️ Yes" if view.reversible else "🚫 No"
    on = line(view.target)
    return [
        f"*Risk*\n{RISKS[view.risk]}",
        f"*Can be undone*\n{undo}",
        f"*Tool*\n{code(view.tool)}",
        *([f"*On*\n{on}"] if on else []),
        f"*Cost*\n{money(view.cost_micros) if view.cost_micros > 0 else 'No charge'}",
        f"*Open until*\n{moment(view.expires_at)}",
    ]


def _what(view: ApprovalView) -> list[Block]:
    """Return the whole sentence where the headline is too short, and what would change."""
    told: list[Block] = []
    if len(view.summary) > blocks.HEADER:
        told.append(blocks.section(quoted(view.summary, limit=1200)))
    if view.changes:
        diff = shown(view.changes, literal=literal)
        told.append(blocks.verbatim(diff_title(view), text=diff.text))
        if not diff.whole:
            where = " Open *Details* before you decide." if web_address(view.url) else ""
            told.append(blocks.aside(f"⚠️ *Not all of it fits here.*{where}"))
    return told


def _reasons(view: ApprovalView) -> list[Block]:
    told: list[Block] = []
    if view.why.strip():
        told.append(blocks.section(f"*Why, in the agent's words*\n{quoted(view.why)}"))
    asides: list[str] = []
    if view.reason.strip():
        asides.append(f"🛡️ Why people are asked: {line(view.reason, limit=400)}")
    if view.edited_by:
        asides.append(_edited(view))
    if view.reminded > 0:
        asides.append(f"⏰ Reminded {times(view.reminded)}")
    if view.escalated_to:
        asides.append(f"⬆️ Nobody answered, so this went on to {line(view.escalated_to)}")
    if asides:
        told.append(blocks.aside("\n".join(asides)))
    return told


def _progress(view: ApprovalView) -> Block:
    said = [_voice(voice) for voice in view.voices[-_VOICES:]]
    yes = sum(voice.answer is Answer.APPROVE for voice in view.voices)
    needed = max(1, counted(view.needed))
    who = line(view.approvers, limit=200) or "somebody else"
    if needed == 1 and not said:
        return blocks.aside(f"👥 May be answered by {who}")
    count = f"👥 *{counted(yes)} of {needed}* approvals · may be answered by {who}"
    return blocks.aside("\n".join([count, *said]))


def _voice(voice: Voice) -> str:
    return f"{SAID[voice.answer].format(line(voice.by, limit=100))}, {moment(voice.at)}"


def _reason(voice: Voice) -> Block:
    return blocks.section(f"*{line(voice.by, limit=100)}:*\n{quoted(voice.reason)}")


def _edited(view: ApprovalView) -> str:
    return f"✏️ Arguments edited by {line(view.edited_by, limit=100)}: this is what is approved"


def _status(view: ApprovalView) -> str:
    told = status_of(view)
    by = " and ".join(line(one, limit=100) for one in told.by)
    return f"{told.sign} *{told.words}*{f' by {by}' if by else ''}"


def _when(view: ApprovalView) -> str:
    return f", {moment(view.closed_at)}" if view.closed_at else ""


def _small_print(view: ApprovalView) -> str:
    return f"Digest {code(_digest(view))} · what is approved is what runs"


def _digest(view: ApprovalView) -> str:
    return view.digest[: actions.DIGEST_SHOWN]


def _when_over(view: ApprovalView) -> str:
    return f" · it counts as denied {moment(view.expires_at)}"

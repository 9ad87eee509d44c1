"""The card of a question: open with buttons, open without, and locked once it is closed.

Whoever decides reads here what would happen, to what, at whose wish and why they are asked. A
button carries the question's id and the digest as far as it is shown, and never arguments.
"""

from collections.abc import Sequence
from typing import Final

from bots import actions, sentences
from bots.diff import shown
from bots.slack import blocks, text
from bots.slack.blocks import Block, Confirm
from bots.slack.text import code, line, literal, mention, moment, quoted
from bots.text import web_address
from bots.views import ApprovalView, Voice
from bots.wording import (
    MADE_AGAIN,
    NOT_ALL,
    RISKS,
    UNKNOWN_OUTCOME,
    WHAT_RUNS,
    after,
    diff_title,
    is_outcome,
    sentence,
    status_of,
)
from core.domain.approval import GrantScope
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
    told = [_headline(view, with_buttons=with_buttons), blocks.header(sentence(view))]
    if is_outcome(view):
        told.append(blocks.section(UNKNOWN_OUTCOME))
    told += [blocks.fields(_facts(view)), *_what(view), *_reasons(view), _progress(view)]
    if with_buttons:
        told.append(blocks.buttons(answers(view)))
    told.append(blocks.aside(_small_print(view)))
    return blocks.message(sentences.approval_in_short(view, markup=text), blocks=told)


def reminder(view: ApprovalView) -> JsonObject:
    """Return what reminds people of a question: short, for its card says the rest."""
    said = sentences.waits(view, markup=text)
    there = details_button(view)
    told = [blocks.section(said, accessory=there)]
    told.append(blocks.aside(sentences.reminded(view, markup=text)))
    return blocks.message(said, blocks=told)


def compact(view: ApprovalView) -> tuple[Block, ...]:
    """Return a question in a few lines with its buttons, for a list of them."""
    head = f"*{line(view.summary or view.tool)}*"
    facts = f"{RISKS[view.risk]} · asked by {line(view.requester, limit=100)}"
    if not view.is_open:
        return (blocks.section(f"{_status(view)}\n{head}\n{facts}"),)
    ends = f"Open until {moment(view.expires_at)} · digest {code(sentences.shown_digest(view))}"
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
            text=sentences.similar(view, markup=text),
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
        blocks.aside(sentences.asked_by(view, markup=text)),
        *_what(view),
    ]
    told += [_reason(voice) for voice in view.voices[-_VOICES:] if voice.reason.strip()]
    if view.voices:
        told.append(blocks.aside("\n".join(_voices(view))))
    if view.edited_by:
        told.append(blocks.aside(sentences.edited(view, markup=text)))
    told.append(blocks.aside(_small_print(view)))
    said = f"{status.replace('*', '')}: {line(view.summary or view.tool)}"
    return blocks.message(said, blocks=told)


def _headline(view: ApprovalView, *, with_buttons: bool) -> Block:
    who = " ".join(filter(None, map(mention, view.mention[:_MENTIONED])))
    said = text.leading(sentences.lead(view, decides=with_buttons, markup=text))
    return blocks.section(f"{who} {said}".strip())


def _facts(view: ApprovalView) -> Sequence[str]:
    return [f"*{name}*\n{told}" for name, told in sentences.facts(view, markup=text)]


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
            told.append(blocks.aside(f"⚠️ *{NOT_ALL}*{where}"))
    return told


def _reasons(view: ApprovalView) -> list[Block]:
    told: list[Block] = []
    if view.why.strip():
        told.append(blocks.section(f"*Why, in the agent's words*\n{quoted(view.why)}"))
    asides = sentences.asides(view, markup=text)
    if asides:
        told.append(blocks.aside("\n".join(asides)))
    return told


def _progress(view: ApprovalView) -> Block:
    count = text.leading(sentences.progress(view, markup=text))
    return blocks.aside("\n".join([count, *_voices(view)]))


def _voices(view: ApprovalView) -> list[str]:
    return [sentences.voice_line(voice, markup=text) for voice in view.voices[-_VOICES:]]


def _reason(voice: Voice) -> Block:
    return blocks.section(f"*{line(voice.by, limit=100)}:*\n{quoted(voice.reason)}")


def _status(view: ApprovalView) -> str:
    told = status_of(view)
    by = " and ".join(line(one, limit=100) for one in told.by)
    return f"{told.sign} *{told.words}*{f' by {by}' if by else ''}"


def _when(view: ApprovalView) -> str:
    return f", {moment(view.closed_at)}" if view.closed_at else ""


def _small_print(view: ApprovalView) -> str:
    return f"Digest {code(sentences.shown_digest(view))} · {WHAT_RUNS}"

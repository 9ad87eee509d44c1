"""The card of a question: open with buttons, open without, and locked once it is closed.

Whoever decides reads here what would happen, to what, at whose wish and why they are asked. A
button carries the question's id and the digest as far as it is shown, and never arguments. Where
many read a card it has no buttons: Teams asks anew what it looks like to each who may answer.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from bots import actions, sentences
from bots.sentences import Lead
from bots.teams import elements, text
from bots.teams.elements import Button, Confirm, Element, Viewed, aside, bold, mono, paragraph
from bots.text import web_address
from bots.views import ApprovalView
from bots.wording import (
    MADE_AGAIN,
    NOT_ALL,
    REASON_HINT,
    RISKS,
    UNKNOWN_OUTCOME,
    WHAT_RUNS,
    WHY_NOT,
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
_HEADLINE: Final = 300
_SUMMARY: Final = 1200
_WHY: Final = 1000
_REASON: Final = 500


def told_card(view: ApprovalView) -> JsonObject:
    """Return the card for who only reads: it says who is asked."""
    return _card(view, decides=False)


def decider_card(view: ApprovalView) -> JsonObject:
    """Return the card with buttons, for somebody who may answer."""
    return _card(view, decides=True)


def shared_card(view: ApprovalView, *, viewers: Sequence[str]) -> JsonObject:
    """Return the card for a place where many read it: each of ``viewers`` may have their own."""
    viewed = Viewed(ids=ids_of(view), viewers=viewers) if view.is_open else None
    return _card(view, decides=True, viewed=viewed)


def in_short(view: ApprovalView) -> str:
    """Return how a question stands in one line, for a notification."""
    if view.is_open:
        return sentences.approval_in_short(view, markup=text)
    what = text.line(view.summary or view.tool)
    return f"{_plain_status(view)}: {what}"


def reminder(view: ApprovalView) -> JsonObject:
    """Return what reminds people of a question: short, for its card says the rest."""
    said = sentences.waits(view, markup=text)
    told = [paragraph(said), aside(sentences.reminded(view, markup=text))]
    there = details_button(view)
    return elements.message(
        said, card=elements.card(body=told, buttons=[there] if there else (), fallback=said)
    )


def compact(view: ApprovalView) -> list[Element]:
    """Return a question in a few lines with its buttons, for a list of them."""
    head = (bold(text.plain(view.summary or view.tool, limit=300)), "\n")
    facts = f"{RISKS[view.risk]} · asked by {text.line(view.requester, limit=100)}"
    if not view.is_open:
        return [paragraph(*_status(view), "\n", *head, facts)]
    digest = mono(text.code(sentences.shown_digest(view)))
    ends = f"\nOpen until {text.moment(view.expires_at)} · digest "
    return [
        paragraph(*head, facts, ends, digest),
        *_what(view),
        elements.buttons(_answers(view, asks_why=True)),
    ]


def body_of(view: ApprovalView, *, decides: bool) -> list[Element]:
    """Return what the card of a question says, buttons left out."""
    return _open(view, decides=decides) if view.is_open else _locked(view)


def answers(view: ApprovalView) -> list[Button]:
    """Return the buttons of an open question; none of a closed one."""
    return _answers(view, asks_why=False) if view.is_open else []


def details_button(view: ApprovalView) -> Button | None:
    """Return the button that opens the question's page, where it has one."""
    return elements.opens("Details", url=view.url)


def ids_of(view: ApprovalView) -> Mapping[str, str]:
    """Return what a question's buttons carry."""
    return actions.of_approval(view.approval_id, digest=view.digest)


def asks_reason(view: ApprovalView, *, label: str) -> tuple[list[Element], Button]:
    """Return the input for a reason, and the button that sends it as a no."""
    made = elements.typed(
        "Reason (optional)",
        element=elements.multiline(longest=actions.LONGEST_REASON, placeholder=WHY_NOT),
        name=actions.REASON,
        hint=REASON_HINT,
    )
    sent = elements.sends(label, form=actions.DENY_FORM, ids=ids_of(view), style="destructive")
    return made, sent


def _card(view: ApprovalView, *, decides: bool, viewed: Viewed | None = None) -> JsonObject:
    return elements.card(
        body=body_of(view, decides=decides),
        buttons=answers(view) if decides and viewed is None else (),
        fallback=in_short(view),
        viewed=viewed,
        mentioned=view.mention if view.is_open else (),
    )


def _answers(view: ApprovalView, *, asks_why: bool) -> list[Button]:
    """Return the answers; ``asks_why``: the reason is asked for in a form of its own.

    A card has room for one input of a name, so a list of questions has none.
    """
    told = _outcomes(view) if is_outcome(view) else _permits(view, asks_why=asks_why)
    details = details_button(view)
    return [*told, details] if details else told


def _permits(view: ApprovalView, *, asks_why: bool) -> list[Button]:
    spoken, ids = view.summary or view.tool, ids_of(view)
    told = [
        elements.button(
            "Approve", verb=actions.APPROVE, ids=ids, style="positive", spoken=f"Approve: {spoken}"
        ),
        _deny(view, asks_why=asks_why),
    ]
    if GrantScope.RUN in view.scopes and view.risk is not Risk.IRREVERSIBLE:
        asked = Confirm(text=sentences.similar(view, markup=text), yes="Approve similar")
        told.append(
            elements.asks_again(
                "Approve similar in this run",
                confirm=asked,
                verb=actions.APPROVE_SIMILAR,
                ids=ids,
            )
        )
    if view.may_edit:
        told.append(elements.button("Edit and approve", verb=actions.EDIT, ids=ids))
    return told


def _deny(view: ApprovalView, *, asks_why: bool) -> Button:
    spoken = f"Deny: {view.summary or view.tool}"
    if asks_why:
        return elements.button(
            "Deny", verb=actions.DENY, ids=ids_of(view), style="destructive", spoken=spoken
        )
    body, sent = asks_reason(view, label="Deny")
    return elements.unfolds("Deny", body=body, buttons=[sent], style="destructive", spoken=spoken)


def _outcomes(view: ApprovalView) -> list[Button]:
    ids = ids_of(view)
    return [
        elements.button("Happened", verb=actions.HAPPENED, ids=ids, style="positive"),
        elements.button("Did not happen", verb=actions.DID_NOT, ids=ids),
        elements.asks_again(
            "Retry",
            confirm=Confirm(text=MADE_AGAIN, yes="Make it again"),
            verb=actions.RETRY,
            ids=ids,
        ),
    ]


def _open(view: ApprovalView, *, decides: bool) -> list[Element]:
    told = [
        paragraph(*elements.lead(sentences.lead(view, decides=decides, markup=text))),
        elements.headline(text.plain(sentence(view), limit=_HEADLINE)),
    ]
    if is_outcome(view):
        told.append(elements.warning(UNKNOWN_OUTCOME))
    told += elements.facts(sentences.facts(view, markup=text))
    told += [*_what(view), *_reasons(view), _progress(view), _small_print(view)]
    return told


def _locked(view: ApprovalView) -> list[Element]:
    when = f", {text.moment(view.closed_at)}" if view.closed_at else ""
    comes_of_it = after(view)
    told = [
        paragraph(*_status(view), when, f"\n{comes_of_it}" if comes_of_it else ""),
        elements.headline(text.plain(sentence(view), limit=_HEADLINE)),
        aside(sentences.asked_by(view, markup=text)),
        *_what(view),
    ]
    for voice in view.voices[-_VOICES:]:
        if voice.reason.strip():
            told.append(paragraph(bold(f"{text.line(voice.by, limit=100)}:")))
            told.append(elements.quotation(text.lines(voice.reason, limit=_REASON)))
    if view.voices:
        told.append(aside("\n".join(_voices(view))))
    if view.edited_by:
        told.append(aside(sentences.edited(view, markup=text)))
    return [*told, _small_print(view)]


def _what(view: ApprovalView) -> list[Element]:
    """Return the whole sentence where the headline is too short, and what would change."""
    told: list[Element] = []
    if text.weight(view.summary) > _HEADLINE:
        told.append(elements.quotation(text.lines(view.summary, limit=_SUMMARY)))
    if view.changes:
        diff = text.diff(view.changes)
        told += elements.verbatim(diff_title(view), text=diff.text)
        if not diff.whole:
            where = " Open Details before you decide." if web_address(view.url) else ""
            told.append(elements.warning("⚠️ ", bold(NOT_ALL), where))
    return told


def _reasons(view: ApprovalView) -> list[Element]:
    told: list[Element] = []
    if view.why.strip():
        told.append(paragraph(bold("Why, in the agent's words")))
        told.append(elements.quotation(text.lines(view.why, limit=_WHY)))
    asides = sentences.asides(view, markup=text)
    return [*told, aside("\n".join(asides))] if asides else told


def _progress(view: ApprovalView) -> Element:
    said = elements.lead(sentences.progress(view, markup=text))
    return aside(*said, *(f"\n{one}" for one in _voices(view)))


def _voices(view: ApprovalView) -> list[str]:
    return [sentences.voice_line(voice, markup=text) for voice in view.voices[-_VOICES:]]


def _status(view: ApprovalView) -> tuple[elements.Run, ...]:
    told = status_of(view)
    by = " and ".join(text.line(one, limit=100) for one in told.by)
    lead = Lead(sign=told.sign, strong=told.words, rest=f" by {by}" if by else "")
    return elements.lead(lead)


def _plain_status(view: ApprovalView) -> str:
    told = status_of(view)
    by = " and ".join(text.line(one, limit=100) for one in told.by)
    return f"{told.sign} {told.words}{f' by {by}' if by else ''}"


def _small_print(view: ApprovalView) -> Element:
    return aside("Digest ", mono(text.code(sentences.shown_digest(view))), f" · {WHAT_RUNS}")

"""What cards say of runs and questions, put together alike for every surface.

Texts of others pass through the surface's ``markup`` before they stand in a sentence of ours.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from bots.actions import DIGEST_SHOWN
from bots.text import money
from bots.views import Ability, ApprovalView, Line, RunSummary, RunView, Stage, Voice
from bots.wording import (
    MARKS,
    NEXT,
    RISKS,
    SAID,
    SIGNS,
    STATUSES,
    counted,
    is_outcome,
    sentence,
    times,
)
from core.domain.account import Account, AccountLink
from core.domain.approval import Answer
from core.domain.canonical import JsonObject
from core.domain.delivery import Kind, Place, Wish

_SOMEBODY: Final = "somebody else"


class Markup(Protocol):
    """A surface's way with texts of others: each is cut, and does nothing but stand there."""

    def line(self, text: str, *, limit: int = ...) -> str:
        """Return ``text`` as one line."""
        ...

    def code(self, text: str, *, limit: int = ...) -> str:
        """Return a name as such; ``-`` where there is none."""
        ...

    def moment(self, at: datetime) -> str:
        """Return a time that each reader sees in their own zone."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """A sentence: a sign, what stands out, and the rest with its blank or stop before it."""

    sign: str
    strong: str = ""
    rest: str = ""


def lead(view: ApprovalView, *, decides: bool, markup: Markup) -> Lead:
    """Return what an open question begins with, for who ``decides`` or for who waits."""
    requester = markup.line(view.requester, limit=100)
    if is_outcome(view):
        made = f" It was made for {requester}."
        return Lead(sign="❓", strong="What became of this call?", rest=made)
    if decides:
        asks = f" {requester} asks, through an agent, to:"
        return Lead(sign="🔐", strong="Approval needed.", rest=asks)
    by = f" by {_approvers(view, markup=markup)}. Nothing happens until then."
    return Lead(sign="✋", strong="Waiting for approval", rest=by)


def facts(view: ApprovalView, *, markup: Markup) -> list[tuple[str, str]]:
    """Return what whoever decides has to know, each with its name."""
    on = markup.line(view.target)
    return [
        ("Risk", RISKS[view.risk]),
        ("Can be undone", "↩️ Yes" if view.reversible else "🚫 No"),
        ("Tool", markup.code(view.tool)),
        *([("On", on)] if on else []),
        ("Cost", money(view.cost_micros) if view.cost_micros > 0 else "No charge"),
        ("Open until", markup.moment(view.expires_at)),
    ]


def asides(view: ApprovalView, *, markup: Markup) -> list[str]:
    """Return why people are asked, and what has happened to an open question since."""
    told: list[str] = []
    if view.reason.strip():
        told.append(f"🛡️ Why people are asked: {markup.line(view.reason, limit=400)}")
    if view.edited_by:
        told.append(edited(view, markup=markup))
    if view.reminded > 0:
        told.append(f"⏰ Reminded {times(view.reminded)}")
    if view.escalated_to:
        on_to = markup.line(view.escalated_to)
        told.append(f"⬆️ Nobody answered, so this went on to {on_to}")
    return told


def progress(view: ApprovalView, *, markup: Markup) -> Lead:
    """Return how many have agreed, of how many, and who may still answer."""
    yes = sum(voice.answer is Answer.APPROVE for voice in view.voices)
    needed = max(1, counted(view.needed))
    who = _approvers(view, markup=markup)
    if needed == 1 and not view.voices:
        return Lead(sign="👥", rest=f" May be answered by {who}")
    rest = f" approvals · may be answered by {who}"
    return Lead(sign="👥", strong=f"{counted(yes)} of {needed}", rest=rest)


def voice_line(voice: Voice, *, markup: Markup) -> str:
    """Return somebody's answer."""
    said = SAID[voice.answer].format(markup.line(voice.by, limit=100))
    return f"{said}, {markup.moment(voice.at)}"


def edited(view: ApprovalView, *, markup: Markup) -> str:
    """Return who changed the arguments."""
    by = markup.line(view.edited_by, limit=100)
    return f"✏️ Arguments edited by {by}: this is what is approved"


def asked_by(view: ApprovalView, *, markup: Markup) -> str:
    """Return who asks, with which tool, and how dangerous that is."""
    by, tool = markup.line(view.requester, limit=100), markup.code(view.tool)
    return f"Asked by {by} · {tool} · {RISKS[view.risk]}"


def similar(view: ApprovalView, *, markup: Markup) -> str:
    """Return what it means to approve similar calls, too."""
    tool = markup.code(view.tool, limit=60)
    return (
        f"This call is made, and until this run ends, every other call of {tool} in it, "
        "whatever its arguments. Nobody is asked again."
    )


def waits(view: ApprovalView, *, markup: Markup) -> str:
    """Return that somebody still waits for an answer."""
    by = markup.line(view.requester, limit=100)
    return f"⏰ {by} still waits for an answer: {markup.line(sentence(view))}"


def reminded(view: ApprovalView, *, markup: Markup) -> str:
    """Return how often people were reminded, and what happens if they do not answer."""
    over = markup.moment(view.expires_at)
    return f"Reminded {times(view.reminded)} · it counts as denied {over}"


def approval_in_short(view: ApprovalView, *, markup: Markup) -> str:
    """Return an open question in one line."""
    asked = "What became of it?" if is_outcome(view) else "Approval needed"
    what = markup.line(view.summary or view.tool)
    return f"{asked}: {what} (asked by {markup.line(view.requester)})"


def shown_digest(view: ApprovalView) -> str:
    """Return the digest as far as it is shown."""
    return view.digest[:DIGEST_SHOWN]


def run_in_short(view: RunView, *, markup: Markup) -> str:
    """Return where a run stands in one line: the answer, once there is one."""
    match view.stage:
        case Stage.WORKING:
            return f"Working on it: {markup.line(view.task)}"
        case Stage.WAITING:
            return f"Waiting for people: {markup.line(view.needs or view.task)}"
        case Stage.DONE:
            return markup.line(view.text, limit=2000) or "Done."
        case Stage.STOPPED:
            return f"Stopped: {markup.line(view.problem) or markup.line(view.task)}"


def stopped(view: RunView, *, markup: Markup) -> tuple[Lead, Lead]:
    """Return why a run has stopped, and what comes next."""
    why = markup.line(view.problem, limit=800) or "It is not known why."
    after = NEXT[Stage.STOPPED]
    return (
        Lead(sign="⛔", strong="Stopped:", rest=f" {why}"),
        Lead(sign="", strong="Next:", rest=f" {after}"),
    )


def call_line(told: Line, *, markup: Markup) -> str:
    """Return one call of a run, and how it stands."""
    title = markup.line(told.title, limit=200) or "-"
    after = ": ".join(filter(None, [MARKS[told.mark], markup.line(told.detail, limit=200)]))
    return f"{SIGNS[told.mark]} {title}{f' ({after})' if after else ''}"


def cost(view: RunView) -> str:
    """Return what a run has cost, and what it may."""
    of = f" of {money(view.budget_micros)}" if view.budget_micros > 0 else ""
    return f"💰 {money(view.cost_micros)}{of} used"


def ability_line(told: Ability, *, markup: Markup) -> str:
    """Return a tool in one line."""
    asks = f" · asks {markup.line(told.asks, limit=80)}" if told.asks else ""
    risk = RISKS[told.risk].partition(":")[0]
    # The first sentence says what a tool does.
    first, stop, _ = markup.line(told.what, limit=160).partition(". ")
    return f"{risk} · {markup.code(told.tool, limit=60)} {first}{stop and '.'}{asks}"


def run_line(told: RunSummary, *, markup: Markup) -> str:
    """Return one of somebody's runs in one line."""
    status = STATUSES.get(told.status) or markup.line(told.status, limit=40) or "-"
    task, when = markup.line(told.task, limit=120), markup.moment(told.created_at)
    return f"{status} · {task} · {money(told.cost_micros)} · {when}"


def linked(link: AccountLink, *, told: Account, named: str, markup: Markup) -> tuple[str, str]:
    """Return what an account is told of a link, and what to do if it is wrong.

    ``named`` is the account that was linked, where that is another.
    """
    email = markup.line(link.person.email, limit=254)
    if link.account == told:
        return (
            f"This account is connected: what you ask and decide here, you do as {email}.",
            "If you are somebody else, disconnect it now, and tell your admin.",
        )
    return (
        f"Another account was connected to you, {email}: {named}. It may do what you may do.",
        "If that account is not yours, disconnect it now, and tell your admin.",
    )


def linked_wish(link: AccountLink, *, told: Account, message: JsonObject) -> Wish:
    """Return the note of a link, in private: none replaces another."""
    made = int(link.linked_at.timestamp())
    return Wish(
        place=Place(surface=told.surface, workspace=told.workspace, address=f"@{told.user}/"),
        key=f"linked:{told.user}:{link.account.workspace}:{link.account.user}:{made}",
        kind=Kind.PRIVATE,
        payload={**message, "final": True},
    )


def _approvers(view: ApprovalView, *, markup: Markup) -> str:
    return markup.line(view.approvers, limit=200) or _SOMEBODY

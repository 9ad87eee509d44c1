"""What is said to one person: refusals, the way to sign in, and the answers to commands.

``shows_card`` marks a note with something to press: whoever waits at a screen is shown its card,
and of any other its one line.
"""

from collections.abc import Sequence
from typing import Final

from bots import sentences
from bots.teams import cards, elements, text
from bots.teams.elements import Button, Element, aside, bold, mono, paragraph
from bots.views import Ability, ApprovalView, HomeView, RunSummary
from bots.wording import (
    ABILITIES,
    ASK_ME,
    COMMANDS,
    DID_NOT_WORK,
    LAST_RUNS,
    NO_QUESTIONS,
    NO_RUNS,
    POLICY,
    SIGN_IN,
    SIGN_IN_ONCE,
    others,
    waiting,
)
from core.domain.canonical import JsonObject
from core.errors import SallyportError
from core.words import sentence_of

_RUNS: Final = 16
_LIST: Final = 5000
_QUESTIONS: Final = 8
_ROOM: Final = 22_000


def note(said: str) -> JsonObject:
    """Return a short message of our own words."""
    return _note(said, body=[paragraph(said)])


def refusal(error: SallyportError, *, below: ApprovalView | None = None) -> JsonObject:
    """Return why not, in words, with the code to look up, and a question's card below."""
    said = text.line(sentence_of(error), limit=1500) or DID_NOT_WORK
    told = [paragraph(f"🚫 {said}"), aside("Code ", mono(text.code(error.code, limit=80)))]
    if below is None:
        return _note(said, body=told)
    body = [*told, *cards.body_of(below, decides=True)]
    return _pressed(said, body=body, buttons=cards.answers(below))


def sign_in(url: str) -> JsonObject:
    """Return the way to sign in, and nothing else: who somebody is decides what they are told.

    The link is theirs alone, so this goes to nobody but them.
    """
    there = elements.opens("Sign in", url=url)
    if there is None:
        return _note(SIGN_IN, body=[paragraph(f"👋 {SIGN_IN}")])
    return _pressed(
        SIGN_IN, body=[paragraph(f"👋 {SIGN_IN}"), aside(SIGN_IN_ONCE)], buttons=[there]
    )


def help_message() -> JsonObject:
    """Return what can be asked, and how."""
    told = [
        paragraph(ASK_ME, "\nWith the menu of any message: ", bold("Ask about this"), "."),
        paragraph(*_commands()),
        aside(POLICY),
    ]
    return _note(ASK_ME, body=told)


def runs_message(runs: Sequence[RunSummary]) -> JsonObject:
    """Return somebody's last runs."""
    if not runs:
        return note(NO_RUNS)
    lines = [sentences.run_line(one, markup=text) for one in runs[:_RUNS]]
    return _note(LAST_RUNS, body=[elements.listed(LAST_RUNS, lines=lines, limit=_LIST)])


def approvals_message(questions: Sequence[ApprovalView]) -> JsonObject:
    """Return the questions that wait for somebody, with their buttons: as many as have room."""
    if not questions:
        return note(NO_QUESTIONS)
    title = waiting(len(questions))
    told: list[Element] = [elements.heading(title)]
    room, fit = _ROOM, 0
    for one in questions[:_QUESTIONS]:
        asked = elements.block(cards.compact(one))
        room -= elements.bytes_of(asked)
        if room < 0:
            break
        told.append(asked)
        fit += 1
    if fit < len(questions):
        told.append(aside(others(len(questions) - fit)))
    return _pressed(title, body=told)


def tools_message(view: HomeView) -> JsonObject:
    """Return what the agent may do for somebody."""
    parts = zip(ABILITIES, (view.can, view.asks, view.cannot), strict=True)
    told = [_part(title, abilities=tools) for title, tools in parts]
    return _note("What I may do for you", body=told)


def _part(title: str, *, abilities: Sequence[Ability]) -> Element:
    lines = [sentences.ability_line(one, markup=text) for one in abilities[:500]] or ["Nothing"]
    return elements.listed(title, lines=lines, limit=_LIST)


def _commands() -> list[elements.Run]:
    told: list[elements.Run] = []
    for command, what in COMMANDS.items():
        told += [mono(command), f": {what}\n"]
    return told


def _note(said: str, *, body: Sequence[Element]) -> JsonObject:
    return elements.message(said, card=elements.card(body=body, fallback=said))


def _pressed(said: str, *, body: Sequence[Element], buttons: Sequence[Button] = ()) -> JsonObject:
    card = elements.card(body=body, buttons=buttons, fallback=said)
    return {**elements.message(said, card=card), "shows_card": True}

"""What is said to one person: refusals, the way to sign in, and the answers to commands."""

from collections.abc import Sequence
from typing import Final, cast

from bots import actions, sentences
from bots.slack import blocks, text
from bots.slack.blocks import Block
from bots.slack.cards import compact
from bots.slack.text import line
from bots.text import web_address, whole_lines
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

_SHOWN: Final = 8
_COMMANDS: Final = (
    "`/sallyport` _what you want_: ask me, here",
    *(f"`/sallyport {command}`: {shown}" for command, shown in COMMANDS.items()),
)


def note(said: str) -> JsonObject:
    """Return a short message of our own words, in which data is escaped already."""
    return blocks.message(said, blocks=[blocks.section(said)])


def refusal(error: SallyportError, *, below: JsonObject | None = None) -> JsonObject:
    """Return why not, in words, with the code to look up, and the blocks of a message below."""
    said = line(sentence_of(error), limit=1500) or DID_NOT_WORK
    told = [blocks.section(f"🚫 {said}"), blocks.aside(f"Code `{line(error.code, limit=80)}`")]
    if below is not None:
        told += cast("Sequence[Block]", below["blocks"])
    return blocks.message(said, blocks=told)


def sign_in(url: str) -> JsonObject:
    """Return the way to sign in, and nothing else: who somebody is decides what they are told.

    The link is theirs alone, so this goes to nobody but them.
    """
    safe = web_address(url)
    told = [blocks.section(f"👋 {SIGN_IN}")]
    if safe:
        button = blocks.button("Sign in", action=actions.LINK, url=safe, style="primary")
        told.append(blocks.buttons([button]))
        told.append(blocks.aside(SIGN_IN_ONCE))
    return blocks.message(SIGN_IN, blocks=told)


def help_message() -> JsonObject:
    """Return what can be asked, and how."""
    told = [
        blocks.section(f"{ASK_ME}\nWith the menu of any message: *Ask about this*."),
        blocks.section("\n".join(_COMMANDS)),
        blocks.aside(POLICY),
    ]
    return blocks.message(ASK_ME, blocks=told)


def runs_message(runs: Sequence[RunSummary]) -> JsonObject:
    """Return somebody's last runs."""
    if not runs:
        return note(NO_RUNS)
    lines = [sentences.run_line(one, markup=text) for one in runs[: 2 * _SHOWN]]
    told = whole_lines(lines, limit=blocks.SECTION)
    return blocks.message(
        LAST_RUNS, blocks=[blocks.section(f"*{LAST_RUNS}*"), blocks.section(told)]
    )


def approvals_message(questions: Sequence[ApprovalView]) -> JsonObject:
    """Return the questions that wait for somebody, with their buttons."""
    if not questions:
        return note(NO_QUESTIONS)
    title = waiting(len(questions))
    told = [blocks.section(f"*{title}*")]
    for one in questions[:_SHOWN]:
        told += [blocks.divider(), *compact(one)]
    if len(questions) > _SHOWN:
        told.append(blocks.aside(others(len(questions) - _SHOWN)))
    return blocks.message(title, blocks=told)


def tools_message(view: HomeView) -> JsonObject:
    """Return what the agent may do for somebody."""
    parts = zip(ABILITIES, (view.can, view.asks, view.cannot), strict=True)
    told = [blocks.section(_part(title, abilities=tools)) for title, tools in parts]
    return blocks.message("What I may do for you", blocks=told)


def _part(title: str, *, abilities: Sequence[Ability]) -> str:
    lines = [sentences.ability_line(one, markup=text) for one in abilities[:500]] or ["Nothing"]
    sign, _, words = title.partition(" ")
    return f"{sign} *{words}*\n{whole_lines(lines, limit=blocks.SECTION - 100)}"

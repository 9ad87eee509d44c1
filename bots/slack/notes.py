"""What is said to one person: refusals, the way to sign in, and the answers to commands."""

from collections.abc import Sequence
from typing import Final, cast

from bots import actions
from bots.slack import blocks
from bots.slack.blocks import Block
from bots.slack.cards import compact
from bots.slack.home import ability, run_line
from bots.slack.text import line
from bots.text import web_address, whole_lines
from bots.views import Ability, ApprovalView, HomeView, RunSummary
from bots.wording import ASK_ME, POLICY, SIGN_IN, SIGN_IN_ONCE
from core.domain.canonical import JsonObject
from core.errors import SallyportError
from core.words import sentence_of

_SHOWN: Final = 8
_COMMANDS: Final = (
    "`/sallyport` _what you want_: ask me, here",
    "`/sallyport runs`: what you asked for last, and what became of it",
    "`/sallyport approvals`: what waits for your answer",
    "`/sallyport tools`: what I may do for you, and what I ask people about",
    "`/sallyport help`: this",
)


def note(text: str) -> JsonObject:
    """Return a short message of our own words, in which data is escaped already."""
    return blocks.message(text, blocks=[blocks.section(text)])


def refusal(error: SallyportError, *, below: JsonObject | None = None) -> JsonObject:
    """Return why not, in words, with the code to look up, and the blocks of a message below."""
    said = line(sentence_of(error), limit=1500) or "That did not work."
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
        return note("You have asked for nothing yet.")
    lines = [run_line(one) for one in runs[: 2 * _SHOWN]]
    told = whole_lines(lines, limit=blocks.SECTION)
    return blocks.message(
        "What you asked for last",
        blocks=[blocks.section("*What you asked for last*"), blocks.section(told)],
    )


def approvals_message(questions: Sequence[ApprovalView]) -> JsonObject:
    """Return the questions that wait for somebody, with their buttons."""
    if not questions:
        return note("Nothing waits for your answer.")
    title = f"{min(len(questions), 999)} waiting for your answer"
    told = [blocks.section(f"*{title}*")]
    for one in questions[:_SHOWN]:
        told += [blocks.divider(), *compact(one)]
    if len(questions) > _SHOWN:
        told.append(blocks.aside(f"… and {len(questions) - _SHOWN} more"))
    return blocks.message(title, blocks=told)


def tools_message(view: HomeView) -> JsonObject:
    """Return what the agent may do for somebody."""
    parts = (
        ("✅ *I do at once*", view.can),
        ("✋ *I ask people first*", view.asks),
        ("🚫 *Not for you, or switched off*", view.cannot),
    )
    told = [blocks.section(_part(title, abilities=tools)) for title, tools in parts]
    return blocks.message("What I may do for you", blocks=told)


def _part(title: str, *, abilities: Sequence[Ability]) -> str:
    lines = [ability(one) for one in abilities[:500]] or ["Nothing"]
    return f"{title}\n{whole_lines(lines, limit=blocks.SECTION - 100)}"

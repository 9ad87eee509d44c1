"""The agent's own page in Slack: what it may do for somebody, what waits for them, what they did.

Slack shows a hundred blocks at most; each part has its own room, so that none crowds out another.
"""

import re
from collections.abc import Sequence
from typing import Final

from slack_sdk.models.views import View

from bots import actions, sentences
from bots.slack import blocks, text
from bots.slack.blocks import Block, Confirm
from bots.slack.cards import compact
from bots.slack.text import line
from bots.text import money, web_address, whole_lines
from bots.views import Ability, ApprovalView, HomeView, RunSummary, Suggestion
from bots.wording import RISKS
from core.domain.canonical import JsonObject
from core.domain.tool import Risk

QUESTIONS: Final = 6
RUNS: Final = 10
SUGGESTIONS: Final = 6
SWITCHES: Final = 30
"""How many of each the page has room for. A question takes five blocks, the others one."""

_BLOCKS: Final = 100
_LIST: Final = 1500
_TOOL: Final = re.compile(r"[\w./:-]{1,150}", re.ASCII)


def home(view: HomeView) -> JsonObject:
    """Return the page as a view of Slack's."""
    told = [
        *_greeting(view),
        *_questions(view.questions),
        *_suggestions(view.suggestions),
        *_abilities(view),
        *_runs(view.runs),
        *_switches(view.switches),
    ]
    return blocks.told(View(type="home", blocks=[dict(one) for one in told[:_BLOCKS]]))


def _greeting(view: HomeView) -> list[Block]:
    company = line(view.company, limit=80)
    told = [
        blocks.header("What I can do for you"),
        blocks.section(
            f"I work for *{company}*, under its rules. Write to me here, or mention me in a "
            "channel. Whatever I do passes the policy first, and people where the policy asks."
        ),
        blocks.aside(
            f"You are {line(view.person, limit=120)} · 💰 {money(view.spent_micros)} used in "
            "your runs"
        ),
    ]
    url = web_address(view.url)
    if url:
        open_it = blocks.button("Open the control centre", action=actions.OPEN_CONSOLE, url=url)
        told.append(blocks.buttons([open_it]))
    return told


def _questions(questions: Sequence[ApprovalView]) -> list[Block]:
    told: list[Block] = [blocks.divider(), blocks.header("Waiting for your answer")]
    if not questions:
        return [*told, blocks.section("Nothing waits for you.")]
    for one in questions[:QUESTIONS]:
        told += compact(one)
    if len(questions) > QUESTIONS:
        told.append(blocks.aside(f"… and {len(questions) - QUESTIONS} more"))
    return told


def _suggestions(suggestions: Sequence[Suggestion]) -> list[Block]:
    if not suggestions:
        return []
    told: list[Block] = [blocks.divider(), blocks.header("Often asked")]
    for one in suggestions[:SUGGESTIONS]:
        ask = blocks.button(
            "Ask",
            action=actions.SUGGESTION,
            value=actions.carried({"s": actions.suggestion_key(one.task)}),
            spoken=f"Ask: {one.title}",
        )
        head = line(one.title, limit=120) or "-"
        told.append(blocks.section(f"*{head}*\n{line(one.task)}", accessory=ask))
    return told


def _abilities(view: HomeView) -> list[Block]:
    told: list[Block] = [blocks.divider(), blocks.header("Under which rules")]
    told.append(_list("✅ *I do at once*", abilities=view.can))
    told.append(_list("✋ *I ask people first*", abilities=view.asks))
    told.append(_list("🚫 *Not for you, or switched off*", abilities=view.cannot))
    told.append(blocks.aside("\n".join(RISKS[risk] for risk in Risk)))
    return told


def _list(title: str, *, abilities: Sequence[Ability]) -> Block:
    lines = [sentences.ability_line(one, markup=text) for one in abilities[:_LIST]] or ["Nothing"]
    return blocks.section(f"{title}\n{whole_lines(lines, limit=blocks.SECTION - 100)}")


def _runs(runs: Sequence[RunSummary]) -> list[Block]:
    told: list[Block] = [blocks.divider(), blocks.header("What you asked for last")]
    lines = [sentences.run_line(one, markup=text) for one in runs[:RUNS]] or ["Nothing yet."]
    return [*told, blocks.section(whole_lines(lines, limit=blocks.SECTION))]


def _switches(switches: Sequence[Ability]) -> list[Block]:
    if not switches:
        return []
    told: list[Block] = [blocks.divider(), blocks.header("Tools of the company (admins only)")]
    told += [_switch(one) for one in switches[:SWITCHES]]
    if len(switches) > SWITCHES:
        told.append(blocks.aside(f"… and {len(switches) - SWITCHES} more, in the control centre"))
    return told


def _switch(told: Ability) -> Block:
    state = "*On*" if told.enabled else "*Off*"
    said = f"{state} · {sentences.ability_line(told, markup=text)}"
    if not _TOOL.fullmatch(told.tool):
        return blocks.section(said)
    wanted = "off" if told.enabled else "on"
    asked = Confirm(
        title=f"Switch {told.tool[:60]} {wanted}?",
        text="For everybody in the company, at once.",
        yes=f"Switch {wanted}",
        danger=told.enabled,
    )
    button = blocks.button(
        f"Switch {wanted}",
        action=actions.SWITCH_TOOL,
        value=actions.carried({"t": told.tool, "to": wanted}),
        confirm=asked,
        spoken=f"Switch {told.tool} {wanted}",
    )
    return blocks.section(said, accessory=button)

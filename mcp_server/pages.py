"""What people and models read over MCP: the tool contract, a run, the policies, each as a page."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final

from core.domain.canonical import canonical_json
from core.domain.policy import Demand, PolicyRule
from core.domain.run import CallRecord, Run, Step
from core.domain.tool import Failed, Risk, Tool
from core.domain.verdict import Allow
from core.governance.judgement import Offer
from mcp_server.markdown import block, code, inline, listed, page, paragraphs
from mcp_server.run_views import status_of

_RISKS: Final[Mapping[Risk, str]] = {
    Risk.SAFE: "safe: it reads, and changes nothing",
    Risk.CAUTIOUS: "cautious: it makes a change that is small and easily mended",
    Risk.DESTRUCTIVE: "destructive: it takes something away",
    Risk.IRREVERSIBLE: "irreversible: what it does cannot be taken back",
}
_PREFACE: Final = (
    "This is all of it. Whoever asks for a tool, be it the agent, a chat or a program: every call"
    " is checked against your company's policy and recorded, and some wait for people. A call's"
    " arguments may change who is asked; the call itself says so then."
)
_LONGEST_ARGUMENTS: Final = 2000
_MICROS: Final = 1_000_000


def contract_page(offers: Sequence[Offer]) -> str:
    """Return everything that the agent can do for somebody, tool by tool."""
    packs = groupby(sorted(offers, key=_pack_of), key=_pack_of)
    parts = [
        "# What the agent can do for you",
        _PREFACE,
    ]
    if not offers:
        parts.append("Nothing at the moment.")
    for pack, of_pack in packs:
        parts.append(f"## Pack {code(pack)}")
        parts += [_offer_section(offer, level=3) for offer in of_pack]
    return page(*parts)


def tool_page(offer: Offer) -> str:
    """Return what one tool does for somebody, and on what terms."""
    takes = canonical_json(offer.tool.input_schema)
    return page(
        _offer_section(offer, level=1),
        "What it takes, as JSON Schema:",
        block(takes),
    )


def policies_page(rules: Sequence[PolicyRule]) -> str:
    """Return the policies in force, in words."""
    permits = [rule for rule in rules if rule.permits]
    forbids = [rule for rule in rules if not rule.permits]
    return page(
        "# The policies in force",
        "Nothing is allowed unless a rule permits it. What a rule forbids, no other rule allows;"
        " and where one rule asks people, no other lets the call pass without them.",
        "## Never allowed",
        listed([(code(rule.name), inline(rule.reason)) for rule in forbids]),
        "## Allowed",
        listed(
            [(code(rule.name), f"{_asked(rule.demand)}. {inline(rule.reason)}") for rule in permits]
        ),
    )


def run_page(run: Run) -> str:
    """Return a run for people to read: its task, its steps and what came of it."""
    facts = [
        ("status", code(run.status.value)),
        ("for", inline(run.requester.email)),
        ("agent", f"{inline(run.agent.agent)}, version {run.agent.version}"),
        ("cost", f"{_money(run.cost_micros)} of at most {_money(run.agent.budget_micros)}"),
        ("begun", run.created_at.isoformat(timespec="seconds")),
    ]
    if run.completed_at is not None:
        facts.append(("ended", run.completed_at.isoformat(timespec="seconds")))
    parts = [f"# Run {code(str(run.id))}", listed(facts), "## Task", block(run.task)]
    for step in run.steps:
        parts += _step_parts(step)
    if run.result is not None:
        parts += ["## Result", block(run.result)]
    if run.error is not None:
        parts += ["## Stopped", f"{code(run.error.code)}: {inline(run.error.message)}"]
    return page(*parts)


def _pack_of(offer: Offer) -> str:
    return offer.tool.pack


def _offer_section(offer: Offer, *, level: int) -> str:
    tool = offer.tool
    facts = [
        ("Risk", _RISKS[tool.risk]),
        ("Who is asked", _who_is_asked(offer)),
        ("Can it be undone", _undone(tool)),
        ("Cost", f"{_money(tool.cost_micros)} a call" if tool.cost_micros else "none of its own"),
        ("Limits", _limits(tool)),
    ]
    return page(
        f"{'#' * level} {code(tool.name)}", paragraphs(tool.description), listed(facts)
    ).rstrip()


def _who_is_asked(offer: Offer) -> str:
    if isinstance(offer.verdict, Allow):
        return "nobody"
    approvers, reason = offer.verdict.approvers, offer.verdict.reason
    return f"{inline(approvers.in_words())}, unless an earlier yes covers it. {inline(reason)}"


def _undone(tool: Tool) -> str:
    if not tool.risk.has_effect:
        return "there is nothing to undo"
    return "yes, by Undo" if tool.reversible else "no"


def _limits(tool: Tool) -> str:
    seconds = f"{tool.timeout_seconds:g} seconds for a call"
    if tool.per_minute is None:
        return f"what your company's plan says; {seconds}"
    return f"{tool.per_minute} calls a minute, of your whole company; {seconds}"


def _asked(demand: Demand | None) -> str:
    if demand is None:
        return "nobody is asked"
    noun = demand.role.value if demand.role else "whoever the tool's contract names"
    of = f" of {inline(', '.join(sorted(demand.groups)))}" if demand.groups else ""
    if demand.needed is None or demand.needed == 1:
        return f"people are asked: {noun}{of}"
    return f"people are asked: {demand.needed} different ones, {noun}{of}"


def _step_parts(step: Step) -> list[str]:
    parts = [f"## Step {step.number}"]
    if step.answer is not None and step.answer.text:
        parts.append(block(step.answer.text))
    return parts + [_call_part(record) for record in step.calls]


def _call_part(record: CallRecord) -> str:
    arguments = canonical_json(record.call.arguments)
    if len(arguments) > _LONGEST_ARGUMENTS:
        arguments = f"{arguments[:_LONGEST_ARGUMENTS]}…"
    told = f"{code(record.call.tool)}: {code(status_of(record.state))}"
    if isinstance(record.result, Failed):
        told += f", {inline(record.result.message)}"
    return f"{told}\n\n{block(arguments)}"


def _money(micros: int) -> str:
    return f"${micros / _MICROS:,.6f}".rstrip("0").rstrip(".") if micros else "$0"

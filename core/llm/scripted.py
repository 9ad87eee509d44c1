"""A language model that answers from a script: for demos, tests and benchmarks, without a key.

Which turn comes next is computed from the prompt alone. Each call's handle names the turn that made
it (``call_{place}_{i}``), so that any process gives the same answer to the same prompt, even after
older turns were pruned from it.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from core.domain.canonical import Json, canonical_json
from core.domain.model import (
    AssistantTurn,
    Message,
    ModelAnswer,
    Prompt,
    ResultBlock,
    ResultTurn,
    StopReason,
    TokenUsage,
    ToolUse,
    UserText,
)
from core.llm.estimate import prompt_tokens_roughly, tokens_roughly
from core.llm.prices import SCRIPTED, PriceTable
from core.llm.reference import Nothing, Seen
from core.llm.script import END, Choice, Outcome, Script, Turn, When, read_scripts
from core.ports import Clock, OnText

_HANDLE = re.compile(r"call_(\d+)_\d+")
_WORD = re.compile(r"\s*\S+\s*|\s+")
_CHARACTERS_A_TOKEN = 4
# The codes with which people and policies say no; whatever else goes wrong is a failure.
_DENIED: Final = frozenset(
    {
        "changed_too_often",
        "denied",
        "grant_lost",
        "missing_scope",
        "policy_denied",
        "tenant_mismatch",
        "tool_disabled",
    }
)
_EXPIRED: Final = frozenset({"expired"})
_EXHAUSTED = "That is all that my script holds for this task."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    text: str
    thinking: str = ""
    calls: tuple[ToolUse, ...] = ()
    delay_ms: int = 0


class ScriptedModel:
    """Answers each task with the turns of the first script that matches it; knows nothing else.

    It answers as the model ``scripted`` whatever model the prompt asks for. The scripts are
    described in ``docs/guides/scripted-model.md``.
    """

    def __init__(
        self,
        script: str,
        *,
        prices: PriceTable,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the YAML text of the scripts; ``sleep`` is awaited where a turn has a delay.

        Raises:
            Misconfigured: ``invalid_script`` with line, place and what is wrong.
        """
        self._scripts = read_scripts(script)
        self._prices = prices
        self._clock = clock
        self._sleep = sleep

    async def answer(self, prompt: Prompt, *, on_text: OnText) -> ModelAnswer:
        """Say the turn that is next. An answer past ``max_output_tokens`` is cut off there."""
        began = self._clock.monotonic()
        said = self._next(prompt)
        spoken = tokens_roughly(said.text + said.thinking + _told(said.calls))
        stop = StopReason.CALLS if said.calls else StopReason.DONE
        if spoken > prompt.max_output_tokens:
            spoken, stop = prompt.max_output_tokens, StopReason.LENGTH
            said = _Said(text=said.text[: spoken * _CHARACTERS_A_TOKEN], delay_ms=said.delay_ms)
        await self._say(said, on_text=on_text)
        usage = TokenUsage(input_tokens=prompt_tokens_roughly(prompt), output_tokens=spoken)
        price, cost = self._prices.cost(usage, model=SCRIPTED, on=self._clock.now().date())
        return ModelAnswer(
            provider=SCRIPTED,
            model=SCRIPTED,
            text=said.text,
            thinking=said.thinking,
            calls=said.calls,
            stop=stop,
            usage=usage,
            price=price,
            cost_micros=cost,
            duration_ms=round((self._clock.monotonic() - began) * 1000),
        )

    def most_micros(self, prompt: Prompt) -> int:
        """Return what ``prompt`` may cost at most."""
        return self._prices.most_micros(prompt, model=SCRIPTED, on=self._clock.now().date())

    async def close(self) -> None:
        """Let go of nothing: there is no connection."""

    def _next(self, prompt: Prompt) -> _Said:
        task = next((one.text for one in prompt.messages if isinstance(one, UserText)), "")
        for script in self._scripts:
            if found := script.pattern.search(task):
                return _turn_said(script, task=task, found=found, messages=prompt.messages)
        known = ", ".join(script.name for script in self._scripts)
        return _Said(text=f"I only follow a script and it has nothing for this. I know: {known}.")

    async def _say(self, said: _Said, *, on_text: OnText) -> None:
        if not said.delay_ms:
            if said.text:
                await on_text(said.text)
            return
        words = cast("list[str]", _WORD.findall(said.text))
        pause = said.delay_ms / 1000 / max(len(words), 1)
        if not words:
            await self._sleep(pause)
        for word in words:
            await self._sleep(pause)
            await on_text(word)


def _turn_said(
    script: Script, *, task: str, found: re.Match[str], messages: Sequence[Message]
) -> _Said:
    ended = _ended(messages)
    place = _place(script, messages=messages, ended=ended)
    turn = None if place == END else script.places[place]
    if not isinstance(turn, Turn):
        return _Said(text=_EXHAUSTED)
    groups = {name: value for name, value in found.groupdict().items() if value is not None}
    seen = Seen(
        task=task,
        groups=groups,
        results={tool: [block.content for block in blocks] for tool, blocks in ended.items()},
    )
    try:
        return _Said(
            text=turn.say.text(seen),
            thinking=turn.thinking.text(seen),
            calls=tuple(
                ToolUse(
                    handle=f"call_{place}_{index}",
                    name=tool,
                    arguments=cast("dict[str, Json]", arguments.fill(seen)),
                )
                for index, (tool, arguments) in enumerate(turn.calls)
            ),
            delay_ms=turn.delay_ms,
        )
    except Nothing as nothing:
        return _Said(text=f"I looked, but there is no {nothing.args[0]}, so I stop here.")


def _ended(messages: Sequence[Message]) -> dict[str, list[ResultBlock]]:
    """Return each tool's results in the order in which they came."""
    names: dict[str, str] = {}
    ended: dict[str, list[ResultBlock]] = {}
    for message in messages:
        match message:
            case AssistantTurn(calls=calls):
                names.update((call.handle, call.name) for call in calls)
            case ResultTurn(results=results):
                for block in results:
                    ended.setdefault(names.get(block.handle, ""), []).append(block)
            case UserText():
                pass
    return ended


def _place(
    script: Script, *, messages: Sequence[Message], ended: dict[str, list[ResultBlock]]
) -> int:
    """Return the place of the turn that follows the turns in ``messages``."""
    place = 0
    behind = 0
    for message in reversed(messages):
        if not isinstance(message, AssistantTurn):
            continue
        made = _HANDLE.fullmatch(message.calls[0].handle) if message.calls else None
        if made is not None:
            place = _follows(script, place=int(made.group(1)))
            break
        behind += 1
    place = _chosen(script, place=place, ended=ended)
    for _ in range(behind):
        place = _chosen(script, place=_follows(script, place=place), ended=ended)
    return place


def _follows(script: Script, *, place: int) -> int:
    turn = script.places[place] if 0 <= place < len(script.places) else None
    return turn.follows if isinstance(turn, Turn) else END


def _chosen(script: Script, *, place: int, ended: dict[str, list[ResultBlock]]) -> int:
    while place != END:
        choice = script.places[place]
        if not isinstance(choice, Choice):
            break
        fitting = (at for when, at in choice.options if _fits(when, ended=ended))
        place = next(fitting, choice.otherwise)
    return place


def _fits(when: When, *, ended: dict[str, list[ResultBlock]]) -> bool:
    blocks = ended.get(when.tool)
    if not blocks:
        return False
    code = _code_of(blocks[-1])
    outcome = _outcome_of(blocks[-1], code=code)
    return when.outcome in {None, outcome} and when.code in {None, code}


def _outcome_of(block: ResultBlock, *, code: str | None) -> Outcome:
    if not block.is_error:
        return Outcome.SUCCEEDED
    if code in _DENIED:
        return Outcome.DENIED
    return Outcome.EXPIRED if code in _EXPIRED else Outcome.FAILED


def _code_of(block: ResultBlock) -> str | None:
    """Return the code of ``{"error": {"code": …}}``, the shape in which a failed call is told."""
    if not block.is_error:
        return None
    try:
        match json.loads(block.content):
            case {"error": {"code": str() as code}}:
                return code
            case _:
                return None
    except ValueError:
        return None


def _told(calls: tuple[ToolUse, ...]) -> str:
    return "".join(f"{call.name}{canonical_json(call.arguments)}" for call in calls)

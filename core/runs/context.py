"""What the model is shown of a run: pure, so that the same journal asks the same question."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.domain.canonical import canonical_json
from core.domain.model import (
    AssistantTurn,
    Message,
    Prompt,
    ResultBlock,
    ResultTurn,
    ToolOffer,
    UserText,
)
from core.domain.run import CallRecord, Run, Step
from core.domain.tool import Failed, Succeeded, Tool

_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One step as the model sees it; ``size`` in characters."""

    messages: tuple[Message, ...]
    size: int


def prompt_for(
    run: Run,
    *,
    steps: Sequence[Step],
    tools: tuple[ToolOffer, ...],
    shown: dict[int, Shown] | None = None,
) -> Prompt:
    """Return the next question to the model.

    The task comes first, word for word. What does not fit into the agent's ``history_tokens`` is
    left out from the oldest step on, whole steps at a time: never calls without their results.
    Steps go in halves of the history, so that the cached prefix holds for many steps. ``shown``
    remembers, by number, steps that were put into words before: a settled step never changes.
    """
    known = {} if shown is None else shown
    for step in steps:
        if step.number not in known:
            known[step.number] = _shown(step)
    every = [known[step.number] for step in steps]
    messages: list[Message] = [UserText(text=run.task)]
    for turn in _newest(every, limit=run.agent.history_tokens * _CHARACTERS_PER_TOKEN):
        messages.extend(turn.messages)
    return Prompt(
        model=run.agent.model,
        system=run.agent.system,
        tools=tools,
        messages=tuple(messages),
        max_output_tokens=run.agent.max_output_tokens,
    )


def offers_of(tools: Iterable[Tool]) -> tuple[ToolOffer, ...]:
    """Return the tools as the model is told of them."""
    return tuple(
        ToolOffer(name=tool.name, description=tool.description, input_schema=tool.input_schema)
        for tool in tools
    )


def result_block(record: CallRecord) -> ResultBlock:
    """Return a settled call as the model sees it: the tool's JSON, or what went wrong."""
    match record.result:
        case Succeeded() as succeeded:
            return ResultBlock(handle=record.call.handle, content=canonical_json(succeeded.output))
        case Failed() as failed:
            error = {**failed.facts, "code": failed.code, "message": failed.message}
            return ResultBlock(
                handle=record.call.handle, content=canonical_json({"error": error}), is_error=True
            )
        case None:
            message = f"call {record.call.id} is not settled"
            raise ValueError(message)


def _shown(step: Step) -> Shown:
    answer = step.answer
    if answer is None:
        return Shown(messages=(), size=0)
    messages: tuple[Message, ...] = (AssistantTurn(text=answer.text, calls=answer.calls),)
    if step.calls:
        results = tuple(result_block(record) for record in step.calls)
        messages = (*messages, ResultTurn(results=results))
    return Shown(messages=messages, size=sum(_size(message) for message in messages))


def _newest(turns: Sequence[Shown], *, limit: int) -> Sequence[Shown]:
    """Return the newest turns that fit; cut points move in jumps of half the limit."""
    first, held = 0, 0
    for position, turn in enumerate(turns):
        held += turn.size
        if held > limit:
            while first < position and held > limit // 2:
                held -= turns[first].size
                first += 1
    return turns[first:]


def _size(message: Message) -> int:
    match message:
        case UserText():
            return len(message.text)
        case AssistantTurn():
            return len(message.text) + sum(
                len(canonical_json(call.arguments)) for call in message.calls
            )
        case ResultTurn():
            return sum(len(result.content) for result in message.results)

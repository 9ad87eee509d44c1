"""Clocks, listeners and prompts that the tests of the models share."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from core.domain.canonical import Json
from core.domain.model import (
    AssistantTurn,
    Message,
    ModelAnswer,
    Prompt,
    ResultBlock,
    ResultTurn,
    ToolOffer,
    UserText,
)

TODAY = datetime(2026, 11, 1, 9, tzinfo=UTC)
LIST_TASKS = ToolOffer(
    name="list_tasks",
    description="Lists the tasks of a project.",
    input_schema={
        "type": "object",
        "properties": {"project_id": {"type": "string"}},
        "required": ["project_id"],
    },
)
DELETE_TASK = ToolOffer(
    name="delete_task",
    description="Deletes a task.",
    input_schema={"type": "object", "properties": {"task_id": {"type": "string"}}},
)


class SettableClock:
    """A clock that stands until it is moved on."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return TODAY + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed


class Waits:
    """Lets time pass at once and remembers how much."""

    def __init__(self, clock: SettableClock) -> None:
        self.clock = clock
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.clock.passed += seconds


class Listener:
    """Keeps the text as it comes."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def __call__(self, text: str) -> None:
        self.heard.append(text)

    @property
    def text(self) -> str:
        return "".join(self.heard)


def prompt(
    *messages: Message | str,
    model: str = "claude-sonnet-5-5",
    system: str = "You manage tasks.",
    tools: tuple[ToolOffer, ...] = (LIST_TASKS, DELETE_TASK),
    max_output_tokens: int = 4096,
) -> Prompt:
    return Prompt(
        model=model,
        system=system,
        tools=tools,
        messages=[UserText(text=one) if isinstance(one, str) else one for one in messages],
        max_output_tokens=max_output_tokens,
    )


def turn_of(answer: ModelAnswer) -> AssistantTurn:
    return AssistantTurn(text=answer.text, calls=answer.calls)


def result_of(answer: ModelAnswer, *contents: Json) -> ResultTurn:
    """Answer each call of ``answer`` in order; an object with the key ``error`` is an error."""
    return ResultTurn(
        results=tuple(
            ResultBlock(
                handle=call.handle,
                content=json.dumps(content),
                is_error=isinstance(content, dict) and "error" in content,
            )
            for call, content in zip(answer.calls, contents, strict=True)
        )
    )


def error(code: str) -> dict[str, Json]:
    return {"error": {"code": code, "message": "No."}}


def names(answer: ModelAnswer) -> Sequence[str]:
    return [call.name for call in answer.calls]

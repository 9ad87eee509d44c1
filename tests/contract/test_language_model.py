import asyncio
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass

import pytest

from core.domain.model import Prompt, StopReason
from core.llm.fallback import FallbackModel, Link
from core.llm.prices import PriceTable
from core.llm.provided import ProvidedModel
from core.llm.scripted import ScriptedModel
from tests.unit.llm.conversations import Listener, SettableClock, prompt, result_of, turn_of
from tests.unit.llm.models import chat_at, claude_at
from tests.unit.llm.recordings import chat, claude
from tests.unit.llm.wire import Wire, wire

pytestmark = pytest.mark.together("providers")

SCRIPT = """
scripts:
  - contains: go
    turns:
      - say: I look at both.
        delay_ms: 4
        calls:
          - {tool: list_tasks, arguments: {project_id: p1}}
          - {tool: delete_task, arguments: {task_id: "ű1"}}
      - say: All is done.
"""
WORDS = ("I look ", "at ", "both.")
CALLS = (
    ("id_1", "list_tasks", ['{"project_id"', ': "p1"}']),
    ("id_2", "delete_task", ['{"task_id": "\\u01711"}']),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    model: ProvidedModel
    model_name: str

    def prompt(self, *messages: object, max_output_tokens: int = 4096) -> Prompt:
        return prompt(
            *messages,  # pyright: ignore[reportArgumentType] - messages, as prompt() takes them
            model=self.model_name,
            max_output_tokens=max_output_tokens,
        )


@pytest.fixture(scope="module")
def claude_wire() -> Generator[Wire]:
    with wire() as provider:
        yield provider


@pytest.fixture(scope="module")
def chat_wire() -> Generator[Wire]:
    with wire() as provider:
        yield provider


@pytest.fixture(params=["scripted", "anthropic", "openai", "fallback"])
async def subject(
    request: pytest.FixtureRequest, claude_wire: Wire, chat_wire: Wire
) -> AsyncGenerator[Subject]:
    claude_wire.reset(claude(WORDS, tools=CALLS, stop="tool_use"), claude(["All is ", "done."]))
    chat_wire.reset(chat(WORDS, tools=CALLS, stop="tool_calls"), chat(["All is ", "done."]))
    clock = SettableClock()
    scripted = ScriptedModel(SCRIPT, prices=PriceTable(), clock=clock)
    anthropic = claude_at(claude_wire.url, clock=clock)
    openai = chat_at(chat_wire.url, clock=clock)
    chain = FallbackModel(
        [
            Link(provider="anthropic", model=anthropic),
            Link(provider="openai", model=openai, model_name="gpt-6.1-sol"),
            Link(provider="scripted", model=scripted, model_name="scripted"),
        ],
        clock=clock,
    )
    subjects = {
        "scripted": Subject(model=scripted, model_name="scripted"),
        "anthropic": Subject(model=anthropic, model_name="claude-sonnet-5-5"),
        "openai": Subject(model=openai, model_name="gpt-6.1-sol"),
        "fallback": Subject(model=chain, model_name="claude-sonnet-5-5"),
    }
    yield subjects[str(request.param)]
    await chain.close()


async def test_text_comes_in_order_and_is_the_answers_text(subject: Subject) -> None:
    listener = Listener()
    answer = await subject.model.answer(subject.prompt("go"), on_text=listener)
    assert len(listener.heard) > 1
    assert listener.text == answer.text == "I look at both."


async def test_calls_keep_their_order_and_have_handles_of_their_own(subject: Subject) -> None:
    answer = await subject.model.answer(subject.prompt("go"), on_text=Listener())
    assert answer.stop is StopReason.CALLS
    assert [(call.name, call.arguments) for call in answer.calls] == [
        ("list_tasks", {"project_id": "p1"}),
        ("delete_task", {"task_id": "ű1"}),
    ]
    assert len({call.handle for call in answer.calls}) == 2


async def test_results_are_taken_and_the_conversation_ends(subject: Subject) -> None:
    first = await subject.model.answer(subject.prompt("go"), on_text=Listener())
    results = result_of(first, {"tasks": []}, {"error": {"code": "denied"}})
    last = await subject.model.answer(
        subject.prompt("go", turn_of(first), results), on_text=Listener()
    )
    assert (last.text, last.calls, last.stop) == ("All is done.", (), StopReason.DONE)


async def test_an_answer_is_priced_and_costs_no_more_than_was_said(subject: Subject) -> None:
    asked = subject.prompt("go " + "und weiter " * 200, max_output_tokens=57)
    most = subject.model.most_micros(asked)
    answer = await subject.model.answer(asked, on_text=Listener())
    assert answer.usage.output_tokens > 0
    assert answer.cost_micros == answer.price.cost_micros(answer.usage)
    assert 0 < answer.cost_micros <= most


async def test_the_bound_grows_with_all_that_is_sent(subject: Subject) -> None:
    first = await subject.model.answer(subject.prompt("go"), on_text=Listener())
    short = subject.prompt("go", turn_of(first), result_of(first, {}, {}))
    long = subject.prompt("go", turn_of(first), result_of(first, {"x": "y" * 4000}, {}))
    assert subject.model.most_micros(long) > subject.model.most_micros(short)
    assert subject.model.most_micros(
        subject.prompt("go", max_output_tokens=8192)
    ) > subject.model.most_micros(subject.prompt("go"))


async def test_whoever_is_cancelled_while_listening_is_cancelled(subject: Subject) -> None:
    listening = asyncio.Event()

    async def hold(_: str) -> None:
        listening.set()
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(subject.model.answer(subject.prompt("go"), on_text=hold))
        await listening.wait()
        task.cancel()
    assert task.cancelled()


async def test_answers_do_not_mix(subject: Subject) -> None:
    listeners = [Listener() for _ in range(4)]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(subject.model.answer(subject.prompt("go"), on_text=listener))
            for listener in listeners
        ]
    assert [listener.text for listener in listeners] == [task.result().text for task in tasks]

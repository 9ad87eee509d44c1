from collections.abc import AsyncGenerator

import pytest

from core.domain.model import (
    AssistantTurn,
    ResultBlock,
    ResultTurn,
    StopReason,
    TokenUsage,
    ToolUse,
)
from core.errors import ModelFailed, ModelOverloaded
from core.llm.asking import Retries
from core.llm.prices import PriceTable
from core.llm.provided import ProvidedModel
from tests.unit.llm.conversations import LIST_TASKS, Listener, SettableClock, prompt
from tests.unit.llm.models import chat_at
from tests.unit.llm.recordings import EVENTS, chat, chat_error
from tests.unit.llm.wire import Reply, Wire, failing

pytestmark = pytest.mark.together("providers")

MODEL = "gpt-6.1-sol"


async def at_once(_: float) -> None:
    """Wait for nothing."""


@pytest.fixture
async def model(provider: Wire) -> AsyncGenerator[ProvidedModel]:
    model = chat_at(
        f"{provider.url}/v1",
        clock=SettableClock(),
        key="sk-test",
        timeout_seconds=5,
        retries=Retries(sleep=at_once),
    )
    yield model
    await model.close()


async def test_text_calls_and_usage_are_put_together(model: ProvidedModel, provider: Wire) -> None:
    provider.reset(
        chat(
            ["I look ", "at it."],
            tools=[
                ("call_a", "list_tasks", ['{"project', '_id": "p', '1"}']),
                ("call_b", "list_projects", []),
            ],
            stop="tool_calls",
        )
    )
    listener = Listener()
    answer = await model.answer(prompt("Look.", model=MODEL), on_text=listener)
    assert listener.heard == ["I look ", "at it."]
    assert answer.text == "I look at it."
    assert answer.calls == (
        ToolUse(handle="call_a", name="list_tasks", arguments={"project_id": "p1"}),
        ToolUse(handle="call_b", name="list_projects", arguments={}),
    )
    assert answer.stop is StopReason.CALLS
    assert answer.usage == TokenUsage(
        input_tokens=12, output_tokens=57, cache_read_tokens=400, cache_write_tokens=30
    )
    assert (answer.provider, answer.model) == ("openai", MODEL)
    assert answer.cost_micros == 24 + 570 + 40 + 75


async def test_what_is_sent_keeps_order_and_handles(model: ProvidedModel, provider: Wire) -> None:
    provider.reset(chat(["Done."]))
    call = ToolUse(handle="call_a", name="list_tasks", arguments={"project_id": "p1"})
    other = ToolUse(handle="call_b", name="delete_task", arguments={})
    await model.answer(
        prompt(
            "  First  words ",
            AssistantTurn(text="A moment."),
            AssistantTurn(text=""),
            "Go on.",
            AssistantTurn(text="", calls=(call, other)),
            ResultTurn(
                results=(
                    ResultBlock(handle="call_a", content='{"tasks":[]}', notes=("Mind it.",)),
                    ResultBlock(handle="call_b", content='{"error":{}}', is_error=True),
                )
            ),
            model=MODEL,
            tools=(LIST_TASKS,),
        ),
        on_text=Listener(),
    )
    sent = provider.requests[0]
    assert sent.path == "/v1/chat/completions"
    assert sent.headers["authorization"] == "Bearer sk-test"
    assert sent.body == {
        "model": MODEL,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 4096,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": LIST_TASKS.name,
                    "description": LIST_TASKS.description,
                    "parameters": LIST_TASKS.input_schema,
                },
            }
        ],
        "messages": [
            {"role": "system", "content": "You manage tasks."},
            {"role": "user", "content": "  First  words "},
            {"role": "assistant", "content": "A moment."},
            {"role": "user", "content": "Go on."},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "type": "function",
                        "id": "call_a",
                        "function": {"name": "list_tasks", "arguments": '{"project_id":"p1"}'},
                    },
                    {
                        "type": "function",
                        "id": "call_b",
                        "function": {"name": "delete_task", "arguments": "{}"},
                    },
                ],
            },
            {
                "role": "tool",
                "tool_call_id": "call_a",
                "content": [
                    {"type": "text", "text": '{"tasks":[]}'},
                    {"type": "text", "text": "Mind it."},
                ],
            },
            {"role": "tool", "tool_call_id": "call_b", "content": '{"error":{}}'},
        ],
    }


async def test_a_local_server_needs_no_key_no_system_text_and_no_tools(provider: Wire) -> None:
    provider.reset(chat(["Hi."]))
    model = chat_at(
        provider.url,
        clock=SettableClock(),
        key=None,
        prices=PriceTable(overrides={"llama": {"input": 1, "output": 1}}),
    )
    await model.answer(prompt("Hi", model="llama", system="", tools=()), on_text=Listener())
    assert provider.requests[0].headers["authorization"] == "Bearer none"
    assert provider.requests[0].body["messages"] == [{"role": "user", "content": "Hi"}]
    assert "tools" not in provider.requests[0].body
    await model.close()


@pytest.mark.parametrize(
    ("told", "stop"),
    [
        ("stop", StopReason.DONE),
        ("tool_calls", StopReason.DONE),  # without a call there is nothing to wait for
        ("something_new", StopReason.DONE),
        ("length", StopReason.LENGTH),
        ("content_filter", StopReason.REFUSED),
    ],
)
async def test_every_stop_has_its_reason(
    model: ProvidedModel, provider: Wire, told: str, stop: StopReason
) -> None:
    provider.reset(chat(["So"], stop=told))
    answer = await model.answer(prompt("Hi", model=MODEL), on_text=Listener())
    assert answer.stop is stop


async def test_a_refusal_in_words_is_a_refusal(model: ProvidedModel, provider: Wire) -> None:
    provider.reset(chat(deltas=[{"refusal": "I will not."}]))
    listener = Listener()
    answer = await model.answer(prompt("Hi", model=MODEL), on_text=listener)
    assert (answer.text, answer.stop) == ("I will not.", StopReason.REFUSED)
    assert listener.text == answer.text


async def test_calls_count_even_where_the_server_says_stop(
    model: ProvidedModel, provider: Wire
) -> None:
    provider.reset(chat(tools=[("call_a", "list_projects", ["{}"])], stop="stop"))
    answer = await model.answer(prompt("Hi", model=MODEL), on_text=Listener())
    assert answer.stop is StopReason.CALLS


async def test_calls_without_ids_or_with_one_index_stay_apart(
    model: ProvidedModel, provider: Wire
) -> None:
    provider.reset(
        chat(
            deltas=[
                {
                    "tool_calls": [
                        {"index": 0, "id": "x", "function": {"name": "a", "arguments": "{}"}},
                        {"index": 0, "id": "y", "function": {"name": "b", "arguments": '{"n":'}},
                        {"index": 0, "function": {"arguments": "1}"}},
                        {"index": 1, "function": {"name": "c"}},
                        {"index": 1},
                    ]
                }
            ],
            stop="tool_calls",
        )
    )
    answer = await model.answer(prompt("Hi", model=MODEL), on_text=Listener())
    assert [(call.handle, call.name, call.arguments) for call in answer.calls] == [
        ("x", "a", {}),
        ("y", "b", {"n": 1}),
        ("call_of_message_1_2", "c", {}),
    ]


@pytest.mark.parametrize("written", ['{"task_id": "t', "[]"])
async def test_arguments_that_are_no_object_reach_the_schema_under_a_name_of_their_own(
    model: ProvidedModel, provider: Wire, written: str
) -> None:
    provider.reset(chat(tools=[("call_a", "delete_task", [written])], stop="tool_calls"))
    answer = await model.answer(prompt("Hi", model=MODEL), on_text=Listener())
    assert answer.calls[0].arguments == {"_malformed_json": written}


async def test_a_call_that_was_cut_off_is_never_made(model: ProvidedModel, provider: Wire) -> None:
    provider.reset(chat(tools=[("call_a", "delete_task", ['{"task_id": "t1"}'])], stop="length"))
    answer = await model.answer(prompt("Hi", model=MODEL), on_text=Listener())
    assert answer.calls == ()


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
async def test_thinking_of_local_servers_is_kept_apart_from_the_text(
    model: ProvidedModel, provider: Wire, key: str
) -> None:
    provider.reset(chat(deltas=[{key: "Hm"}, {key: "m."}, {"content": "Yes."}]))
    answer = await model.answer(prompt("Hi", model=MODEL), on_text=Listener())
    assert (answer.thinking, answer.text) == ("Hmm.", "Yes.")


async def test_what_a_server_does_not_count_is_counted_roughly_and_is_not_free(
    model: ProvidedModel, provider: Wire
) -> None:
    provider.reset(
        chat(["12345"], tools=[("c", "tool", ['{"n":1}'])], stop="tool_calls", usage=None)
    )
    answer = await model.answer(
        prompt("x" * 401, model=MODEL, system="", tools=()), on_text=Listener()
    )
    assert answer.usage == TokenUsage(input_tokens=101, output_tokens=4)
    assert answer.cost_micros == 2 * 101 + 10 * 4


async def test_usage_without_details_has_nothing_cached(
    model: ProvidedModel, provider: Wire
) -> None:
    provider.reset(
        chat(["Hi"], usage={"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11})
    )
    answer = await model.answer(prompt("Hi", model=MODEL), on_text=Listener())
    assert answer.usage == TokenUsage(input_tokens=9, output_tokens=2)


@pytest.mark.parametrize(
    ("reply", "status", "detail"),
    [
        (failing(429, "rate_limit_exceeded"), 429, "rate_limit_exceeded"),
        (failing(500, "server_error"), 500, "server_error"),
        (Reply(status=502, chunks=["secret"]), 502, "unknown_error"),
        (Reply(status=502, chunks=['{"error": {"code": 502}}']), 502, "unknown_error"),
        (chat_error("server_error"), None, "server_error"),
        (chat(["Half"], stop=None, usage=None), None, "cut_off"),
        (Reply(headers=EVENTS, chunks=[], then="break"), None, "connection_error"),
        (Reply(headers=EVENTS, chunks=["data: {secret\n\n"]), None, "malformed_stream"),
    ],
)
async def test_an_overloaded_provider_is_asked_four_times_and_no_more(
    model: ProvidedModel,
    provider: Wire,
    reply: Reply,
    status: int | None,
    detail: str,
) -> None:
    provider.reset(reply)
    with pytest.raises(ModelOverloaded) as caught:
        await model.answer(prompt("Hi", model=MODEL), on_text=Listener())
    facts = caught.value.facts
    assert (facts["status"], facts["detail"], facts["attempts"]) == (status, detail, 4)
    assert len(provider.requests) == 4


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "invalid_api_key"),
        (404, "model_not_found"),
        (429, "insufficient_quota"),
    ],
)
async def test_a_refused_request_is_not_asked_again(
    model: ProvidedModel, provider: Wire, status: int, kind: str
) -> None:
    provider.reset(failing(status, kind))
    with pytest.raises(ModelFailed) as caught:
        await model.answer(prompt("Hi", model=MODEL), on_text=Listener())
    assert not isinstance(caught.value, ModelOverloaded)
    assert caught.value.facts == {"provider": "openai", "status": status, "detail": kind}
    assert len(provider.requests) == 1


async def test_silence_ends_after_the_timeout(provider: Wire) -> None:
    provider.reset(chat(["Half "], stop=None, usage=None, then="silence"))
    model = chat_at(
        provider.url, clock=SettableClock(), timeout_seconds=0.1, retries=Retries(most=0)
    )
    with pytest.raises(ModelOverloaded) as caught:
        await model.answer(prompt("Hi", model=MODEL), on_text=Listener())
    assert caught.value.facts["detail"] == "timeout"
    await model.close()

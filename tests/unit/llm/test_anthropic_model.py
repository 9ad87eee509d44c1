import pytest

from core.domain.model import (
    AssistantTurn,
    ResultBlock,
    ResultTurn,
    StopReason,
    TokenUsage,
    ToolUse,
    UserText,
)
from core.llm.provided import ProvidedModel
from tests.unit.llm.conversations import DELETE_TASK, LIST_TASKS, Listener, prompt
from tests.unit.llm.recordings import claude
from tests.unit.llm.wire import Reply, Wire

pytestmark = pytest.mark.together("providers")

KEPT = {"type": "ephemeral"}


async def test_text_thinking_calls_and_usage_are_put_together(
    claude_model: ProvidedModel, provider: Wire
) -> None:
    provider.reset(
        claude(
            ["I look ", "at it."],
            thinking=["Which ", "one?"],
            tools=[
                ("toolu_1", "list_tasks", ['{"project', '_id": "p', '1"}']),
                ("toolu_2", "list_projects", []),
            ],
            stop="tool_use",
        )
    )
    listener = Listener()
    answer = await claude_model.answer(prompt("Look."), on_text=listener)
    assert listener.heard == ["I look ", "at it."]
    assert (answer.text, answer.thinking) == ("I look at it.", "Which one?")
    assert answer.calls == (
        ToolUse(handle="toolu_1", name="list_tasks", arguments={"project_id": "p1"}),
        ToolUse(handle="toolu_2", name="list_projects", arguments={}),
    )
    assert answer.stop is StopReason.CALLS
    assert answer.usage == TokenUsage(
        input_tokens=12, output_tokens=57, cache_read_tokens=400, cache_write_tokens=30
    )
    assert (answer.provider, answer.model) == ("anthropic", "claude-sonnet-5-5")
    # 12 at $2, 57 at $10, 400 read at $0.10 and 30 written at $2.50 a million
    assert answer.cost_micros == 24 + 570 + 40 + 75


async def test_what_is_sent_marks_the_prefix_for_the_cache(
    claude_model: ProvidedModel, provider: Wire
) -> None:
    provider.reset(claude(["Done."]))
    calls = (
        ToolUse(handle="toolu_1", name="list_tasks", arguments={"project_id": "p1"}),
        ToolUse(handle="toolu_2", name="delete_task", arguments={"task_id": "t1"}),
    )
    results = (
        ResultBlock(handle="toolu_1", content='{"tasks":[]}', notes=("Outside text.", "Mind it.")),
        ResultBlock(handle="toolu_2", content='{"error":{"code":"denied"}}', is_error=True),
    )
    await claude_model.answer(
        prompt(
            "  First  words ",
            AssistantTurn(text="A moment."),
            "Go on.",
            AssistantTurn(text=" ", calls=calls),
            ResultTurn(results=results),
        ),
        on_text=Listener(),
    )
    sent = provider.requests[0]
    assert sent.path == "/v1/messages"
    assert sent.headers["authorization"] == "Bearer sk-ant-test"
    assert sent.body["stream"] is True
    assert sent.body["max_tokens"] == 4096
    assert sent.body["system"] == [
        {"type": "text", "text": "You manage tasks.", "cache_control": KEPT}
    ]
    assert sent.body["tools"] == [
        {
            "name": LIST_TASKS.name,
            "description": LIST_TASKS.description,
            "input_schema": LIST_TASKS.input_schema,
        },
        {
            "name": DELETE_TASK.name,
            "description": DELETE_TASK.description,
            "input_schema": DELETE_TASK.input_schema,
            "cache_control": KEPT,
        },
    ]
    assert sent.body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "  First  words "}]},
        {"role": "assistant", "content": [{"type": "text", "text": "A moment."}]},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Go on.", "cache_control": KEPT}],
        },
        {
            "role": "assistant",
            "content": [
                {
                    "type": "tool_use",
                    "id": "toolu_1",
                    "name": "list_tasks",
                    "input": {"project_id": "p1"},
                },
                {
                    "type": "tool_use",
                    "id": "toolu_2",
                    "name": "delete_task",
                    "input": {"task_id": "t1"},
                },
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [
                        {"type": "text", "text": '{"tasks":[]}'},
                        {"type": "text", "text": "Outside text."},
                        {"type": "text", "text": "Mind it."},
                    ],
                    "is_error": False,
                },
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "content": [{"type": "text", "text": '{"error":{"code":"denied"}}'}],
                    "is_error": True,
                    "cache_control": KEPT,
                },
            ],
        },
    ]


async def test_never_more_than_four_marks_are_sent(
    claude_model: ProvidedModel, provider: Wire
) -> None:
    provider.reset(claude(["Done."]))
    turns = [one for _ in range(6) for one in (UserText(text="on"), AssistantTurn(text="yes"))]
    await claude_model.answer(prompt(*turns, "end"), on_text=Listener())
    assert str(provider.requests[0].body).count("cache_control") == 4


async def test_nothing_is_sent_where_there_is_nothing(
    claude_model: ProvidedModel, provider: Wire
) -> None:
    provider.reset(claude(["Done."]))
    await claude_model.answer(
        prompt("Hi", AssistantTurn(text=""), "Hi?", system=" ", tools=()), on_text=Listener()
    )
    body = provider.requests[0].body
    assert "system" not in body
    assert "tools" not in body
    assert [message["role"] for message in body["messages"]] == ["user", "user"]


@pytest.mark.parametrize(
    ("name", "thinking"),
    [
        ("claude-sonnet-5-5", {"type": "between_tools"}),
        ("claude-sonnet-5", {"type": "disabled"}),
        ("claude-haiku-4-5-20251001", None),
        ("claude-sonnet-5-5-20261101", {"type": "between_tools"}),
        ("claude-opus-5-5", None),
    ],
)
async def test_a_model_is_told_to_think_as_little_as_it_may(
    claude_model: ProvidedModel, provider: Wire, name: str, thinking: object
) -> None:
    provider.reset(claude(["Done."]))
    await claude_model.answer(prompt("Hi", model=name), on_text=Listener())
    assert provider.requests[0].body.get("thinking") == thinking


@pytest.mark.parametrize(
    ("told", "stop"),
    [
        ("end_turn", StopReason.DONE),
        ("stop_sequence", StopReason.DONE),
        ("something_new", StopReason.DONE),
        ("tool_use", StopReason.DONE),  # without a call there is nothing to wait for
        ("max_tokens", StopReason.LENGTH),
        ("model_context_window_exceeded", StopReason.LENGTH),
        ("refusal", StopReason.REFUSED),
    ],
)
async def test_every_stop_has_its_reason(
    claude_model: ProvidedModel, provider: Wire, told: str, stop: StopReason
) -> None:
    provider.reset(claude(["So"], stop=told))
    assert (await claude_model.answer(prompt("Hi"), on_text=Listener())).stop is stop


@pytest.mark.parametrize("stop", ["max_tokens", "refusal"])
async def test_a_call_that_was_cut_off_is_never_made(
    claude_model: ProvidedModel, provider: Wire, stop: str
) -> None:
    provider.reset(claude(["So"], tools=[("toolu_1", "delete_task", ['{"task_'])], stop=stop))
    answer = await claude_model.answer(prompt("Hi"), on_text=Listener())
    assert answer.calls == ()


@pytest.mark.parametrize("written", ['{"task_id": "t', '["t1"]', "t1", '{"n": NaN}'])
async def test_arguments_that_are_no_object_reach_the_schema_under_a_name_of_their_own(
    claude_model: ProvidedModel, provider: Wire, written: str
) -> None:
    provider.reset(claude(tools=[("toolu_1", "delete_task", [written])], stop="tool_use"))
    answer = await claude_model.answer(prompt("Hi"), on_text=Listener())
    assert answer.calls[0].arguments == {"_malformed_json": written}


async def test_text_and_arguments_may_come_with_their_block(
    claude_model: ProvidedModel, provider: Wire
) -> None:
    reply = claude(["."], tools=[("toolu_1", "delete_task", [])], stop="tool_use")
    whole = [
        chunk.replace('"text": ""}}', '"text": "Yes"}}').replace(
            '"input": {}', '"input": {"task_id": "t1"}'
        )
        for chunk in reply.chunks
    ]
    provider.reset(Reply(headers=reply.headers, chunks=whole))
    listener = Listener()
    answer = await claude_model.answer(prompt("Hi"), on_text=listener)
    assert answer.text == listener.text == "Yes."
    assert answer.calls[0].arguments == {"task_id": "t1"}

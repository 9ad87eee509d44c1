"""Streams as Anthropic and OpenAI send them, made from what they say."""

import json
from collections.abc import Sequence

from core.domain.canonical import Json, JsonObject
from tests.unit.llm.wire import Reply

EVENTS = {"content-type": "text/event-stream"}

ANTHROPIC_USAGE: JsonObject = {
    "input_tokens": 12,
    "cache_creation_input_tokens": 30,
    "cache_read_input_tokens": 400,
    "output_tokens": 1,
}
OPENAI_USAGE: JsonObject = {
    "prompt_tokens": 442,
    "completion_tokens": 57,
    "total_tokens": 499,
    "prompt_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 30},
}
Tool = tuple[str, str, Sequence[str]]
"""A call: id, name and the pieces in which its arguments come."""


def claude(
    text: Sequence[str] = (),
    *,
    tools: Sequence[Tool] = (),
    thinking: Sequence[str] = (),
    stop: str = "end_turn",
    then: str = "end",
    whole: bool = True,
) -> Reply:
    """A stream of the Messages API."""
    message: JsonObject = {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": ANTHROPIC_USAGE,
    }
    blocks: list[tuple[JsonObject, list[JsonObject]]] = []
    if thinking:
        blocks.append(
            (
                {"type": "thinking", "thinking": "", "signature": ""},
                [
                    *({"type": "thinking_delta", "thinking": part} for part in thinking),
                    {"type": "signature_delta", "signature": "c2ln"},
                ],
            )
        )
    if text:
        blocks.append(
            (
                {"type": "text", "text": ""},
                [{"type": "text_delta", "text": part} for part in text],
            )
        )
    for handle, name, parts in tools:
        blocks.append(
            (
                {"type": "tool_use", "id": handle, "name": name, "input": {}},
                [{"type": "input_json_delta", "partial_json": part} for part in parts],
            )
        )
    events: list[JsonObject] = [{"type": "message_start", "message": message}, {"type": "ping"}]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [
            {"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas
        ]
        events.append({"type": "content_block_stop", "index": index})
    if whole:
        events += [
            {
                "type": "message_delta",
                "delta": {"stop_reason": stop, "stop_sequence": None},
                "usage": {"output_tokens": 57},
            },
            {"type": "message_stop"},
        ]
    return Reply(headers=EVENTS, chunks=[_event(event) for event in events], then=then)


def claude_error(kind: str, *, after: Sequence[str] = ("Half ",)) -> Reply:
    """A stream that ends in an error event."""
    begun = claude(after, whole=False)
    error: JsonObject = {"type": "error", "error": {"type": kind, "message": "secret"}}
    return Reply(headers=EVENTS, chunks=[*begun.chunks, _event(error)])


def chat(
    text: Sequence[str] = (),
    *,
    tools: Sequence[Tool] = (),
    stop: str | None = "stop",
    usage: JsonObject | None = OPENAI_USAGE,
    deltas: Sequence[JsonObject] = (),
    then: str = "end",
) -> Reply:
    """A stream of chat completions; ``deltas`` come after the text as they are."""
    all_deltas: list[JsonObject] = [{"role": "assistant", "content": ""}]
    all_deltas += [{"content": part} for part in text]
    all_deltas += deltas
    for index, (handle, name, parts) in enumerate(tools):
        begun: JsonObject = {
            "index": index,
            "id": handle,
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }
        all_deltas.append({"tool_calls": [begun]})
        all_deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": part}}]} for part in parts
        ]
    chunks = [_chunk([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in all_deltas]
    if stop is not None:
        chunks.append(_chunk([{"index": 0, "delta": {}, "finish_reason": stop}]))
    if usage is not None:
        chunks.append(_chunk([], usage=usage))
    return Reply(headers=EVENTS, chunks=[*chunks, "data: [DONE]\n\n"], then=then)


def chat_error(kind: str) -> Reply:
    """A stream that ends in an error."""
    begun = chat(["Half "], stop=None, usage=None)
    error = json.dumps({"error": {"type": kind, "message": "secret"}})
    return Reply(headers=EVENTS, chunks=[*begun.chunks[:-1], f"data: {error}\n\n"])


def _event(event: JsonObject) -> str:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"


def _chunk(choices: Json, *, usage: JsonObject | None = None) -> str:
    chunk: JsonObject = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1793500000,
        "model": "gpt-6.1-sol",
        "choices": choices,
        "usage": usage,
    }
    return f"data: {json.dumps(chunk)}\n\n"

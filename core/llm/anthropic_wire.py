"""How a prompt is written for Anthropic's Messages API and how its stream of events is read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from anthropic.types import (
    CacheControlEphemeralParam,
    InputJSONDelta,
    MessageParam,
    RawContentBlockDelta,
    RawMessageStreamEvent,
    TextBlock,
    TextBlockParam,
    TextDelta,
    ThinkingConfigParam,
    ThinkingDelta,
    ToolParam,
    ToolResultBlockParam,
    ToolUseBlock,
    ToolUseBlockParam,
)

from core.domain.canonical import JsonObject
from core.domain.model import (
    AssistantTurn,
    Message,
    ResultBlock,
    ResultTurn,
    StopReason,
    TokenUsage,
    ToolOffer,
    ToolUse,
    UserText,
)
from core.llm.asking import Heard, arguments_of

_KEPT: Final[CacheControlEphemeralParam] = {"type": "ephemeral"}
# With the tools' and the system's, four marks: as many as the API takes. The mark before the last
# finds the prefix again even after a turn of more blocks than the API looks back.
_MARKED_MESSAGES = 2

_DATED = re.compile(r"-\d{8}$")
# Models that think unless told otherwise. Their thinking blocks, signed and bound to one model and
# conversation, would have to be handed back with every result; the journal keeps no such thing.
_LEAST_THINKING: Final[Mapping[str, ThinkingConfigParam]] = {
    "claude-sonnet-5-5": {"type": "between_tools"},
    "claude-sonnet-5": {"type": "disabled"},
    "claude-opus-5": {"type": "disabled"},
}

_STOPS: Final[Mapping[str, StopReason]] = {
    "end_turn": StopReason.DONE,
    "stop_sequence": StopReason.DONE,
    "pause_turn": StopReason.DONE,
    "tool_use": StopReason.CALLS,
    "max_tokens": StopReason.LENGTH,
    "model_context_window_exceeded": StopReason.LENGTH,
    "refusal": StopReason.REFUSED,
}


def thinking_of(model: str) -> ThinkingConfigParam | None:
    """Return the least thinking that ``model`` can be told to do; None where it is told nothing."""
    return _LEAST_THINKING.get(_DATED.sub("", model))


def system_of(text: str) -> list[TextBlockParam]:
    """Return the system text, marked for the cache; nothing for none, which the API refuses."""
    return [{"type": "text", "text": text, "cache_control": _KEPT}] if text.strip() else []


def tools_of(offers: Sequence[ToolOffer]) -> list[ToolParam]:
    """Return the tools in their order, the last marked for the cache."""
    tools = [
        ToolParam(
            name=offer.name,
            description=offer.description,
            input_schema=dict(offer.input_schema),
        )
        for offer in offers
    ]
    if tools:
        tools[-1]["cache_control"] = _KEPT
    return tools


def messages_of(messages: Sequence[Message]) -> list[MessageParam]:
    """Return the conversation, the last blocks of its last two user messages marked for the cache.

    A result's content stands alone in a text block; notes follow in blocks of their own.
    """
    written: list[MessageParam] = []
    marks = _MARKED_MESSAGES
    for message in reversed(messages):
        if isinstance(message, AssistantTurn):
            if said := _said_in(message):
                written.append({"role": "assistant", "content": said})
            continue
        blocks = _sent_in(message)
        if marks and blocks:
            blocks[-1]["cache_control"] = _KEPT
            marks -= 1
        written.append({"role": "user", "content": blocks})
    written.reverse()
    return written


def _sent_in(message: UserText | ResultTurn) -> list[TextBlockParam | ToolResultBlockParam]:
    match message:
        case UserText(text=text):
            return [{"type": "text", "text": text}]
        case ResultTurn(results=results):
            return [_result_of(result) for result in results]


def _said_in(turn: AssistantTurn) -> list[TextBlockParam | ToolUseBlockParam]:
    said: list[TextBlockParam | ToolUseBlockParam] = []
    if turn.text.strip():
        said.append({"type": "text", "text": turn.text})
    said += [
        ToolUseBlockParam(
            type="tool_use", id=call.handle, name=call.name, input=dict(call.arguments)
        )
        for call in turn.calls
    ]
    return said


def _result_of(result: ResultBlock) -> ToolResultBlockParam:
    texts = (result.content, *result.notes)
    return {
        "type": "tool_result",
        "tool_use_id": result.handle,
        "content": [{"type": "text", "text": text} for text in texts],
        "is_error": result.is_error,
    }


@dataclass(slots=True, kw_only=True)
class _Call:
    handle: str
    name: str
    given: JsonObject
    written: str = ""

    def use(self) -> ToolUse:
        arguments = arguments_of(self.written) if self.written else self.given
        return ToolUse(handle=self.handle, name=self.name, arguments=arguments)


@dataclass(slots=True)
class Reading:
    """Puts an answer together from its events.

    Not left to the SDK's own accumulation: that one takes a tool's arguments that were cut off
    for whole, and a call must never be made with half of what the model meant.
    """

    _text: list[str] = field(default_factory=list[str])
    _thinking: list[str] = field(default_factory=list[str])
    _calls: dict[int, _Call] = field(default_factory=dict[int, _Call])
    _usage: TokenUsage = field(default_factory=TokenUsage)
    _stop: StopReason | None = None
    _whole: bool = False

    def take(self, event: RawMessageStreamEvent) -> str:
        """Take the next event and return the text that it brought."""
        match event.type:
            case "message_start":
                self._count(event.message.usage)
            case "content_block_start":
                return self._begin(event.index, block=event.content_block)
            case "content_block_delta":
                return self._go_on(event.index, delta=event.delta)
            case "message_delta":
                self._count(event.usage)
                self._stop = _STOPS.get(event.delta.stop_reason or "", StopReason.DONE)
            case "message_stop":
                self._whole = True
            case _:
                pass
        return ""

    def heard(self) -> Heard | None:
        """Return the answer; None while it is not whole."""
        if not self._whole or self._stop is None:
            return None
        calls = tuple(call.use() for _, call in sorted(self._calls.items()))
        stop = self._stop
        if stop in {StopReason.DONE, StopReason.CALLS}:
            stop = StopReason.CALLS if calls else StopReason.DONE
        return Heard(
            text="".join(self._text),
            thinking="".join(self._thinking),
            calls=calls,
            stop=stop,
            usage=self._usage,
        )

    def _begin(self, index: int, *, block: object) -> str:
        if isinstance(block, TextBlock) and block.text:
            self._text.append(block.text)
            return block.text
        if isinstance(block, ToolUseBlock):
            given = cast("JsonObject", block.input)
            self._calls[index] = _Call(handle=block.id, name=block.name, given=given)
        return ""

    def _go_on(self, index: int, *, delta: RawContentBlockDelta) -> str:
        match delta:
            case TextDelta(text=text):
                self._text.append(text)
                return text
            case ThinkingDelta(thinking=thinking):
                self._thinking.append(thinking)
            case InputJSONDelta(partial_json=part) if index in self._calls:
                self._calls[index].written += part
            case _:
                pass
        return ""

    def _count(self, told: object) -> None:
        """Take the counts of one event: totals so far, None where they are as before."""
        before = self._usage
        self._usage = TokenUsage(
            input_tokens=_count(told, "input_tokens", before.input_tokens),
            output_tokens=_count(told, "output_tokens", before.output_tokens),
            cache_read_tokens=_count(told, "cache_read_input_tokens", before.cache_read_tokens),
            cache_write_tokens=_count(
                told, "cache_creation_input_tokens", before.cache_write_tokens
            ),
        )


def _count(told: object, name: str, before: int) -> int:
    count = getattr(told, name, None)
    return count if isinstance(count, int) else before

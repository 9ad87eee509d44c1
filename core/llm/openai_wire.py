"""How a prompt is written as chat completions and how their stream of chunks is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from openai.types import CompletionUsage
from openai.types.chat import (
    ChatCompletionChunk,
    ChatCompletionContentPartTextParam,
    ChatCompletionMessageFunctionToolCallParam,
    ChatCompletionMessageParam,
    ChatCompletionToolParam,
)
from openai.types.chat.chat_completion_chunk import ChoiceDelta, ChoiceDeltaToolCall

from core.domain.canonical import canonical_json
from core.domain.model import (
    AssistantTurn,
    Message,
    Prompt,
    ResultBlock,
    ResultTurn,
    StopReason,
    TokenUsage,
    ToolOffer,
    ToolUse,
    UserText,
)
from core.llm.asking import Heard, arguments_of
from core.llm.estimate import prompt_tokens_roughly, tokens_roughly

_STOPS: Final[Mapping[str, StopReason]] = {
    "stop": StopReason.DONE,
    "tool_calls": StopReason.CALLS,
    "function_call": StopReason.CALLS,
    "length": StopReason.LENGTH,
    "content_filter": StopReason.REFUSED,
}
# Where servers beside OpenAI's put what a model thinks.
_THINKING_KEYS: Final = ("reasoning_content", "reasoning")


def tools_of(offers: tuple[ToolOffer, ...]) -> list[ChatCompletionToolParam]:
    """Return the tools in their order."""
    return [
        {
            "type": "function",
            "function": {
                "name": offer.name,
                "description": offer.description,
                "parameters": dict(offer.input_schema),
            },
        }
        for offer in offers
    ]


def messages_of(prompt: Prompt) -> list[ChatCompletionMessageParam]:
    """Return the system text and the conversation; each result is a message of its own."""
    written: list[ChatCompletionMessageParam] = []
    if prompt.system.strip():
        written.append({"role": "system", "content": prompt.system})
    for message in prompt.messages:
        written += _written(message)
    return written


def _written(message: Message) -> list[ChatCompletionMessageParam]:
    match message:
        case UserText(text=text):
            return [{"role": "user", "content": text}]
        case AssistantTurn(text=text, calls=()):
            return [{"role": "assistant", "content": text}] if text else []
        case AssistantTurn(text=text, calls=calls):
            return [
                {
                    "role": "assistant",
                    "content": text or None,
                    "tool_calls": [_call_of(call) for call in calls],
                }
            ]
        case ResultTurn(results=results):
            return [_result_of(result) for result in results]


def _call_of(call: ToolUse) -> ChatCompletionMessageFunctionToolCallParam:
    return {
        "type": "function",
        "id": call.handle,
        "function": {"name": call.name, "arguments": canonical_json(call.arguments)},
    }


def _result_of(result: ResultBlock) -> ChatCompletionMessageParam:
    if not result.notes:
        # Not every server takes a list here.
        return {"role": "tool", "tool_call_id": result.handle, "content": result.content}
    parts: list[ChatCompletionContentPartTextParam] = [
        {"type": "text", "text": text} for text in (result.content, *result.notes)
    ]
    return {"role": "tool", "tool_call_id": result.handle, "content": parts}


@dataclass(slots=True, kw_only=True)
class _Call:
    index: int | None
    handle: str | None
    name: str = ""
    written: str = ""


@dataclass(slots=True)
class Reading:
    """Puts an answer together from its chunks, and counts it where the server does not."""

    prompt: Prompt
    _text: list[str] = field(default_factory=list[str])
    _thinking: list[str] = field(default_factory=list[str])
    _calls: list[_Call] = field(default_factory=list[_Call])
    _usage: CompletionUsage | None = None
    _stop: StopReason | None = None
    _refused: bool = False

    def take(self, chunk: ChatCompletionChunk) -> str:
        """Take the next chunk and return the text that it brought."""
        if chunk.usage is not None:
            self._usage = chunk.usage
        # Some servers send chunks without the key; the SDK does not check.
        for choice in chunk.choices or ():
            if choice.finish_reason is not None:
                self._stop = _STOPS.get(choice.finish_reason, StopReason.DONE)
            return self._go_on(choice.delta)
        return ""

    def heard(self) -> Heard | None:
        """Return the answer; None while it is not whole."""
        if self._stop is None:
            return None
        calls = tuple(self._use(at, call=call) for at, call in enumerate(self._calls))
        stop = StopReason.REFUSED if self._refused else self._stop
        if stop in {StopReason.DONE, StopReason.CALLS}:
            stop = StopReason.CALLS if calls else StopReason.DONE
        return Heard(
            text="".join(self._text),
            thinking="".join(self._thinking),
            calls=calls,
            stop=stop,
            usage=self._counted(),
        )

    def _go_on(self, delta: ChoiceDelta) -> str:
        more = delta.model_extra or {}
        for key in _THINKING_KEYS:
            thought = more.get(key)
            if isinstance(thought, str):
                self._thinking.append(thought)
                break
        for part in delta.tool_calls or ():
            self._call(part)
        self._refused = self._refused or bool(delta.refusal)
        text = (delta.content or "") + (delta.refusal or "")
        self._text.append(text)
        return text

    def _call(self, part: ChoiceDeltaToolCall) -> None:
        """Add ``part`` to its call. An id that differs begins another: not all servers count."""
        at_index = (one for one in reversed(self._calls) if one.index == part.index)
        call = next(at_index, None)
        if call is None or (part.id and call.handle and part.id != call.handle):
            call = _Call(index=part.index, handle=part.id)
            self._calls.append(call)
        call.handle = call.handle or part.id
        if part.function is not None:
            call.name += part.function.name or ""
            call.written += part.function.arguments or ""

    def _use(self, at: int, *, call: _Call) -> ToolUse:
        handle = call.handle or f"call_of_message_{len(self.prompt.messages)}_{at}"
        return ToolUse(handle=handle, name=call.name, arguments=arguments_of(call.written))

    def _counted(self) -> TokenUsage:
        told = self._usage
        if told is None:
            calls = "".join(f"{call.name}{call.written}" for call in self._calls)
            said = "".join((*self._text, *self._thinking, calls))
            return TokenUsage(
                input_tokens=prompt_tokens_roughly(self.prompt),
                output_tokens=tokens_roughly(said),
            )
        details = told.prompt_tokens_details
        read = (details.cached_tokens or 0) if details else 0
        written = (details.cache_write_tokens or 0) if details else 0
        return TokenUsage(
            input_tokens=max(told.prompt_tokens - read - written, 0),
            output_tokens=told.completion_tokens,
            cache_read_tokens=read,
            cache_write_tokens=written,
        )

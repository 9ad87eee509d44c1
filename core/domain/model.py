"""What a language model is asked and what it answers, in no vendor's words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from math import isfinite

from core.domain.canonical import Json, JsonObject, storable

_DEEPEST = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """A call that the model asks for. ``handle`` is the provider's id, echoed with the result."""

    handle: str
    name: str
    arguments: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class UserText:
    """What the person said, word for word."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistantTurn:
    """An earlier answer of the model, calls in the order they were made."""

    text: str
    calls: tuple[ToolUse, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultBlock:
    """A call's result: ``content`` is the tool's JSON, alone; notes have blocks of their own."""

    handle: str
    content: str
    is_error: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultTurn:
    """The results of the preceding turn's calls, in the calls' order, none left out."""

    results: tuple[ResultBlock, ...]


Message = UserText | AssistantTurn | ResultTurn


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOffer:
    """A tool as the model sees it."""

    name: str
    description: str
    input_schema: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """Everything one model call is given. The system text and tools are the cacheable prefix."""

    model: str
    system: str
    tools: tuple[ToolOffer, ...]
    messages: Sequence[Message]
    max_output_tokens: int = 4096


class StopReason(StrEnum):
    """Why the model stopped."""

    DONE = "done"
    CALLS = "calls"
    LENGTH = "length"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """Tokens of one answer. ``input_tokens`` are those neither read from nor written to a cache."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Dollars per million tokens, since ``since`` (ISO date). Micro-dollars per token, that is."""

    model: str
    since: str
    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal

    def cost_micros(self, usage: TokenUsage) -> int:
        """Return what ``usage`` costs in micro-dollars, rounded up: never free by rounding."""
        exact = (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cache_read_tokens * self.cache_read
            + usage.cache_write_tokens * self.cache_write
        )
        return int(exact.to_integral_value(rounding="ROUND_CEILING"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """One answer of a model, with what it used and cost; stored once, never asked for again.

    ``refused_attempts`` lists (provider, code) of providers that failed before this one answered.
    """

    provider: str
    model: str
    text: str
    thinking: str
    calls: tuple[ToolUse, ...]
    stop: StopReason
    usage: TokenUsage
    price: Price
    cost_micros: int
    duration_ms: int
    refused_attempts: tuple[tuple[str, str], ...] = field(default=())

    def storable(self) -> "ModelAnswer":
        """Return the answer as it can be kept, whatever the provider sent.

        Texts as in ``canonical.storable``; what is no number becomes a text, and what is nested
        absurdly deep is cut: the tool's schema then has its say about it.
        """
        text, thinking = storable(self.text), storable(self.thinking)
        calls = tuple(_kept_call(call) for call in self.calls)
        if (text, thinking, calls) == (self.text, self.thinking, self.calls):
            return self
        return replace(self, text=text, thinking=thinking, calls=calls)


def _kept_call(call: ToolUse) -> ToolUse:
    arguments = {storable(key): _kept(value) for key, value in call.arguments.items()}
    return ToolUse(handle=call.handle, name=storable(call.name), arguments=arguments)


def _kept(value: Json, *, depth: int = 0) -> Json:
    match value:
        case str():
            return storable(value)
        case float() if not isfinite(value):
            return str(value)
        case Mapping() | list() | tuple() if depth > _DEEPEST:
            return "nested too deep"
        case Mapping():
            return {storable(key): _kept(inner, depth=depth + 1) for key, inner in value.items()}
        case list() | tuple():
            return [_kept(inner, depth=depth + 1) for inner in value]
        case _:
            return value

"""How many tokens a text is, roughly or at most, before any provider has counted them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from core.domain.canonical import JsonObject, canonical_json
from core.domain.model import (
    AssistantTurn,
    Message,
    Prompt,
    ResultTurn,
    ToolOffer,
    UserText,
)

# The newest tokenizers make one token of two bytes in identifiers and other dense JSON.
_BYTES_A_TOKEN_AT_LEAST = 2
_CHARACTERS_A_TOKEN_ROUGHLY = 4
# Providers put instructions of their own before the tools, and marks around each message.
_UNSEEN_TOKENS = 600
_UNSEEN_TOKENS_A_BLOCK = 12
_REMEMBERED = 1024


def tokens_roughly(text: str) -> int:
    """Return about how many tokens ``text`` is: four characters each, rounded up."""
    return -(-len(text) // _CHARACTERS_A_TOKEN_ROUGHLY)


def prompt_tokens_roughly(prompt: Prompt) -> int:
    """Return about how many tokens all of ``prompt`` is."""
    return _measured_once(_Same(prompt)).tokens_roughly


def prompt_tokens_at_most(prompt: Prompt) -> int:
    """Return a number of tokens that no provider's count of ``prompt`` exceeds in practice."""
    measured = _measured_once(_Same(prompt))
    unseen = _UNSEEN_TOKENS + _UNSEEN_TOKENS_A_BLOCK * measured.blocks
    return -(-measured.bytes // _BYTES_A_TOKEN_AT_LEAST) + unseen


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """What a part of a prompt comes to."""

    blocks: int
    bytes: int
    tokens_roughly: int


_Part = Prompt | tuple[ToolOffer, ...] | ToolOffer | Message | JsonObject


class _Same:
    """A key that is equal for the very same object only; it keeps the object alive."""

    __slots__ = ("part",)

    def __init__(self, part: _Part) -> None:
        self.part = part

    def __hash__(self) -> int:
        return id(self.part)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.part is self.part


@lru_cache(maxsize=_REMEMBERED)
def _measured_once(same: _Same) -> _Measured:
    """Measure a part; a run's next prompt holds the very same tools and messages again."""
    match same.part:
        case Prompt(system=system, tools=tools, messages=messages):
            parts = [_measured_once(_Same(part)) for part in (tools, *messages)]
            return _together([_measured([system]), *parts])
        case tuple() as tools:
            return _together([_measured_once(_Same(tool)) for tool in tools])
        case ToolOffer(name=name, description=description, input_schema=schema):
            return _together([_measured([name, description]), _measured_once(_Same(schema))])
        case UserText() | AssistantTurn() | ResultTurn() as message:
            return _measured(_texts(message))
        case schema:
            return _measured([canonical_json(schema)])


def _texts(message: Message) -> list[str]:
    match message:
        case UserText(text=text):
            return [text]
        case AssistantTurn(text=text, calls=calls):
            told = [f"{call.name}{canonical_json(call.arguments)}" for call in calls]
            return [text, *told]
        case ResultTurn(results=results):
            return [part for one in results for part in (one.content, *one.notes)]


def _together(parts: Sequence[_Measured]) -> _Measured:
    return _Measured(
        blocks=sum([part.blocks for part in parts]),
        bytes=sum([part.bytes for part in parts]),
        tokens_roughly=sum([part.tokens_roughly for part in parts]),
    )


def _measured(texts: Sequence[str]) -> _Measured:
    return _Measured(
        blocks=len(texts),
        bytes=sum(len(text) if text.isascii() else len(text.encode()) for text in texts),
        tokens_roughly=sum(tokens_roughly(text) for text in texts),
    )

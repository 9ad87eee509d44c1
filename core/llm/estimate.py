"""How many tokens a text is, roughly or at most, before any provider has counted them."""

from collections.abc import Sequence
from dataclasses import dataclass

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
_REMEMBERED = 4096


def tokens_roughly(text: str) -> int:
    """Return about how many tokens ``text`` is: four characters each, rounded up."""
    return -(-len(text) // _CHARACTERS_A_TOKEN_ROUGHLY)


def prompt_tokens_roughly(prompt: Prompt) -> int:
    """Return about how many tokens all of ``prompt`` is."""
    return _REMEMBERING.measured(prompt).tokens_roughly


def prompt_tokens_at_most(prompt: Prompt) -> int:
    """Return a number of tokens that no provider's count of ``prompt`` exceeds in practice."""
    measured = _REMEMBERING.measured(prompt)
    unseen = _UNSEEN_TOKENS + _UNSEEN_TOKENS_A_BLOCK * measured.blocks
    return -(-measured.bytes // _BYTES_A_TOKEN_AT_LEAST) + unseen


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """What a part of a prompt comes to."""

    blocks: int
    bytes: int
    tokens_roughly: int


_Part = Prompt | tuple[ToolOffer, ...] | ToolOffer | Message | JsonObject


class _Remembered:
    """What parts come to, by the very same object: a run's next prompt holds them again."""

    def __init__(self) -> None:
        # By identity, which costs no hashing of what may be large; held, so that no other object
        # can take the place.
        self._known: dict[int, tuple[_Part, _Measured]] = {}

    def measured(self, part: _Part) -> _Measured:
        known = self._known.get(id(part))
        if known is not None:
            return known[1]
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        measured = self._measure(part)
        self._known[id(part)] = (part, measured)
        return measured

    def _measure(self, part: _Part) -> _Measured:
        match part:
            case Prompt(system=system, tools=tools, messages=messages):
                parts = [self.measured(tools), *map(self.measured, messages)]
                return _together([_measured([system]), *parts])
            case tuple() as tools:
                return _together([self.measured(tool) for tool in tools])
            case ToolOffer(name=name, description=description, input_schema=schema):
                return _together([_measured([name, description]), self.measured(schema)])
            case UserText() | AssistantTurn() | ResultTurn() as message:
                return _measured(_texts(message))
            case schema:
                return _measured([canonical_json(schema)])


_REMEMBERING = _Remembered()


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

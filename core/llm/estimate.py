"""How many tokens a text is, roughly or at most, before any provider has counted them."""

from core.domain.canonical import canonical_json
from core.domain.model import AssistantTurn, Message, Prompt, ResultTurn, UserText

# The newest tokenizers make one token of two bytes in identifiers and other dense JSON.
_BYTES_A_TOKEN_AT_LEAST = 2
_CHARACTERS_A_TOKEN_ROUGHLY = 4
# Providers put instructions of their own before the tools, and marks around each message.
_UNSEEN_TOKENS = 600
_UNSEEN_TOKENS_A_BLOCK = 12


def tokens_roughly(text: str) -> int:
    """Return about how many tokens ``text`` is: four characters each, rounded up."""
    return -(-len(text) // _CHARACTERS_A_TOKEN_ROUGHLY)


def prompt_tokens_roughly(prompt: Prompt) -> int:
    """Return about how many tokens all of ``prompt`` is."""
    return sum(tokens_roughly(text) for text in _texts(prompt))


def prompt_tokens_at_most(prompt: Prompt) -> int:
    """Return a number of tokens that no provider's count of ``prompt`` exceeds in practice."""
    texts = _texts(prompt)
    size = sum(len(text.encode()) for text in texts)
    unseen = _UNSEEN_TOKENS + _UNSEEN_TOKENS_A_BLOCK * len(texts)
    return -(-size // _BYTES_A_TOKEN_AT_LEAST) + unseen


def _texts(prompt: Prompt) -> list[str]:
    texts = [prompt.system]
    for tool in prompt.tools:
        texts += (tool.name, tool.description, canonical_json(tool.input_schema))
    for message in prompt.messages:
        texts += _texts_of(message)
    return texts


def _texts_of(message: Message) -> list[str]:
    match message:
        case UserText(text=text):
            return [text]
        case AssistantTurn(text=text, calls=calls):
            return [text, *(f"{call.name}{canonical_json(call.arguments)}" for call in calls)]
        case ResultTurn(results=results):
            return [part for result in results for part in (result.content, *result.notes)]

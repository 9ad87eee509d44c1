"""The providers' models, built where one is asked.

A provider's SDK takes a second to import: only a worker that asks it pays for that.
"""

from core.llm.asking import Retries
from core.llm.prices import PriceTable
from core.llm.provided import ProvidedModel
from core.ports import Clock


def claude_at(
    url: str,
    *,
    clock: Clock,
    key: str = "k",
    timeout_seconds: float = 300.0,
    retries: Retries | None = None,
) -> ProvidedModel:
    """Return a model that asks Anthropic's provider at this address."""
    from core.llm.anthropic import AnthropicModel  # noqa: PLC0415 - see above

    return AnthropicModel(
        key,
        prices=PriceTable(),
        clock=clock,
        base_url=url,
        timeout_seconds=timeout_seconds,
        retries=retries,
    )


def chat_at(
    url: str,
    *,
    clock: Clock,
    key: str | None = "k",
    prices: PriceTable | None = None,
    timeout_seconds: float = 300.0,
    retries: Retries | None = None,
) -> ProvidedModel:
    """Return a model that asks an OpenAI-compatible provider at this address."""
    from core.llm.openai_compatible import OpenAICompatibleModel  # noqa: PLC0415 - see above

    return OpenAICompatibleModel(
        key,
        prices=prices or PriceTable(),
        clock=clock,
        base_url=url,
        timeout_seconds=timeout_seconds,
        retries=retries,
    )

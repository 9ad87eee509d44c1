"""What a provider is built from, and what is built: a language model that can be closed."""

from dataclasses import dataclass
from typing import Protocol

from core.llm.prices import PriceTable
from core.ports import Clock, LanguageModel


class ProvidedModel(LanguageModel, Protocol):
    """A language model with connections of its own."""

    async def close(self) -> None:
        """Close the connections. Nothing may be asked afterwards."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConfig:
    """Everything a provider is told; each takes what it needs. ``script`` is YAML text, no path."""

    prices: PriceTable
    clock: Clock
    model: str
    api_key: str | None = None
    base_url: str | None = None
    script: str | None = None
    timeout_seconds: float = 300.0

"""What each model's tokens cost and since when, so that no call is made whose price is unknown."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.domain.model import Price, Prompt, TokenUsage
from core.errors import Misconfigured
from core.llm.estimate import prompt_tokens_at_most

DEFAULT_MODEL = "claude-sonnet-5-5"
SCRIPTED = "scripted"
# What each provider is asked for where nobody chose.
DEFAULT_MODELS: Mapping[str, str] = MappingProxyType(
    {"anthropic": DEFAULT_MODEL, "openai": "gpt-6.1-sol", SCRIPTED: SCRIPTED}
)

_DATED = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A price as published; it holds for prompts of more than ``above_prompt_tokens`` tokens."""

    price: Price
    above_prompt_tokens: int = 0


class PriceOverride(BaseModel):
    """An operator's own price: dollars per million tokens. Cache prices default to ``input``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)
    cache_read: Decimal | None = Field(default=None, ge=0)
    cache_write: Decimal | None = Field(default=None, ge=0)
    since: date | None = None


class PriceTable:
    """Finds the price of a model on a day, for a prompt of a length.

    A dated id (``claude-sonnet-4-5-20250929``) has the price of the model that it dates. An
    override replaces all that is published of its model from its ``since`` on; without one, always.
    """

    def __init__(
        self,
        listed: Iterable[Listed] | None = None,
        *,
        overrides: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:
        """Take the published prices, this module's where none are given, and the operator's own.

        Raises:
            Misconfigured: ``invalid_price`` with the model and what is wrong.
        """
        self._published = _by_model(PUBLISHED if listed is None else listed)
        self._own = _by_model(
            _own_price(model, given=given) for model, given in (overrides or {}).items()
        )

    def price_of(self, model: str, *, on: date, prompt_tokens: int = 0) -> Price:
        """Return the latest price of ``model`` that held on that day; before the first, the first.

        Raises:
            Misconfigured: ``unknown_price``: nobody said what ``model`` costs.
        """
        for name in (model, _DATED.sub("", model)):
            own = self._own.get(name, ())
            if any(one.price.since <= on.isoformat() for one in own):
                return _holding(own, on=on, prompt_tokens=prompt_tokens)
            published = self._published.get(name, own)
            if published:
                return _holding(published, on=on, prompt_tokens=prompt_tokens)
        raise Misconfigured("unknown_price", model=model)

    def most_micros(self, prompt: Prompt, *, model: str, on: date) -> int:
        """Return what ``prompt`` may cost at most if ``model`` answers it. Never too low.

        Raises:
            Misconfigured: ``unknown_price``.
        """
        tokens = prompt_tokens_at_most(prompt)
        price = self.price_of(model, on=on, prompt_tokens=tokens)
        dearest = max(price.input, price.cache_read, price.cache_write)
        exact = tokens * dearest + prompt.max_output_tokens * price.output
        return int(exact.to_integral_value(rounding="ROUND_CEILING"))

    def cost(self, usage: TokenUsage, *, model: str, on: date) -> tuple[Price, int]:
        """Return the price at which ``usage`` is charged, and the charge in micro-dollars.

        Raises:
            Misconfigured: ``unknown_price``.
        """
        sent = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        price = self.price_of(model, on=on, prompt_tokens=sent)
        return price, price.cost_micros(usage)


def _holding(listed: tuple[Listed, ...], *, on: date, prompt_tokens: int) -> Price:
    fitting = [one for one in listed if one.above_prompt_tokens < max(prompt_tokens, 1)]
    past = [one for one in fitting if one.price.since <= on.isoformat()]
    first = min(one.price.since for one in fitting)
    candidates = past or [one for one in fitting if one.price.since == first]
    return max(candidates, key=lambda one: (one.price.since, one.above_prompt_tokens)).price


def _by_model(listed: Iterable[Listed]) -> Mapping[str, tuple[Listed, ...]]:
    found: dict[str, tuple[Listed, ...]] = {}
    for one in listed:
        found[one.price.model] = (*found.get(one.price.model, ()), one)
    return found


def _own_price(model: str, *, given: Mapping[str, object]) -> Listed:
    try:
        own = PriceOverride.model_validate(given)
    except ValidationError as err:
        detail = "; ".join(
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in err.errors()
        )
        raise Misconfigured("invalid_price", model=model, detail=detail) from err
    return Listed(
        price=Price(
            model=model,
            since=(own.since or date.min).isoformat(),
            input=own.input,
            output=own.output,
            cache_read=own.input if own.cache_read is None else own.cache_read,
            cache_write=own.input if own.cache_write is None else own.cache_write,
        )
    )


def _listed(
    model: str,
    since: str,
    input_: str,
    output: str,
    cache_read: str,
    cache_write: str,
    above_prompt_tokens: int = 0,
) -> Listed:
    price = Price(
        model=model,
        since=since,
        input=Decimal(input_),
        output=Decimal(output),
        cache_read=Decimal(cache_read),
        cache_write=Decimal(cache_write),
    )
    return Listed(price=price, above_prompt_tokens=above_prompt_tokens)


_LONG = 272_000

# model, since, input, output, cache read, cache write (five minutes), for prompts above.
# Sources: platform.claude.com/docs/en/about-claude/pricing, developers.openai.com/api/docs/pricing.
PUBLISHED: tuple[Listed, ...] = (
    _listed("claude-fable-5-1", "2026-09-01", "10", "50", "0.25", "12.50"),
    _listed("claude-fable-5", "2026-06-01", "10", "50", "1", "12.50"),
    _listed("claude-opus-5-5", "2026-09-22", "4", "20", "0.20", "5"),
    _listed("claude-opus-5", "2026-07-24", "5", "25", "0.50", "6.25"),
    _listed("claude-opus-4-8", "2026-05-01", "5", "25", "0.50", "6.25"),
    _listed("claude-opus-4-7", "2026-03-01", "5", "25", "0.50", "6.25"),
    _listed("claude-opus-4-6", "2026-01-01", "5", "25", "0.50", "6.25"),
    _listed("claude-opus-4-5", "2025-11-01", "5", "25", "0.50", "6.25"),
    _listed("claude-sonnet-5-5", "2026-09-28", "2", "10", "0.20", "2.50"),
    _listed("claude-sonnet-5-5", "2026-10-07", "2", "10", "0.10", "2.50"),
    _listed("claude-sonnet-5", "2026-06-30", "2", "10", "0.20", "2.50"),
    _listed("claude-sonnet-4-6", "2026-02-17", "3", "15", "0.30", "3.75"),
    _listed("claude-sonnet-4-5", "2025-09-29", "3", "15", "0.30", "3.75"),
    _listed("claude-haiku-5-5", "2026-10-07", "0.10", "0.50", "0.01", "0.125"),
    _listed("claude-haiku-5-5", "2026-10-07", "0.50", "2.50", "0.05", "0.625", 100_000),
    _listed("claude-haiku-4-5", "2025-10-01", "1", "5", "0.10", "1.25"),
    _listed("gpt-6.1-terra", "2026-10-26", "1", "5", "0.05", "1.25"),
    _listed("gpt-6.1-terra", "2026-10-26", "2", "7.50", "0.10", "2.50", _LONG),
    _listed("gpt-6.1-sol", "2026-09-29", "2", "10", "0.10", "2.50"),
    _listed("gpt-6.1-sol", "2026-09-29", "4", "15", "0.20", "5", _LONG),
    _listed("gpt-6-sol", "2026-09-22", "2", "10", "0.20", "2.50"),
    _listed("gpt-6-sol", "2026-09-22", "4", "15", "0.40", "5", _LONG),
    _listed("gpt-6-luna", "2026-09-22", "0.10", "0.50", "0.01", "0.125"),
    _listed("gpt-6-luna", "2026-09-22", "0.20", "0.75", "0.02", "0.25", _LONG),
    _listed("gpt-5.6-terra", "2026-07-30", "2", "12", "0.20", "2.50"),
    _listed("gpt-5.6-terra", "2026-07-30", "4", "18", "0.40", "5", _LONG),
    _listed("gpt-5.6-luna", "2026-07-30", "0.20", "1.20", "0.02", "0.25"),
    _listed("gpt-5.6-luna", "2026-07-30", "0.40", "1.80", "0.04", "0.50", _LONG),
    _listed("gpt-5.4", "2026-03-05", "2.50", "15", "0.25", "2.50"),
    _listed("gpt-5.4", "2026-03-05", "5", "22.50", "0.50", "5", _LONG),
    _listed("gpt-5.4-mini", "2026-03-17", "0.75", "4.50", "0.075", "0.75"),
    _listed(SCRIPTED, "2025-01-01", "3", "15", "0.30", "3.75"),
)

"""What asking any provider over HTTP has in common: timeouts, retries, and what an answer costs."""

import asyncio
import json
import random
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final, cast

from core.domain.canonical import Json, JsonObject
from core.domain.model import ModelAnswer, Prompt, StopReason, TokenUsage, ToolUse
from core.errors import ModelFailed, ModelOverloaded
from core.llm.prices import PriceTable
from core.ports import Clock, OnText

# The key under which arguments that are no JSON object reach the tool's schema, which refuses it.
MALFORMED_ARGUMENTS: Final = "_malformed_json"

_MALFORMED_SHOWN = 500
# What a provider calls an error is shown; whatever else it may put there could be the prompt.
_TYPE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_RETRIED_STATUS: Final = frozenset({408, 409, 429})
_FIRST_ERROR = 400
_FIRST_SERVER_ERROR = 500
# Types of error that asking again does not mend, whatever status they come with.
_FINAL_TYPES: Final = frozenset(
    {
        "authentication_error",
        "billing_error",
        "insufficient_quota",
        "invalid_request_error",
        "not_found_error",
        "permission_error",
        "request_too_large",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A provider's whole answer, before it is priced."""

    text: str
    thinking: str
    calls: tuple[ToolUse, ...]
    stop: StopReason
    usage: TokenUsage


Listen = Callable[[], AsyncGenerator[str | Heard]]
"""Asks once; yields text as it comes and ends with what was heard. Raises ModelFailed alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often and after what waits an overloaded provider is asked again.

    The wait is what the provider asks for, else it doubles from ``first_seconds`` on, shortened by
    up to a quarter at random; ``longest_seconds`` caps both.
    """

    most: int = 3
    first_seconds: float = 0.5
    longest_seconds: float = 30.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random

    def wait_seconds(self, *, retry: int, asked_for: float | None) -> float:
        """Return how long to wait before retry number ``retry``, counted from 0."""
        if asked_for is not None:
            return min(max(asked_for, 0.0), self.longest_seconds)
        doubled = min(self.first_seconds * 2**retry, self.longest_seconds)
        return doubled * (1 - 0.25 * self.jitter())


class Asking:
    """Asks one provider: each attempt within a time, overloaded ones again, the answer priced."""

    def __init__(
        self,
        provider: str,
        *,
        prices: PriceTable,
        clock: Clock,
        retries: Retries,
        timeout_seconds: float,
    ) -> None:
        """Take the provider's name, as answers and errors give it; the time is for one attempt."""
        self._provider = provider
        self._prices = prices
        self._clock = clock
        self._retries = retries
        self._timeout_seconds = timeout_seconds

    async def answer(self, prompt: Prompt, *, listen: Listen, on_text: OnText) -> ModelAnswer:
        """Return the answer, priced. A retry after text had come lets ``on_text`` hear it again.

        Raises:
            ModelOverloaded: ``model_overloaded`` with provider, status, detail and attempts.
            ModelFailed: ``model_failed`` with provider, status and detail.
        """
        began = self._clock.monotonic()
        heard = await self._retried(listen, on_text=on_text)
        today = self._clock.now().date()
        price, cost = self._prices.cost(heard.usage, model=prompt.model, on=today)
        return ModelAnswer(
            provider=self._provider,
            model=prompt.model,
            text=heard.text,
            thinking=heard.thinking,
            calls=heard.calls if heard.stop is StopReason.CALLS else (),
            stop=heard.stop,
            usage=heard.usage,
            price=price,
            cost_micros=cost,
            duration_ms=round((self._clock.monotonic() - began) * 1000),
        )

    def most_micros(self, prompt: Prompt) -> int:
        """Return what ``prompt`` may cost at most."""
        return self._prices.most_micros(prompt, model=prompt.model, on=self._clock.now().date())

    def failure(
        self, *, status: int | None, detail: str, headers: Mapping[str, str] | None = None
    ) -> ModelFailed:
        """Return the error for a status and what the provider calls the error.

        ModelOverloaded, with ``retry_after_seconds`` if told, where asking again may help.
        """
        detail = detail if _TYPE.fullmatch(detail) else "unknown_error"
        if detail in _FINAL_TYPES or not _may_pass(status):
            return ModelFailed(
                "model_failed", provider=self._provider, status=status, detail=detail
            )
        return ModelOverloaded(
            "model_overloaded",
            provider=self._provider,
            status=status,
            detail=detail,
            retry_after_seconds=_retry_after(headers or {}, now=self._clock.now()),
        )

    async def _retried(self, listen: Listen, *, on_text: OnText) -> Heard:
        retry = 0
        while True:
            try:
                return await self._once(listen, on_text=on_text)
            except ModelOverloaded as err:
                if retry == self._retries.most:
                    facts = {**err.facts, "attempts": retry + 1}
                    raise ModelOverloaded(err.code, **facts) from err
                asked_for = cast("float | None", err.facts["retry_after_seconds"])
            await self._retries.sleep(self._retries.wait_seconds(retry=retry, asked_for=asked_for))
            retry += 1

    async def _once(self, listen: Listen, *, on_text: OnText) -> Heard:
        heard: Heard | None = None
        limit = asyncio.timeout(self._timeout_seconds)
        try:
            async with limit, aclosing(listen()) as told:
                async for piece in told:
                    if isinstance(piece, Heard):
                        heard = piece
                    else:
                        await on_text(piece)
        except TimeoutError as err:
            if limit.expired():
                raise self.failure(status=None, detail="timeout") from err
            raise
        if heard is None:
            raise self.failure(status=None, detail="cut_off")
        return heard


def arguments_of(written: str) -> JsonObject:
    """Return the arguments that a model wrote as JSON.

    What is no JSON object comes back as the one argument ``_malformed_json`` with its beginning, so
    that the tool's schema refuses it and the model reads what it wrote.
    """
    try:
        found = cast("Json", json.loads(written or "{}", parse_constant=_no_constant))
    except ValueError:
        return {MALFORMED_ARGUMENTS: written[:_MALFORMED_SHOWN]}
    if isinstance(found, Mapping):
        return found
    return {MALFORMED_ARGUMENTS: written[:_MALFORMED_SHOWN]}


def _may_pass(status: int | None) -> bool:
    # Errors within a stream come under the status with which the stream began.
    if status is None or status < _FIRST_ERROR:
        return True
    return status in _RETRIED_STATUS or status >= _FIRST_SERVER_ERROR


def _no_constant(name: str) -> Json:
    raise ValueError(name)


def _retry_after(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Return the seconds that ``retry-after-ms`` or ``retry-after`` (RFC 9110 10.2.3) asks for."""
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        told = headers.get(name)
        if told is None:
            continue
        try:
            return float(told) / scale
        except ValueError:
            pass
        try:
            return (parsedate_to_datetime(told) - now).total_seconds()
        except (ValueError, TypeError):
            pass
    return None

"""Claude, by way of Anthropic's Messages API."""

import json
from collections.abc import AsyncGenerator

import anthropic
import httpx2
from anthropic import AsyncAnthropic, omit

from core.domain.model import ModelAnswer, Prompt
from core.llm.anthropic_wire import Reading, messages_of, system_of, thinking_of, tools_of
from core.llm.asking import Asking, Heard, Retries
from core.llm.prices import PriceTable
from core.ports import Clock, OnText

ANTHROPIC = "anthropic"
_PUBLIC = "https://api.anthropic.com"
_CONNECT_SECONDS = 10.0


class AnthropicModel:
    """Asks Claude, streaming, with the tools, the system text and the conversation cached."""

    def __init__(
        self,
        api_key: str,
        *,
        prices: PriceTable,
        clock: Clock,
        base_url: str | None = None,
        timeout_seconds: float = 300.0,
        retries: Retries | None = None,
    ) -> None:
        """Take the key; ``base_url`` is Anthropic's own where none is given."""
        self._asking = Asking(
            ANTHROPIC,
            prices=prices,
            clock=clock,
            retries=retries or Retries(),
            timeout_seconds=timeout_seconds,
        )
        self._client = AsyncAnthropic(
            api_key=api_key,
            base_url=base_url or _PUBLIC,
            # The SDK's own retries cannot begin again after an error within the stream.
            max_retries=0,
            timeout=httpx2.Timeout(timeout_seconds, connect=min(_CONNECT_SECONDS, timeout_seconds)),
        )

    async def answer(self, prompt: Prompt, *, on_text: OnText) -> ModelAnswer:
        """Ask, at most four times where Claude is overloaded or cannot be reached.

        A retry after text had come (the stream broke off) lets ``on_text`` hear it from its
        beginning again; the answer holds it once. A cut-off or refused answer carries no calls.

        Raises:
            ModelOverloaded: ``model_overloaded`` after the retries.
            ModelFailed: ``model_failed``; ``detail`` is the type of the provider's error.
        """
        return await self._asking.answer(
            prompt, listen=lambda: self._listen(prompt), on_text=on_text
        )

    def most_micros(self, prompt: Prompt) -> int:
        """Return what ``prompt`` may cost at most."""
        return self._asking.most_micros(prompt)

    async def close(self) -> None:
        """Close the connections. Nothing may be asked afterwards."""
        await self._client.close()

    async def _listen(self, prompt: Prompt) -> AsyncGenerator[str | Heard]:
        reading = Reading()
        messages = messages_of(prompt.messages)
        try:
            async with await self._client.messages.create(
                model=prompt.model,
                max_tokens=prompt.max_output_tokens,
                system=system_of(prompt.system) or omit,
                tools=tools_of(prompt.tools) or omit,
                messages=messages,
                thinking=thinking_of(prompt.model) or omit,
                stream=True,
            ) as events:
                async for event in events:
                    if text := reading.take(event):
                        yield text
        except anthropic.APIStatusError as err:
            raise self._asking.failure(
                status=err.status_code,
                detail=err.type or "unknown_error",
                headers=err.response.headers,
            ) from err
        except (anthropic.APIConnectionError, httpx2.TransportError) as err:
            raise self._asking.failure(status=None, detail="connection_error") from err
        except (json.JSONDecodeError, UnicodeDecodeError) as err:
            raise self._asking.failure(status=None, detail="malformed_stream") from err
        if heard := reading.heard():
            yield heard

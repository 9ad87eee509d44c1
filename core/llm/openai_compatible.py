"""OpenAI's models, and every server that speaks its chat completions."""

import json
from collections.abc import AsyncGenerator, Mapping
from typing import cast
from urllib.parse import urlsplit

import httpx2
import openai
from openai import AsyncOpenAI, omit

from core.domain.model import ModelAnswer, Prompt
from core.llm.asking import Asking, Heard, Retries
from core.llm.openai_wire import Reading, messages_of, tools_of
from core.llm.prices import PriceTable
from core.ports import Clock, OnText

OPENAI = "openai"
_PUBLIC = "https://api.openai.com/v1"
_NO_KEY = "none"  # the SDK wants one, a local server does not look
_CONNECT_SECONDS = 10.0


class OpenAICompatibleModel:
    """Asks a server that speaks chat completions, streaming.

    What a server does not count is counted as four characters a token, rounded up.
    """

    def __init__(
        self,
        api_key: str | None,
        *,
        prices: PriceTable,
        clock: Clock,
        base_url: str | None = None,
        timeout_seconds: float = 300.0,
        retries: Retries | None = None,
    ) -> None:
        """Take the key, None for a server that wants none; ``base_url`` is OpenAI's by default."""
        self._asking = Asking(
            OPENAI,
            prices=prices,
            clock=clock,
            retries=retries or Retries(),
            timeout_seconds=timeout_seconds,
        )
        self._client = AsyncOpenAI(
            api_key=api_key or _NO_KEY,
            base_url=base_url or _PUBLIC,
            # The SDK's own retries cannot begin again after an error within the stream.
            max_retries=0,
            timeout=httpx2.Timeout(timeout_seconds, connect=min(_CONNECT_SECONDS, timeout_seconds)),
        )
        # OpenAI's newer models refuse max_tokens, other servers may not know its successor.
        host = urlsplit(base_url or _PUBLIC).hostname or ""
        self._is_openai = host == "openai.com" or host.endswith((".openai.com", ".azure.com"))

    async def answer(self, prompt: Prompt, *, on_text: OnText) -> ModelAnswer:
        """Ask, at most four times where the server is overloaded or cannot be reached.

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
        reading = Reading(prompt)
        messages = messages_of(prompt)
        most = prompt.max_output_tokens
        try:
            async with await self._client.chat.completions.create(
                model=prompt.model,
                messages=messages,
                tools=tools_of(prompt.tools) or omit,
                max_completion_tokens=most if self._is_openai else omit,
                max_tokens=omit if self._is_openai else most,
                stream=True,
                stream_options={"include_usage": True},
            ) as chunks:
                async for chunk in chunks:
                    if text := reading.take(chunk):
                        yield text
        except openai.APIStatusError as err:
            raise self._asking.failure(
                status=err.status_code, detail=_type_of(err), headers=err.response.headers
            ) from err
        except (openai.APIConnectionError, httpx2.TransportError) as err:
            raise self._asking.failure(status=None, detail="connection_error") from err
        except openai.APIError as err:
            raise self._asking.failure(status=None, detail=_type_of(err)) from err
        except (json.JSONDecodeError, UnicodeDecodeError) as err:
            raise self._asking.failure(status=None, detail="malformed_stream") from err
        if heard := reading.heard():
            yield heard


def _type_of(err: openai.APIError) -> str:
    """Return what the server calls the error: its code, else its type."""
    if isinstance(err.body, Mapping):
        body = cast("Mapping[str, object]", err.body)
        for key in ("code", "type"):
            told = body.get(key)
            if isinstance(told, str) and told:
                return told
    return "unknown_error"

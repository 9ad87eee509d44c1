"""The SDK's client, as tests ask Slack by it; its types are partly unknown, so it is typed once."""

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

Sdk = Any  # the SDK's own, whose types are partly unknown
Json = dict[str, Any]  # Any: what Slack takes and gives


def client_of(api_url: str, token: str | None = None) -> Sdk:
    """Return a client that tries nothing twice."""
    return AsyncWebClient(token, base_url=api_url, retry_handlers=[])


async def refusal(client: Sdk, method: str, **given: Any) -> str:  # noqa: ANN401 - JSON
    """Return the code that a call is refused with."""
    with pytest.raises(SlackApiError) as refused:
        await client.api_call(method, json=given)
    return str(answered(refused.value)["error"])


def answered(error: SlackApiError) -> Sdk:
    """Return the answer behind an error."""
    return error.response  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

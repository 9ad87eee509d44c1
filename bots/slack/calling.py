"""Calling Slack: what it says of a call, in the outbox's words. It raises nothing."""

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol, cast
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bots.outbox import ApiCall, Later, Never, Outcome, Took
from bots.slack.attaching import UPLOAD
from bots.slack.delivering import is_of_workspace
from core.domain.canonical import JsonObject
from core.domain.chat import Surface, Workspace
from core.domain.delivery import Parcel
from core.domain.ids import TenantId
from core.errors import Misconfigured, NotFound, SallyportError

_SECONDS: Final = 30.0
# Slack takes their arguments from the address only.
_READ: Final = frozenset(
    {"conversations.history", "conversations.replies", "files.getUploadURLExternal"}
)
_TAKEN: Final = 200
_TOO_MANY: Final = 429
_BROKEN: Final = 500
_REST_SECONDS: Final = 30.0
_PASSING: Final = frozenset(
    {
        "fatal_error",
        "internal_error",
        "ratelimited",
        "rate_limited",
        "message_limit_exceeded",
        "request_timeout",
        "service_unavailable",
        "team_added_to_org",
        "token_expired",  # it is renewed at the next try
    }
)
_LIMITS: Final = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})


class Clients(Protocol):
    """Hands out clients that speak as the app's bot in a workspace."""

    async def client_for(self, workspace: Workspace) -> AsyncWebClient:
        """Return a client with a token that is good."""
        ...

    async def token_died(self, workspace: Workspace) -> bool:
        """Take note that Slack does not take the workspace's token any more."""
        ...


class _Answer(Protocol):
    """What the SDK, which leaves it untyped, returns."""

    status_code: int
    headers: Mapping[str, str]
    data: object


class _Api(Protocol):
    async def api_call(
        self,
        api_method: str,
        *,
        http_verb: str = "POST",
        json: Mapping[str, object] | None = None,
        params: Mapping[str, object] | None = None,
    ) -> _Answer: ...


class OfTenant(Protocol):
    """Where workspaces are kept."""

    async def of_id(
        self, tenant_id: TenantId, *, surface: Surface, workspace: str
    ) -> Workspace | None:
        """Return the tenant's workspace of that id."""
        ...


class Caller:
    """Makes the outbox's calls, each as the bot of the workspace that it is for."""

    def __init__(self, clients: Clients, *, workspaces: OfTenant) -> None:
        """Take who hands out clients, and where workspaces are kept."""
        self._clients = clients
        self._workspaces = workspaces

    async def perform(self, parcel: Parcel, call: ApiCall) -> Outcome:
        """Make the call; a ``Later`` with a rate was surely not taken, any other may have been."""
        try:
            workspace = await self._workspaces.of_id(
                parcel.tenant_id,
                surface=Surface.SLACK,
                workspace=parcel.wish.place.workspace,
            )
            if workspace is None:
                return Never(code="workspace_left")
            client = await self._clients.client_for(workspace)
        except (NotFound, Misconfigured) as error:
            return Never(code=error.code)
        except SallyportError as error:
            return Later(code=error.code)
        outcome = await called(client, call)
        if isinstance(outcome, Never) and is_of_workspace(outcome.code):
            await self._clients.token_died(workspace)
        return outcome


async def called(client: AsyncWebClient, call: ApiCall) -> Outcome:
    """Make one call; what went wrong is in the outcome."""
    api = cast("_Api", client)
    try:
        async with asyncio.timeout(_SECONDS):
            if call.method == UPLOAD:
                return await _uploaded(call, api=client.base_url)
            if call.method in _READ:
                answer = await api.api_call(call.method, http_verb="GET", params=call.arguments)
            else:
                answer = await api.api_call(call.method, json=call.arguments)
    except SlackApiError as error:
        return _refused(cast("_Answer", error.response), call=call)
    except (TimeoutError, aiohttp.ClientError, SlackClientError, OSError, ValueError):
        return Later(code="slack_unreachable")
    return Took(answer=_plain(answer))


async def _uploaded(call: ApiCall, *, api: str) -> Outcome:
    """Send a file where Slack has said: to a host of Slack's, and to no other."""
    url, content = str(call.arguments["url"]), str(call.arguments["content"])
    told, ours = urlsplit(url), urlsplit(api)
    is_slacks = told.scheme == "https" and f".{told.hostname}".endswith(".slack.com")
    if not is_slacks and (told.scheme, told.netloc) != (ours.scheme, ours.netloc):
        return Never(code="upload_elsewhere")
    async with (
        aiohttp.ClientSession(trust_env=False) as session,
        session.post(url, data=content.encode(), allow_redirects=False) as answer,
    ):
        is_taken = answer.status == _TAKEN
        return Took(answer={}) if is_taken else Later(code=f"http_{answer.status}")


def _refused(answer: _Answer, *, call: ApiCall) -> Outcome:
    """Return what an answer means that is no success: by its status, or ``ok: false`` under 200."""
    told = _plain(answer)
    code = str(told.get("error") or f"http_{answer.status_code}")[:100]
    if answer.status_code == _TOO_MANY or code in _LIMITS:
        return Later(code="ratelimited", seconds=_wait(answer.headers), rate=(call.method, ""))
    if answer.status_code >= _BROKEN or code in _PASSING:
        return Later(code=code)
    return Never(code=code)


def _wait(headers: Mapping[str, str]) -> float:
    told = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return min(3600.0, max(1.0, float(told))) if told.isdecimal() else _REST_SECONDS


def _plain(answer: _Answer) -> JsonObject:
    return cast("JsonObject", answer.data) if isinstance(answer.data, dict) else {}

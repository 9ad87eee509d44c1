"""Slack's way in for whoever has no public URL: a connection that we open, and keep open."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, cast

import structlog
from slack_bolt.adapter.socket_mode.async_internals import send_async_response
from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

from bots.slack.app import SlackEvents
from bots.slack.web import WebApi
from core.domain.canonical import JsonObject
from core.errors import InvalidInput, SallyportError
from core.ports import Clock
from core.tools.faults import unstorable

_CONNECT_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 1.0
_PING_SECONDS: Final = 10.0
_LONGEST_WAIT_SECONDS: Final = 30.0

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@asynccontextmanager
async def socket_mode(
    events: SlackEvents,
    *,
    web: WebApi,
    app_token: str,
    clock: Clock,
    look_seconds: float = _LOOK_SECONDS,
) -> AsyncGenerator[asyncio.Event]:
    """Hear what Slack says until the block is left; yield an event that is set once we do.

    A connection that is lost is opened anew. What was not acknowledged Slack says again.
    """
    socket = _Socket(events, web=web, app_token=app_token, clock=clock, look_seconds=look_seconds)
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(socket.keep(), name="slack socket")
        yield socket.is_open
        keeping.cancel()


class _Socket:
    """One connection after another.

    The SDK would connect anew by itself, but to an address that is good for half a minute only,
    and forever to the same: whatever went wrong, a new client asks for a new one.
    """

    def __init__(
        self,
        events: SlackEvents,
        *,
        web: WebApi,
        app_token: str,
        clock: Clock,
        look_seconds: float,
    ) -> None:
        self._events = events
        self._web = web
        self._app_token = app_token
        self._clock = clock
        self._look_seconds = look_seconds
        self.is_open = asyncio.Event()
        # As errors, it writes down addresses with tickets in them.
        self._silent = logging.getLogger("bots.slack.socket")
        self._silent.setLevel(logging.CRITICAL)

    async def keep(self) -> None:
        first = wait = self._look_seconds
        while True:
            began = self._clock.monotonic()
            try:
                await self._hear()
            except Exception as error:  # noqa: BLE001 - a process's main loop: it goes on
                _log.warning("slack.socket_failed", error=type(error).__name__)
            if self._clock.monotonic() - began > _LONGEST_WAIT_SECONDS:
                wait = first
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT_SECONDS)

    async def _hear(self) -> None:
        """Connect, and stay until the connection is lost."""
        client = SocketModeClient(
            app_token=self._app_token,
            logger=self._silent,
            web_client=self._web.client(None),
            auto_reconnect_enabled=False,
            ping_interval=_PING_SECONDS,
        )
        # It looks for a proxy in the environment unless one is given.
        client.proxy = None
        client.socket_mode_request_listeners.append(self._take)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                client.wss_uri = await client.issue_new_wss_url()
                await client.connect()
            _log.info("slack.socket_opened")
            self.is_open.set()
            while await client.is_connected():  # noqa: ASYNC110 - the SDK sets no event when not
                await asyncio.sleep(self._look_seconds)
        finally:
            self.is_open.clear()
            await client.close()

    async def _take(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        """Acknowledge an envelope once what is in it is kept, and not before."""
        payload = cast("JsonObject", request.payload)
        tried = (
            {}
            if request.retry_attempt is None
            else {"x-slack-retry-num": str(request.retry_attempt)}
        )
        response = BoltResponse(status=200, body="")
        try:
            _check(payload)
            response = await self._events.told(payload, tried)
        except InvalidInput as error:
            # Said again it would be no better.
            _log.warning("slack.dropped", kind=request.type, reason=error.facts.get("detail"))
        except SallyportError as error:
            _log.warning("slack.not_acknowledged", kind=request.type, code=error.code)
            return
        await send_async_response(client, request, response, 0.0)


def _check(payload: JsonObject) -> None:
    """Refuse what no database of ours holds, as the guard does over HTTP."""
    if fault := unstorable(payload):
        raise InvalidInput("malformed_body", detail=fault)

"""A run's events as a stream that any number of disconnects may cut (server-sent events)."""

import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import anyio
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.models import EventsQuery
from api.operations import EVENT_STREAM, Front
from core.domain.canonical import JsonObject
from core.domain.event import RunEvent, TextChunk
from core.domain.ids import RunId
from core.domain.principal import Caller
from core.errors import InvalidInput, Refused, Unavailable

_HIGHEST = 2**31 - 1
_DIGITS = 10
_RETRY = b"retry: 2000\n\n"
_KEEP_ALIVE = b": keep-alive\n\n"

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


def last_seen(request: Request, query: EventsQuery) -> int:
    """Return the number of the last event that the client has seen; 0 for none.

    Raises:
        InvalidInput: ``invalid_field``: the header is not a number that we have given out.
    """
    told = request.headers.get("last-event-id")
    if not told:
        return query.after or 0
    if not (told.isascii() and told.isdecimal()) or len(told) > _DIGITS or int(told) > _HIGHEST:
        raise unknown_event()
    return int(told)


def unknown_event() -> InvalidInput:
    """Return the refusal of a place in a stream that was never given out."""
    detail = "it is not the id of an event of this run"
    return InvalidInput("invalid_field", key="Last-Event-ID", detail=detail)


class EventStream(Response):
    """Events behind number ``after``, and text as it comes, until the run has ended.

    It ends early, to be resumed, where the client goes, the process stops, the database is away,
    or the caller may not see the run any more, which is looked at with every keep-alive.
    """

    media_type = EVENT_STREAM

    def __init__(self, front: Front, *, caller: Caller, run_id: RunId, after: int) -> None:
        """Take whose run is followed, and from where."""
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._front = front
        self._caller = caller
        self._run_id = run_id
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the stream (``scope`` is ASGI's); nothing of it is left running behind it."""
        head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(head)
        await _send(send, _RETRY)

        async with anyio.create_task_group() as group:

            async def until(end: Callable[[], Awaitable[object]]) -> None:
                await end()
                group.cancel_scope.cancel()

            group.start_soon(until, lambda: _gone(receive))
            group.start_soon(until, self._front.stopping.wait)
            group.start_soon(until, lambda: self._keep_alive(send))
            group.start_soon(until, lambda: self._tell(send))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell(self, send: Send) -> None:
        events = self._front.app.follow(self._caller, run_id=self._run_id, after=self._after)
        try:
            async with aclosing(events) as following:
                async for event in following:
                    await _send(send, _block(event))
        except (Refused, Unavailable) as error:
            self._ended(error)

    async def _keep_alive(self, send: Send) -> None:
        """Keep the connection open for as long as the caller may look."""
        while True:
            await anyio.sleep(self._front.keep_alive_seconds)
            try:
                caller = await self._front.tokens.renew(self._caller)
                await self._front.app.run(caller, run_id=self._run_id)
            except (Refused, Unavailable) as error:
                self._ended(error)
                return
            await _send(send, _KEEP_ALIVE)

    def _ended(self, error: Refused | Unavailable) -> None:
        _log.info(
            "stream.ended_early",
            code=error.code,
            tenant_id=str(self._caller.tenant_id),
            run_id=str(self._run_id),
        )


async def _gone(receive: Receive) -> None:
    """Return once the client has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, block: bytes) -> None:
    await send({"type": "http.response.body", "body": block, "more_body": True})


def _block(event: RunEvent | TextChunk) -> bytes:
    match event:
        case RunEvent():
            told: JsonObject = {**event.data, "at": event.at.isoformat()}
            head = f"id: {event.seq}\nevent: {event.kind.value}"
        case TextChunk():
            # Without an id of its own: whoever comes back resumes behind the last event.
            told = {"step": event.step, "seq": event.seq, "text": event.text}
            head = "event: text"
    return f"{head}\ndata: {json.dumps(told, ensure_ascii=False)}\n\n".encode()

"""The ways to an upstream MCP server: bounded, and silent about what comes over them."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar

import anyio
import httpx2

# The ends have no public name.
from mcp.client._transport import TransportStreams  # pyright: ignore[reportPrivateUsage]
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from core.egress import Egress
from core.errors import SallyportError, ToolFailed
from core.tools.mcp_allowed import AllowedUpstream

Faults = list[ToolFailed]

FAULTS: ContextVar[Faults | None] = ContextVar("faults", default=None)
"""Where the way notes what went wrong for whoever asks now: the SDK tells it as prose, or not."""

_END_SECONDS = 2.0
_PIECE = 65_536
_MOST_LINES = 1000
"""That a process may say without being asked: each costs us time that other tenants wait for."""
_ODD = 599
_UNAUTHORIZED = frozenset({401, 403})
_MANY, _BROKEN = 429, 500
_OF_EGRESS = {
    "address_refused": "upstream_address_refused",
    "address_timeout": "upstream_timeout",
    "answer_too_large": "upstream_too_large",
}


def fault(code: str, upstream: AllowedUpstream) -> ToolFailed:
    """Note a fault for whoever asks now, and return it."""
    found = ToolFailed(code, upstream=upstream.name)
    noted = FAULTS.get()
    if noted is not None:
        noted.append(found)
    return found


@asynccontextmanager
async def over_http(
    upstream: AllowedUpstream, *, secret: str | None, egress: Egress
) -> AsyncGenerator[TransportStreams]:
    """Have the two ends of a way to ``url``, with connections of its own."""
    client = httpx2.AsyncClient(
        headers={**upstream.headers(secret), "accept-encoding": "identity"},
        timeout=httpx2.Timeout(None, connect=upstream.connect_seconds),
        transport=_Noting(
            egress.transport(
                limit_bytes=upstream.limit_bytes, connections=upstream.concurrency + 2
            ),
            upstream=upstream,
        ),
        follow_redirects=False,
        trust_env=False,
    )
    async with (
        client,
        streamable_http_client(
            upstream.url or "",
            http_client=client,
            # Nobody waits for the farewell of a server that may be hanging.
            terminate_on_close=False,
            max_sse_event_size=upstream.limit_bytes,
        ) as ends,
    ):
        yield ends


class _Noting(httpx2.AsyncBaseTransport):
    """Tells the SDK of a fault as an answer: raised, one would end the calls beside it as well."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, *, upstream: AllowedUpstream) -> None:
        self._inner = inner
        self._upstream = upstream

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            answer = await self._inner.handle_async_request(request)
        except (SallyportError, httpx2.HTTPError) as error:
            fault(_code_of(error), self._upstream)
            return httpx2.Response(_ODD, request=request)
        if answer.status_code in _UNAUTHORIZED:
            fault("upstream_unauthorized", self._upstream)
        elif answer.status_code == _MANY or answer.status_code >= _BROKEN:
            fault("upstream_unreachable", self._upstream)
        answer.stream = _NotingStream(answer.stream, upstream=self._upstream)
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()


class _NotingStream(httpx2.AsyncByteStream):
    """An answer's bytes; what breaks them off is noted, and told in a way the SDK lives through."""

    def __init__(self, inner: object, *, upstream: AllowedUpstream) -> None:
        if not isinstance(inner, httpx2.AsyncByteStream):
            raise TypeError(type(inner).__name__)
        self._inner = inner
        self._upstream = upstream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._inner:
                yield piece
        except (SallyportError, httpx2.HTTPError) as error:
            raise httpx2.StreamError(fault(_code_of(error), self._upstream).code) from error

    async def aclose(self) -> None:
        await self._inner.aclose()


def _code_of(error: Exception) -> str:
    if isinstance(error, SallyportError):
        return _OF_EGRESS.get(error.code, "upstream_unreachable")
    late = isinstance(error, httpx2.TimeoutException)
    return "upstream_timeout" if late else "upstream_unreachable"


@asynccontextmanager
async def over_pipes(
    upstream: AllowedUpstream, *, secret: str | None
) -> AsyncGenerator[TransportStreams]:
    """Have the two ends of a way to a process of our own, which ends with the block.

    The SDK's own way lets a line be as long as it likes, and the process write into our log.
    """
    try:
        process = await _started(upstream.command, upstream.variables(secret), upstream.folder)
    except (OSError, ValueError) as error:
        raise fault("upstream_unreachable", upstream) from error
    inwards, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write, outwards = anyio.create_memory_object_stream[SessionMessage](0)
    pipes = _Pipes(process, limit_bytes=upstream.limit_bytes)

    async def reads() -> None:
        async with inwards:
            async for message in pipes.messages():
                await inwards.send(message)
            if pipes.flooded:
                fault("upstream_too_large", upstream)

    async def writes() -> None:
        async with outwards:
            async for message in outwards:
                await pipes.send(message)

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_quietly(reads))
            group.start_soon(_quietly(writes))
            try:
                yield read, write
            finally:
                group.cancel_scope.cancel()
    finally:
        for end in (inwards, read, write, outwards):
            end.close()
        with anyio.CancelScope(shield=True):
            await _ended(process, limit_bytes=upstream.limit_bytes)


class _Pipes:
    """One process's standard input and output, as messages."""

    def __init__(self, process: Process, *, limit_bytes: int) -> None:
        self._process = process
        self._limit_bytes = limit_bytes
        self._unasked = self._lines = 0
        self.flooded = False

    async def messages(self) -> AsyncIterator[SessionMessage]:
        """Yield what the process says, until it ends or says too much for what it was asked."""
        begun = [b""]
        while piece := await _output_of(self._process).read(_PIECE):
            self._unasked += len(piece)
            lines = piece.split(b"\n")
            self._lines += len(lines) - 1
            if self._unasked > self._limit_bytes or self._lines > _MOST_LINES:
                self.flooded = True
                return
            begun.append(lines[0])
            for line in lines[1:]:
                told, begun = b"".join(begun), [line]
                # What is no message is passed over: a program may greet us before it begins.
                with suppress(ValueError):
                    yield SessionMessage(jsonrpc_message_adapter.validate_json(told, by_name=False))

    async def send(self, message: SessionMessage) -> None:
        """Say one message to the process."""
        self._unasked = self._lines = 0
        pipe = self._process.stdin
        if pipe is not None:
            told = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            pipe.write(told.encode() + b"\n")
            await pipe.drain()


def _quietly(
    work: Callable[[], Coroutine[object, object, None]],
) -> Callable[[], Coroutine[object, object, None]]:
    """Return ``work`` without the noise of an end that the other side has closed."""

    async def quiet() -> None:
        with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            await work()

    return quiet


async def _started(
    command: tuple[str, ...], variables: Mapping[str, str], folder: str | None
) -> Process:
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        env={"PATH": os.defpath, **variables},
        cwd=folder,
        start_new_session=True,
    )


async def _ended(process: Process, *, limit_bytes: int) -> None:
    """End the process and whatever it has started, however unwilling."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        await _reaped(process, limit_bytes=limit_bytes)
    except asyncio.CancelledError:
        # Whoever is in such a hurry leaves no process behind for it.
        _tell(process, signal.SIGKILL)
        await _reaped(process, limit_bytes=limit_bytes)
        raise


async def _reaped(process: Process, *, limit_bytes: int) -> None:
    for told in (signal.SIGTERM, signal.SIGKILL, None):
        try:
            async with asyncio.timeout(_END_SECONDS):
                if await _is_emptied(process, limit_bytes=limit_bytes):
                    await process.wait()
                    return
        except TimeoutError:
            pass
        if told is not None:
            _tell(process, told)


async def _is_emptied(process: Process, *, limit_bytes: int) -> bool:
    """Read what is left: a pipe that nobody empties keeps a process from ending, and us unaware."""
    left = limit_bytes
    while piece := await _output_of(process).read(_PIECE):
        left -= len(piece)
        if left < 0:
            return False
    return True


def _tell(process: Process, told: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, told)


def _output_of(process: Process) -> asyncio.StreamReader:
    if process.stdout is None:
        raise TypeError("the process was started without pipes")
    return process.stdout

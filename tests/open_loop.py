"""An open-loop load: requests that are due at set times, and are never held back by slow answers.

How long an answer took is counted from when its request was due. Requests are whole bytes before
the first is sent, so that the load itself needs little of the machine.
"""

import asyncio
import gc
import json
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import urlsplit

import uvloop

Json = dict[str, Any]  # Any: figures

_LAST_ANSWER_SECONDS: Final = 10.0
_NO_ANSWER = "none"
_HEAD_END = b"\r\n\r\n"


@dataclass(slots=True)
class Delivery:
    """One request: its bytes, when it is due, and what became of it. Times in seconds of a run.

    ``external_id`` is what our server calls it; what is before its first colon is its kind.
    """

    external_id: str
    request: bytes
    due: float
    sent: float = -1.0
    answered: float = -1.0
    status: str = _NO_ANSWER


def post(url: str, body: bytes, *, headers: Mapping[str, str]) -> bytes:
    """Return a whole request."""
    where = urlsplit(url)
    told = {"Host": where.netloc, "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"POST {where.path} HTTP/1.1\r\n{head}\r\n".encode() + body


class _Connection(asyncio.Protocol):
    """One connection; it is given one delivery at a time."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._delivery: Delivery | None = None
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an instance where uvloop made it, and one all the same.
        self._transport = cast("asyncio.Transport", transport)

    def send(self, delivery: Delivery) -> None:
        self._delivery = delivery
        delivery.sent = self._load.now()
        assert self._transport is not None
        self._transport.write(delivery.request)

    def data_received(self, data: bytes) -> None:
        self._read += data
        end = self._read.find(_HEAD_END)
        if end < 0 or self._delivery is None:
            return
        head = self._read[:end].lower()
        if not _is_whole(head, self._read[end + len(_HEAD_END) :]):
            return
        self._load.ended(self._delivery, status=head[9:12].decode())
        self._read, self._delivery = b"", None
        if b"connection: close" in head and self._transport is not None:
            self._transport.close()
        else:
            self._load.is_free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._delivery is not None:
            lost = f"lost: {type(exc).__name__}" if exc else "lost"
            self._load.ended(self._delivery, status=lost)
            self._delivery = None
        self._load.is_gone(self)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


@dataclass(slots=True)
class Load:
    """A run under way."""

    url: str
    connections: int
    deliveries: Sequence[Delivery]
    begun: float = 0.0
    free: list[_Connection] = field(default_factory=list[_Connection])
    open: set[_Connection] = field(default_factory=set[_Connection])
    opening: int = 0
    over: int = 0
    all_ended: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: deque[Delivery] = field(default_factory=deque[Delivery])

    def now(self) -> float:
        return time.perf_counter() - self.begun

    def ended(self, delivery: Delivery, *, status: str) -> None:
        """Write down what became of a delivery."""
        delivery.status, delivery.answered = status, self.now()
        self.over += 1
        if self.over == len(self.deliveries):
            self.all_ended.set()

    def is_free(self, connection: _Connection) -> None:
        if self.waiting:
            connection.send(self.waiting.popleft())
        else:
            self.free.append(connection)

    def is_gone(self, connection: _Connection) -> None:
        self.open.discard(connection)
        if connection in self.free:
            self.free.remove(connection)

    async def run(self) -> None:
        """Send each delivery when it is due, and wait a while for the last answers."""
        async with asyncio.TaskGroup() as group:
            for delivery in self.deliveries:
                ahead = delivery.due - self.now()
                if ahead > 0:
                    await asyncio.sleep(ahead)
                if self.free:
                    self.free.pop().send(delivery)
                    continue
                self.waiting.append(delivery)
                if self.opening + len(self.open) < self.connections:
                    self.opening += 1
                    group.create_task(self._connect())
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_ANSWER_SECONDS):
                await self.all_ended.wait()
        for connection in tuple(self.open):
            connection.close()

    async def warm_up(self, *, most: int) -> None:
        """Open connections before the first delivery: a platform is never quiet."""
        async with asyncio.TaskGroup() as group:
            for _ in range(min(most, self.connections)):
                self.opening += 1
                group.create_task(self._connect())

    async def _connect(self) -> None:
        where = urlsplit(self.url)
        loop = asyncio.get_running_loop()
        try:
            _, made = await loop.create_connection(
                lambda: _Connection(self), where.hostname or "", where.port or 80
            )
        except OSError as error:
            if self.waiting:
                self.ended(self.waiting.popleft(), status=f"lost: {type(error).__name__}")
            return
        finally:
            self.opening -= 1
        self.open.add(made)
        self.is_free(made)


def _is_whole(head: bytes, body: bytes) -> bool:
    if b"transfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    _, found, rest = head.partition(b"content-length:")
    return not found or len(body) >= int(rest.split(b"\r\n", 1)[0])


async def offer(
    planned: Callable[[float], Sequence[Delivery]], *, url: str, rate: float, connections: int
) -> Json:
    """Offer what is planned for a run that begins at a (wall clock) time; tell how it was taken.

    Times are in milliseconds. ``lag`` is how much later than it was due a delivery was sent: where
    it is large, the load was short of the machine, and so are the other figures. ``ids`` are all
    that were acknowledged at least once, ``open_ids`` those that never were; ``kinds`` has the
    times of each kind by itself.
    """
    deliveries = planned(time.time())
    load = Load(url, connections, deliveries, begun=time.perf_counter())
    await load.warm_up(most=8)
    cpu = time.process_time()
    load.begun = time.perf_counter()
    await load.run()
    elapsed, used = load.now(), time.process_time() - cpu
    taken = {one.external_id for one in deliveries if one.status == "200"}
    lags = sorted((one.sent - one.due) * 1e3 for one in deliveries if one.sent >= 0)
    kinds = sorted({_kind(one) for one in deliveries})
    return {
        "sent": sum(one.sent >= 0 for one in deliveries),
        "offered_per_second": rate,
        "elapsed_seconds": round(elapsed, 2),
        "acknowledged": dict(Counter(one.status for one in deliveries)),
        **_times(deliveries),
        "kinds": {
            kind: _times([one for one in deliveries if _kind(one) == kind]) for kind in kinds
        },
        "lag_p99_ms": _at(lags, 0.99),
        "cpu_share": round(used / elapsed, 3),
        "connections": len(load.open),
        "ids": sorted(taken),
        "open_ids": sorted({one.external_id for one in deliveries} - taken),
    }


def run(offering: Coroutine[Any, Any, Json]) -> None:
    """Offer a load in a process of one's own, and print how it was taken as one line of JSON."""
    gc.disable()  # it would stop the load for longer than an answer takes
    told = memoryview(f"{json.dumps(uvloop.run(offering))}\n".encode())
    while told:  # unbuffered, a pipe takes a part of it at a time
        told = told[os.write(sys.stdout.fileno(), told) :]


def _kind(delivery: Delivery) -> str:
    return delivery.external_id.partition(":")[0]


def _times(deliveries: Sequence[Delivery]) -> Json:
    answered = sorted((one.answered - one.due) * 1e3 for one in deliveries if one.answered >= 0)
    return {
        "many": len(answered),
        "p50_ms": _at(answered, 0.5),
        "p95_ms": _at(answered, 0.95),
        "p99_ms": _at(answered, 0.99),
        "max_ms": _at(answered, 1.0),
    }


def _at(ordered: Sequence[float], share: float) -> float:
    if not ordered:
        return 0.0
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)

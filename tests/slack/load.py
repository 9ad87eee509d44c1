"""Slack at its busiest, from a process of its own: so many deliveries a second, whatever happens.

Deliveries are due at times that are set beforehand, and are never held back by slow answers; how
long an answer took is counted from when its delivery was due. Bodies and seals are made before the
first is sent, so that the load itself needs little of the machine.

Usage: python -m tests.slack.load --url http://127.0.0.1:8080/slack/events --rate 500 --seconds 60
"""

import asyncio
import gc
import json
import os
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import urlencode, urlsplit

import click
import uvloop

from tests.slack import events
from tests.slack.workspace import SIGNING_SECRET, Channel, Message, Slack, Workspace

Json = dict[str, Any]  # Any: what Slack takes and gives

_LAST_ANSWER_SECONDS: Final = 10.0
_NEAREST = 60
_NO_ANSWER = "none"
_HEAD_END = b"\r\n\r\n"
_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
_BUTTON: Json = {"type": "button", "text": {"type": "plain_text", "text": "Approve"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to offer. Shares are of all deliveries, from 0 to 1.

    ``teams``: workspaces in turn; ``users``: who speaks and clicks in each. ``action_id`` and
    ``value`` are those of the button that is clicked.
    """

    url: str
    rate: float
    seconds: float
    duplicates: float = 0.05
    clicks: float = 0.2
    teams: Sequence[str] = ("T0ACME",)
    users: Sequence[str] = ("U0ALICE", "U0BOB", "U0CAROL")
    action_id: str = "approve"
    value: str = "load"
    secret: str = SIGNING_SECRET
    connections: int = 256
    seed: int = 1


@dataclass(slots=True)
class Delivery:
    """One request: its bytes, when it is due, and what became of it. Times in seconds of a run."""

    external_id: str
    request: bytes
    due: float
    sent: float = -1.0
    answered: float = -1.0
    status: str = _NO_ANSWER


def planned(plan: Plan, *, begins: float) -> list[Delivery]:
    """Make every request of a run that begins at this (wall clock) time."""
    chance, run = random.Random(plan.seed), os.urandom(4).hex()  # noqa: S311 - no secret
    workspaces = [_peopled(team, plan.users) for team in plan.teams]
    made: list[tuple[str, bytes, str]] = []
    due: list[Delivery] = []
    for number in range(round(plan.rate * plan.seconds)):
        at = number / plan.rate
        if made and chance.random() < plan.duplicates:
            external_id, body, kind = chance.choice(made[-_NEAREST:])
            again = kind == _JSON  # interactions are never sent again by Slack, but by thumbs
        else:
            external_id, body, kind = _one(plan, workspaces, number, run=run, chance=chance)
            made.append((external_id, body, kind))
            again = False
        seal = events.sealed(body, secret=plan.secret, at=int(begins + at))
        request = _request(plan.url, body, kind=kind, seal=seal, again=again)
        due.append(Delivery(external_id, request, at))
    return due


def _peopled(team: str, users: Sequence[str]) -> Workspace:
    workspace = Slack().workspace(team, name="Acme")
    for user in users:
        workspace.add(user, name=user.lower())
        workspace.im(user)
    return workspace


def _one(
    plan: Plan, workspaces: Sequence[Workspace], number: int, *, run: str, chance: random.Random
) -> tuple[str, bytes, str]:
    at = workspaces[number % len(workspaces)]
    user = at.users[chance.choice(plan.users)]
    channel: Channel = at.im(user.id)
    if chance.random() >= plan.clicks:
        said = Message(channel=channel.id, ts=at.ts(), user=user.id, text=f"List it ({number})")
        told = events.envelope(at, events.said(at, said), channel=channel)
        told["event_id"] = f"EvL{run}{number:07d}"
        return f"event:{at.team}:{told['event_id']}", json.dumps(told).encode(), _JSON
    card = Message(channel=channel.id, ts=at.ts(), user=at.bot_user, text="Sure?", bot=at.bot)
    element = _BUTTON | {"action_id": plan.action_id, "value": plan.value}
    act = events.action(element, block_id="answers", ts=at.ts(), chosen=None)
    payload = (
        events.interaction(at, "block_actions", by=user, trigger_id=f"{number}.{run}.load")
        | events.in_message(at, card, response_url=f"{plan.url}/nowhere")
        | {"actions": [act]}
    )
    external_id = f"click:{at.team}:{user.id}:{act['action_ts']}:{plan.action_id}"
    return external_id, urlencode({"payload": json.dumps(payload)}).encode(), _FORM


def _request(url: str, body: bytes, *, kind: str, seal: dict[str, str], again: bool) -> bytes:
    where = urlsplit(url)
    retried = {"X-Slack-Retry-Num": "1", "X-Slack-Retry-Reason": "http_timeout"} if again else {}
    told = {"Host": where.netloc, "Content-Type": kind, "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in (told | seal | retried).items())
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

    plan: Plan
    deliveries: list[Delivery]
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
                if self.opening + len(self.open) < self.plan.connections:
                    self.opening += 1
                    group.create_task(self._connect())
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_ANSWER_SECONDS):
                await self.all_ended.wait()
        for connection in tuple(self.open):
            connection.close()

    async def warm_up(self, *, connections: int) -> None:
        """Open connections before the first delivery: Slack is never quiet."""
        async with asyncio.TaskGroup() as group:
            for _ in range(min(connections, self.plan.connections)):
                self.opening += 1
                group.create_task(self._connect())

    async def _connect(self) -> None:
        where = urlsplit(self.plan.url)
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


async def offer(plan: Plan) -> Json:
    """Offer a load, and tell how it was taken; times in milliseconds.

    ``lag`` is how much later than it was due a delivery was sent: where it is large, the load was
    short of the machine, and so are the other figures. ``ids`` are all that were acknowledged at
    least once, ``open_ids`` those that never were.
    """
    deliveries = planned(plan, begins=time.time())
    load = Load(plan, deliveries, begun=time.perf_counter())
    await load.warm_up(connections=8)
    cpu = time.process_time()
    load.begun = time.perf_counter()
    await load.run()
    elapsed, used = load.now(), time.process_time() - cpu
    taken = {one.external_id for one in deliveries if one.status == "200"}
    answered = sorted((one.answered - one.due) * 1e3 for one in deliveries if one.answered >= 0)
    lags = sorted((one.sent - one.due) * 1e3 for one in deliveries if one.sent >= 0)
    return {
        "sent": sum(one.sent >= 0 for one in deliveries),
        "offered_per_second": plan.rate,
        "elapsed_seconds": round(elapsed, 2),
        "acknowledged": dict(Counter(one.status for one in deliveries)),
        "p50_ms": _at(answered, 0.5),
        "p95_ms": _at(answered, 0.95),
        "p99_ms": _at(answered, 0.99),
        "max_ms": _at(answered, 1.0),
        "lag_p99_ms": _at(lags, 0.99),
        "cpu_share": round(used / elapsed, 3),
        "connections": len(load.open),
        "ids": sorted(taken),
        "open_ids": sorted({one.external_id for one in deliveries} - taken),
    }


def _at(ordered: Sequence[float], share: float) -> float:
    if not ordered:
        return 0.0
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)


@click.command()
@click.option("--url", required=True, help="where Slack's requests go")
@click.option("--rate", default=500.0, show_default=True, help="deliveries a second")
@click.option("--seconds", default=60.0, show_default=True)
@click.option("--duplicates", default=0.05, show_default=True, help="share that came before")
@click.option("--clicks", default=0.2, show_default=True, help="share that are clicks")
@click.option("--team", "teams", multiple=True, default=("T0ACME",), show_default=True)
@click.option("--user", "users", multiple=True, default=("U0ALICE", "U0BOB", "U0CAROL"))
@click.option("--action-id", default="approve", show_default=True, help="of the button clicked")
@click.option("--value", default="load", show_default=True, help="of the button clicked")
@click.option("--secret", default=SIGNING_SECRET, show_default=True, help="to sign with")
@click.option("--connections", default=256, show_default=True, help="at most so many")
@click.option("--seed", default=1, show_default=True, help="of what is chance")
def main(**given: Any) -> None:  # noqa: ANN401 - a plan's, by click
    """Offer a load to a server, and print how it took it as one line of JSON."""
    gc.disable()  # it would stop the load for longer than an answer takes
    told = memoryview(f"{json.dumps(uvloop.run(offer(Plan(**given))))}\n".encode())
    while told:  # unbuffered, a pipe takes a part of it at a time
        told = told[os.write(sys.stdout.fileno(), told) :]


if __name__ == "__main__":
    main()

"""The load is what it says it is: sealed, counted, and never held back by slow answers."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

from slack_sdk.signature import SignatureVerifier

from tests.slack.load import Plan, offer, planned
from tests.slack.sdk import Json
from tests.slack.workspace import SIGNING_SECRET

ROOT = Path(__file__).parents[3]


@dataclass(slots=True)
class Sink:
    """A server that takes everything, but answers nothing before ``gate`` is open."""

    url: str = ""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    opens_at: int = 0
    came: list[str] = field(default_factory=list[str])
    retried: int = 0
    forged: int = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")[1:-2]
                headers = {name.lower(): told for name, told in (one.split(": ") for one in lines)}
                body = (await reader.readexactly(int(headers["content-length"]))).decode()
                self._count(body, headers)
                await self.gate.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    def _count(self, body: str, headers: dict[str, str]) -> None:
        self.forged += not SignatureVerifier(SIGNING_SECRET).is_valid_request(body, headers)
        self.retried += "x-slack-retry-num" in headers
        if headers["content-type"] == "application/json":
            told: Json = json.loads(body)
            self.came.append(f"event:{told['team_id']}:{told['event_id']}")
        else:
            told = json.loads(parse_qs(body)["payload"][0])
            (act,) = told["actions"]
            who = f"{told['team']['id']}:{told['user']['id']}"
            self.came.append(f"click:{who}:{act['action_ts']}:{act['action_id']}")
        if len(self.came) >= self.opens_at:
            self.gate.set()


@asynccontextmanager
async def sink(*, opens_at: int = 0) -> AsyncGenerator[Sink]:
    made = Sink(opens_at=opens_at)
    server = await asyncio.start_server(made.take, "127.0.0.1", 0)
    async with server:
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/slack/events"
        yield made


async def test_every_delivery_is_sealed_and_counted_by_what_it_is() -> None:
    async with sink() as server:
        plan = Plan(url=server.url, rate=1_000, seconds=0.2, duplicates=0.2, clicks=0.3)
        told = await offer(plan)
    assert (told["sent"], told["acknowledged"], server.forged) == (200, {"200": 200}, 0)
    assert set(told["ids"]) == set(server.came)
    assert len(server.came) == 200
    assert len(told["ids"]) < 200
    assert told["open_ids"] == []
    assert server.retried > 0
    assert {one.partition(":")[0] for one in server.came} == {"event", "click"}


async def test_deliveries_are_sent_when_they_are_due_though_none_is_answered() -> None:
    async with sink(opens_at=50) as server:
        told = await offer(Plan(url=server.url, rate=1_000, seconds=0.05))
    # Had it waited for an answer, none would ever have come.
    assert told["acknowledged"] == {"200": 50}
    # The first waited for the last: counted from when they were due, most of them waited.
    assert told["p50_ms"] > told["max_ms"] / 10


async def test_what_nobody_takes_is_told() -> None:
    async with sink() as server:
        gone = server.url
    told = await offer(Plan(url=gone, rate=100, seconds=0.1, duplicates=0))
    assert (told["sent"], told["ids"], len(told["open_ids"])) == (0, [], 10)


def test_no_two_runs_share_an_event() -> None:
    plan = Plan(url="http://127.0.0.1:1/x", rate=10, seconds=1, duplicates=0)
    one, other = ({delivery.external_id for delivery in planned(plan, begins=0)} for _ in "ab")
    assert len(one) == 10
    assert one & other == set()


async def test_it_is_a_program_of_its_own() -> None:
    async with sink() as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.slack.load", "--url", server.url),
            *("--rate", "200", "--seconds", "0.1", "--team", "T1", "--team", "T2"),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
    told = json.loads(said)
    assert told["acknowledged"] == {"200": 20}
    assert {one.split(":")[1] for one in server.came} == {"T1", "T2"}

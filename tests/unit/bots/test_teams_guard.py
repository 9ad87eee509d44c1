"""What stands before Teams' activities: every way to get in without being Teams, refused."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Scope
from structlog.testing import capture_logs

from bots.teams.guard import TeamsGuard
from bots.teams.wire import Reference
from core.domain.canonical import JsonObject
from core.errors import Unauthenticated, Unavailable

ACTIVITY = b'{"type": "message", "text": "hello"}'
LIMIT = 256 * 1024
HERE = ("127.0.0.1", 5000)
ELSEWHERE = ("203.0.113.7", 5000)
TOKEN = (b"authorization", b"Bearer good.good.good")

Raw = tuple[bytes, bytes]


class OneToken:
    """The port to Teams of which only the way in is asked: it believes one token."""

    def __init__(self) -> None:
        self.parsed: list[JsonObject] = []
        self.is_away = False
        self.believes = "Bearer good.good.good"

    async def parse(self, activity: JsonObject, *, authorization: str | None) -> None:
        self.parsed.append(activity)
        if self.is_away:
            raise Unavailable("teams_unavailable", detail="it gives out no keys")
        if self.believes and authorization != self.believes:
            raise Unauthenticated("teams_not_signed", detail="its token is none")

    async def send(self, to: Reference, activity: JsonObject) -> str:
        raise NotImplementedError

    async def update(self, to: Reference, *, message: str, activity: JsonObject) -> None:
        raise NotImplementedError

    async def create(self, *, service_url: str, tenant: str, user: str) -> str:
        raise NotImplementedError

    async def member(self, to: Reference, *, user: str) -> JsonObject | None:
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    status: int
    headers: Mapping[bytes, bytes]
    body: Any  # Any: whatever JSON it is

    def refuses(self, status: int, code: str) -> bool:
        """Return whether this is a small problem document of that kind."""
        told = (self.status, self.body["status"], self.body["code"])
        is_problem = self.headers[b"content-type"] == b"application/problem+json"
        return is_problem and told == (status, status, code)


class Edge:
    """The guard, asked in ASGI's own words, so that a test may send what no client would."""

    def __init__(self, *, is_anonymous: bool = False) -> None:
        self.wire = OneToken()
        self.came: list[JsonObject] = []
        self.read = 0
        self._guard = TeamsGuard(
            self._answer, wire=self.wire, is_anonymous=is_anonymous, read_seconds=0.05
        )

    async def _answer(self, activity: JsonObject) -> Response:
        self.came.append(activity)
        return JSONResponse({"ok": True})

    async def post(
        self,
        body: bytes = ACTIVITY,
        *,
        media_type: str = "application/json",
        headers: tuple[Raw, ...] = (TOKEN,),
        method: str = "POST",
        pieces: list[bytes] | None = None,
        hangs: bool = False,
        client: tuple[str, int] | None = ELSEWHERE,
    ) -> Answered:
        sent = [(b"content-type", media_type.encode()), *headers]
        scope: Scope = {
            "type": "http",
            "method": method,
            "headers": sent,
            "path": "/api/messages",
            "client": client,
        }
        left = pieces or [body]
        told: list[Message] = []

        async def receive() -> Message:
            if hangs:
                await asyncio.Event().wait()
            self.read += 1
            piece = left.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(left)}

        async def send(message: Message) -> None:
            told.append(message)

        await self._guard(scope, receive, send)
        return Answered(
            status=told[0]["status"],
            headers=dict(told[0]["headers"]),
            body=json.loads(told[1]["body"]),
        )


@pytest.fixture
def edge() -> Edge:
    return Edge()


async def test_what_teams_has_signed_passes_as_an_object(edge: Edge) -> None:
    assert (await edge.post()).status == 200
    assert edge.came == [{"type": "message", "text": "hello"}]


async def test_a_charset_and_pieces_change_nothing(edge: Edge) -> None:
    pieces = [ACTIVITY[:9], ACTIVITY[9:], b""]
    answer = await edge.post(media_type="Application/JSON; charset=utf-8", pieces=pieces)
    assert answer.status == 200


async def test_what_is_not_signed_is_refused_and_not_answered(edge: Edge) -> None:
    forged = ((b"authorization", b"Bearer x.y.z"),)
    assert (await edge.post(headers=forged)).refuses(401, "teams_not_signed")
    assert edge.came == []


async def test_without_a_token_no_body_is_read(edge: Edge) -> None:
    assert (await edge.post(headers=())).refuses(401, "teams_not_signed")
    assert edge.read == 0


async def test_teams_is_told_to_come_back_while_microsoft_is_away(edge: Edge) -> None:
    edge.wire.is_away = True
    assert (await edge.post()).refuses(503, "teams_unavailable")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"])
async def test_another_method_is_refused(edge: Edge, method: str) -> None:
    answer = await edge.post(method=method)
    assert answer.refuses(405, "method_not_allowed")
    assert answer.headers[b"allow"] == b"POST"


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_another_media_type_is_refused(edge: Edge, media_type: str) -> None:
    answer = await edge.post(media_type=media_type)
    assert answer.refuses(415, "unsupported_media_type")


@pytest.mark.parametrize("name", [b"authorization", b"content-type", b"content-length"])
async def test_a_header_that_is_there_twice_is_refused(edge: Edge, name: bytes) -> None:
    twice = (TOKEN, (name, b"1"), (name, b"2"))
    assert (await edge.post(headers=twice)).refuses(400, "malformed_body")


async def test_a_body_of_the_largest_size_passes_and_a_larger_one_does_not(edge: Edge) -> None:
    head, tail = b'{"type": "message", "text": "', b'"}'
    whole = head + b"a" * (LIMIT - len(head) - len(tail)) + tail
    assert (await edge.post(whole)).status == 200
    assert (await edge.post(whole + b" ")).refuses(413, "body_too_large")


async def test_a_body_without_an_end_is_cut_off(edge: Edge) -> None:
    pieces = [b" " * 65_536] * 1000
    assert (await edge.post(pieces=pieces)).refuses(413, "body_too_large")
    assert edge.read <= 5


async def test_a_body_that_does_not_come_is_not_waited_for(edge: Edge) -> None:
    assert (await edge.post(hangs=True)).refuses(400, "malformed_body")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": "\xff"}',
        b"\xff\xfe{\x00}\x00",
        b'{"a": "\\u0000"}',
        b'{"a": "\\ud800"}',
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
async def test_what_is_no_object_that_can_be_kept_is_refused(edge: Edge, body: bytes) -> None:
    assert (await edge.post(body)).refuses(400, "malformed_body")
    assert edge.wire.parsed == []


async def test_nothing_of_body_and_token_is_logged(edge: Edge) -> None:
    forged = ((b"authorization", b"Bearer s3cret.s3cret.s3cret"),)
    with capture_logs() as entries:
        await edge.post(b'{"text": "private"}', headers=forged)
        await edge.post(b'{"text": "private"')
    assert [entry["event"] for entry in entries] == ["teams.refused"] * 2
    assert "private" not in str(entries)
    assert "s3cret" not in str(entries)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
@pytest.mark.parametrize("headers", [(), ((b"authorization", b"Bearer x.y.z"),)])
async def test_an_anonymous_caller_on_this_machine_passes(
    address: str, headers: tuple[Raw, ...]
) -> None:
    edge = Edge(is_anonymous=True)
    edge.wire.believes = ""
    assert (await edge.post(headers=headers, client=(address, 5000))).status == 200


@pytest.mark.parametrize(
    "client", [ELSEWHERE, ("10.0.0.5", 1), ("::ffff:203.0.113.7", 1), ("unix", 0), None]
)
async def test_an_anonymous_caller_elsewhere_is_refused(client: tuple[str, int] | None) -> None:
    edge = Edge(is_anonymous=True)
    assert (await edge.post(client=client)).refuses(401, "teams_not_signed")
    assert edge.read == 0


@pytest.mark.parametrize("name", [b"x-forwarded-for", b"forwarded", b"x-real-ip"])
async def test_an_anonymous_caller_behind_a_proxy_here_is_refused(name: bytes) -> None:
    edge = Edge(is_anonymous=True)
    edge.wire.believes = ""
    passed_on = ((name, b"203.0.113.7"),)
    assert (await edge.post(headers=passed_on, client=HERE)).refuses(401, "teams_not_signed")

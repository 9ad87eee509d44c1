"""What stands before Slack's events: every way to get in without being Slack, refused by itself."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
import structlog
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Scope
from structlog.testing import capture_logs

from bots.slack.guard import SlackGuard
from core.domain.canonical import JsonObject
from tests.builders import SteadyClock

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
EVENT = b'{"type": "event_callback", "event": {"type": "message"}}'
LIMIT = 1_000_000

Raw = tuple[bytes, bytes]


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

    def __init__(self, clock: SteadyClock) -> None:
        self.clock = clock
        self.came: list[tuple[JsonObject, Mapping[str, str]]] = []
        self._guard = SlackGuard(self._answer, signing_secret=SECRET, clock=clock)

    async def _answer(self, payload: JsonObject, tried: Mapping[str, str]) -> Response:
        self.came.append((payload, tried))
        return JSONResponse({"ok": True})

    def signed(
        self, body: bytes, *, seconds_off: int = 0, timestamp: str | None = None, key: str = SECRET
    ) -> list[Raw]:
        """Return the two headers that Slack signs a body with."""
        at = timestamp or str(int(self.clock.now().timestamp()) + seconds_off)
        digest = hmac.new(key.encode(), f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()
        return [
            (b"x-slack-request-timestamp", at.encode()),
            (b"x-slack-signature", f"v0={digest}".encode()),
        ]

    async def post(
        self,
        body: bytes = EVENT,
        *,
        media_type: str = JSON,
        headers: list[Raw] | None = None,
        more: tuple[Raw, ...] = (),
        method: str = "POST",
        pieces: list[bytes] | None = None,
    ) -> Answered:
        sent = [
            (b"content-type", media_type.encode()),
            *(self.signed(body) if headers is None else headers),
            *more,
        ]
        scope: Scope = {"type": "http", "method": method, "headers": sent, "path": "/slack/events"}
        left = pieces or [body]
        told: list[Message] = []

        async def receive() -> Message:
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
def edge(clock: SteadyClock) -> Edge:
    return Edge(clock)


async def test_what_slack_has_signed_passes_as_an_object(edge: Edge) -> None:
    assert (await edge.post()).status == 200
    assert edge.came == [({"type": "event_callback", "event": {"type": "message"}}, {})]


async def test_a_form_passes_with_its_fields_and_one_with_a_payload_as_that(edge: Edge) -> None:
    # Bolt's own parser loses this one: it looks for the word anywhere in the body.
    command = {"command": "/sallyport", "text": "explain the payload", "trigger_id": ""}
    await edge.post(urlencode(command).encode(), media_type=FORM)
    click = {"type": "block_actions", "actions": [{"action_id": "ü"}]}
    payload = urlencode({"payload": json.dumps(click)}).encode()
    await edge.post(payload, media_type=f"{FORM}; charset=utf-8")
    assert [payload for payload, _ in edge.came] == [command, click]


async def test_only_what_tells_of_earlier_attempts_passes_beside_the_body(edge: Edge) -> None:
    more = ((b"x-slack-retry-num", b"2"), (b"x-slack-bolt-lazy-only", b"1"))
    await edge.post(more=more)
    assert edge.came[0][1] == {"x-slack-retry-num": "2"}


async def test_a_forged_signature_is_refused(edge: Edge) -> None:
    forged = edge.signed(EVENT, key="another secret")
    assert (await edge.post(headers=forged)).refuses(401, "slack_not_signed")


async def test_a_changed_body_is_refused(edge: Edge) -> None:
    answer = await edge.post(EVENT + b" ", headers=edge.signed(EVENT))
    assert answer.refuses(401, "slack_not_signed")


@pytest.mark.parametrize(
    "signature",
    [b"", b"v0=", b"v0=" + b"0" * 63, b"v1=" + b"0" * 64, b"\xff" * 67, b"v0=" + b"G" * 64],
)
async def test_a_signature_that_is_none_is_refused(edge: Edge, signature: bytes) -> None:
    at, _ = edge.signed(EVENT)
    answer = await edge.post(headers=[at, (b"x-slack-signature", signature)])
    assert answer.refuses(401, "slack_not_signed")


async def test_a_replayed_request_is_refused_once_five_minutes_are_over(edge: Edge) -> None:
    headers = edge.signed(EVENT)
    edge.clock.move(seconds=300)
    assert (await edge.post(headers=headers)).status == 200
    edge.clock.move(seconds=1)
    assert (await edge.post(headers=headers)).refuses(401, "slack_not_signed")


async def test_a_request_from_the_future_is_refused(edge: Edge) -> None:
    headers = edge.signed(EVENT, seconds_off=301)
    assert (await edge.post(headers=headers)).refuses(401, "slack_not_signed")


@pytest.mark.parametrize(
    "timestamp", ["now", "-1", "1e9", "0x5", " 1", "1.5", "9" * 400, "١٢٣", "nan"]
)
async def test_a_timestamp_that_is_no_number_is_refused(edge: Edge, timestamp: str) -> None:
    headers = edge.signed(EVENT, timestamp=timestamp)
    assert (await edge.post(headers=headers)).refuses(401, "slack_not_signed")


@pytest.mark.parametrize("missing", [0, 1])
async def test_a_missing_header_is_refused(edge: Edge, missing: int) -> None:
    headers = edge.signed(EVENT)
    del headers[missing]
    assert (await edge.post(headers=headers)).refuses(401, "slack_not_signed")
    assert (await edge.post(headers=[])).refuses(401, "slack_not_signed")


@pytest.mark.parametrize(
    "name", [b"x-slack-signature", b"x-slack-request-timestamp", b"content-type", b"content-length"]
)
async def test_a_doubled_header_is_refused(edge: Edge, name: bytes) -> None:
    right = {b"content-length": b"57", b"content-type": JSON.encode(), **dict(edge.signed(EVENT))}
    present = [] if name != b"content-length" else [(name, right[name])]
    answer = await edge.post(more=(*present, (name, right[name])))
    assert answer.refuses(400, "malformed_body")


async def test_a_body_that_is_too_large_is_refused(edge: Edge) -> None:
    just = b'{"a": "' + b"x" * (LIMIT - 9) + b'"}'
    assert len(just) == LIMIT
    assert (await edge.post(just)).status == 200
    assert (await edge.post(just + b" ")).refuses(413, "body_too_large")


async def test_a_body_is_counted_whatever_its_length_was_said_to_be(edge: Edge) -> None:
    pieces = [b"x" * 400_000 for _ in range(100)]
    lying = ((b"content-length", b"10"),)
    answer = await edge.post(pieces=pieces, more=lying)
    assert answer.refuses(413, "body_too_large")
    # Cut off at once: what was left of it nobody has read.
    assert len(pieces) == 97


@pytest.mark.parametrize("body", [b"\xff\xfe", b'{"a": "\xc3"}', b'{"a": "\xed\xa0\x80"}'])
async def test_what_is_not_utf_8_is_refused(edge: Edge, body: bytes) -> None:
    assert (await edge.post(body)).refuses(400, "malformed_body")
    assert (await edge.post(body, media_type=FORM)).refuses(400, "malformed_body")


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b'"text"',
        b"1",
        b"",
        b"{",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b"9" * 5000,
        b"[" * 100_000,
        b'{"a":' * 40 + b"1" + b"}" * 40,
        rb'{"a": "\u0000"}',
        rb'{"a": "\ud800"}',
    ],
    ids=lambda body: body[:12].decode(),
)
async def test_what_is_no_json_object_is_refused(edge: Edge, body: bytes) -> None:
    assert (await edge.post(body)).refuses(400, "malformed_body")
    form = urlencode({"payload": body}).encode()
    assert (await edge.post(form, media_type=FORM)).refuses(400, "malformed_body")
    assert edge.came == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form",
        b"a=1&a=2",
        b"a=%ff",
        b"text=%00",
        b"&".join(b"a%d=1" % number for number in range(200)),
    ],
    ids=lambda body: body[:12].decode(),
)
async def test_what_is_no_form_is_refused(edge: Edge, body: bytes) -> None:
    assert (await edge.post(body, media_type=FORM)).refuses(400, "malformed_body")


@pytest.mark.parametrize("media_type", ["", "text/plain", "multipart/form-data", "application/xml"])
async def test_what_is_of_another_kind_is_refused(edge: Edge, media_type: str) -> None:
    assert (await edge.post(media_type=media_type)).refuses(415, "unsupported_media_type")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_another_method_is_refused(edge: Edge, method: str) -> None:
    answer = await edge.post(method=method)
    assert answer.refuses(405, "method_not_allowed")
    assert answer.headers[b"allow"] == b"POST"


async def test_nothing_of_a_body_is_logged_or_repeated(edge: Edge) -> None:
    structlog.reset_defaults()
    body = b'{"planted": "secret words", "a": NaN}'
    with capture_logs() as entries:
        refused = await edge.post(body)
        forged = await edge.post(body, headers=edge.signed(body, key="another"))
    assert [entry["event"] for entry in entries] == ["slack.refused", "slack.refused"]
    said = repr([entries, refused.body, forged.body])
    assert "planted" not in said
    assert "secret words" not in said
    assert SECRET not in said


async def test_a_body_that_never_ends_is_not_waited_for(clock: SteadyClock) -> None:
    async def answering(_payload: JsonObject, _tried: Mapping[str, str]) -> Response:
        raise AssertionError

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    guard = SlackGuard(answering, signing_secret="s", clock=clock, read_seconds=0.01)
    stamp = str(int(clock.now().timestamp())).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"x-slack-request-timestamp", stamp),
        (b"x-slack-signature", b"v0=" + b"0" * 64),
    ]
    await guard({"type": "http", "method": "POST", "headers": headers}, receive, send)
    assert sent[0]["status"] == 400

"""A person of the demo at the front door: HTTP with a token of their own, like anybody's client."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import httpx2

from core.domain.event import EventKind, RunEvent, TextChunk
from core.domain.ids import RunId

_TIMEOUT_SECONDS = 30.0
_TEXT = "text"

Body = dict[str, Any]  # Any: an answer's JSON, looked into where it is used


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The status of an answer, and its JSON."""

    status: int
    body: Body


class Visitor:
    """Asks the REST interface as one person."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        """Take a client that carries the person's token."""
        self._http = http

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str, *, token: str) -> AsyncGenerator[Self]:
        """Enter a visitor of the server at ``url``."""
        async with httpx2.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {token}"},
            timeout=_TIMEOUT_SECONDS,
            trust_env=False,
        ) as http:
            yield cls(http)

    async def get(self, path: str) -> Answered:
        """Return what is at ``path`` of the REST interface."""
        return _answered(await self._http.get(f"/api/v1{path}"))

    async def post(self, path: str, body: Mapping[str, object]) -> Answered:
        """Send ``body`` to ``path`` of the REST interface."""
        return _answered(await self._http.post(f"/api/v1{path}", json=body))

    async def mcp(self, method: str) -> Answered:
        """Make one request of MCP."""
        request: Body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {}}
        accept = {"accept": "application/json, text/event-stream"}
        return _answered(await self._http.post("/mcp", json=request, headers=accept))

    async def events(self, run_id: RunId, *, after: int) -> AsyncGenerator[RunEvent | TextChunk]:
        """Yield what happens in a run behind event ``after``, until the stream ends."""
        path = f"/api/v1/runs/{run_id}/events"
        headers = {"last-event-id": str(after)}
        async with self._http.stream("GET", path, headers=headers) as answer:
            fields: dict[str, str] = {}
            async for line in answer.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                    continue
                if "event" in fields:
                    yield _event(run_id, fields)
                fields = {}


def _answered(answer: httpx2.Response) -> Answered:
    return Answered(status=answer.status_code, body=answer.json())


def _event(run_id: RunId, fields: Mapping[str, str]) -> RunEvent | TextChunk:
    data: Body = json.loads(fields["data"])
    if fields["event"] == _TEXT:
        return TextChunk(run_id=run_id, **data)
    at = datetime.fromisoformat(data.pop("at"))
    return RunEvent(
        run_id=run_id,
        seq=int(fields["id"]),
        kind=EventKind(fields["event"]),
        data=data,
        at=at,
    )

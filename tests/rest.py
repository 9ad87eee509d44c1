"""A world behind a real HTTP server, and clients that hold every answer against its description."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from jsonschema import Draft202012Validator
from starlette.applications import Starlette
from starlette.types import ASGIApp

from core.app import App
from core.domain.ids import RunId, TenantId
from core.domain.principal import Caller
from core.store.readiness import Readiness
from sallyport.http import http_app, serve
from sallyport.settings import HttpSettings
from tests.databases import Urls
from tests.loopback import http_client
from tests.world import World, world_on

Json = dict[str, Any]  # Any: an answer, looked into by the test


class EagerDispatcher:
    """The Dispatcher port for a world that drives what is due at once, in the background."""

    def __init__(self) -> None:
        self.due: asyncio.Queue[tuple[TenantId, RunId, int]] = asyncio.Queue()

    async def enqueue(self, tenant_id: TenantId, *, run_id: RunId, segment: int) -> None:
        self.due.put_nowait((tenant_id, run_id, segment))


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A world that answers HTTP at ``url``."""

    world: World
    url: str
    asgi: Starlette
    document: Json

    @asynccontextmanager
    async def client(self, who: Caller | str | None) -> AsyncGenerator["Client"]:
        """Enter a client with a token of this person's, with this very token, or with none."""
        token = await self.world.token(who.principal) if isinstance(who, Caller) else who
        headers = {"authorization": f"Bearer {token}"} if token is not None else {}
        async with http_client(base_url=self.url, headers=headers, timeout=30) as http:
            yield Client(http, document=self.document)


class Client:
    """Asks the API; whatever it answers must be what its OpenAPI document says."""

    def __init__(self, http: httpx2.AsyncClient, *, document: Json) -> None:
        self.http = http
        self._document = document

    async def get(
        self, path: str, *, status: int = 200, headers: Mapping[str, str | bytes] | None = None
    ) -> Json:
        answer = await self.http.get(f"/api/v1{path}", headers=_raw(headers))
        return self._checked("get", path, answer, status=status)

    async def post(
        self,
        path: str,
        body: object = None,
        *,
        status: int = 200,
        headers: Mapping[str, str | bytes] | None = None,
    ) -> Json:
        answer = await self.http.post(f"/api/v1{path}", json=body, headers=_raw(headers))
        return self._checked("post", path, answer, status=status)

    def _checked(self, method: str, path: str, answer: httpx2.Response, *, status: int) -> Json:
        assert answer.status_code == status, answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        operation = self._operation(method, path.partition("?")[0])
        described = operation["responses"][str(status)]["content"]
        media_type = answer.headers["content-type"]
        told: Json = answer.json()
        Draft202012Validator(
            {**described[media_type]["schema"], "components": self._document["components"]}
        ).validate(told)  # pyright: ignore[reportUnknownMemberType] - its stubs leave it open
        return told

    def _operation(self, method: str, path: str) -> Json:
        asked = f"/api/v1{path}".split("/")
        for pattern, operations in self._document["paths"].items():
            parts: list[str] = pattern.split("/")
            fits = len(parts) == len(asked) and all(
                part.startswith("{") or part == told
                for part, told in zip(parts, asked, strict=True)
            )
            if fits and method in operations:
                return operations[method]
        message = f"{method} {path} is not described"
        raise AssertionError(message)


def _raw(headers: Mapping[str, str | bytes] | None) -> dict[bytes, bytes]:
    """Return headers as they go over the wire, so that a test may send what a client would not."""
    return {
        name.encode(): value.encode() if isinstance(value, str) else value
        for name, value in (headers or {}).items()
    }


@asynccontextmanager
async def served(
    urls: Urls,
    folder: Path,
    *,
    script: str,
    settings: HttpSettings | None = None,
    keep_alive_seconds: float = 15.0,
) -> AsyncGenerator[Served]:
    """Serve a world on a free port, and drive what is due."""
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(world_on(urls, folder, script=script))
        dispatcher = EagerDispatcher()
        app = world.assembly.build_app(dispatcher)
        asgi = application(world, app=app, settings=settings, keep_alive_seconds=keep_alive_seconds)
        url = await stack.enter_async_context(listening(asgi))

        async def drive() -> None:
            while True:
                await world.loop.drive(*await dispatcher.due.get())

        group = await stack.enter_async_context(asyncio.TaskGroup())
        driving = group.create_task(drive())
        stack.callback(driving.cancel)
        async with http_client() as http:
            document: Json = (await http.get(f"{url}/api/v1/openapi.json")).json()
        yield Served(world=world, url=url, asgi=asgi, document=document)


def application(
    world: World,
    *,
    app: App,
    mcp: ASGIApp | None = None,
    settings: HttpSettings | None = None,
    keep_alive_seconds: float = 15.0,
) -> Starlette:
    """Return the HTTP side of a world."""
    return http_app(
        app=app,
        tokens=world.assembly.tokens,
        mcp=mcp,
        readiness=Readiness(world.assembly.database).check,
        settings=settings or HttpSettings(),
        clock=world.assembly.clock,
        keep_alive_seconds=keep_alive_seconds,
    )


@asynccontextmanager
async def listening(asgi: Starlette) -> AsyncGenerator[str]:
    """Serve an application on a free port of this machine and yield its address."""
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(serve(asgi, host="127.0.0.1", port=0, ready=port.set_result))
        yield f"http://127.0.0.1:{await port}"
        serving.cancel()

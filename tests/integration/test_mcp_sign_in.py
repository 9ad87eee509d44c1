"""The SDK's own client signs in through a real server: discovery, client, consent, calls."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import pytest
import uvicorn
from mcp import Client
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from pydantic import AnyUrl
from starlette.applications import Starlette
from starlette.routing import Route

from core.domain.principal import Principal
from mcp_server.auth.metadata import resource_metadata_url
from mcp_server.http import McpEndpoint
from sallyport.clock import SystemClock
from tests.databases import Urls
from tests.front_desk import Parts, Shelf, parts_on
from tests.loopback import http_client
from tests.waiting import until
from tests.world import World, world_on

SCRIPT: Final = "scripts: [{contains: x, turns: [{say: x}]}]"
CALLBACK: Final = "http://127.0.0.1:8765/callback"
DOCUMENT: Final = "https://client.test/mcp/client.json"


@dataclass(slots=True)
class Memory(TokenStorage):
    """What a client keeps between two starts."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass(slots=True)
class Browser:
    """A person at a browser who allows whatever the page asks; it stops at the client's address."""

    parts: Parts
    url: str
    person: Principal
    answers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    async def visit(self, address: str) -> None:
        """Go where the client sends the person, and do what is asked there."""
        cookie = self.parts.doorman.let_in(self.person)
        headers = {"cookie": f"who={cookie}", "origin": self.url}
        async with http_client(base_url=self.url, headers=headers) as http:
            page = (await http.get(address)).headers["location"]
            shown = await http.get(page)
            if shown.status_code == 200:
                csrf = self.parts.doorman.sessions[cookie].csrf
                shown = await http.post(page, data={"form_token": csrf, "answer": "allow"})
        location = urlsplit(shown.headers["location"])
        assert location._replace(query="").geturl() == CALLBACK
        self.answers.append(dict(parse_qsl(location.query)))

    async def came_back(self) -> AuthorizationCodeResult:
        """Return what the browser brought to the client's address."""
        answer = self.answers[-1]
        return AuthorizationCodeResult(
            code=answer["code"], state=answer.get("state"), iss=answer.get("iss")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A world's MCP endpoint and the authorization server beside it, at one address."""

    url: str
    world: World
    parts: Parts
    shelf: Shelf

    def client(
        self, person: Principal, *, memory: Memory, document: str | None = None
    ) -> tuple[OAuthClientProvider, Browser]:
        """Return the SDK's way in for this person."""
        browser = Browser(parts=self.parts, url=self.url, person=person)
        provider = OAuthClientProvider(
            server_url=f"{self.url}/mcp",
            client_metadata=OAuthClientMetadata(
                redirect_uris=[AnyUrl(CALLBACK)],
                client_name="The SDK",
                token_endpoint_auth_method=None if document is None else "none",
            ),
            storage=memory,
            redirect_handler=browser.visit,
            callback_handler=browser.came_back,
            client_metadata_url=document,
        )
        return provider, browser

    async def listed(self, provider: OAuthClientProvider) -> set[str]:
        """Return the names of the tools that are there for whoever signed in."""
        async with (
            http_client(auth=provider, timeout=30) as http,
            Client(streamable_http_client(f"{self.url}/mcp", http_client=http)) as client,
        ):
            return {tool.name for tool in (await client.list_tools()).tools}

    async def called(self, provider: OAuthClientProvider, tool: str) -> dict[str, object]:
        """Call a tool that takes nothing, and return its result."""
        async with (
            http_client(auth=provider, timeout=30) as http,
            Client(streamable_http_client(f"{self.url}/mcp", http_client=http)) as client,
        ):
            return (await client.call_tool(tool, {})).structured_content or {}


@pytest.fixture
async def server(urls: Urls, tmp_path: Path) -> AsyncGenerator[Server]:
    async with world_on(urls, tmp_path, script=SCRIPT) as world, serving(world) as server:
        yield server


@asynccontextmanager
async def serving(world: World) -> AsyncGenerator[Server]:
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    shelf = Shelf()
    parts = parts_on(world.assembly.database, clock=SystemClock(), issuer=url, documents=shelf)
    endpoint = McpEndpoint(
        world.app, tokens=parts.tokens, resource_metadata=resource_metadata_url(url)
    )
    app = Starlette(
        routes=[Route("/mcp", endpoint=endpoint.asgi), *parts.routes],
        lifespan=lambda _: endpoint.lifespan(),
    )
    running = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))

    async def is_up() -> bool:
        return running.started

    async with asyncio.TaskGroup() as group:
        task = group.create_task(running.serve(sockets=[listening]))
        try:
            await until(is_up)
            yield Server(url=url, world=world, parts=parts, shelf=shelf)
        finally:
            running.should_exit = True
            await asyncio.wait([task])


async def test_a_client_registers_signs_in_and_calls(server: Server) -> None:
    acme = await server.world.company()
    memory = Memory()
    provider, browser = server.client(acme.member.principal, memory=memory)
    assert "list_projects" in await server.listed(provider)
    assert "projects" in await server.called(provider, "list_projects")
    assert browser.answers[0]["iss"] == server.url
    assert len(browser.answers) == 1
    assert memory.client is not None
    assert memory.client.client_id.startswith("spc_")
    assert memory.client.client_secret
    assert memory.tokens is not None
    assert memory.tokens.scope == "approvals:read runs:read runs:start tools:call"


async def test_a_client_known_by_its_document_signs_in_and_calls(server: Server) -> None:
    acme = await server.world.company()
    server.shelf.documents[DOCUMENT] = json.dumps(
        {"client_id": DOCUMENT, "client_name": "The SDK", "redirect_uris": [CALLBACK]}
    ).encode()
    memory = Memory()
    provider, _ = server.client(acme.member.principal, memory=memory, document=DOCUMENT)
    assert "projects" in await server.called(provider, "list_projects")
    assert memory.client is not None
    assert memory.client.client_id == DOCUMENT
    assert server.parts.pages.shown[0]["client_name"] == "The SDK (client.test)"


async def test_a_client_goes_on_with_its_refresh_token(server: Server) -> None:
    acme = await server.world.company()
    memory = Memory()
    provider, _ = server.client(acme.member.principal, memory=memory)
    await server.listed(provider)
    assert memory.tokens is not None
    first = memory.tokens
    provider.context.token_expiry_time = 1.0
    assert "projects" in await server.called(provider, "list_projects")
    assert memory.tokens.access_token != first.access_token
    assert memory.tokens.refresh_token != first.refresh_token


async def test_a_scope_that_is_missing_is_asked_for_and_got(server: Server) -> None:
    acme = await server.world.company()
    memory = Memory()
    provider, browser = server.client(acme.member.principal, memory=memory)
    await server.listed(provider)
    assert memory.client is not None
    assert memory.tokens is not None
    fewer = await server.parts.families.refresh(
        memory.tokens.refresh_token or "",
        client_id=memory.client.client_id,
        scope="runs:read",
        resource=None,
    )
    provider.context.current_tokens = OAuthToken(
        access_token=fewer.access_token, scope="runs:read", expires_in=600
    )
    assert "approvals" in await server.called(provider, "list_approvals")
    assert len(browser.answers) == 2
    assert "approvals:read" in (memory.tokens.scope or "")


async def test_two_people_of_two_companies_see_their_own(server: Server) -> None:
    for name in ("acme", "globex"):
        company = await server.world.company(name)
        provider, _ = server.client(company.member.principal, memory=Memory())
        listed = json.dumps(await server.called(provider, "list_projects"))
        assert listed.count('"id"') == 1
        assert str(company.project_id) in listed

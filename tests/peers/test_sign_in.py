"""Three clients that we did not write sign in through a provider that is not ours either."""

import asyncio
import json
import os
import pty
import re
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from tests.loopback import http_client
from tests.outside import ENVIRONMENT, Npm
from tests.peers.acme import ALICE, Acme
from tests.peers.serving import free_port

pytestmark = [pytest.mark.peer, pytest.mark.timeout(600)]

_HERE = Path(__file__).parent
_SECONDS = 120
_WHERE = re.compile(rb"https?://\S+/oauth/authorize\?\S+")


class Pocket(TokenStorage):
    """Keeps what the Python SDK is given."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """Where a browser brings the answer: a listener on loopback, as desktop clients have."""

    url: str
    arrived: asyncio.Future[dict[str, str]]


@asynccontextmanager
async def callback() -> AsyncGenerator[Callback]:
    arrived: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readline()).split()[1].decode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nOK")
        await writer.drain()
        writer.close()
        told = parse_qs(urlsplit(target).query, strict_parsing=True)
        arrived.set_result({name: value for name, (value,) in told.items()})

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield Callback(url=f"http://127.0.0.1:{port}/callback", arrived=arrived)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_python_sdk_signs_in_waits_and_gets_the_result(acme: Acme, mode: str) -> None:
    url, pocket = f"{acme.served.url}/mcp", Pocket()
    async with acme.person(ALICE) as alice, callback() as back:

        async def send_alice(there: str) -> None:
            assert (await alice.go(there)).status == httpx2.codes.OK

        async def told() -> AuthorizationCodeResult:
            return AuthorizationCodeResult(**await back.arrived)

        auth = OAuthClientProvider(
            url,
            OAuthClientMetadata(client_name="Python peer", redirect_uris=[AnyUrl(back.url)]),
            pocket,
            redirect_handler=send_alice,
            callback_handler=told,
        )
        async with (
            http_client(auth=auth, timeout=_SECONDS) as http,
            Client(streamable_http_client(url, http_client=http), mode=mode) as client,
        ):

            async def call(tool: str, arguments: Mapping[str, object]) -> dict[str, Any]:
                answer = await client.call_tool(tool, dict(arguments))
                assert not answer.is_error, answer.content
                return answer.structured_content

            assert "delete_task" in {tool.name for tool in (await client.list_tools()).tools}
            await acme.is_served_by(call)

    assert "/oauth/consent" in alice.seen
    assert pocket.tokens is not None
    assert pocket.tokens.refresh_token
    assert "approvals:decide" not in (pocket.tokens.scope or "")


async def test_the_typescript_sdk_signs_in_waits_and_gets_the_result(acme: Acme, npm: Npm) -> None:
    # A module finds its imports from where it lies.
    script = await asyncio.to_thread(
        shutil.copyfile, _HERE / "sign_in.mjs", npm.folder / "sign_in.mjs"
    )
    async with (
        started(npm.node, str(script), f"{acme.served.url}/mcp") as process,
        acme.person(ALICE) as alice,
    ):
        assert (await alice.go((await line(process))["authorize"])).status == httpx2.codes.OK
        listed = await line(process)
        assert "delete_task" in listed["tools"]
        assert "approvals:decide" not in listed["scope"]

        async def call(tool: str, arguments: Mapping[str, object]) -> dict[str, Any]:
            wanted = json.dumps({"tool": tool, "arguments": arguments})
            cast("asyncio.StreamWriter", process.stdin).write(f"{wanted}\n".encode())
            answer = await line(process)
            assert not answer.get("isError"), answer
            return answer["structuredContent"]

        await acme.is_served_by(call)
    assert "/oauth/consent" in alice.seen


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_the_inspector_signs_in_waits_and_gets_the_result(
    acme: Acme, npm: Npm, tmp_path: Path, era: str
) -> None:
    home = tmp_path / "home"
    await asyncio.to_thread(home.mkdir)
    environment = {
        "HOME": str(home),
        "PATH": ENVIRONMENT["PATH"],
        "MCP_CATALOG_PATH": str(home / "catalog.json"),
        "MCP_AUTO_OPEN_ENABLED": "false",
    }
    launcher = npm.script("@modelcontextprotocol/inspector/clients/launcher/build/index.js")
    command = [
        *(npm.node, launcher, "--cli", f"{acme.served.url}/mcp", "--protocol-era", era),
        *("--callback-url", f"http://127.0.0.1:{free_port()}/oauth/callback"),
        *("--format", "json"),
    ]

    async with acme.person(ALICE) as alice:

        async def inspect(*arguments: str) -> dict[str, Any]:
            # Tokens live in the system's keychain, and where there is none no longer than a
            # command: each signs in, and only the first finds a browser that nobody knows.
            async with started(
                *command, *arguments, environment=environment, has_terminal=True
            ) as process:
                said = cast("asyncio.StreamReader", process.stderr)
                assert (await alice.go(await told_where(said))).status == httpx2.codes.OK
                return await result_of(process)

        async def call(tool: str, arguments: Mapping[str, object]) -> dict[str, Any]:
            answer = await inspect(
                *("--method", "tools/call", "--tool-name", tool),
                *("--tool-args-json", json.dumps(arguments)),
            )
            assert not answer.get("isError"), answer
            return answer["structuredContent"]

        listed = await inspect("--method", "tools/list")
        assert "delete_task" in {tool["name"] for tool in listed["tools"]}
        assert "/oauth/consent" in alice.seen
        await acme.is_served_by(call)


@asynccontextmanager
async def started(
    *command: str, environment: Mapping[str, str] | None = None, has_terminal: bool = False
) -> AsyncGenerator[Process]:
    """Run a client until the block is left; ``has_terminal``: somebody could type."""
    keyboard, typed = pty.openpty() if has_terminal else (None, PIPE)
    process = await asyncio.create_subprocess_exec(
        *command,
        env=dict(environment or ENVIRONMENT),
        stdin=typed,
        stdout=PIPE,
        stderr=PIPE if has_terminal else None,
        limit=2**22,
    )
    try:
        yield process
    finally:
        if keyboard is not None:
            os.close(keyboard)
            os.close(typed)
        elif process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def line(process: Process) -> dict[str, Any]:  # Any: whatever the client tells
    """Return the next line that a client tells."""
    async with asyncio.timeout(_SECONDS):
        told = await cast("asyncio.StreamReader", process.stdout).readline()
    assert told, "it ended"
    return json.loads(told)


async def told_where(said: asyncio.StreamReader) -> str:
    """Return where a client sends its person."""
    seen = b""
    async with asyncio.timeout(_SECONDS):
        while (found := _WHERE.search(seen)) is None or not seen.endswith(b"\n"):
            more = await said.read(4096)
            assert more, seen.decode()
            seen += more
    return found[0].decode()


async def result_of(process: Process) -> dict[str, Any]:  # Any: MCP's JSON
    """Return the one result that a client prints before it ends."""
    async with asyncio.timeout(_SECONDS):
        told = await cast("asyncio.StreamReader", process.stdout).read()
    return json.loads(told)["result"]

"""The public suite's scenarios for authorization servers, against ours on a whole server."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import click
import httpx2
import pytest

from tests.conformance.suite import read
from tests.loopback import http_client
from tests.outside import Npm
from tests.peers.acme import ALICE, Acme
from tests.peers.serving import free_port

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]

_SECONDS: Final = 120
_WHERE: Final = re.compile(rb"https?://\S+/oauth/authorize\?\S+")


async def test_every_authorization_scenario_passes(
    acme: Acme, npm: Npm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, port, folder = acme.served.url, free_port(), tmp_path / "authorization"
    client_id = await _registered(url, redirect_uri=f"http://127.0.0.1:{port}/callback")
    command = [
        *(npm.new_node, npm.script("conformance-next/dist/index.js"), "authorization"),
        *("--url", url, "--client-id", client_id, "--resource", f"{url}/mcp"),
        *("--port", str(port), "-o", str(folder)),
    ]
    async with acme.person(ALICE) as alice:

        async def send_alice(there: str) -> None:
            assert (await alice.go(there)).status == httpx2.codes.OK

        said = await _run(command, send_person=send_alice)

    found = read(folder)
    with capsys.disabled():
        rows = [f"| {name} | {one.in_words} |" for name, one in found.items()]
        head = [
            "",
            "",
            "### 0.2.0-alpha.12, authorization",
            "",
            "| scenario | result |",
            "|---|---|",
        ]
        click.echo("\n".join([*head, *rows]))
    assert found.keys() == {"authorization-server-metadata-endpoint", "authorization-code-grant"}, (
        said
    )
    for name, one in found.items():
        assert one.passed, name
        assert not one.failures, one.failures
        assert not one.warnings, one.warnings


async def _registered(url: str, *, redirect_uri: str) -> str:
    """Register the suite as a client, as RFC 7591 has it, and return its id."""
    wanted = {
        "client_name": "Conformance suite",
        "redirect_uris": [redirect_uri],
        "token_endpoint_auth_method": "none",
    }
    async with http_client() as http:
        made = (await http.post(f"{url}/oauth/register", json=wanted)).raise_for_status()
    return str(made.json()["client_id"])


async def _run(command: list[str], *, send_person: Callable[[str], Awaitable[None]]) -> str:
    """Run the suite, have somebody go where it says, and return all that it said."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    said, has_gone = b"", False
    try:
        async with asyncio.timeout(_SECONDS):
            while more := await process.stdout.read(4096):
                said += more
                found = _WHERE.search(said)
                if found is not None and not has_gone and said.endswith(b"\n"):
                    has_gone = True
                    await send_person(found[0].decode())
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return said.decode()

"""Real processes on one database: what an admin changes in one is heard in all the others."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from mcp import Client, StdioServerParameters, types
from mcp.client.session import IncomingMessage
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from tests.command_line import SCRIPT, CommandLine
from tests.mcp_door import LEGACY, MODERN
from tests.waiting import until

ACME = "--tenant=acme"
ALICE = (ACME, "--as=alice@acme.test")


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """Give the real script on a data folder of its own, with a tenant in it."""
    line = CommandLine(tmp_path, environment={"SALLYPORT_PORT": "0"})
    line.json("tenant", "create", "acme", "--tier=pro")
    line.json("principal", "create", ACME, "--email=alice@acme.test", "--role=member")
    return line


@asynccontextmanager
async def over_http(url: str, token: str) -> AsyncGenerator[Client]:
    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {token}"}, timeout=30) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
    ):
        yield client


async def switched(cli: CommandLine, word: str) -> None:
    """Have an admin's command switch a tool, in a process of its own."""
    await asyncio.to_thread(cli.json, "tool", word, "list_projects", ACME)


async def first_event(client: Client, *, listening: asyncio.Event) -> str:
    async with asyncio.timeout(30), client.listen(tools_list_changed=True) as events:
        listening.set()
        async for event in events:
            return type(event).__name__
    return "ended"


async def test_two_servers_hear_of_what_a_third_process_changes(cli: CommandLine) -> None:
    with (
        cli.running("serve", "--json") as first,
        cli.running("serve", "--no-worker", "--json") as second,
    ):
        urls = [json.loads(one.first_line())["url"] for one in (first, second)]
        token = cli.json("token", "create", *ALICE, "--audience=mcp")["token"]
        opened = [asyncio.Event(), asyncio.Event()]
        async with (
            over_http(urls[0], token) as here,
            over_http(urls[1], token) as there,
            asyncio.TaskGroup() as group,
        ):
            told = [
                group.create_task(first_event(client, listening=event))
                for client, event in zip((here, there), opened, strict=True)
            ]
            for event in opened:
                await event.wait()
            await switched(cli, "disable")
            assert [await one for one in told] == ["ToolsListChanged"] * 2
            for client in (here, there):
                names = {tool.name for tool in (await client.list_tools()).tools}
                assert "list_projects" not in names


@pytest.mark.parametrize("mode", [LEGACY, MODERN])
async def test_standard_streams_hear_of_it_too(cli: CommandLine, mode: str) -> None:
    heard: list[IncomingMessage] = []

    async def hears(message: IncomingMessage) -> None:
        heard.append(message)

    async def has_heard() -> bool:
        return any(isinstance(one, types.ToolListChangedNotification) for one in heard)

    program = StdioServerParameters(
        command=str(SCRIPT), args=["mcp", *ALICE], env=cli.settings, cwd=cli.data_dir
    )
    with (cli.data_dir / "stderr").open("w") as errors:
        async with Client(
            stdio_client(program, errlog=errors), mode=mode, message_handler=hears
        ) as client:
            assert (await client.list_tools()).tools
            if mode == LEGACY:
                await switched(cli, "disable")
                await until(has_heard)
            else:
                opened = asyncio.Event()
                async with asyncio.TaskGroup() as group:
                    told = group.create_task(first_event(client, listening=opened))
                    await opened.wait()
                    await switched(cli, "disable")
                    assert await told == "ToolsListChanged"
            names = {tool.name for tool in (await client.list_tools()).tools}
    assert "list_projects" not in names

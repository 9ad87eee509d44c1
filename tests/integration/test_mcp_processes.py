"""Real processes on one database: what an admin changes in one is heard in all the others."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters, types
from mcp.client.session import IncomingMessage
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from tests.command_line import SCRIPT, CommandLine, CommandLineForked, CommandLineHere
from tests.databases import Urls
from tests.loopback import http_client
from tests.mcp_door import LEGACY, MODERN
from tests.waiting import until

ACME = "--tenant=acme"
ALICE = (ACME, "--as=alice@acme.test")


@pytest.fixture(scope="module")
def here(module_urls: Urls, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Give a tenant of the module's own; each test switches a tool of its own off."""
    data_dir = Path(tmp_path_factory.mktemp("processes"))
    line = CommandLineHere(data_dir, environment=module_urls.settings)
    line.json("tenant", "create", "acme", "--tier=pro")
    line.json("principal", "create", ACME, "--email=alice@acme.test", "--role=member")
    return line


@pytest.fixture
def cli(here: CommandLine) -> CommandLine:
    """Give commands in processes of their own."""
    return CommandLineForked(here.data_dir, environment={**here.settings, "SALLYPORT_PORT": "0"})


@pytest.fixture
def token(here: CommandLine) -> str:
    return here.json("token", "create", *ALICE, "--audience=mcp")["token"]


@asynccontextmanager
async def over_http(url: str, token: str) -> AsyncGenerator[Client]:
    async with (
        http_client(headers={"authorization": f"Bearer {token}"}, timeout=30) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
    ):
        yield client


async def switched_off(cli: CommandLine, tool: str) -> None:
    """Have an admin's command switch a tool off, in a process of its own."""
    await asyncio.to_thread(cli.json, "tool", "disable", tool, ACME)


async def first_event(client: Client, *, listening: asyncio.Event) -> str:
    async with asyncio.timeout(30), client.listen(tools_list_changed=True) as events:
        listening.set()
        async for event in events:
            return type(event).__name__
    return "ended"


async def test_two_servers_hear_of_what_a_third_process_changes(
    cli: CommandLine, token: str
) -> None:
    with (
        cli.running("serve", "--json") as first,
        cli.running("serve", "--no-worker", "--json") as second,
    ):
        urls = [json.loads(one.first_line())["url"] for one in (first, second)]
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
            await switched_off(cli, "list_projects")
            assert [await one for one in told] == ["ToolsListChanged"] * 2
            for client in (here, there):
                names = {tool.name for tool in (await client.list_tools()).tools}
                assert "list_projects" not in names


@pytest.mark.parametrize(("mode", "tool"), [(LEGACY, "create_task"), (MODERN, "assign_task")])
async def test_standard_streams_hear_of_it_too(cli: CommandLine, mode: str, tool: str) -> None:
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
                await switched_off(cli, tool)
                await until(has_heard)
            else:
                opened = asyncio.Event()
                async with asyncio.TaskGroup() as group:
                    told = group.create_task(first_event(client, listening=opened))
                    await opened.wait()
                    await switched_off(cli, tool)
                    assert await told == "ToolsListChanged"
            names = {tool.name for tool in (await client.list_tools()).tools}
    assert tool not in names

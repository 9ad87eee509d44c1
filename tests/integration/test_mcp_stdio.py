"""MCP over a process's standard streams, to a real child process."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from core.domain.approval import Answer
from core.domain.principal import Audience, Caller
from tests.databases import Urls
from tests.mcp_door import LEGACY, MODERN, called
from tests.world import World, world_on

ROOT = Path(__file__).parents[2]
SCRIPT = "scripts: [{match: x, turns: [{say: y}]}]"


@asynccontextmanager
async def child(
    world: World, urls: Urls, folder: Path, *, caller: Caller, mode: str
) -> AsyncGenerator[Client]:
    token = await world.token(caller.principal, audience=Audience.MCP)
    program = StdioServerParameters(
        command=sys.executable,
        args=["-m", "tests.mcp_over_stdio", urls.app, str(folder), token],
        cwd=ROOT,
    )
    with (folder / "stderr").open("w") as errors:
        async with Client(stdio_client(program, errlog=errors), mode=mode) as client:
            yield client


@pytest.mark.parametrize("mode", [LEGACY, MODERN])
async def test_a_person_works_over_standard_streams_through_the_same_door(
    urls: Urls, tmp_path: Path, mode: str
) -> None:
    async with world_on(urls, tmp_path, script=SCRIPT) as world:
        acme = await world.company()
        async with child(world, urls, tmp_path, caller=acme.member, mode=mode) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            projects = await called(client, "list_projects")
            (contract,) = (await client.read_resource("sallyport://tools")).contents
            prompts = (await client.list_prompts()).prompts
            pending = await called(client, "delete_task", {"task_id": str(acme.task_ids[0])})
            (question,) = await world.pending(acme.approver)
            await world.app.decide(
                acme.approver,
                approval_id=question.id,
                answer=Answer.APPROVE,
                digest=question.digest,
            )
            await world.drive()
            settled = await called(
                client, "approval_status", {"approval_id": pending["approval_id"]}
            )
        runs = await world.app.runs(acme.member, before=None, limit=5)
    assert names == sorted(names)
    assert "delete_task" in str(contract)
    assert "weekly_overview" in {prompt.name for prompt in prompts}
    assert projects["projects"][0]["name"] == "Inbox"
    assert settled["result"] == {"task_id": str(acme.task_ids[0]), "deleted": True}
    assert [run.via for run in runs] == ["mcp"]

"""Calls and runs as tasks of the extension: handed out, followed, cancelled, and nobody else's."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import pytest
from mcp import Client, types
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp_types import HEADER_MISMATCH, MISSING_REQUIRED_CLIENT_CAPABILITY
from mcp_types.version import LATEST_MODERN_VERSION
from pydantic import Field

from core.domain.approval import Answer
from core.domain.principal import Caller
from core.domain.run import RunStatus
from mcp_server.peer import TASKS
from mcp_server.waiting import Patience
from tests.databases import Urls
from tests.mcp_door import LEGACY, McpDoor, called, mcp_door
from tests.waiting import until
from tests.world import Company, World, world_on

SCRIPT = """
scripts:
  - match: (?i)projects
    turns:
      - calls: [{tool: list_projects}]
      - say: There is one.
"""
BRIEF = Patience(people=30, worker=30, before_task=0.3)
Said = dict[str, Any]  # Any: what a server said, looked into by the test


@pytest.fixture
async def world(urls: Urls, tmp_path: Path) -> AsyncGenerator[World]:
    async with world_on(urls, tmp_path, script=SCRIPT) as made:
        yield made


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """A client that is not there: each request made by hand, as 2026-07-28 has it."""

    door: McpDoor
    token: str
    capabilities: Mapping[str, object]

    async def send(
        self, method: str, params: Mapping[str, object], *, name: str | None
    ) -> tuple[int, Said]:
        """Return the HTTP status, and what was said."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": LATEST_MODERN_VERSION,
            "io.modelcontextprotocol/clientCapabilities": self.capabilities,
        }
        headers = {
            "authorization": f"Bearer {self.token}",
            "mcp-protocol-version": LATEST_MODERN_VERSION,
            "mcp-method": method,
        }
        if name is not None:
            headers["mcp-name"] = name
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
        answered = await self.door.post(body, **headers)
        return answered.status_code, answered.json()

    async def call(self, tool: str, arguments: Mapping[str, object]) -> Said:
        _, said = await self.send("tools/call", {"name": tool, "arguments": arguments}, name=tool)
        return said["result"]

    async def task(self, task_id: str, method: str = "tasks/get", **more: object) -> Said:
        _, said = await self.send(method, {"taskId": task_id, **more}, name=task_id)
        return said.get("result") or said["error"]


async def by_hand(door: McpDoor, who: Caller, *, takes_tasks: bool = True) -> ByHand:
    no_settings: dict[str, object] = {}
    capabilities: dict[str, object] = {"extensions": {TASKS: no_settings}} if takes_tasks else {}
    return ByHand(door=door, token=await door.token(who), capabilities=capabilities)


async def decide(world: World, by: Caller, *, answer: Answer = Answer.APPROVE) -> None:
    (question,) = await world.pending(by)
    await world.app.decide(by, approval_id=question.id, answer=answer, digest=question.digest)


def deletion(acme: Company) -> dict[str, object]:
    return {"task_id": str(acme.task_ids[0])}


async def test_a_call_that_waits_is_a_task_and_then_its_result(world: World) -> None:
    acme = await world.company()
    async with mcp_door(world, patience=BRIEF) as door:
        client = await by_hand(door, acme.member)
        task = await client.call("delete_task", deletion(acme))
        again = await client.call("delete_task", deletion(acme))
        working = await client.task(task["taskId"])
        await decide(world, acme.approver)
        await world.drive()
        done = await client.task(task["taskId"])
    assert (task["resultType"], task["status"]) == ("task", "working")
    assert task["statusMessage"].startswith("Waiting for an approver to decide: Delete the task")
    assert task["ttlMs"] > 7 * 24 * 3600 * 1000
    assert again["taskId"] == task["taskId"]
    assert (working["resultType"], working["status"]) == ("complete", "working")
    assert (done["resultType"], done["status"]) == ("complete", "completed")
    assert done["result"]["structuredContent"] == {**deletion(acme), "deleted": True}
    assert done["createdAt"] == task["createdAt"]
    assert done["lastUpdatedAt"] > task["lastUpdatedAt"]


async def test_what_is_done_at_once_is_no_task(world: World) -> None:
    acme = await world.company()
    new = {"project_id": str(acme.project_id), "title": "Buy milk"}
    async with mcp_door(world, patience=Patience(before_task=10)) as door:
        client = await by_hand(door, acme.member)
        safe = await client.call("list_projects", {})
        made = await client.call("create_task", new)
    assert safe["resultType"] == made["resultType"] == "complete"
    assert made["structuredContent"]["task"]["title"] == "Buy milk"


async def test_a_refusal_is_the_result_of_a_completed_task(world: World) -> None:
    acme = await world.company()
    async with mcp_door(world, patience=BRIEF) as door:
        client = await by_hand(door, acme.member)
        task = await client.call("delete_task", deletion(acme))
        await decide(world, acme.approver, answer=Answer.DENY)
        await world.drive()
        done = await client.task(task["taskId"])
    assert done["status"] == "completed"
    assert done["result"]["isError"]
    assert done["result"]["structuredContent"]["error"]["code"] == "denied"


async def test_to_cancel_a_task_is_to_cancel_its_run_once_and_for_all(world: World) -> None:
    acme = await world.company()
    async with mcp_door(world, patience=BRIEF) as door:
        client = await by_hand(door, acme.member)
        task = await client.call("delete_task", deletion(acme))
        told = await client.task(task["taskId"], "tasks/cancel")
        gone = await client.task(task["taskId"])
        again = await client.task(task["taskId"], "tasks/cancel")
    (run,) = await world.app.runs(acme.member, before=None, limit=5)
    assert {**told, "_meta": None} == {**again, "_meta": None}
    assert told["resultType"] == "complete"
    assert gone["status"] == "cancelled"
    assert "result" not in gone
    assert run.status is RunStatus.CANCELLED
    assert await world.pending(acme.approver) == ()


async def test_what_a_client_says_of_a_task_decides_nothing(world: World) -> None:
    acme = await world.company()
    async with mcp_door(world, patience=BRIEF) as door:
        client = await by_hand(door, acme.approver)
        owner = await by_hand(door, acme.member)
        task = await owner.call("delete_task", deletion(acme))
        responses = {"a": {"action": "accept"}}
        told = await owner.task(task["taskId"], "tasks/update", inputResponses=responses)
        foreign = await client.task(task["taskId"], "tasks/update", inputResponses=responses)
        still = await owner.task(task["taskId"])
    assert told["resultType"] == "complete"
    assert foreign["code"] == types.INVALID_PARAMS
    assert still["status"] == "working"
    assert len(await world.pending(acme.approver)) == 1


@pytest.mark.parametrize("method", ["tasks/get", "tasks/cancel"])
async def test_a_task_is_its_persons_and_nobody_elses(world: World, method: str) -> None:
    acme, globex = await world.company(), await world.company("globex")
    async with mcp_door(world, patience=BRIEF) as door:
        owner = await by_hand(door, acme.member)
        task = await owner.call("delete_task", deletion(acme))
        run = await owner.call("start_run", {"task": "Which projects?"})
        for who in (acme.admin, acme.approver, globex.member, globex.admin):
            other = await by_hand(door, who)
            for task_id in (task["taskId"], run["taskId"], str(uuid4()), "nonsense"):
                refused = await other.task(task_id, method)
                assert refused["code"] == types.INVALID_PARAMS
                assert refused["message"] == "There is no such task."
        assert (await owner.task(task["taskId"]))["status"] == "working"


async def test_without_the_extension_there_are_no_tasks(world: World) -> None:
    acme = await world.company()
    async with mcp_door(world, patience=Patience(people=0, worker=0)) as door:
        plain = await by_hand(door, acme.member, takes_tasks=False)
        pending = await plain.call("delete_task", deletion(acme))
        call_id = pending["structuredContent"]["call_id"]
        for method in ("tasks/get", "tasks/cancel"):
            status, said = await plain.send(method, {"taskId": call_id}, name=call_id)
            assert status == 400
            assert said["error"]["code"] == MISSING_REQUIRED_CLIENT_CAPABILITY
            needed = said["error"]["data"]["requiredCapabilities"]
            assert needed == {"extensions": {TASKS: {}}}
        listening = {"notifications": {"taskIds": [call_id]}}
        _, said = await plain.send("subscriptions/listen", listening, name=None)
        assert said["error"]["code"] == MISSING_REQUIRED_CLIENT_CAPABILITY
    assert pending["resultType"] == "complete"


async def test_a_header_that_names_another_task_is_refused(world: World) -> None:
    acme = await world.company()
    async with mcp_door(world, patience=BRIEF) as door:
        client = await by_hand(door, acme.member)
        task = await client.call("delete_task", deletion(acme))
        for name in (str(uuid4()), None):
            status, said = await client.send("tasks/get", {"taskId": task["taskId"]}, name=name)
            assert (status, said["error"]["code"]) == (400, HEADER_MISMATCH)


async def test_the_handshake_era_knows_no_tasks(world: World) -> None:
    acme = await world.company()
    asking = {"jsonrpc": "2.0", "id": 1, "method": "tasks/get", "params": {"taskId": "x"}}
    async with mcp_door(world) as door:
        said = await door.post(asking, authorization=f"Bearer {await door.token(acme.member)}")
    assert said.json()["error"]["code"] == types.METHOD_NOT_FOUND


async def test_a_run_of_the_agent_is_a_task_too(world: World) -> None:
    acme = await world.company()
    async with mcp_door(world, patience=BRIEF) as door:
        door.is_driving.clear()
        client = await by_hand(door, acme.member)
        task = await client.call("start_run", {"task": "Which projects?"})
        working = await client.task(task["taskId"])
        await world.drive()
        done = await client.task(task["taskId"])
    assert (task["resultType"], working["status"]) == ("task", "working")
    assert done["status"] == "completed"
    assert done["result"]["structuredContent"]["result"] == "There is one."
    assert done["result"]["structuredContent"]["run_id"] == task["taskId"]


class Handle(types.Result):
    """What a task looks like to the SDK's client."""

    result_type: Literal["task"] = Field(alias="resultType")
    task_id: str = Field(alias="taskId")


class GetTask(types.Request[dict[str, Any], Literal["tasks/get"]]):  # Any: JSON
    """The extension's request, with the parameter that goes into its header."""

    method: Literal["tasks/get"] = "tasks/get"
    params: dict[str, Any]  # Any: JSON
    name_param = "taskId"


class TaskFound(types.Result):
    """What it is answered with."""

    status: str
    result: dict[str, Any] | None = None  # Any: JSON


class Patient(ClientExtension):
    """A client that takes tasks, and asks for them until they are done."""

    identifier = TASKS

    def claims(self) -> tuple[ResultClaim[Handle], ...]:
        return (ResultClaim(result_type="task", model=Handle, resolve=self._resolved),)

    async def _resolved(self, handle: Handle, context: ClaimContext) -> types.CallToolResult:
        while True:
            asking = GetTask(params={"taskId": handle.task_id})
            found = await context.session.send_request(asking, TaskFound)
            if found.result is not None:
                return types.CallToolResult.model_validate(found.result)
            await asyncio.sleep(0.05)


async def test_the_sdks_client_follows_a_task_to_its_result(world: World) -> None:
    acme = await world.company()

    async def has_asked() -> bool:
        return bool(await world.pending(acme.approver))

    async with (
        mcp_door(world, patience=BRIEF) as door,
        door.client(acme.member, extensions=[Patient()]) as client,
        asyncio.TaskGroup() as group,
    ):
        assert declared(client)
        calling = group.create_task(called(client, "delete_task", deletion(acme)))
        await until(has_asked)
        await decide(world, acme.approver)
        told = await calling
        run = await called(client, "start_run", {"task": "Which projects?"})
    assert told == {**deletion(acme), "deleted": True}
    assert run["status"] == "completed"


def declared(client: Client) -> bool:
    return TASKS in (client.server_capabilities.extensions or {})


async def test_the_sdks_client_of_the_handshake_era_is_never_given_a_task(world: World) -> None:
    acme = await world.company()
    async with (
        mcp_door(world, patience=Patience(people=0.2, worker=10)) as door,
        door.client(acme.member, mode=LEGACY, extensions=[Patient()]) as client,
    ):
        pending = await called(client, "delete_task", deletion(acme))
    assert pending["status"] == "pending_approval"

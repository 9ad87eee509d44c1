"""The official MCP Inspector against ``sallyport serve``: a client that we did not write."""

import asyncio
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.outside import Npm
from tests.peers.serving import Served, pending_at
from tests.waiting import until

pytestmark = [pytest.mark.peer, pytest.mark.timeout(600)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspector:
    """The Inspector's command line, with a token that somebody gave it."""

    served: Served
    npm: Npm
    token: str
    era: str

    def inspect(self, *arguments: str) -> dict[str, Any]:  # Any: MCP's JSON
        launcher = self.npm.script(
            "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
        )
        target = ["--cli", f"{self.served.url}/mcp"]
        header = ["--header", f"Authorization: Bearer {self.token}"]
        shown = ["--format", "json", "-q", "--protocol-era", self.era]
        folder = self.served.folder
        done = subprocess.run(
            [self.npm.node, launcher, *target, *header, *shown, *arguments],
            cwd=folder,
            env={
                **self.served.environment,
                "HOME": str(folder),
                "MCP_CATALOG_PATH": str(folder / "catalog.json"),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout, done.stderr
        return json.loads(done.stdout)["result"]

    def call(self, tool: str, arguments: Mapping[str, object]) -> dict[str, Any]:  # Any: its JSON
        return self.inspect(
            *("--method", "tools/call", "--tool-name", tool),
            *("--tool-args-json", json.dumps(arguments)),
        )


def at_acme(served: Served, npm: Npm, *, era: str) -> tuple[Inspector, str]:
    """Return the Inspector with a member's token, and a task of theirs to be rid of."""
    served.sallyport("tenant", "create", "acme")
    for email, role in (("alice@acme.test", "member"), ("bob@acme.test", "approver")):
        served.sallyport(
            "principal", "create", "--tenant", "acme", "--email", email, "--role", role
        )
    token = served.sallyport(
        *("token", "create", "--tenant", "acme", "--as", "alice@acme.test", "--audience", "mcp")
    )["token"]
    inspector = Inspector(served=served, npm=npm, token=token, era=era)

    listed = inspector.inspect("--method", "tools/list", "--strict")["tools"]
    names = [tool["name"] for tool in listed]
    assert names == sorted(names)
    assert {"list_projects", "delete_task", "approval_status"} <= set(names)

    projects = inspector.call("list_projects", {})
    assert projects["isError"] is False
    (inbox,) = projects["structuredContent"]["projects"]
    made = inspector.call("create_task", {"project_id": inbox["id"], "title": "Old draft"})
    return inspector, made["structuredContent"]["task"]["id"]


def approved_by_bob(served: Served, approval_id: str) -> None:
    served.sallyport(
        *("approvals", "decide", approval_id, "approve"),
        *("--tenant", "acme", "--as", "bob@acme.test"),
    )


async def test_a_client_of_the_handshake_era_is_told_to_ask_again(served: Served, npm: Npm) -> None:
    inspector, task_id = at_acme(served, npm, era="legacy")

    pending = inspector.call("delete_task", {"task_id": task_id})["structuredContent"]
    assert pending["status"] == "pending_approval"
    asked = {"approval_id": pending["approval_id"]}
    waiting = inspector.call("approval_status", asked)["structuredContent"]
    assert waiting["status"] == "pending_approval"
    approved_by_bob(served, pending["approval_id"])

    async def is_settled() -> bool:
        seen = inspector.call("approval_status", asked)["structuredContent"]
        return seen["status"] not in {"pending_approval", "running"}

    await until(is_settled, seconds=60)
    settled = inspector.call("approval_status", asked)["structuredContent"]
    assert settled["status"] == "succeeded"
    assert settled["result"] == {"task_id": task_id, "deleted": True}
    assert settled["decided_by"] == ["bob@acme.test"]

    gone = inspector.call("delete_task", {"task_id": task_id})
    assert gone["isError"] is True
    assert gone["structuredContent"]["error"]["code"] == "not_found"


async def test_a_client_that_takes_tasks_follows_the_call_until_people_have_decided(
    served: Served, npm: Npm
) -> None:
    inspector, task_id = await asyncio.to_thread(at_acme, served, npm, era="modern")
    async with asyncio.TaskGroup() as group:
        deleting = group.create_task(
            asyncio.to_thread(inspector.call, "delete_task", {"task_id": task_id})
        )
        approval_id = await pending_at(served, tenant="acme")
        await asyncio.to_thread(approved_by_bob, served, approval_id)
    deleted = deleting.result()
    assert deleted["isError"] is False
    assert deleted["structuredContent"] == {"task_id": task_id, "deleted": True}

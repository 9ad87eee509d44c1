"""What an MCP client of either era sees and does: through the same door as everybody else."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema_rs
import pytest
from mcp import Client, MCPError
from mcp.types import CallToolResult

from core.domain.approval import Answer, ApprovalState
from core.domain.principal import Audience, Caller
from mcp_server.approval_tools import ApprovalTools
from mcp_server.own_tools import OwnTool
from mcp_server.peer import Peer
from mcp_server.tools import Tools
from mcp_server.waiting import Patience, Waiting
from tests.databases import Urls
from tests.mcp_door import LEGACY, MODERN, called, mcp_door
from tests.world import Company, World, world_on

SCRIPT = """
scripts:
  - match: (?i)projects
    turns:
      - calls: [{tool: list_projects}]
      - say: There is one.
  - match: (?i)delete
    turns:
      - calls: [{tool: delete_task, arguments: {task_id: "TASK"}}]
      - say: Done.
"""
ERAS = pytest.mark.parametrize("mode", [LEGACY, MODERN])
OWN = {"approval_status", "decide_approval", "list_approvals", "run_status", "start_run"}


def own_of(world: World) -> tuple[OwnTool[Any], ...]:
    waiting = Waiting(world.app, patience=Patience(worker=0, people=0))
    return ApprovalTools(world.app, waiting=waiting).tools()


def tools_of(
    world: World, *, own: tuple[OwnTool[Any], ...] | None = None, page: int = 100
) -> Tools:
    waiting = Waiting(world.app, patience=Patience(worker=0, people=0))
    return Tools(world.app, own=own or own_of(world), waiting=waiting, page=page)


@pytest.fixture
async def world(urls: Urls, tmp_path: Path) -> AsyncGenerator[World]:
    async with world_on(urls, tmp_path, script=SCRIPT) as made:
        yield made


async def approve(world: World, by: Caller, *, answer: Answer = Answer.APPROVE) -> None:
    (question,) = await world.pending(by)
    await world.app.decide(
        by, approval_id=question.id, answer=answer, digest=question.digest, reason="because"
    )


async def pending_delete(client: Client, acme: Company) -> dict[str, str]:
    pending = await called(client, "delete_task", {"task_id": str(acme.task_ids[0])})
    assert pending["status"] == "pending_approval"
    return pending


@ERAS
async def test_the_list_is_the_callers_sorted_and_for_nobody_else_to_keep(
    world: World, mode: str
) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, door.client(acme.member, mode=mode) as client:
        listed = await client.list_tools()
    names = [tool.name for tool in listed.tools]
    offered = {tool.name for tool in await world.app.tools(acme.member)}
    assert names == sorted(offered | OWN)
    assert (listed.ttl_ms, listed.cache_scope) == (0, "private")
    assert not {"restore_task", "take_back_document_write"} & set(names)


@ERAS
async def test_definitions_tell_what_a_tool_may_do_and_answer(world: World, mode: str) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, door.client(acme.member, mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    hints = {}
    for tool in tools.values():
        assert tool.description
        assert tool.input_schema["additionalProperties"] is False
        assert tool.output_schema
        assert tool.output_schema["type"] == "object"
        jsonschema_rs.meta.validate(tool.output_schema)
        told = tool.annotations
        assert told
        hints[tool.name] = (told.read_only_hint, told.destructive_hint, told.idempotent_hint)
    assert hints["list_projects"] == (True, False, True)
    assert hints["create_task"] == (False, False, False)
    assert hints["delete_task"] == (False, True, False)
    assert hints["send_message_to_user"] == (False, True, False)
    assert hints["approval_status"] == (True, False, True)
    assert hints["start_run"] == (False, False, False)


async def test_pages_of_the_list_join_up_to_the_whole(world: World) -> None:
    acme = await world.company()
    whole = await tools_of(world).listed(acme.member, cursor=None)
    paged = tools_of(world, page=4)
    names: list[str] = []
    cursor = None
    while True:
        page = await paged.listed(acme.member, cursor=cursor)
        assert len(page.tools) <= 4
        names += [tool.name for tool in page.tools]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert names == [tool.name for tool in whole.tools]


@ERAS
async def test_a_cursor_that_is_not_ours_is_a_protocol_error(world: World, mode: str) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, door.client(acme.member, mode=mode) as client:
        for cursor in ("nonsense!", "/w==", "ü"):
            with pytest.raises(MCPError) as raised:
                await client.list_tools(cursor=cursor)
            assert raised.value.error.code == -32602


@ERAS
async def test_a_safe_call_is_answered_in_the_request(world: World, mode: str) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, door.client(acme.member, mode=mode) as client:
        answered = await called(client, "list_projects")
    assert [project["name"] for project in answered["projects"]] == ["Inbox"]
    assert answered["next_cursor"] is None


@ERAS
async def test_an_allowed_effect_is_a_run_and_answered_when_it_is_done_in_time(
    world: World, mode: str
) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, door.client(acme.member, mode=mode) as client:
        made = await called(
            client, "create_task", {"project_id": str(acme.project_id), "title": "Buy milk"}
        )
    assert made["task"]["title"] == "Buy milk"
    runs = await world.app.runs(acme.member, before=None, limit=10)
    assert [(run.kind.value, run.via) for run in runs] == [("call", "mcp")]


@ERAS
async def test_a_call_that_no_worker_takes_up_in_time_is_running(world: World, mode: str) -> None:
    acme = await world.company()
    async with (
        mcp_door(world, wait_seconds=0.05) as door,
        door.client(acme.member, mode=mode) as client,
    ):
        door.is_driving.clear()
        arguments = {"project_id": str(acme.project_id), "title": "Buy milk"}
        running = await called(client, "create_task", arguments)
        assert (running["status"], running.get("approval_id")) == ("running", None)
        await world.drive()
        settled = await called(client, "approval_status", {"approval_id": running["call_id"]})
    assert settled["status"] == "succeeded"
    assert settled["result"]["task"]["title"] == "Buy milk"


@ERAS
async def test_a_pending_call_is_told_and_gives_its_result_once_it_is_approved(
    world: World, mode: str
) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, door.client(acme.member, mode=mode) as client:
        pending = await pending_delete(client, acme)
        asked = {"approval_id": pending["approval_id"]}
        assert (await called(client, "approval_status", asked))["status"] == "pending_approval"
        door.is_driving.clear()
        await approve(world, acme.approver)
        between = await called(client, "approval_status", asked)
        assert (between["status"], between.get("approval_id")) == ("running", None)
        await world.drive()
        settled = await called(client, "approval_status", asked)
        by_call = await called(client, "approval_status", {"approval_id": pending["call_id"]})
    assert settled["status"] == by_call["status"] == "succeeded"
    assert settled["result"] == {"task_id": str(acme.task_ids[0]), "deleted": True}
    assert settled["decided_by"] == ["bob@acme.test"]


async def test_a_token_without_approvals_sees_what_became_of_its_own_call_only(
    world: World,
) -> None:
    acme = await world.company()

    async def narrow(person: Caller) -> str:
        return await world.assembly.tokens.issue(
            person.principal,
            audience=Audience.MCP,
            scopes=frozenset({"tools:call"}),
            ttl=timedelta(hours=1),
        )

    async with mcp_door(world) as door:
        async with door.client_with(await narrow(acme.member)) as client:
            pending = await pending_delete(client, acme)
            asked = {"approval_id": pending["approval_id"]}
            seen = await called(client, "approval_status", asked)
        async with door.client_with(await narrow(acme.approver)) as client:
            refused = await called(client, "approval_status", asked)
    assert (seen["status"], seen["call_id"]) == ("pending_approval", pending["call_id"])
    assert refused["error"]["code"] == "missing_scope"


@ERAS
async def test_a_denied_call_says_who_denied_it(world: World, mode: str) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, door.client(acme.member, mode=mode) as client:
        pending = await pending_delete(client, acme)
        await approve(world, acme.approver, answer=Answer.DENY)
        await world.drive()
        settled = await called(client, "approval_status", {"approval_id": pending["approval_id"]})
    assert settled["status"] == "denied"
    assert settled["error"]["code"] == "denied"
    assert "bob@acme.test" in settled["error"]["message"]
    assert settled["decided_by"] == ["bob@acme.test"]


async def test_a_cancelled_call_has_failed(world: World) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, door.client(acme.member) as client:
        pending = await pending_delete(client, acme)
        (run,) = await world.app.runs(acme.member, before=None, limit=10)
        await world.app.cancel(acme.member, run_id=run.id)
        settled = await called(client, "approval_status", {"approval_id": pending["approval_id"]})
    assert (settled["status"], settled["error"]["code"]) == ("failed", "cancelled")


@ERAS
async def test_the_same_call_joins_the_pending_one_and_is_new_once_that_is_settled(
    world: World, mode: str
) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, door.client(acme.member, mode=mode) as client:
        first = await pending_delete(client, acme)
        again = await pending_delete(client, acme)
        assert again == first
        assert len(await world.pending(acme.approver)) == 1
        async with door.client(acme.admin, mode=mode) as another:
            theirs = await pending_delete(another, acme)
        assert theirs["call_id"] != first["call_id"]
        await world.app.cancel(
            acme.admin, run_id=(await world.app.runs(acme.admin, before=None, limit=1))[0].id
        )
        await approve(world, acme.approver)
        await world.drive()
        gone = await called(client, "delete_task", {"task_id": str(acme.task_ids[0])})
    assert gone["error"]["code"] == "not_found"


Refused = Callable[[Company, Company], tuple[str, dict[str, object]]]
REFUSALS: dict[str, tuple[Refused, str]] = {
    "unknown tool": (lambda _us, _them: ("drop_tables", {}), "unknown_tool"),
    "hidden tool": (
        lambda us, _them: ("restore_task", {"task_id": str(us.task_ids[0])}),
        "unknown_tool",
    ),
    "unknown argument": (lambda _us, _them: ("list_projects", {"a": 1}), "invalid_arguments"),
    "missing argument": (lambda _us, _them: ("delete_task", {}), "invalid_arguments"),
    "wrong type": (
        lambda _us, _them: ("delete_task", {"task_id": ["x"]}),
        "invalid_arguments",
    ),
    "no such task": (lambda _us, _them: ("delete_task", {"task_id": str(uuid4())}), "not_found"),
    "their task": (
        lambda _us, them: ("delete_task", {"task_id": str(them.task_ids[0])}),
        "not_found",
    ),
    "their project": (
        lambda _us, them: ("list_tasks_in_project", {"project_id": str(them.project_id)}),
        "not_found",
    ),
    "no such approval": (
        lambda _us, _them: ("approval_status", {"approval_id": str(uuid4())}),
        "not_found",
    ),
    "no such decision": (
        lambda _us, _them: ("decide_approval", {"approval_id": str(uuid4())}),
        "not_found",
    ),
    "no such run": (lambda _us, _them: ("run_status", {"run_id": str(uuid4())}), "not_found"),
    "own tool's bad argument": (
        lambda _us, _them: ("run_status", {"run_id": "x"}),
        "invalid_arguments",
    ),
    "own tool's unknown argument": (
        lambda _us, _them: ("list_approvals", {"tenant": "globex"}),
        "invalid_arguments",
    ),
    "own tool's unstorable argument": (
        lambda _us, _them: ("start_run", {"task": "a\x00b"}),
        "invalid_arguments",
    ),
    "empty task": (lambda _us, _them: ("start_run", {"task": "  "}), "invalid_task"),
    "bad cursor": (lambda _us, _them: ("list_approvals", {"cursor": "x"}), "invalid_cursor"),
}


@ERAS
async def test_what_is_refused_is_an_error_that_the_model_can_read(world: World, mode: str) -> None:
    us, them = await world.company("acme"), await world.company("globex")
    found: dict[str, str] = {}
    async with mcp_door(world) as door, door.client(us.member, mode=mode) as client:
        for name, (make, _) in REFUSALS.items():
            tool, arguments = make(us, them)
            refused = await called(client, tool, arguments)
            assert refused["error"]["message"]
            found[name] = refused["error"]["code"]
    assert found == {name: code for name, (_, code) in REFUSALS.items()}
    assert not world.dispatcher.due
    assert not await world.app.runs(us.admin, before=None, limit=1)


async def test_another_tenants_calls_approvals_and_runs_are_not_there(world: World) -> None:
    us, them = await world.company("acme"), await world.company("globex")
    async with mcp_door(world) as door:
        async with door.client(them.member) as client:
            theirs = await pending_delete(client, them)
            run = await called(client, "start_run", {"task": "list projects"})
        async with door.client(us.admin) as client:
            for tool, arguments in (
                ("approval_status", {"approval_id": theirs["approval_id"]}),
                ("approval_status", {"approval_id": theirs["call_id"]}),
                ("decide_approval", {"approval_id": theirs["approval_id"]}),
                ("run_status", {"run_id": run["run_id"]}),
            ):
                refused = await called(client, tool, arguments)
                assert refused["error"]["code"] == "not_found"
            assert (await called(client, "list_approvals"))["approvals"] == []


@ERAS
async def test_nobody_decides_over_mcp_whatever_they_may_decide_elsewhere(
    world: World, mode: str
) -> None:
    acme = await world.company()
    async with mcp_door(world, public_url="https://door.example") as door:
        async with door.client(acme.member, mode=mode) as client:
            pending = await pending_delete(client, acme)
        async with door.client(acme.approver, mode=mode) as client:
            asked = {"approval_id": pending["approval_id"]}
            told = await called(client, "decide_approval", asked)
    assert told["error"]["code"] == "decision_needs_page"
    assert pending["approval_id"] in told["ways"]["command"]
    assert told["ways"]["rest"].startswith("GET https://door.example/api/v1/approvals/")
    # Nor in this process with every scope there is, as over stdio.
    result = await tools_of(world).called(
        acme.approver, name="decide_approval", arguments=asked, peer=Peer()
    )
    assert isinstance(result, CallToolResult)
    assert result.is_error
    (question,) = await world.pending(acme.approver)
    assert (question.state, question.decisions) == (ApprovalState.PENDING, ())


async def test_a_closed_approval_says_so_in_place_of_where_to_decide(world: World) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, door.client(acme.member) as client:
        pending = await pending_delete(client, acme)
        await approve(world, acme.approver)
        told = await called(client, "decide_approval", {"approval_id": pending["approval_id"]})
    assert told["error"]["code"] == "approval_closed"


async def test_approvals_are_listed_in_pages_to_those_whom_they_concern(world: World) -> None:
    acme = await world.company()
    async with mcp_door(world) as door:
        async with door.client(acme.member) as client:
            for task_id in acme.task_ids:
                await called(client, "delete_task", {"task_id": str(task_id)})
        async with door.client(acme.approver) as client:
            whole = await called(client, "list_approvals", {"state": "pending"})
            seen: list[str] = []
            cursor = None
            while True:
                page = await called(client, "list_approvals", {"limit": 2, "cursor": cursor})
                seen += [approval["id"] for approval in page["approvals"]]
                cursor = page["next_cursor"]
                if cursor is None:
                    break
            none = await called(client, "list_approvals", {"state": "denied"})
    assert seen == [approval["id"] for approval in whole["approvals"]]
    assert len(seen) == 3
    assert none["approvals"] == []
    newest = whole["approvals"][0]
    assert newest["preview"]["summary"].startswith("Delete the task")
    assert (newest["requester"], newest["approvers"]) == ("alice@acme.test", "an approver")


@ERAS
async def test_a_run_is_started_once_for_a_key_and_tells_its_result(
    world: World, mode: str
) -> None:
    acme = await world.company()
    task = {"task": "How many projects are there?", "request_key": "first"}
    async with mcp_door(world) as door, door.client(acme.member, mode=mode) as client:
        door.is_driving.clear()
        started = await called(client, "start_run", task)
        again = await called(client, "start_run", task)
        waiting = await called(client, "run_status", {"run_id": started["run_id"]})
        await world.drive()
        done = await called(client, "run_status", {"run_id": started["run_id"]})
    assert again["run_id"] == started["run_id"]
    assert (waiting["status"], waiting["result"]) == ("pending", None)
    assert (done["status"], done["result"], done["error"]) == ("completed", "There is one.", None)
    assert done["task"] == task["task"]


async def test_a_waiting_run_names_its_approvals_and_a_stopped_one_its_error(
    urls: Urls, tmp_path: Path
) -> None:
    async with world_on(urls, tmp_path, script=SCRIPT) as first:
        acme = await first.company()
    script = SCRIPT.replace("TASK", str(acme.task_ids[0]))
    async with (
        world_on(urls, tmp_path, script=script) as world,
        mcp_door(world) as door,
        door.client(acme.member) as client,
    ):
        door.is_driving.clear()
        started = await called(client, "start_run", {"task": "Delete it"})
        await world.drive()
        waiting = await called(client, "run_status", {"run_id": started["run_id"]})
        (run,) = await world.app.runs(acme.member, before=None, limit=1)
        await world.app.cancel(acme.member, run_id=run.id)
        stopped = await called(client, "run_status", {"run_id": started["run_id"]})
        (question,) = (await called(client, "list_approvals"))["approvals"]
    assert (waiting["status"], waiting["approvals"]) == ("awaiting_approval", [question["id"]])
    assert (stopped["status"], stopped["approvals"]) == ("cancelled", [])
    assert stopped["error"]["code"] == "cancelled"


async def test_a_narrow_token_sees_and_calls_only_what_its_scopes_hold(world: World) -> None:
    acme = await world.company()
    async with mcp_door(world) as door:
        narrow = await world.assembly.tokens.issue(
            acme.member.principal,
            audience=Audience.MCP,
            scopes=frozenset({"runs:start"}),
            ttl=timedelta(hours=1),
        )
        async with door.client_with(narrow) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            refused = await called(client, "list_projects")
            own = await called(client, "run_status", {"run_id": str(uuid4())})
    assert names == ["start_run"]
    assert refused["error"]["code"] == own["error"]["code"] == "missing_scope"


async def test_a_tool_of_ours_wins_over_one_of_the_same_name(world: World) -> None:
    acme = await world.company()
    (own, *_) = own_of(world)
    twin = replace(own, name="list_projects")
    tools = tools_of(world, own=(twin,))
    listed = await tools.listed(acme.member, cursor=None)
    (shown,) = [tool for tool in listed.tools if tool.name == "list_projects"]
    assert shown.description == own.description
    result = await tools.called(acme.member, name="list_projects", arguments={}, peer=Peer())
    assert isinstance(result, CallToolResult)
    assert result.structured_content["error"]["code"] == "invalid_arguments"


async def test_a_disabled_persons_token_opens_nothing(world: World) -> None:
    acme = await world.company()
    async with mcp_door(world) as door, door.client(acme.member) as client:
        assert await called(client, "list_projects")
        tenant_id = acme.tenant.id
        (token,) = await world.assembly.tokens.page(tenant_id)
        await world.assembly.tokens.revoke(tenant_id, token_id=token.id)
        with pytest.raises(MCPError):
            await client.list_tools()

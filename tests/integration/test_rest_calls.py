"""Tools and calls over REST, from a real client to real tables."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.databases import Urls
from tests.rest import Json, Served, served
from tests.waiting import until

SCRIPT = "scripts: [{contains: hello, turns: [{say: Hello.}]}]"


@pytest.fixture
async def rest(urls: Urls, tmp_path: Path) -> AsyncGenerator[Served]:
    async with served(urls, tmp_path, script=SCRIPT) as made:
        yield made


async def test_a_safe_call_is_answered_in_the_request(rest: Served) -> None:
    acme = await rest.world.company()
    async with rest.client(acme.member) as alice:
        made = await alice.post("/tools/list_projects/calls", {"arguments": {}})
        assert set(made) == {"call_id", "status", "result"}
        assert made["status"] == "succeeded"
        assert [project["name"] for project in made["result"]["projects"]] == ["Inbox"]
        assert await alice.get(f"/calls/{made['call_id']}") == made


async def test_a_call_with_an_effect_that_needs_nobody_is_settled_within_the_request(
    rest: Served,
) -> None:
    acme = await rest.world.company()
    arguments = {"project_id": str(acme.project_id), "title": "Buy milk"}
    async with rest.client(acme.member) as alice:
        made = await alice.post("/tools/create_task/calls", {"arguments": arguments})
        assert made["status"] == "succeeded"
        assert made["result"]["task"]["title"] == "Buy milk"
        assert (await alice.get(f"/runs/{made['run_id']}"))["status"] == "completed"


async def test_a_call_that_people_are_asked_about_is_accepted_with_the_approval(
    rest: Served,
) -> None:
    acme = await rest.world.company()
    arguments = {"task_id": str(acme.task_ids[0])}
    async with rest.client(acme.member) as alice:
        asked = await alice.post("/tools/delete_task/calls", {"arguments": arguments}, status=202)
        assert set(asked) == {"call_id", "run_id", "status", "approval_id"}
        assert asked["status"] == "pending_approval"
        again = await alice.post("/tools/delete_task/calls", {"arguments": arguments}, status=202)
        assert again == asked
        assert await alice.get(f"/calls/{asked['call_id']}") == asked


async def test_a_safe_call_of_what_is_not_there_is_not_found(rest: Served) -> None:
    acme = await rest.world.company()
    globex = await rest.world.company("globex")
    async with rest.client(acme.member) as alice:
        theirs = {"arguments": {"project_id": str(globex.project_id)}}
        nobodys = {"arguments": {"project_id": str(uuid4())}}
        path = "/tools/list_tasks_in_project/calls"
        foreign = await alice.post(path, theirs, status=404)
        missing = await alice.post(path, nobodys, status=404)
        assert foreign["code"] == missing["code"] == "not_found"
        assert foreign["detail"] == missing["detail"]
        nothing = {"arguments": {"document_id": str(uuid4())}}
        unread = await alice.post("/tools/read_document/calls", nothing, status=404)
        assert unread["detail"] == "There is no such document."


async def test_a_dry_run_tells_verdict_and_preview_and_does_nothing(rest: Served) -> None:
    acme = await rest.world.company()
    body = {"arguments": {"task_id": str(acme.task_ids[0])}, "dry_run": True}
    async with rest.client(acme.member) as alice:
        said = await alice.post("/tools/delete_task/calls", body)
        assert said["verdict"] == "require_approval"
        assert said["reasons"]
        assert "Write the report" in said["preview"]["summary"]
        assert (await alice.get("/runs"))["items"] == []
        safe: Json = {"arguments": {}, "dry_run": True}
        assert (await alice.post("/tools/list_projects/calls", safe))["preview"] is None


async def test_undo_takes_a_call_back_once(rest: Served) -> None:
    acme = await rest.world.company()
    arguments = {"project_id": str(acme.project_id), "title": "Buy milk"}
    async with rest.client(acme.member) as alice:
        made = await alice.post("/tools/create_task/calls", {"arguments": arguments})
        undone = await alice.post(f"/calls/{made['call_id']}/undo")
        assert undone["status"] == "succeeded"
        twice = await alice.post(f"/calls/{made['call_id']}/undo", status=409)
        assert twice["code"] == "undone_already"
        listed = await alice.post("/tools/list_projects/calls", {"arguments": {}})
        nothing = await alice.post(f"/calls/{listed['call_id']}/undo", {}, status=409)
        assert nothing["code"] == "nothing_to_undo"


async def test_refusals_are_problems_with_the_code_and_the_sentence(rest: Served) -> None:
    acme = await rest.world.company()
    globex = await rest.world.company("globex")
    theirs = {"arguments": {"task_id": str(globex.task_ids[0])}}
    async with rest.client(acme.member) as alice:
        unknown = await alice.post("/tools/fly/calls", {"arguments": {}}, status=404)
        assert unknown["code"] == "unknown_tool"
        assert unknown["detail"].startswith("There is no tool named fly.")
        invalid = await alice.post("/tools/delete_task/calls", {"arguments": {}}, status=422)
        assert (invalid["code"], invalid["title"]) == (
            "invalid_arguments",
            "Unprocessable Entity",
        )
        foreign = await alice.post("/tools/delete_task/calls", theirs, status=404)
        gone = {"arguments": {"task_id": str(uuid4())}}
        assert await alice.post("/tools/delete_task/calls", gone, status=404) == foreign
        odd = await alice.post("/tools/a%00b/calls", {"arguments": {}}, status=404)
        assert odd["code"] == "unknown_tool"


async def test_a_denied_call_is_a_problem_when_it_is_repeated_by_its_key(rest: Served) -> None:
    acme = await rest.world.company()
    body = {"arguments": {"task_id": str(acme.task_ids[0])}}
    key = {"idempotency-key": "delete-1"}
    async with rest.client(acme.member) as alice, rest.client(acme.approver) as bob:
        asked = await alice.post("/tools/delete_task/calls", body, status=202, headers=key)
        approval = await bob.get(f"/approvals/{asked['approval_id']}")
        answer = {"decision": "deny", "digest": approval["digest"], "reason": "We need it"}
        await bob.post(f"/approvals/{approval['id']}/decision", answer)

        async def is_settled() -> bool:
            return (await alice.get(f"/calls/{asked['call_id']}"))["status"] != "pending_approval"

        await until(is_settled)
        settled = await alice.get(f"/calls/{asked['call_id']}")
        assert settled["status"] == "denied"
        assert settled["error"]["code"] == "denied"
        refused = await alice.post("/tools/delete_task/calls", body, status=403, headers=key)
    assert refused["code"] == "denied"
    assert refused["detail"] == "bob@acme.test denied this: We need it."
    assert refused["facts"]["call_id"] == asked["call_id"]


async def test_the_same_key_makes_a_call_once_and_another_key_makes_another(rest: Served) -> None:
    acme = await rest.world.company()
    body = {"arguments": {"project_id": str(acme.project_id), "title": "Buy milk"}}
    path = "/tools/create_task/calls"
    async with rest.client(acme.member) as alice:
        first = await alice.post(path, body, headers={"idempotency-key": "a"})
        assert await alice.post(path, body, headers={"idempotency-key": "a"}) == first
        other = await alice.post(path, body, headers={"idempotency-key": "b"})
        assert other["call_id"] != first["call_id"]


async def test_racing_requests_with_one_key_make_one_call(rest: Served) -> None:
    acme = await rest.world.company()
    body = {"arguments": {"project_id": str(acme.project_id), "title": "Buy milk"}}
    key = {"idempotency-key": "race"}
    async with rest.client(acme.member) as alice:
        made = await asyncio.gather(
            *(alice.post("/tools/create_task/calls", body, headers=key) for _ in range(8))
        )
        assert len({one["call_id"] for one in made}) == 1
        assert len((await alice.get("/runs"))["items"]) == 1


async def test_tools_are_listed_as_the_caller_may_use_them(rest: Served) -> None:
    acme = await rest.world.company()
    async with rest.client(acme.member) as alice:
        listed = await alice.get("/tools")
    assert listed["next_cursor"] is None
    tools = {tool["name"]: tool for tool in listed["items"]}
    assert tools["delete_task"]["risk"] == "destructive"
    assert tools["create_task"]["input_schema"]["type"] == "object"
    assert "restore_task" not in tools


async def test_a_call_of_somebody_else_is_not_there(rest: Served) -> None:
    acme = await rest.world.company()
    globex = await rest.world.company("globex")
    async with rest.client(acme.member) as alice:
        made = await alice.post("/tools/list_projects/calls", {"arguments": {}})
    for other in (acme.approver, globex.admin):
        async with rest.client(other) as client:
            missing = await client.get(f"/calls/{made['call_id']}", status=404)
            assert missing["code"] == "not_found"
            assert await client.get(f"/calls/{uuid4()}", status=404) == missing
            assert await client.get("/calls/not-an-id", status=404) == missing
            await client.post(f"/calls/{made['call_id']}/undo", status=404)
    async with rest.client(acme.admin) as carol:
        assert (await carol.get(f"/calls/{made['call_id']}"))["status"] == "succeeded"

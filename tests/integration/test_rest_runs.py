"""Runs and their event streams over REST."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from core.domain.ids import RunId
from tests.databases import Urls
from tests.rest import Client, Served, served
from tests.waiting import until

SCRIPT = """
scripts:
  - match: (?i)delete "(?P<title>[^"]+)"
    turns:
      - say: I look for it.
        calls: [{tool: list_projects}]
      - calls:
          - tool: list_tasks_in_project
            arguments: {project_id: "${{ results.list_projects.projects[name=Inbox].id }}"}
      - calls:
          - tool: delete_task
            arguments:
              task_id: "${{ results.list_tasks_in_project.tasks[title=@match.title].id }}"
      - when: {tool: delete_task, outcome: denied}
        say: It was not approved.
      - when: {tool: delete_task}
        say: Deleted.
  - contains: slowly
    turns: [{say: "Word by word by word by word, all of it, to the end.", delay_ms: 800}]
  - contains: holidays
    turns:
      - calls: [{tool: search_documents, arguments: {query: holidays}}]
      - calls:
          - tool: read_document
            arguments: {document_id: "${{ results.search_documents.documents[0].id }}"}
      - say: Thirty.
  - contains: hello
    turns: [{say: Hello.}]
"""

Event = tuple[str, str, dict[str, Any]]  # Any: an event's data, looked into by the test


@pytest.fixture
async def rest(urls: Urls, tmp_path: Path) -> AsyncGenerator[Served]:
    async with served(urls, tmp_path, script=SCRIPT, keep_alive_seconds=0.2) as made:
        yield made


async def events_of(answer: httpx2.Response) -> AsyncIterator[Event]:
    """Yield id, event and data of each event; comments are dropped, as clients do."""
    found: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if line and name:
            found[name] = value
        elif "data" in found:
            yield found.get("id", ""), found["event"], json.loads(found["data"])
            found = {}
        else:
            found = {}


async def followed(
    client: Client, run_id: str, *, after: str | None = None, query: str = ""
) -> list[Event]:
    """Follow a run until the stream ends."""
    headers = {"last-event-id": after} if after is not None else {}
    path = f"/api/v1/runs/{run_id}/events{query}"
    async with client.http.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [event async for event in events_of(answer)]


async def test_a_run_is_accepted_driven_and_shown_whole(rest: Served) -> None:
    acme = await rest.world.company()
    async with rest.client(acme.member) as alice:
        run_id = (await alice.post("/runs", {"task": "say hello"}, status=202))["run_id"]
        assert (await followed(alice, run_id))[-1][1] == "run.completed"
        run = await alice.get(f"/runs/{run_id}")
    assert (run["status"], run["result"], run["error"]) == ("completed", "Hello.", None)
    assert run["requester"] == "alice@acme.test"
    assert run["tenant"] == str(acme.tenant.id)
    assert run["steps"][0]["text"] == "Hello."
    assert 0 < run["cost_micros"] == run["steps"][0]["cost_micros"] <= run["budget_micros"]
    assert run["created_at"] <= run["started_at"] <= run["completed_at"]


async def test_the_main_job_over_rest_asks_waits_decides_and_ends(rest: Served) -> None:
    acme = await rest.world.company()
    async with rest.client(acme.member) as alice, rest.client(acme.approver) as bob:
        task = {"task": 'Delete "Old draft"'}
        run_id = (await alice.post("/runs", task, status=202))["run_id"]

        async def waits() -> bool:
            return (await alice.get(f"/runs/{run_id}"))["status"] == "awaiting_approval"

        await until(waits)
        (approval,) = (await bob.get("/approvals?state=pending"))["items"]
        answer = {"decision": "approve", "digest": approval["digest"]}
        await bob.post(f"/approvals/{approval['id']}/decision", answer)
        kinds = [kind for _, kind, _ in await followed(alice, run_id) if kind != "text"]
        run = await alice.get(f"/runs/{run_id}")
    assert run["result"] == "Deleted."
    assert kinds.index("approval.asked") < kinds.index("approval.decided") < len(kinds) - 1
    assert kinds[0] == "run.started"
    assert run["steps"][2]["calls"][0]["status"] == "succeeded"


async def test_text_comes_while_the_model_speaks(rest: Served) -> None:
    acme = await rest.world.company()
    async with rest.client(acme.member) as alice:
        run_id = (await alice.post("/runs", {"task": "slowly"}, status=202))["run_id"]
        told = await followed(alice, run_id)
    pieces = [(id_, data) for id_, kind, data in told if kind == "text"]
    assert pieces
    assert {id_ for id_, _ in pieces} == {""}
    said = "".join(data["text"] for _, data in pieces)
    assert "Word by word by word by word, all of it, to the end.".startswith(said)
    assert told[-1][1:] == ("run.completed", told[-1][2])
    assert told[-1][2]["result"].endswith("to the end.")


async def test_a_stream_resumes_behind_the_last_event(rest: Served) -> None:
    acme = await rest.world.company()
    async with rest.client(acme.member) as alice:
        run_id = (await alice.post("/runs", {"task": "say hello"}, status=202))["run_id"]
        whole = [event for event in await followed(alice, run_id) if event[1] != "text"]
        assert [int(id_) for id_, _, _ in whole] == list(range(1, len(whole) + 1))
        rest_of_it = await followed(alice, run_id, after="1")
        assert [event for event in rest_of_it if event[1] != "text"] == whole[1:]
        by_query = await followed(alice, run_id, query="?after=1")
        assert [event for event in by_query if event[1] != "text"] == whole[1:]


async def test_a_client_that_has_seen_the_end_is_told_not_to_come_back(rest: Served) -> None:
    acme = await rest.world.company()
    async with rest.client(acme.member) as alice:
        run_id = (await alice.post("/runs", {"task": "say hello"}, status=202))["run_id"]
        last = (await followed(alice, run_id))[-1][0]
        path = f"/api/v1/runs/{run_id}/events"
        answer = await alice.http.get(path, headers={"last-event-id": last})
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("told", ["x", "-1", "9" * 10, "9" * 5000, "٣", "7"])
async def test_an_event_that_we_never_sent_is_nowhere_to_resume(rest: Served, told: str) -> None:
    acme = await rest.world.company()
    async with rest.client(acme.member) as alice:
        run_id = (await alice.post("/runs", {"task": 'Delete "x'}, status=202))["run_id"]
        path = f"/runs/{run_id}/events"
        headers = {"last-event-id": told.encode()}
        refused = await alice.get(path, status=422, headers=headers)
    assert refused["code"] == "invalid_field"
    assert refused["facts"]["key"] == "Last-Event-ID"


async def test_a_waiting_stream_is_kept_alive_and_leaves_nothing_behind(rest: Served) -> None:
    acme = await rest.world.company()
    async with rest.client(acme.member) as alice:
        task = {"task": 'Delete "Old draft"'}
        run_id = (await alice.post("/runs", task, status=202))["run_id"]
        before = len(asyncio.all_tasks())
        path = f"/api/v1/runs/{run_id}/events"
        async with alice.http.stream("GET", path) as answer:
            async for line in answer.aiter_lines():
                if line == ": keep-alive":
                    break
            assert len(asyncio.all_tasks()) > before

        async def is_gone() -> bool:
            return len(asyncio.all_tasks()) <= before

        await until(is_gone)
        await alice.post(f"/runs/{run_id}/cancel", status=202)


async def test_a_stream_ends_when_its_token_is_revoked(rest: Served) -> None:
    acme = await rest.world.company()
    async with rest.client(acme.member) as alice:
        run_id = (await alice.post("/runs", {"task": 'Delete "Old draft"'}, status=202))["run_id"]
        async with alice.http.stream("GET", f"/api/v1/runs/{run_id}/events") as answer:
            tokens = rest.world.assembly.tokens
            kinds: list[str] = []
            async for _, kind, _ in events_of(answer):
                kinds.append(kind)
                if kind == "approval.asked":
                    for token in await tokens.page(acme.tenant.id):
                        await tokens.revoke(acme.tenant.id, token_id=token.id)
        assert kinds[-1] == "approval.asked"
        assert (await alice.get(f"/runs/{run_id}", status=401))["code"] == "invalid_token"


async def test_a_stream_ends_when_the_process_stops(rest: Served) -> None:
    acme = await rest.world.company()
    async with rest.client(acme.member) as alice:
        run_id = (await alice.post("/runs", {"task": 'Delete "Old draft"'}, status=202))["run_id"]
        async with alice.http.stream("GET", f"/api/v1/runs/{run_id}/events") as answer:
            rest.asgi.state.stopping.set()
            assert [kind async for _, kind, _ in events_of(answer)][-1:] != ["run.completed"]


async def test_the_same_key_starts_a_run_once_even_in_a_race(rest: Served) -> None:
    acme = await rest.world.company()
    key = {"idempotency-key": "monday"}
    body = {"task": "say hello"}
    async with rest.client(acme.member) as alice, rest.client(acme.admin) as carol:
        made = await asyncio.gather(
            *(alice.post("/runs", body, status=202, headers=key) for _ in range(8))
        )
        assert len({one["run_id"] for one in made}) == 1
        hers = await carol.post("/runs", body, status=202, headers=key)
        assert hers["run_id"] != made[0]["run_id"]
        assert len((await carol.get("/runs"))["items"]) == 2


async def test_one_key_for_a_run_and_for_a_call_are_two_requests(rest: Served) -> None:
    acme = await rest.world.company()
    key = {"idempotency-key": "monday"}
    body = {"arguments": {"project_id": str(acme.project_id), "title": "Buy milk"}}
    async with rest.client(acme.member) as alice:
        await alice.post("/runs", {"task": "say hello"}, status=202, headers=key)
        made = await alice.post("/tools/create_task/calls", body, headers=key)
    assert made["status"] == "succeeded"


@pytest.mark.parametrize("key", ["", "k" * 201, "two words", "schlüssel"])
async def test_an_odd_key_is_refused_by_name(rest: Served, key: str) -> None:
    acme = await rest.world.company()
    headers = {"idempotency-key": key.encode()}
    async with rest.client(acme.member) as alice:
        refused = await alice.post("/runs", {"task": "hello"}, status=422, headers=headers)
    assert refused["facts"]["key"] == "Idempotency-Key"


async def test_a_cancelled_run_stays_cancelled(rest: Served) -> None:
    acme = await rest.world.company()
    async with rest.client(acme.member) as alice, rest.client(acme.approver) as bob:
        task = {"task": 'Delete "Old draft"'}
        run_id = (await alice.post("/runs", task, status=202))["run_id"]

        async def waits() -> bool:
            return (await alice.get(f"/runs/{run_id}"))["status"] == "awaiting_approval"

        await until(waits)
        assert (await bob.post(f"/runs/{run_id}/cancel", status=403))["code"] == "not_yours"
        cancelled = await alice.post(f"/runs/{run_id}/cancel", {}, status=202)
        assert cancelled["status"] == "cancelled"
        assert cancelled["error"]["code"] == "cancelled"
        assert cancelled["steps"][2]["calls"][0]["status"] == "cancelled"
        again = await alice.post(f"/runs/{run_id}/cancel", status=409)
        assert again["code"] == "run_ended"
        assert (await followed(alice, run_id))[-1][2]["status"] == "cancelled"


async def test_pages_of_runs_hold_every_run_once(rest: Served) -> None:
    acme = await rest.world.company()
    async with rest.client(acme.member) as alice:
        made = [
            (await alice.post("/runs", {"task": f"hello {n}"}, status=202))["run_id"]
            for n in range(5)
        ]
        seen: list[str] = []
        path = "/runs?limit=2"
        while True:
            page = await alice.get(path)
            seen += [run["id"] for run in page["items"]]
            if page["next_cursor"] is None:
                break
            path = f"/runs?limit=2&cursor={page['next_cursor']}"
        assert seen == list(reversed(made))
        for cursor in ("x", "W10", "!!", "WyIxIiwiMiJd", "%00"):
            assert (await alice.get(f"/runs?cursor={cursor}", status=422))["code"]


async def test_who_sees_a_run(rest: Served) -> None:
    acme = await rest.world.company()
    globex = await rest.world.company("globex")
    async with rest.client(acme.member) as alice:
        run_id = (await alice.post("/runs", {"task": "say hello"}, status=202))["run_id"]
    for other in (acme.approver, globex.admin):
        async with rest.client(other) as client:
            missing = await client.get(f"/runs/{run_id}", status=404)
            assert await client.get(f"/runs/{uuid4()}", status=404) == missing
            assert await client.get("/runs/{}", status=404) == missing
            assert await client.get(f"/runs/{run_id}/events", status=404) == missing
            assert await client.post(f"/runs/{run_id}/cancel", status=404) == missing
            assert (await client.get("/runs"))["items"] == []
    async with rest.client(acme.admin) as carol:
        assert [run["id"] for run in (await carol.get("/runs"))["items"]] == [run_id]
        assert RunId(run_id) is not None


async def test_a_task_must_say_something_and_its_agent_must_exist(rest: Served) -> None:
    acme = await rest.world.company()
    async with rest.client(acme.member) as alice:
        assert (await alice.post("/runs", {"task": " "}, status=422))["code"] == "invalid_task"
        gone = await alice.post("/runs", {"task": "hello", "agent": "nobody"}, status=404)
        assert gone["detail"] == "There is no such agent."
        await alice.post("/runs", {"task": "hello", "agent": "default"}, status=202)


async def test_what_an_answer_rests_on_and_what_people_think_of_it(rest: Served) -> None:
    acme = await rest.world.company()
    async with rest.client(acme.member) as alice, rest.client(acme.approver) as bob:
        arguments = {"title": "Holidays", "content": "Thirty days."}
        written = await alice.post("/tools/write_document/calls", {"arguments": arguments})
        run_id = (await alice.post("/runs", {"task": "How many holidays?"}, status=202))["run_id"]

        async def is_done() -> bool:
            return (await alice.get(f"/runs/{run_id}"))["status"] == "completed"

        await until(is_done)
        run = await alice.get(f"/runs/{run_id}")
        document = written["result"]["document"]["id"]
        assert run["sources"] == [{"id": document, "title": "Holidays"}]
        assert run["feedback"] == []

        path = f"/runs/{run_id}/feedback"
        await alice.post(path, {"good": False})
        told = await alice.post(path, {"good": True, "reason": "Thirty!"})
        (feedback,) = told["feedback"]
        assert (feedback["by"], feedback["good"]) == ("alice@acme.test", True)
        assert feedback["reason"] == "Thirty!"
        assert (await alice.get(f"/runs/{run_id}"))["feedback"] == [feedback]
        assert (await bob.post(path, {"good": True}, status=404))["code"] == "not_found"
        assert (await alice.post(path, {"good": "yes"}, status=422))["facts"]["key"] == "good"

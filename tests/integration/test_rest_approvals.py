"""Approvals over REST: who sees them, who decides, and what cannot be decided."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from core.domain.principal import Audience
from tests.databases import Urls
from tests.rest import Json, Served, served
from tests.waiting import until
from tests.world import Company

SCRIPT = "scripts: [{contains: hello, turns: [{say: Hello.}]}]"


@pytest.fixture
async def rest(urls: Urls, tmp_path: Path) -> AsyncGenerator[Served]:
    async with served(urls, tmp_path, script=SCRIPT) as made:
        yield made


async def asked_for(rest: Served, company: Company, *, task: int = 0) -> Json:
    """Have the member ask for a delete, and return the approval as the approver sees it."""
    body = {"arguments": {"task_id": str(company.task_ids[task])}}
    async with rest.client(company.member) as alice, rest.client(company.approver) as bob:
        asked = await alice.post("/tools/delete_task/calls", body, status=202)
        return await bob.get(f"/approvals/{asked['approval_id']}")


def approving(approval: Json, **more: object) -> Json:
    return {"decision": "approve", "digest": approval["digest"], **more}


async def test_an_approval_shows_exactly_what_would_be_done(rest: Served) -> None:
    acme = await rest.world.company()
    approval = await asked_for(rest, acme)
    assert approval["state"] == "pending"
    assert approval["question"] == "permit"
    assert (approval["tool"], approval["risk"]) == ("delete_task", "destructive")
    assert approval["arguments"] == {"task_id": str(acme.task_ids[0])}
    assert "Write the report" in approval["preview"]["summary"]
    assert approval["requester"] == "alice@acme.test"
    assert approval["approvers"]["role"] == "approver"
    assert approval["needed"] == 1
    assert approval["decisions"] == []


async def test_an_approved_call_is_made_and_its_approval_is_closed(rest: Served) -> None:
    acme = await rest.world.company()
    approval = await asked_for(rest, acme)
    path = f"/approvals/{approval['id']}/decision"
    async with rest.client(acme.approver) as bob, rest.client(acme.member) as alice:
        decided = await bob.post(path, approving(approval, reason="Fine."))
        assert decided["state"] == "approved"
        (decision,) = decided["decisions"]
        assert (decision["by"], decision["decision"], decision["reason"], decision["via"]) == (
            "bob@acme.test",
            "approve",
            "Fine.",
            "api",
        )

        async def is_made() -> bool:
            return (await alice.get(f"/calls/{approval['call_id']}"))["status"] == "succeeded"

        await until(is_made)
        closed = await bob.post(path, approving(approval), status=409)
        assert closed["code"] == "approval_closed"
        shown = await bob.get(f"/approvals/{approval['id']}")
        assert (shown["state"], shown["decisions"]) == (decided["state"], decided["decisions"])


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"digest": "0" * 64}, 409, "wrong_digest"),
        ({"decision": "happened"}, 422, "wrong_answer"),
        ({"decision": "maybe"}, 422, "invalid_field"),
        ({"scope": "always"}, 403, "scope_needs_admin"),
        ({"reason": "r" * 2001}, 422, "invalid_field"),
        ({"digest": None}, 422, "invalid_field"),
        ({"as": "carol@acme.test"}, 422, "unknown_key"),
    ],
)
async def test_what_is_not_an_answer_changes_nothing(
    rest: Served, change: Json, status: int, code: str
) -> None:
    acme = await rest.world.company()
    approval = await asked_for(rest, acme)
    async with rest.client(acme.approver) as bob:
        path = f"/approvals/{approval['id']}/decision"
        refused = await bob.post(path, {**approving(approval), **change}, status=status)
        assert refused["code"] == code
        assert await bob.get(f"/approvals/{approval['id']}") == approval


async def test_nobody_decides_for_themselves_and_members_decide_nothing(rest: Served) -> None:
    acme = await rest.world.company()
    approval = await asked_for(rest, acme)
    async with rest.client(acme.member) as alice:
        path = f"/approvals/{approval['id']}/decision"
        refused = await alice.post(path, approving(approval), status=403)
        assert refused["code"] == "missing_scope"
    body = {"arguments": {"task_id": str(acme.task_ids[1])}}
    async with rest.client(acme.approver) as bob:
        asked = await bob.post("/tools/delete_task/calls", body, status=202)
        own = await bob.get(f"/approvals/{asked['approval_id']}")
        refused = await bob.post(f"/approvals/{own['id']}/decision", approving(own), status=403)
        assert refused["code"] == "self_approval"


async def test_an_approval_of_another_company_is_not_there(rest: Served) -> None:
    acme = await rest.world.company()
    globex = await rest.world.company("globex")
    approval = await asked_for(rest, acme)
    async with rest.client(globex.admin) as other:
        await other.get(f"/approvals/{approval['id']}", status=404)
        path = f"/approvals/{approval['id']}/decision"
        assert (await other.post(path, approving(approval), status=404))["code"] == "not_found"
        assert (await other.get("/approvals"))["items"] == []
        await other.get("/approvals/1", status=404)


async def test_racing_answers_have_one_effect(rest: Served) -> None:
    acme = await rest.world.company()
    approval = await asked_for(rest, acme)
    path = f"/api/v1/approvals/{approval['id']}/decision"
    async with rest.client(acme.approver) as bob, rest.client(acme.admin) as carol:
        answers = await asyncio.gather(
            *(
                client.http.post(path, json=approving(approval))
                for client in (bob, carol)
                for _ in range(10)
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19
        assert len((await bob.get(f"/approvals/{approval['id']}"))["decisions"]) == 1


async def test_approvals_are_listed_by_state_and_page_by_page(rest: Served) -> None:
    acme = await rest.world.company()
    made = [(await asked_for(rest, acme, task=task))["id"] for task in range(3)]
    async with rest.client(acme.approver) as bob:
        first = await bob.get("/approvals?limit=2&state=pending")
        second = await bob.get(f"/approvals?limit=2&cursor={first['next_cursor']}")
        seen = [one["id"] for page in (first, second) for one in page["items"]]
        assert seen == list(reversed(made))
        assert (second["next_cursor"], (await bob.get("/approvals?state=denied"))["items"]) == (
            None,
            [],
        )
        wrong = await bob.get("/approvals?state=open", status=422)
        assert wrong["facts"]["key"] == "state"


async def test_a_token_without_the_scope_looks_but_does_not_decide(rest: Served) -> None:
    acme = await rest.world.company()
    approval = await asked_for(rest, acme)
    token = await rest.world.assembly.tokens.issue(
        acme.approver.principal,
        audience=Audience.API,
        scopes=frozenset({"approvals:read"}),
        ttl=timedelta(hours=1),
    )
    async with rest.client(token) as bob:
        await bob.get(f"/approvals/{approval['id']}")
        path = f"/approvals/{approval['id']}/decision"
        refused = await bob.post(path, approving(approval), status=403)
    assert refused["facts"] == {"scope": "approvals:decide"}


async def test_an_edited_call_is_looked_at_approved_and_made(rest: Served) -> None:
    acme = await rest.world.company()
    approval = await asked_for(rest, acme)
    path, other = f"/approvals/{approval['id']}", {"task_id": str(acme.task_ids[1])}
    async with rest.client(acme.approver) as bob, rest.client(acme.member) as alice:
        edit = await bob.post(f"{path}/preview", {"arguments": other})
        assert "Old draft" in edit["preview"]["summary"]
        assert edit["approvers"]["role"] == "approver"
        assert await bob.get(path) == approval
        body = approving(approval, arguments=other, edited_digest=edit["digest"])
        decided = await bob.post(f"{path}/decision", body)
        assert (decided["state"], decided["digest"]) == ("approved", edit["digest"])
        assert (decided["arguments"], decided["edited_by"]) == (other, "bob@acme.test")
        assert decided["original_arguments"] == approval["arguments"]
        (decision,) = decided["decisions"]
        assert (decision["digest"], decision["in_place_of"]) == (edit["digest"], None)

        async def is_made() -> bool:
            return (await alice.get(f"/calls/{approval['call_id']}"))["status"] == "succeeded"

        await until(is_made)
        (step,) = (await alice.get(f"/runs/{approval['run_id']}"))["steps"]
        (call,) = step["calls"]
        assert (call["arguments"], call["edited_by"]) == (other, "bob@acme.test")
        assert call["original_arguments"] == approval["arguments"]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"arguments": {"task_id": str(UUID(int=9))}}, 404, "not_found"),
        ({"arguments": {"task": "x"}}, 422, "invalid_arguments"),
        ({"arguments": {}, "decision": "deny"}, 422, "wrong_answer"),
        ({"arguments": {}, "scope": "run"}, 422, "only_once"),
        ({"arguments": "x"}, 422, "invalid_field"),
        ({"edited_digest": 1}, 422, "invalid_field"),
    ],
)
async def test_an_edit_that_cannot_be_changes_nothing(
    rest: Served, change: Json, status: int, code: str
) -> None:
    acme = await rest.world.company()
    approval = await asked_for(rest, acme)
    path = f"/approvals/{approval['id']}"
    async with rest.client(acme.approver) as bob, rest.client(acme.member) as alice:
        refused = await bob.post(
            f"{path}/decision", {**approving(approval), **change}, status=status
        )
        assert refused["code"] == code
        preview = {"arguments": approval["arguments"]}
        assert (await alice.post(f"{path}/preview", preview, status=403))["code"] == "missing_scope"
        assert await bob.get(path) == approval


async def test_a_client_s_key_finds_its_call_again_after_an_edit(rest: Served) -> None:
    acme = await rest.world.company()
    body = {"arguments": {"task_id": str(acme.task_ids[0])}}
    headers = {"idempotency-key": "once"}
    other = {"task_id": str(acme.task_ids[1])}
    async with rest.client(acme.member) as alice, rest.client(acme.approver) as bob:
        asked = await alice.post("/tools/delete_task/calls", body, status=202, headers=headers)
        approval = await bob.get(f"/approvals/{asked['approval_id']}")
        path = f"/approvals/{approval['id']}/decision"
        await bob.post(path, approving(approval, arguments=other))

        async def is_made() -> bool:
            return (await alice.get(f"/calls/{asked['call_id']}"))["status"] == "succeeded"

        await until(is_made)
        again = await alice.post("/tools/delete_task/calls", body, headers=headers)
        assert again["call_id"] == asked["call_id"]

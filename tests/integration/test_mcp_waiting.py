"""Waiting for people over MCP: for a while with progress, by a page, and whatever hangs up."""

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Literal

import pytest
from mcp import Client, MCPError, types
from mcp.client.context import ClientRequestContext

from core.cedar import CedarPolicy
from core.domain.approval import Answer, Approval, ApprovalState
from core.domain.principal import Caller, Role
from core.domain.verdict import Approvers, RequireApproval, Verdict
from core.identity.master import MasterKeys
from core.ports import Facts, Policy
from mcp_server.waiting import Patience
from sallyport.assembly import Assembly
from tests.databases import Urls
from tests.mcp_door import LEGACY, MODERN, McpDoor, called, mcp_door
from tests.waiting import until
from tests.world import Company, World, world_on

SCRIPT = "scripts: [{match: x, turns: [{say: y}]}]"
ERAS = pytest.mark.parametrize("mode", [LEGACY, MODERN])
LONG = Patience(people=30, worker=30, between_reports=0.2)
BRIEF = Patience(people=0.3, worker=0.3)
URL = "https://door.example"
Action = Literal["accept", "decline", "cancel"]
ACTIONS: tuple[Action, ...] = ("accept", "decline", "cancel")


@pytest.fixture
async def world(urls: Urls, tmp_path: Path) -> AsyncGenerator[World]:
    async with world_on(urls, tmp_path, script=SCRIPT) as made:
        yield made


class TheirOwn(CedarPolicy):
    """Asks about every new task, of whoever wants it themselves."""

    def judge(self, facts: Facts) -> Verdict:
        if facts.tool.name != "create_task":
            return super().judge(facts)
        whoever = Approvers(role=Role.MEMBER, allow_requester=True)
        return RequireApproval(reason="Look twice.", approvers=whoever, rules=("own",))


class OwnAssembly(Assembly):
    def build_policy(self) -> Policy:
        return TheirOwn()


@pytest.fixture
async def own_world(urls: Urls, tmp_path: Path) -> AsyncGenerator[World]:
    async with world_on(urls, tmp_path, script=SCRIPT, kind=OwnAssembly) as made:
        yield made


async def asked(world: World, by: Caller) -> Approval:
    """Return the one question, once it is there."""

    async def is_there() -> bool:
        return bool(await world.pending(by))

    await until(is_there)
    (question,) = await world.pending(by)
    return question


async def decide(world: World, by: Caller, *, answer: Answer = Answer.APPROVE) -> Approval:
    question = await asked(world, by)
    return await world.app.decide(
        by, approval_id=question.id, answer=answer, digest=question.digest
    )


def deletion(acme: Company) -> dict[str, str]:
    return {"task_id": str(acme.task_ids[0])}


@ERAS
@pytest.mark.parametrize("answer", [Answer.APPROVE, Answer.DENY])
async def test_a_call_is_held_until_people_have_answered(
    world: World, mode: str, answer: Answer
) -> None:
    acme = await world.company()
    async with (
        mcp_door(world, patience=LONG) as door,
        door.client(acme.member, mode=mode) as client,
        asyncio.TaskGroup() as group,
    ):
        calling = group.create_task(called(client, "delete_task", deletion(acme)))
        await decide(world, acme.approver, answer=answer)
    told = calling.result()
    if answer is Answer.APPROVE:
        assert told == {"task_id": str(acme.task_ids[0]), "deleted": True}
    else:
        assert told["error"]["code"] == "denied"


@ERAS
async def test_progress_says_who_is_being_asked_and_rises(world: World, mode: str) -> None:
    acme = await world.company()
    heard: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async def has_heard() -> bool:
        return len([one for one in heard if "an approver" in (one[2] or "")]) > 1

    async with (
        mcp_door(world, patience=LONG) as door,
        door.client(acme.member, mode=mode) as client,
        asyncio.TaskGroup() as group,
    ):
        calling = group.create_task(
            client.call_tool("delete_task", deletion(acme), progress_callback=note)
        )
        await until(has_heard)
        await decide(world, acme.approver)
    assert calling.result().structured_content == {**deletion(acme), "deleted": True}
    assert [one[0] for one in heard] == sorted({one[0] for one in heard})
    assert {one[1] for one in heard} == {30.0}
    told = [one[2] for one in heard if "an approver" in (one[2] or "")]
    wanted = 'Waiting for an approver to decide: Delete the task "Write the report" in Inbox.'
    assert set(told) == {wanted}


@ERAS
async def test_an_ordinary_call_that_takes_long_tells_of_progress_too(
    world: World, mode: str
) -> None:
    acme = await world.company()
    heard: list[str | None] = []
    arguments = {"project_id": str(acme.project_id), "title": "Buy milk"}

    async def note(progress: float, total: float | None, message: str | None) -> None:
        assert total is None or progress <= total
        heard.append(message)

    async def has_heard() -> bool:
        return bool(heard)

    async with (
        mcp_door(world, patience=LONG, has_worker=False) as door,
        door.client(acme.member, mode=mode) as client,
        asyncio.TaskGroup() as group,
    ):
        calling = group.create_task(
            client.call_tool("create_task", arguments, progress_callback=note)
        )
        await until(has_heard)
        door.is_driving.set()
        assert not (await calling).is_error
    assert heard[0] == "create_task is under way."


@ERAS
async def test_who_has_waited_long_enough_is_told_where_to_ask(world: World, mode: str) -> None:
    acme = await world.company()
    async with (
        mcp_door(world, patience=BRIEF) as door,
        door.client(acme.member, mode=mode) as client,
    ):
        first = await called(client, "delete_task", deletion(acme))
        again = await called(client, "delete_task", deletion(acme))
        await decide(world, acme.approver)
        await world.drive()
        told = await called(client, "approval_status", {"approval_id": first["approval_id"]})
    assert first == again
    assert first["status"] == "pending_approval"
    assert (told["status"], told["decided_by"]) == ("succeeded", ["bob@acme.test"])


@ERAS
async def test_a_cancelled_wait_is_only_a_cancelled_wait(world: World, mode: str) -> None:
    acme = await world.company()
    async with (
        mcp_door(world, patience=LONG) as door,
        door.client(acme.member, mode=mode) as client,
    ):
        with pytest.raises(MCPError):
            await client.call_tool("delete_task", deletion(acme), read_timeout_seconds=1)
        question = await asked(world, acme.approver)
        await decide(world, acme.approver)
        await world.drive()
        told = await called(client, "approval_status", {"approval_id": str(question.id)})
    assert told["status"] == "succeeded"


@ERAS
async def test_a_client_that_is_killed_while_it_waits_loses_nothing(
    world: World, mode: str
) -> None:
    acme = await world.company()
    async with mcp_door(world, patience=LONG) as door:
        token = await door.token(acme.member)
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.mcp_caller", door.url, token, mode,
            "delete_task", deletion(acme)["task_id"],
        )  # fmt: skip
        question = await asked(world, acme.approver)
        client.send_signal(signal.SIGKILL)
        assert await client.wait() == -signal.SIGKILL
        await decide(world, acme.approver)
        await world.drive()
        async with door.client(acme.member, mode=mode) as another:
            told = await called(another, "approval_status", {"approval_id": str(question.id)})
            twice = await called(another, "delete_task", deletion(acme))
    assert told["result"] == {**deletion(acme), "deleted": True}
    assert twice["error"]["code"] == "not_found"
    assert len(await world.app.runs(acme.member, before=None, limit=5)) == 1


async def test_nobody_is_kept_waiting_by_a_server_that_is_told_to_end(world: World) -> None:
    acme = await world.company()
    stopping = asyncio.Event()
    async with (
        mcp_door(world, patience=LONG, stopping=stopping) as door,
        door.client(acme.member) as client,
        asyncio.TaskGroup() as group,
    ):
        calling = group.create_task(called(client, "delete_task", deletion(acme)))
        await asked(world, acme.approver)
        stopping.set()
        told = await calling
    assert told["status"] == "pending_approval"


class Pages:
    """A client's person, who opens what they are shown and does there what the test says."""

    def __init__(
        self,
        does: Callable[[], Awaitable[None]],
        *,
        action: Action = "accept",
    ) -> None:
        self._does = does
        self._action: Action = action
        self.shown: list[types.ElicitRequestURLParams] = []

    async def __call__(
        self,
        context: ClientRequestContext,  # noqa: ARG002 - the SDK passes it
        params: types.ElicitRequestParams,
    ) -> types.ElicitResult:
        assert isinstance(params, types.ElicitRequestURLParams)
        self.shown.append(params)
        await self._does()
        return types.ElicitResult(action=self._action)


async def nothing() -> None:
    """Look at the page and leave it."""


async def test_a_person_decides_on_the_page_that_their_client_opens(world: World) -> None:
    acme = await world.company()

    async def approves() -> None:
        await decide(world, acme.approver)

    pages = Pages(approves)
    async with mcp_door(world, patience=BRIEF, public_url=URL) as door:
        async with door.client(acme.member) as client:
            pending = await called(client, "delete_task", deletion(acme))
        async with door.client(acme.approver, elicitation=pages) as client:
            which = {"approval_id": pending["approval_id"]}
            told = await called(client, "decide_approval", which)
    (shown,) = pages.shown
    assert shown.url == f"{URL}/approvals/{pending['approval_id']}"
    assert "Delete the task" in shown.message
    assert (told["state"], told["decided_by"]) == ("approved", ["bob@acme.test"])


@pytest.mark.parametrize("action", ACTIONS)
async def test_what_a_client_says_of_the_page_decides_nothing(world: World, action: Action) -> None:
    acme = await world.company()
    pages = Pages(nothing, action=action)
    async with mcp_door(world, patience=BRIEF, public_url=URL) as door:
        async with door.client(acme.member) as client:
            pending = await called(client, "delete_task", deletion(acme))
        async with door.client(acme.approver, elicitation=pages) as client:
            which = {"approval_id": pending["approval_id"]}
            told = await called(client, "decide_approval", which)
    assert (told["error"]["code"], told["state"]) == ("decision_needs_page", "pending")
    assert told["ways"]["page"] == pages.shown[0].url
    question = await asked(world, acme.approver)
    assert (question.state, question.decisions) == (ApprovalState.PENDING, ())


async def test_who_may_not_decide_is_shown_no_page(world: World) -> None:
    acme = await world.company()
    pages = Pages(nothing)
    async with (
        mcp_door(world, patience=BRIEF, public_url=URL) as door,
        door.client(acme.member, elicitation=pages) as client,
    ):
        pending = await called(client, "delete_task", deletion(acme))
        told = await called(client, "decide_approval", {"approval_id": pending["approval_id"]})
    assert pages.shown == []
    assert pending["status"] == "pending_approval"
    assert told["ways"]["page"] == f"{URL}/approvals/{pending['approval_id']}"


async def test_a_person_may_be_shown_the_page_for_a_call_of_their_own(own_world: World) -> None:
    acme = await own_world.company()
    arguments = {"project_id": str(acme.project_id), "title": "Buy milk"}

    async def approves() -> None:
        question = await asked(own_world, acme.member)
        await own_world.app.decide(
            acme.approver,
            approval_id=question.id,
            answer=Answer.APPROVE,
            digest=question.digest,
        )

    pages = Pages(approves)
    async with (
        mcp_door(own_world, patience=LONG, public_url=URL) as door,
        door.client(acme.member, elicitation=pages) as client,
    ):
        told = await called(client, "create_task", arguments)
    assert len(pages.shown) == 1
    assert told["task"]["title"] == "Buy milk"
    assert len(await own_world.app.runs(acme.member, before=None, limit=5)) == 1


async def test_a_session_of_the_handshake_era_is_asked_back_where_one_is_kept(
    world: World,
) -> None:
    acme = await world.company()

    async def approves() -> None:
        await decide(world, acme.approver)

    pages = Pages(approves)
    async with mcp_door(world, patience=BRIEF, public_url=URL, keeps_sessions=True) as door:
        async with door.client(acme.member, mode=LEGACY) as client:
            pending = await called(client, "delete_task", deletion(acme))
        async with door.client(acme.approver, mode=LEGACY, elicitation=pages) as client:
            which = {"approval_id": pending["approval_id"]}
            told = await called(client, "decide_approval", which)
    (shown,) = pages.shown
    assert shown.url == f"{URL}/approvals/{pending['approval_id']}"
    assert told["state"] == "approved"


async def first_round(client: Client, arguments: dict[str, object]) -> types.InputRequiredResult:
    asked_back = await client.session.call_tool("create_task", arguments, allow_input_required=True)
    assert isinstance(asked_back, types.InputRequiredResult)
    assert asked_back.request_state is not None
    return asked_back


def accepted(round_: types.InputRequiredResult) -> types.InputResponses:
    return {key: types.ElicitResult(action="accept") for key in round_.input_requests or {}}


async def test_another_process_goes_on_with_a_call_and_nobody_else_does(own_world: World) -> None:
    acme = await own_world.company()
    other = await own_world.company("globex")
    arguments: dict[str, object] = {"project_id": str(acme.project_id), "title": "Buy milk"}
    ours, theirs = b"k" * 32, b"o" * 32
    async with (
        page_door(own_world, key=ours) as door,
        page_door(own_world, key=ours) as twin,
        page_door(own_world, key=theirs) as alien,
    ):
        async with door.client(acme.member, elicitation=Pages(nothing)) as client:
            back = await first_round(client, arguments)
        for where, who, what in (
            (twin, acme.admin, arguments),
            (twin, other.member, arguments),
            (twin, acme.member, arguments | {"title": "Buy beer"}),
            (alien, acme.member, arguments),
        ):
            refused = await resumed(where, who, what, back=back)
            assert refused == {"protocol_error": types.INVALID_PARAMS}
        await decide(own_world, acme.approver)
        await own_world.drive()
        done = await resumed(twin, acme.member, arguments, back=back)
        # And once more, as a client does that has not heard the answer: it is still that call.
        once_more = await resumed(twin, acme.member, arguments, back=back)
    assert done["task"]["title"] == "Buy milk"
    assert once_more == done
    assert len(await own_world.app.runs(acme.member, before=None, limit=5)) == 1


def page_door(world: World, *, key: bytes) -> AbstractAsyncContextManager[McpDoor]:
    return mcp_door(world, patience=BRIEF, public_url=URL, cipher=MasterKeys([key]))


async def resumed(
    door: McpDoor, who: Caller, arguments: dict[str, object], *, back: types.InputRequiredResult
) -> dict[str, Any]:  # Any: a tool's own JSON
    async with door.client(who, elicitation=Pages(nothing)) as client:
        try:
            result = await client.session.call_tool(
                "create_task",
                arguments,
                input_responses=accepted(back),
                request_state=back.request_state,
            )
        except MCPError as error:
            return {"protocol_error": error.error.code}
    assert result.structured_content is not None
    return result.structured_content

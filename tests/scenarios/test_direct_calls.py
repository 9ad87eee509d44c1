"""Calls without an agent: safe ones answered, others run, joined, undone; refusals audited."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import func, update

from core.app import CallView
from core.domain.approval import Answer
from core.domain.ids import CallId
from core.domain.principal import Audience, Caller, Role
from core.domain.run import RunStatus
from core.domain.tool import CallState, Failed, Succeeded
from core.domain.verdict import Allow, Deny, RequireApproval
from core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    Refused,
    SallyportError,
    Unavailable,
)
from core.store.tables import (
    approvals,
    audit_records,
    principals,
    run_events,
    runs,
    tool_calls,
    usage_events,
)
from tests.databases import Urls
from tests.waiting import until
from tests.workshop import HASTY, LOOK_COSTS, Workplace, never, workplace_on


@pytest.fixture
async def place(urls: Urls, tmp_path: Path) -> AsyncGenerator[Workplace]:
    async with workplace_on(urls, tmp_path) as made:
        yield made


async def made(place: Workplace, caller: Caller, name: str, *, tool: str = "push") -> CallView:
    """Make a call and drive it as far as it goes."""
    view = await place.app.call_tool(caller, tool=tool, arguments={"name": name})
    await place.drive()
    return await place.app.call(caller, call_id=view.record.call.id)


async def refusal(place: Workplace, caller: Caller, tool: str, **arguments: str | int) -> Refused:
    with pytest.raises(Refused) as refused:
        await place.app.call_tool(caller, tool=tool, arguments=arguments)
    return refused.value


async def test_a_safe_call_is_answered_metered_and_audited_in_one_commit(place: Workplace) -> None:
    acme = await place.company()
    view = await place.app.call_tool(acme.member, tool="look", arguments={"name": "a"})
    assert view.record.state is CallState.SUCCEEDED
    assert view.record.result == Succeeded(output={"name": "a"})
    (used,) = await place.rows(acme.admin, usage_events)
    assert (used["cost_micros"], used["call_id"]) == (LOOK_COSTS, view.record.call.id)
    (executed,) = await place.audit(acme.admin)
    assert (executed["action"], executed["actor"]) == ("call.executed", "alice@acme.test")
    assert await place.rows(acme.admin, runs) == []
    again = await place.app.call(acme.member, call_id=view.record.call.id)
    assert again.record.result == view.record.result


async def test_a_safe_call_that_hangs_has_failed(urls: Urls, tmp_path: Path) -> None:
    async with workplace_on(urls, tmp_path, tools=HASTY) as place:
        place.bench.hooks["a"] = never
        acme = await place.company()
        view = await place.app.call_tool(acme.member, tool="look", arguments={"name": "a"})
        assert isinstance(view.record.result, Failed)
        assert (view.record.state, view.record.result.code) == (CallState.FAILED, "tool_timeout")


async def test_every_refusal_is_audited_with_its_code_and_leaves_nothing_else(
    place: Workplace,
) -> None:
    acme = await place.company()
    member = acme.member
    await place.assembly.people.set_tool(acme.tenant.id, tool="smash", enabled=False)
    found = [
        (await refusal(place, member, "make_coffee")).code,
        (await refusal(place, member, "make\x00coffee", name="\ud800\x00")).code,
        (await refusal(place, member, "look", nme="a")).code,
        (await refusal(place, member, "push", name="a", times=0)).code,
        (await refusal(place, member, "pull", name="a")).code,
        (await refusal(place, member, "smash", name="a")).code,
        (await refusal(place, member, "delete_task", task_id=str(uuid4()))).code,
    ]
    assert found == [
        "unknown_tool",
        "unknown_tool",
        "invalid_arguments",
        "invalid_arguments",
        "unknown_tool",
        "tool_disabled",
        "not_found",
    ]
    audit = await place.audit(acme.admin)
    assert [(one["action"], one["code"]) for one in audit] == [
        ("call.refused", code) for code in found
    ]
    assert place.bench.made == []
    assert await place.rows(acme.admin, runs) == []
    assert await place.rows(acme.admin, tool_calls) == []


async def test_a_scope_that_is_missing_refuses_before_anything(place: Workplace) -> None:
    acme = await place.company()
    nobody = replace(acme.member, scopes=frozenset[str]())
    app, run_id = place.app, await place.app.start_run(acme.member, task="Hello?")
    attempts = [
        app.tools(nobody),
        app.dry_run(nobody, tool="look", arguments={"name": "a"}),
        app.call_tool(nobody, tool="look", arguments={"name": "a"}),
        app.undo(nobody, call_id=CallId(uuid4())),
        app.start_run(nobody, task="Hello?"),
        app.run(nobody, run_id=run_id),
        app.runs(nobody, before=None, limit=10),
        app.cancel(nobody, run_id=run_id),
        app.events(nobody, run_id=run_id, after=0),
        app.approvals(nobody, state=None, before=None, limit=10),
    ]
    for attempt in attempts:
        with pytest.raises(Forbidden) as refused:
            await attempt
        assert refused.value.code == "missing_scope"


async def test_a_no_is_as_fresh_as_a_yes(place: Workplace) -> None:
    acme = await place.company()
    token = await place.token(acme.member.principal, audience=Audience.API)
    caller = await place.assembly.tokens.authenticate(token, audience=Audience.API)
    people, tenant_id = place.assembly.people, acme.tenant.id
    for enabled in (True, False, True, False, True):
        await people.set_tool(tenant_id, tool="look", enabled=enabled)
        if enabled:
            await place.app.call_tool(caller, tool="look", arguments={"name": "a"})
        else:
            assert (await refusal(place, caller, "look", name="a")).code == "tool_disabled"
    refused = await place.audit(acme.admin, "call.refused")
    assert len(refused) == 2, "what was refused by mistake is not in the audit"
    assert len(await place.rows(acme.admin, tool_calls)) == 3


async def test_somebody_who_is_disabled_is_not_answered_from_memory(place: Workplace) -> None:
    acme = await place.company()
    token = await place.token(acme.member.principal, audience=Audience.API)
    caller = await place.assembly.tokens.authenticate(token, audience=Audience.API)
    await place.app.call_tool(caller, tool="look", arguments={"name": "a"})
    async with place.assembly.database.for_tenant(acme.tenant.id) as connection:
        await connection.execute(
            update(principals)
            .where(principals.c.id == caller.principal.id)
            .values(disabled_at=func.now())
        )
    for tool in ("make_coffee", "look", "push"):
        with pytest.raises(SallyportError) as refused:
            await place.app.call_tool(caller, tool=tool, arguments={"name": "a"})
        assert refused.value.code in {"invalid_token", "not_found"}
    assert len(await place.rows(acme.admin, tool_calls)) == 1


async def test_a_configuration_that_never_stands_still_is_told(place: Workplace) -> None:
    acme = await place.company()
    flips = 0

    async def flip() -> None:
        nonlocal flips
        flips += 1
        on = bool(flips % 2)
        await place.assembly.people.set_tool(acme.tenant.id, tool="other", enabled=on)

    place.bench.hooks["a"] = flip
    with pytest.raises(Unavailable) as failure:
        await place.app.call_tool(acme.member, tool="look", arguments={"name": "a"})
    assert failure.value.code == "configuration_changing"
    assert await place.rows(acme.admin, tool_calls) == []


@pytest.mark.parametrize(
    ("tool", "verdict"),
    [("look", Allow), ("push", Allow), ("smash", RequireApproval), ("fire", Deny)],
)
async def test_a_dry_run_says_what_would_happen_and_does_nothing(
    place: Workplace, tool: str, verdict: type
) -> None:
    acme = await place.company()
    await place.assembly.people.set_tool(acme.tenant.id, tool="fire", enabled=False)
    judgement = await place.app.dry_run(acme.member, tool=tool, arguments={"name": "a"})
    assert isinstance(judgement.verdict, verdict)
    shown = judgement.preview.summary if judgement.preview else None
    assert shown == ("Work on a." if tool in {"push", "smash"} else None)
    assert judgement.call.arguments == {"name": "a", "times": 1}
    for table in (runs, tool_calls, approvals, audit_records, usage_events, run_events):
        assert await place.rows(acme.admin, table) == []
    assert place.bench.made == []


async def test_the_same_open_call_is_joined_and_a_settled_one_is_a_new_call(
    place: Workplace,
) -> None:
    acme = await place.company()
    arguments = {"name": "a"}
    first = await place.app.call_tool(acme.member, tool="push", arguments=arguments)
    same = await place.app.call_tool(acme.member, tool="push", arguments={**arguments, "times": 1})
    other = await place.app.call_tool(acme.member, tool="push", arguments={"name": "b"})
    theirs = await place.app.call_tool(acme.admin, tool="push", arguments=arguments)
    ids = [one.record.call.id for one in (first, same, other, theirs)]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    await place.drive()
    assert sorted(place.bench.names) == ["a", "a", "b"]
    again = await made(place, acme.member, "a")
    assert again.record.call.id not in ids
    assert len({key for _, key in place.bench.made}) == 4


async def test_identical_calls_at_the_same_moment_are_one(place: Workplace) -> None:
    acme = await place.company()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(
                place.app.call_tool(acme.member, tool="push", arguments={"name": "a"})
            )
            for _ in range(6)
        ]
    assert len({task.result().record.call.id for task in tasks}) == 1
    await place.drive()
    assert place.bench.names == ["a"]


async def test_a_key_of_the_client_s_own_makes_a_call_and_a_run_once(place: Workplace) -> None:
    acme = await place.company()
    views: list[CallView] = []
    for _ in range(2):
        views.append(
            await place.app.call_tool(
                acme.member, tool="push", arguments={"name": "a"}, client_key="key-1"
            )
        )
        await place.drive()
    assert views[0].record.call.id == views[1].record.call.id
    assert place.bench.names == ["a"]
    started = [
        await place.app.start_run(caller, task="Hello?", client_key="key-2")
        for caller in (acme.member, acme.member, acme.admin)
    ]
    assert len(set(started)) == 2, "a key is one person's"


async def test_a_key_that_stands_for_another_request_is_refused(place: Workplace) -> None:
    acme = await place.company()
    await place.app.call_tool(acme.member, tool="push", arguments={"name": "a"}, client_key="key-1")
    await place.drive()
    with pytest.raises(Conflict, match="key_reused"):
        await place.app.call_tool(
            acme.member, tool="push", arguments={"name": "b"}, client_key="key-1"
        )
    await place.app.start_run(acme.member, task="Hello?", client_key="key-2")
    for task, key in (("Bye?", "key-2"), ("Hello?", "key-1")):
        with pytest.raises(Conflict, match="key_reused"):
            await place.app.start_run(acme.member, task=task, client_key=key)
    assert place.bench.names == ["a"]


async def test_a_key_answers_for_what_cannot_be_done_again(place: Workplace) -> None:
    acme = await place.company()
    delete = {"task_id": str(acme.task_ids[0])}
    first = await place.app.call_tool(
        acme.member, tool="delete_task", arguments=delete, client_key="key"
    )
    await place.drive()
    (question,) = await place.pending(acme.approver)
    await place.app.decide(
        acme.approver, approval_id=question.id, answer=Answer.APPROVE, digest=question.digest
    )
    await place.drive()
    again = await place.app.call_tool(
        acme.member, tool="delete_task", arguments=delete, client_key="key"
    )
    assert again.record.call.id == first.record.call.id
    assert again.record.state is CallState.SUCCEEDED


async def test_the_same_key_at_the_same_moment_starts_one_run(place: Workplace) -> None:
    acme = await place.company()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(place.app.start_run(acme.member, task="Hello?", client_key="key"))
            for _ in range(6)
        ]
    assert len({task.result() for task in tasks}) == 1
    assert len(await place.rows(acme.admin, runs)) == 1


async def test_waiting_for_a_call_ends_when_it_is_settled_or_people_are_asked(
    place: Workplace,
) -> None:
    acme = await place.company()

    async def is_due() -> bool:
        return bool(place.dispatcher.due)

    async def drive_soon() -> None:
        await until(is_due)
        await place.drive()

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(drive_soon())
        view = await place.app.call_tool(
            acme.member, tool="push", arguments={"name": "a"}, wait_seconds=15
        )
    assert view.record.state is CallState.SUCCEEDED
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(drive_soon())
        view = await place.app.call_tool(
            acme.member, tool="smash", arguments={"name": "a"}, wait_seconds=15
        )
    assert view.approval_id == (await place.pending(acme.approver))[0].id


async def test_a_call_that_was_refused_in_its_run_says_so(place: Workplace) -> None:
    acme = await place.company()
    view = await made(place, acme.member, "a", tool="smash")
    assert view.record.state is CallState.PENDING_APPROVAL
    (question,) = await place.pending(acme.approver)
    await place.app.decide(
        acme.approver,
        approval_id=question.id,
        answer=Answer.DENY,
        digest=question.digest,
        reason="not\x00 now",
    )
    await place.drive()
    view = await place.app.call(acme.member, call_id=view.record.call.id)
    assert isinstance(view.record.result, Failed)
    assert view.record.state is CallState.DENIED
    assert view.record.result.message == "bob@acme.test denied this: not\ufffd now."
    run_id = view.record.call.run_id
    assert run_id is not None
    run = await place.app.run(acme.member, run_id=run_id)
    assert run.error is not None
    assert (run.status, run.error.code) == (RunStatus.FAILED, "denied")
    assert run.error.message == view.record.result.message


async def test_a_call_is_undone_once_through_the_same_door(place: Workplace) -> None:
    acme = await place.company()
    view = await made(place, acme.member, "a")
    call_id = view.record.call.id
    undone = await place.app.undo(acme.member, call_id=call_id)
    assert (undone.record.call.tool, undone.record.undoes) == ("pull", call_id)
    await place.drive()
    assert place.bench.names == ["a", "a"]
    with pytest.raises(Conflict) as refused:
        await place.app.undo(acme.member, call_id=call_id)
    assert refused.value.code == "undone_already"
    with pytest.raises(Conflict) as refused:
        await place.app.undo(acme.member, call_id=undone.record.call.id)
    assert refused.value.code == "nothing_to_undo"
    actions = [one["action"] for one in await place.audit(acme.admin)]
    assert actions.count("call.executed") == 2


async def test_an_undo_is_never_joined_with_a_like_call(place: Workplace) -> None:
    acme = await place.company()
    task = str(acme.task_ids[0])
    changed = await place.app.call_tool(
        acme.member, tool="update_task_status", arguments={"task_id": task, "status": "done"}
    )
    await place.drive()
    by_hand = await place.app.call_tool(
        acme.member, tool="update_task_status", arguments={"task_id": task, "status": "todo"}
    )
    undone = await place.app.undo(acme.member, call_id=changed.record.call.id)
    assert undone.record.call.id != by_hand.record.call.id
    assert undone.record.undoes == changed.record.call.id


async def test_undoing_twice_at_once_is_one_undo(place: Workplace) -> None:
    acme = await place.company()
    call_id = (await made(place, acme.member, "a")).record.call.id
    outcomes = await asyncio.gather(
        *(place.app.undo(acme.member, call_id=call_id) for _ in range(4)), return_exceptions=True
    )
    ids = {one.record.call.id for one in outcomes if isinstance(one, CallView)}
    told = {one.code for one in outcomes if isinstance(one, SallyportError)}
    assert len(ids) == 1
    assert told <= {"undone_already"}
    await place.drive()
    assert place.bench.names == ["a", "a"]


@pytest.mark.parametrize("tool", ["fire", "look", "smash"])
async def test_what_has_no_way_back_says_so(place: Workplace, tool: str) -> None:
    acme = await place.company()
    view = await made(place, acme.member, "a", tool=tool)
    with pytest.raises(Conflict) as refused:
        await place.app.undo(acme.member, call_id=view.record.call.id)
    assert refused.value.code == "nothing_to_undo"


async def test_undo_is_for_whom_the_call_concerns_with_their_own_rights(place: Workplace) -> None:
    acme = await place.company()
    call_id = (await made(place, acme.member, "a")).record.call.id
    for stranger in (acme.approver, (await place.company("globex")).admin):
        with pytest.raises(NotFound):
            await place.app.undo(stranger, call_id=call_id)
    undone = await place.app.undo(acme.admin, call_id=call_id)
    assert undone.record.call.requester.id == acme.admin.principal.id


async def test_the_operator_never_passes_for_the_person(place: Workplace) -> None:
    acme = await place.company()
    operator = replace(acme.member, on_behalf=True, via="cli")
    await place.app.call_tool(operator, tool="push", arguments={"name": "a"})
    (started,) = await place.audit(acme.admin, "run.started")
    assert started["actor"] == "operator on behalf of alice@acme.test"


@pytest.mark.parametrize("task", ["", "  \n", "x" * 50_001, "a\x00b", "half \ud800"])
async def test_a_task_that_is_none_is_refused(place: Workplace, task: str) -> None:
    acme = await place.company()
    with pytest.raises(InvalidInput) as refused:
        await place.app.start_run(acme.member, task=task)
    assert refused.value.code == "invalid_task"
    assert await place.rows(acme.admin, runs) == []


async def test_tools_are_offered_as_far_as_they_may_be_used(place: Workplace) -> None:
    acme = await place.company()
    await place.assembly.people.set_tool(acme.tenant.id, tool="fire", enabled=False)
    names = [one.name for one in await place.app.tools(acme.member)]
    assert {"look", "push", "smash", "launch"} <= set(names)
    assert not {"fire", "pull", "restore_task"} & set(names)
    assert names == sorted(names)
    await place.assembly.people.change_roles(
        acme.tenant.id, principal_id=acme.member.principal.id, roles=[Role.ADMIN]
    )
    assert await place.app.tools(acme.member)

"""A wider yes: for the rest of the run or for good, never wider than it was meant."""

from collections.abc import AsyncGenerator, Awaitable
from pathlib import Path

import pytest

from core.domain.approval import Answer, Approval, ApprovalState, GrantScope
from core.domain.event import EventKind
from core.domain.principal import Caller, Role
from core.domain.run import Run, RunStatus
from core.errors import Conflict, Forbidden, InvalidInput, NotFound
from core.store.tables import grants
from tests.databases import Urls
from tests.workshop import Workplace, use, workplace_on
from tests.world import Company

FOR_ADMINS = """
@id("smashing-is-for-admins")
@reason("An admin has to agree.")
@approval("admin")
permit (principal is User, action == Action::"call", resource is Tool)
when { resource.name == "smash" && context.via == "strict" };
"""


@pytest.fixture
async def place(urls: Urls, tmp_path: Path) -> AsyncGenerator[Workplace]:
    async with workplace_on(urls, tmp_path, rules=FOR_ADMINS) as made:
        yield made


async def yes(
    place: Workplace, by: Caller, question: Approval, *, scope: GrantScope = GrantScope.ONCE
) -> Approval:
    closed = await place.app.decide(
        by, approval_id=question.id, answer=Answer.APPROVE, digest=question.digest, scope=scope
    )
    await place.drive()
    return closed


async def smash_one(place: Workplace, by: Caller, name: str = "x") -> Run:
    place.lines.lines = ([use("smash", name=name)], "Done.")
    return await place.run(by, f"Smash {name}.")


async def granted_for_good(place: Workplace, acme: Company) -> None:
    await smash_one(place, acme.member, "first")
    (question,) = await place.pending(acme.admin)
    await yes(place, acme.admin, question, scope=GrantScope.ALWAYS)
    assert place.bench.names == ["first"]


async def test_a_yes_for_the_run_answers_its_other_questions_and_its_later_calls(
    place: Workplace,
) -> None:
    place.lines.lines = (
        [use("smash", name=name) for name in ("a", "b")],
        [use("smash", name="c")],
        "Done.",
    )
    acme = await place.company()
    run = await place.run(acme.member, "Smash them.")
    first, second = await place.pending(acme.approver)
    await yes(place, acme.approver, first, scope=GrantScope.RUN)
    run = await place.app.run(acme.member, run_id=run.id)
    assert run.status is RunStatus.COMPLETED
    assert sorted(place.bench.names) == ["a", "b", "c"]
    other = await place.app.approval(acme.approver, approval_id=second.id)
    assert other.state is ApprovalState.WITHDRAWN
    told = await place.app.events(acme.member, run_id=run.id, after=0)
    closings = {EventKind.APPROVAL_DECIDED, EventKind.APPROVAL_WITHDRAWN}
    assert [(one.kind, one.data["approval_id"]) for one in told if one.kind in closings] == [
        (EventKind.APPROVAL_DECIDED, str(first.id)),
        (EventKind.APPROVAL_WITHDRAWN, str(second.id)),
    ]
    assert [one.seq for one in told] == list(range(1, len(told) + 1))
    how = [one["approval"]["how"] for one in await place.audit(acme.admin, "call.executed")]
    assert sorted(how) == ["approval", "grant", "grant"]
    assert (await smash_one(place, acme.member)).status is RunStatus.AWAITING_APPROVAL


async def test_a_yes_for_good_is_for_everybody_but_who_gave_it(place: Workplace) -> None:
    acme = await place.company()
    await granted_for_good(place, acme)
    for caller in (acme.member, acme.approver):
        assert (await smash_one(place, caller)).status is RunStatus.COMPLETED
    assert (await smash_one(place, acme.admin)).status is RunStatus.AWAITING_APPROVAL


async def test_only_an_admin_may_say_yes_for_good(place: Workplace) -> None:
    acme = await place.company()
    await smash_one(place, acme.member)
    (question,) = await place.pending(acme.approver)
    with pytest.raises(Forbidden) as refused:
        await yes(place, acme.approver, question, scope=GrantScope.ALWAYS)
    assert refused.value.code == "scope_needs_admin"
    assert await place.rows(acme.admin, grants) == []
    assert (await place.pending(acme.approver)) != ()


async def test_a_grant_ends_with_the_role_of_who_gave_it(place: Workplace) -> None:
    acme = await place.company()
    await granted_for_good(place, acme)
    await place.assembly.people.change_roles(
        acme.tenant.id, principal_id=acme.admin.principal.id, roles=[Role.MEMBER]
    )
    assert (await smash_one(place, acme.member)).status is RunStatus.AWAITING_APPROVAL


async def test_a_grant_of_an_approver_is_none_where_an_admin_is_demanded(
    place: Workplace,
) -> None:
    acme = await place.company()
    place.lines.lines = ([use("smash", name="a")], [use("smash", name="b")], "Done.")
    run = await place.run(acme.member, "Smash.")
    (question,) = await place.pending(acme.approver)
    await yes(place, acme.approver, question, scope=GrantScope.RUN)
    assert place.bench.names == ["a", "b"]
    assert (await place.app.run(acme.member, run_id=run.id)).status is RunStatus.COMPLETED
    place.lines.lines = ([use("smash", name="c")], "Done.")
    strict = Caller(principal=acme.member.principal, scopes=acme.member.scopes, via="strict")
    assert (await place.run(strict, "Smash.")).status is RunStatus.AWAITING_APPROVAL
    (question,) = await place.pending(acme.admin)
    assert question.approvers.role is Role.ADMIN
    with pytest.raises(Forbidden) as refused:
        await yes(place, acme.approver, question)
    assert refused.value.code == "not_eligible"


async def test_two_people_s_grant_is_not_half_somebody_s_own(place: Workplace) -> None:
    acme = await place.company()
    people = place.assembly.people
    await people.change_roles(
        acme.tenant.id, principal_id=acme.approver.principal.id, roles=[Role.ADMIN]
    )
    bob = Caller(
        principal=await people.by_email(acme.tenant.id, email="bob@acme.test"),
        scopes=acme.admin.scopes,
        via="api",
    )
    place.lines.lines = ([use("launch", name="a")], "Done.")
    await place.run(acme.member, "Launch.")
    (question,) = await place.pending(acme.admin)
    await yes(place, bob, question, scope=GrantScope.ALWAYS)
    await yes(place, acme.admin, question, scope=GrantScope.ALWAYS)
    assert place.bench.names == ["a"]
    place.lines.lines = ([use("launch", name="b")], "Done.")
    assert (await place.run(acme.member, "Launch.")).status is RunStatus.COMPLETED
    assert (await place.run(bob, "Launch.")).status is RunStatus.AWAITING_APPROVAL


async def test_a_question_whose_time_is_over_takes_no_answer_although_no_sweep_came_by(
    place: Workplace,
) -> None:
    acme = await place.company()
    await smash_one(place, acme.member)
    (question,) = await place.pending(acme.approver)
    async with place.assembly.database.for_tenant(acme.tenant.id) as connection:
        await connection.exec_driver_sql("update approvals set expires_at = now() - interval '1 s'")
    with pytest.raises(Conflict) as refused:
        await yes(place, acme.approver, question)
    assert (refused.value.code, refused.value.facts["state"]) == ("approval_closed", "expired")
    assert place.bench.made == []


async def test_an_answer_that_does_not_fit_the_question_is_refused(place: Workplace) -> None:
    acme = await place.company()
    await smash_one(place, acme.member)
    (question,) = await place.pending(acme.approver)
    decide = place.app.decide
    with pytest.raises(InvalidInput) as wrong:
        await decide(
            acme.approver, approval_id=question.id, answer=Answer.RETRY, digest=question.digest
        )
    assert wrong.value.facts["answers"] == ["approve", "deny"]
    with pytest.raises(InvalidInput) as wrong:
        await decide(
            acme.approver,
            approval_id=question.id,
            answer=Answer.DENY,
            digest=question.digest,
            reason="x" * 2001,
        )
    assert wrong.value.code == "reason_too_long"
    with pytest.raises(Conflict) as conflict:
        await decide(acme.approver, approval_id=question.id, answer=Answer.DENY, digest="0" * 64)
    assert conflict.value.code == "wrong_digest"
    with pytest.raises(Forbidden) as refused:
        await decide(
            Caller(principal=acme.approver.principal, scopes=frozenset(), via="mcp"),
            approval_id=question.id,
            answer=Answer.DENY,
            digest=question.digest,
        )
    assert refused.value.facts["scope"] == "approvals:decide"
    await yes(place, acme.approver, question)
    with pytest.raises(Conflict) as conflict:
        await yes(place, acme.second_approver, question)
    assert conflict.value.facts["state"] == "approved"


VISIBLE = {
    # who: (their own run and call, a run that waits for approvers, a run of the admin's)
    "member": (True, True, False),
    "other_member": (False, False, False),
    "approver": (False, True, False),
    "admin": (True, True, True),
    "stranger": (False, False, False),
}


@pytest.mark.parametrize("who", VISIBLE)
async def test_who_sees_what(place: Workplace, who: str) -> None:
    acme, globex = await place.company(), await place.company("globex")
    people = place.assembly.people
    person = await people.create_principal(
        acme.tenant.id, email="mallory@acme.test", roles=[Role.MEMBER]
    )
    viewer = {
        "other_member": Caller(principal=person, scopes=acme.member.scopes, via="api"),
        "stranger": globex.admin,
    }.get(who) or getattr(acme, who)
    place.lines.lines = ([use("push", name="a")], "Done.")
    own = await place.run(acme.member, "Push.")
    of_admin = await place.run(acme.admin, "Push.")
    waiting = await smash_one(place, acme.member)
    (question,) = await place.pending(acme.admin)
    seen: list[bool] = []
    for run in (own, waiting, of_admin):
        (record,) = await place.calls(acme.admin, run)
        looks = [
            await _shown(place.app.run(viewer, run_id=run.id)),
            await _shown(place.app.events(viewer, run_id=run.id, after=0)),
            await _shown(place.app.call(viewer, call_id=record.call.id)),
            await _shown(anext(place.app.follow(viewer, run_id=run.id))),
        ]
        assert len(set(looks)) == 1, looks
        seen.append(looks[0])
    assert tuple(seen) == VISIBLE[who]
    approval = await _shown(place.app.approval(viewer, approval_id=question.id))
    assert approval is VISIBLE[who][1]
    listed, _ = await place.app.approvals(viewer, state=None, before=None, limit=10)
    assert bool(listed) is VISIBLE[who][1]
    runs = await place.app.runs(viewer, before=None, limit=10)
    assert len(runs) == {"member": 2, "admin": 3}.get(who, 0)


async def test_lists_go_on_where_they_stopped(place: Workplace) -> None:
    acme = await place.company()
    started = [(await smash_one(place, acme.member, str(at))).id for at in range(5)]
    runs, cursor = list[Run](), None
    while page := await place.app.runs(acme.member, before=cursor, limit=2):
        runs.extend(page)
        cursor = (page[-1].created_at, page[-1].id)
    assert [run.id for run in runs] == started[::-1]
    asked, place_in_list = list[Approval](), None
    while True:
        shown, place_in_list = await place.app.approvals(
            acme.approver, state=ApprovalState.PENDING, before=place_in_list, limit=2
        )
        asked.extend(shown)
        if place_in_list is None:
            break
    assert [one.run_id for one in asked] == started[::-1]


async def _shown(attempt: Awaitable[object]) -> bool:
    try:
        await attempt
    except NotFound:
        return False
    return True

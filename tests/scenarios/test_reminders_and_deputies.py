"""A question that waits is not forgotten, and somebody decides for whoever is away."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from approvals.reminders import Reminders
from core.cedar import CedarPolicy
from core.domain.approval import Answer, Approval, ApprovalState
from core.domain.event import EventKind
from core.domain.principal import Caller, Role
from core.domain.reminding import Reminding
from core.domain.run import RunStatus
from core.errors import NotFound, Refused
from core.ports import Clock, Policy
from sallyport.assembly import Assembly
from tests.builders import SteadyClock, make_person
from tests.databases import Urls
from tests.scenarios.crash.invariants import connect
from tests.scenarios.test_edited_calls import OnlyAdmins
from tests.scenarios.test_one_decision import SCRIPT, TWO_MUST_AGREE
from tests.world import Company, World, caller_of, world_on

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
async def world(urls: Urls, tmp_path: Path) -> AsyncGenerator[World]:
    async with world_on(urls, tmp_path, script=SCRIPT) as made:
        yield made


@pytest.fixture
async def strict_world(urls: Urls, tmp_path: Path) -> AsyncGenerator[World]:
    """One in which two admins have to agree."""
    async with world_on(urls, tmp_path, script=SCRIPT, kind=OnlyAdmins) as made:
        yield made


async def _asked(world: World, acme: Company, *, by: Caller | None = None) -> Approval:
    run = await world.run(by or acme.member, "Please delete the old draft")
    found = await world.pending(acme.admin)
    return next(one for one in found if one.run_id == run.id)


def _clock_after(question: Approval, passed: timedelta) -> SteadyClock:
    clock = SteadyClock()
    clock.move(seconds=(question.created_at + passed - clock.now()).total_seconds() + 1)
    return clock


def _reminders(world: World, clock: Clock) -> Reminders:
    parts = world.assembly
    return Reminders(records=parts.approvals, deadlines=parts.directory, clock=clock)


async def _told(world: World, acme: Company, question: Approval) -> Counter[EventKind]:
    events = await world.app.events(acme.member, run_id=question.run_id, after=0)
    return Counter(event.kind for event in events)


async def test_whatever_workers_sweep_at_once_people_are_reminded_once(world: World) -> None:
    acme = await world.company()
    questions = [await _asked(world, acme) for _ in range(2)]
    clock = _clock_after(questions[1], HOUR)
    reminders = _reminders(world, clock)

    assert await _reminders(world, _clock_after(questions[0], HOUR - DAY)).sweep() == 0
    swept = await asyncio.gather(*(reminders.sweep() for _ in range(5)))

    assert sum(swept) == 2
    for question in questions:
        assert (await _told(world, acme, question))[EventKind.APPROVAL_REMINDED] == 1
        shown = await world.app.approval(acme.approver, approval_id=question.id)
        assert (shown.reminded, shown.escalated_at) == (1, None)

    clock.move(seconds=DAY.total_seconds())
    swept = await asyncio.gather(*(reminders.sweep() for _ in range(5)))
    assert sum(swept) == 4
    for question in questions:
        told = await _told(world, acme, question)
        assert (told[EventKind.APPROVAL_REMINDED], told[EventKind.APPROVAL_ESCALATED]) == (2, 1)
    assert not await reminders.sweep()


async def test_nobody_is_reminded_of_what_is_decided(world: World) -> None:
    acme = await world.company()
    question = await _asked(world, acme)
    await world.app.decide(
        acme.approver, approval_id=question.id, answer=Answer.DENY, digest=question.digest
    )
    assert await _reminders(world, _clock_after(question, DAY)).sweep() == 0


async def test_a_company_says_when_and_a_group_is_told_that_may_see_and_not_decide(
    world: World,
) -> None:
    acme = await world.company()
    lawyer = caller_of(
        await make_person(
            world.assembly.database, acme.tenant, "lea@acme.test", Role.MEMBER, groups=("legal",)
        )
    )
    plan = Reminding(after=(HOUR / 2,), escalate_after=2 * HOUR, escalate_to="legal")
    await world.assembly.deciding.reminding.keep(acme.tenant.id, plan=plan)
    assert await world.assembly.deciding.reminding.of(acme.tenant.id) == plan
    question = await _asked(world, acme)
    assert await _reminders(world, _clock_after(question, HOUR / 2)).sweep() == 1
    with pytest.raises(NotFound):
        await world.app.approval(lawyer, approval_id=question.id)

    assert await _reminders(world, _clock_after(question, 2 * HOUR)).sweep() == 1

    shown = await world.app.approval(lawyer, approval_id=question.id)
    assert shown.escalated_to == "legal"
    assert await world.app.objection_to(lawyer, approval=shown) == "not_eligible"
    assert (await world.app.run(lawyer, run_id=question.run_id)).id == question.run_id
    await world.assembly.deciding.reminding.forget(acme.tenant.id)
    assert await world.assembly.deciding.reminding.of(acme.tenant.id) == Reminding()


async def _away(world: World, caller: Caller, *, deputy: Caller) -> None:
    until = world.assembly.clock.now() + DAY
    await world.app.absences.begin(caller, deputy=deputy.principal.email, until=until)


async def test_a_deputy_decides_for_who_is_away_and_no_longer(strict_world: World) -> None:
    world = strict_world
    acme = await world.company()
    await _away(world, acme.admin, deputy=acme.approver)
    question = await _asked(world, acme)
    bob, beth = acme.approver, acme.second_approver

    assert [one.id for one in await world.app.pending_for(bob)] == [question.id]
    assert await world.app.pending_for(beth) == ()
    people = await world.app.asked(acme.member, approval_id=question.id)
    assert [(one.person.email, one.in_place_of) for one in people] == [
        ("bob@acme.test", acme.admin.principal)
    ]
    with pytest.raises(NotFound):
        await world.app.approval(beth, approval_id=question.id)
    with pytest.raises(Refused, match="not_eligible"):
        await _approve(world, beth, question)
    still = await _approve(world, bob, question)

    assert [(one.by, one.voice.email) for one in still.decisions] == [
        ("bob@acme.test for carol@acme.test", "carol@acme.test")
    ]
    assert await world.app.pending_for(bob) == ()
    assert await world.app.absences.end(acme.admin)
    assert not await world.app.absences.end(acme.admin)
    with pytest.raises(Refused, match="already_decided"):
        await _approve(world, acme.admin, question)
    other = await _asked(world, acme)
    with pytest.raises(Refused, match="not_eligible"):
        await _approve(world, bob, other)


async def test_what_a_deputy_approved_is_made_while_the_absent_person_could(
    strict_world: World,
) -> None:
    world = strict_world
    acme = await world.company()
    root = caller_of(
        await make_person(world.assembly.database, acme.tenant, "root@acme.test", Role.ADMIN)
    )
    await _away(world, acme.admin, deputy=acme.approver)
    question = await _asked(world, acme)
    await _approve(world, acme.approver, question)
    closed = await _approve(world, root, question)
    assert closed.state is ApprovalState.APPROVED
    await world.assembly.people.change_roles(
        acme.tenant.id, principal_id=acme.admin.principal.id, roles=[Role.MEMBER]
    )
    await world.drive()
    run = await world.app.run(acme.member, run_id=question.run_id)
    assert run.status is RunStatus.AWAITING_APPROVAL, "asked anew: Carol could not any more"
    await world.assembly.people.change_roles(
        acme.tenant.id, principal_id=acme.admin.principal.id, roles=[Role.ADMIN]
    )
    again = next(one for one in await world.pending(root) if one.run_id == run.id)
    await _approve(world, acme.approver, again)
    await _approve(world, root, again)
    await world.drive()
    run = await world.app.run(acme.member, run_id=question.run_id)
    assert run.result == "Deleted."


async def test_nobody_decides_their_own_as_a_deputy(strict_world: World) -> None:
    world = strict_world
    acme = await world.company()
    await _away(world, acme.admin, deputy=acme.approver)
    question = await _asked(world, acme, by=acme.approver)
    with pytest.raises(Refused, match="self_approval"):
        await _approve(world, acme.approver, question)
    assert await world.app.pending_for(acme.approver) == ()


async def test_who_can_be_away_and_whom_they_can_name(world: World) -> None:
    acme, globex = await world.company(), await world.company("globex")
    absences, until = world.app.absences, world.assembly.clock.now() + DAY
    for deputy in (acme.member, acme.approver, globex.approver):
        with pytest.raises(Refused, match="invalid_deputy"):
            await absences.begin(acme.approver, deputy=deputy.principal.email, until=until)
    for never in (until - 2 * DAY, until + 365 * DAY):
        with pytest.raises(Refused, match="invalid_absence"):
            await absences.begin(acme.approver, deputy=acme.admin.principal.email, until=never)
    with pytest.raises(Refused, match="missing_scope"):
        await absences.begin(acme.member, deputy=acme.admin.principal.email, until=until)

    assert await absences.current(acme.approver) is None
    await _away(world, acme.approver, deputy=acme.second_approver)
    await _away(world, acme.approver, deputy=acme.admin)
    found = await absences.current(acme.approver)
    assert found is not None
    assert found.deputy == acme.admin.principal


async def test_an_absence_that_is_over_counts_no_more(strict_world: World, urls: Urls) -> None:
    del urls
    world = strict_world
    acme = await world.company()
    parts = world.assembly
    await _away(world, acme.admin, deputy=acme.approver)
    question = await _asked(world, acme)
    later = parts.clock.now() + 2 * DAY
    assert await parts.approvals.absent(
        acme.tenant.id, deputy_id=acme.approver.principal.id, now=parts.clock.now()
    )
    assert not await parts.approvals.absent(
        acme.tenant.id, deputy_id=acme.approver.principal.id, now=later
    )
    assert question.state is ApprovalState.PENDING


async def test_what_waits_for_somebody_is_what_they_may_answer(world: World) -> None:
    acme = await world.company()
    mine = await _asked(world, acme, by=acme.approver)
    theirs = await _asked(world, acme)
    assert [one.id for one in await world.app.pending_for(acme.approver)] == [theirs.id]
    assert [one.id for one in await world.app.pending_for(acme.admin)] == [theirs.id, mine.id]
    assert len(await world.app.pending_for(acme.admin, limit=1)) == 1
    with pytest.raises(Refused, match="missing_scope"):
        await world.app.pending_for(acme.member)
    people = await world.app.asked(acme.admin, approval_id=mine.id)
    assert [one.person.email for one in people] == ["beth@acme.test", "carol@acme.test"]
    no_scope = replace(acme.member, scopes=frozenset[str]())
    with pytest.raises(Refused, match="missing_scope"):
        await world.app.asked(no_scope, approval_id=theirs.id)


class OfFinance(Assembly):
    """The application with a rule by which somebody of finance has to agree."""

    def build_policy(self) -> Policy:
        return CedarPolicy(added=TWO_MUST_AGREE.replace('@needed("2")', '@groups("finance")'))


async def test_only_they_are_asked_of_whom_the_policy_asks(urls: Urls, tmp_path: Path) -> None:
    async with world_on(urls, tmp_path, script=SCRIPT, kind=OfFinance) as world:
        acme, database = await world.company(), world.assembly.database
        for name, role in (("fay", Role.MEMBER), ("finn", Role.APPROVER), ("fred", Role.ADMIN)):
            email = f"{name}@acme.test"
            await make_person(database, acme.tenant, email, role, groups=("finance", "x"))
        question = await _asked(world, acme)
        people = await world.app.asked(acme.member, approval_id=question.id)
        assert [one.person.email for one in people] == ["finn@acme.test", "fred@acme.test"]
        named = replace(question.approvers, people=frozenset({"fred@acme.test"}))
        able = await world.assembly.approvals.able(acme.tenant.id, approvers=named, limit=9)
        assert [one.email for one in able] == ["fred@acme.test"]


async def test_a_deputy_who_is_gone_is_nobodys(world: World, urls: Urls) -> None:
    acme = await world.company()
    await _away(world, acme.approver, deputy=acme.second_approver)
    question = await _asked(world, acme)
    with connect(urls.privileged) as connection:
        connection.execute(
            "update principals set disabled_at = now() where id = %s",
            [acme.second_approver.principal.id],
        )
    people = await world.app.asked(acme.member, approval_id=question.id)
    assert [one.person.email for one in people] == ["bob@acme.test", "carol@acme.test"]
    assert await world.app.absences.current(acme.approver) is None


async def _approve(world: World, caller: Caller, question: Approval) -> Approval:
    return await world.app.decide(
        caller, approval_id=question.id, answer=Answer.APPROVE, digest=question.digest
    )

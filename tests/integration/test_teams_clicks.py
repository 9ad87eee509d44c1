"""Cards in Teams: what each person sees of one, what their clicks do, and what they are shown."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from approvals.expiry import Expiry
from bots import actions
from bots.arguments import arguments_of
from core.domain.approval import Answer, Approval, ApprovalState, GrantScope
from core.domain.audit import audit_record
from core.domain.chat import Surface
from core.domain.principal import Role
from core.domain.run import RunStatus
from core.store.tables import approvals
from tests.databases import Urls
from tests.scenarios.test_one_decision import TwoMustAgree
from tests.teams.conversations import ALICE, BOB, CAROL, GENERAL, Person
from tests.teams.login import TENANT
from tests.teams.office import Office, office_on
from tests.teams.people import Delivered, Shown, buttons_of
from tests.waiting import until

SCRIPT = """
scripts:
  - contains: delete
    turns:
      - calls: [{tool: list_projects}]
      - calls:
          - tool: list_tasks_in_project
            arguments: {project_id: "${{ results.list_projects.projects[name=Inbox].id }}"}
      - calls:
          - tool: delete_task
            arguments:
              task_id: "${{ results.list_tasks_in_project.tasks[title=Old draft].id }}"
      - when: {tool: delete_task, outcome: succeeded}
        say: Deleted.
      - when: {tool: delete_task}
        say: Left alone.
"""
DECIDING = (actions.APPROVE, actions.DENY_FORM, actions.EDIT, actions.APPROVE_SIMILAR)
CHANGED = "What you saw is not what would run."
BETH = "2b5f4f7e-5d1c-4a3f-9a55-0c2f6d3e0010"
DAN = "2b5f4f7e-5d1c-4a3f-9a55-0c2f6d3e0011"
GUEST = "2b5f4f7e-5d1c-4a3f-9a55-0c2f6d3e0012"
NOBODY = "2b5f4f7e-5d1c-4a3f-9a55-0c2f6d3e0013"


@pytest.fixture
async def office(urls: Urls, tmp_path: Path) -> AsyncGenerator[Office]:
    async with office_on(urls, tmp_path, script=SCRIPT) as made:
        await come_all(made)
        yield made


@pytest.fixture
async def strict_office(urls: Urls, tmp_path: Path) -> AsyncGenerator[Office]:
    async with office_on(urls, tmp_path, script=SCRIPT, kind=TwoMustAgree) as made:
        await come_all(made)
        yield made


async def come_all(office: Office) -> None:
    """Have Beth, who approves, Dan, a member, a guest and somebody who is not linked come in."""
    teams, company = office.connector.teams, office.company
    for aad, name in ((BETH, "Beth"), (DAN, "Dan"), (NOBODY, "Nora")):
        teams.add(Person(aad=aad, name=name))
    teams.add(Person(aad=GUEST, name="Gus", role="guest"))
    dan = await office.world.assembly.people.create_principal(
        company.tenant.id, email="dan@acme.test", roles=(Role.MEMBER,), groups=()
    )
    await office.link(BETH, company.second_approver.principal)
    await office.link(DAN, dan)


async def asked(office: Office, *, at: str = "") -> tuple[Approval, Shown]:
    """Have Alice ask for a deletion; return the question, and its card in Bob's chat, or there."""
    where = office.connector.teams.conversations[at] if at else office.chat_of(BOB)
    before = set(where.messages)
    await office.people.says("please delete the old draft", by=ALICE)
    card = await office.shown(lambda one: one.id not in before and "Digest" in one.words, at=where)
    question, *_ = reversed(await office.world.pending(office.company.admin))
    return question, card


async def now(office: Office, question: Approval) -> Approval:
    return await office.world.app.approval(office.company.admin, approval_id=question.id)


async def ended(office: Office, question: Approval) -> str:
    """Return what the run says in the end."""
    admin, told = office.company.admin, list[str]()

    async def is_over() -> bool:
        run = await office.world.app.run(admin, run_id=question.run_id)
        told[:] = [run.result or ""]
        return run.status is RunStatus.COMPLETED

    await until(is_over)
    return told[0]


def can_decide(card: object) -> bool:
    return any(list(buttons_of(card, verb)) for verb in DECIDING)


def is_base_card(answered: Delivered) -> bool:
    """Return whether Teams goes on to show what everybody sees."""
    return (answered.status, answered.json["statusCode"]) == (200, 403)


async def test_each_sees_a_shared_card_as_is_theirs_before_and_after_the_decision(
    office: Office,
) -> None:
    people, parts, carol = office.people, office.world.assembly, office.company.admin.principal
    workspace = await parts.chat_workspaces.find(Surface.TEAMS, workspace=TENANT)
    assert workspace is not None
    moment = parts.clock.now()
    told = audit_record(
        carol.tenant_id, at=moment, action="teams.routed", actor=carol.email, content={}
    )
    await parts.chat_workspaces.route(workspace, channel=GENERAL, at=moment, audit=told)
    # Whoever has spoken with the agent is somebody for whom Teams can ask by itself.
    await people.says("help", by=BOB, at=people.general)
    await office.kept()
    question, card = await asked(office, at=GENERAL)
    assert not can_decide(card.cards)
    bobs_id = office.connector.teams.people[BOB].mri
    assert card.cards[0]["refresh"]["userIds"] == [bobs_id]

    # Nora was never seen before, is nowhere but here, and is known here.
    first = actions.carried(on_card(question))
    told_her = await people.clicks(actions.DENY_FORM, ids=first, by=NOBODY, at=card)
    assert "/link/" in str(told_her.card)
    for user in (BOB, BETH, CAROL):
        looked = await people.looks_at(card, by=user)
        assert can_decide(looked.card)
        assert "Old draft" in str(looked.card)
    asker = await people.looks_at(card, by=ALICE)
    assert not can_decide(asker.card)
    for user in (DAN, GUEST, NOBODY):
        assert is_base_card(await people.looks_at(card, by=user))
    assert is_base_card(await people.clicks("refresh", ids="{}", by=BOB, at=card))
    kept = await office.kept()

    view = (await people.looks_at(card, by=BOB)).card
    assert await office.kept() == kept
    pressed = await people.presses(card, actions.APPROVE, by=BOB, card=view)
    assert not can_decide(pressed.card)
    assert "Approved" in str(pressed.card)
    locked = await office.shown(
        lambda one: one.id == card.id and "Approved" in one.words, at=people.general
    )
    assert "refresh" not in locked.cards[0]
    assert "bob@acme.test" in locked.words
    for user in (BOB, BETH, CAROL):
        late = await people.looks_at(card, by=user)
        assert not can_decide(late.card)
        assert "Approved" in str(late.card)
    assert await ended(office, question) == "Deleted."
    (decision,) = (await now(office, question)).decisions
    assert (decision.via, decision.principal.email) == ("teams", "bob@acme.test")


async def test_a_no_is_kept_with_its_reason_and_similar_calls_with_their_scope(
    office: Office,
) -> None:
    people = office.people
    question, card = await asked(office)
    long = await people.presses(card, actions.DENY_FORM, by=BOB, typed={"reason": "x" * 2001})
    assert long.words == "A reason has at most 2000 characters."
    denied = await people.presses(card, actions.DENY_FORM, by=BOB, typed={"reason": "We need it."})
    assert "We need it." in str(denied.card)
    assert await ended(office, question) == "Left alone."
    (decision,) = (await now(office, question)).decisions
    assert (decision.answer, decision.reason) == (Answer.DENY, "We need it.")

    question, card = await asked(office)
    wrong = await people.clicks(
        actions.HAPPENED, ids=actions.carried(on_card(question)), by=BOB, at=card
    )
    assert wrong.words == "This approval takes one of: approve, deny."
    listed = await people.says("approvals", by=BOB)
    assert listed.status == 200
    shown = await office.shown(
        lambda one: one.button(actions.DENY) is not None, at=office.chat_of(BOB)
    )
    form = await people.presses(shown, actions.DENY, by=BOB)
    assert next(buttons_of(form.card, actions.DENY_FORM))["data"]["ids"]
    back = await people.presses(shown, "refresh", by=BOB, card=form.card)
    assert can_decide(back.card)
    await people.presses(card, actions.APPROVE_SIMILAR, by=BOB)
    assert await ended(office, question) == "Deleted."
    (decision,) = (await now(office, question)).decisions
    assert decision.scope is GrantScope.RUN


def on_card(question: Approval) -> dict[str, str]:
    return actions.of_approval(question.id, digest=question.digest)


async def test_an_edit_is_tried_again_shown_and_approved_as_it_was_shown(office: Office) -> None:
    people = office.people
    question, card = await asked(office)
    tools = await office.world.app.tools(office.company.admin)
    schema = next(one.input_schema for one in tools if one.name == question.tool)
    (block,) = [one.block for one in arguments_of(schema) if one.name == "task_id"]
    first, other = str(office.company.task_ids[0]), str(office.company.task_ids[2])
    form = (await people.presses(card, actions.EDIT, by=BOB)).card
    assert str(question.arguments["task_id"]) in str(form)

    async def sends(seen: object, task: str) -> Delivered:
        sent = await people.presses(
            card, actions.EDIT_FORM, by=BOB, card={"seen": seen}, typed={block: task}
        )
        assert (await now(office, question)).decisions == () or "Approved" in str(sent.json)
        return sent

    assert "not valid" in (await sends(form, "")).words
    same = str(question.arguments["task_id"])
    forged = actions.carried({**on_card(question), "e": question.digest[: actions.DIGEST_SHOWN]})
    for ids in (actions.carried(on_card(question)), forged):
        nothing = await people.clicks(
            actions.EDIT_FORM, ids=ids, by=BOB, at=card, typed={block: same}
        )
        assert "Change something" in nothing.words
    assert (await now(office, question)).decisions == ()
    shown = (await sends(form, first)).card
    assert "Write the report" in str(shown)
    # Another in the last moment is shown first, too.
    changed = (await sends(shown, other)).card
    assert "Call the customer" in str(changed)
    approved = await sends(changed, other)
    assert not can_decide(approved.card)
    assert await ended(office, question) == "Deleted."
    closed = await now(office, question)
    assert (closed.state, closed.arguments["task_id"]) == (ApprovalState.APPROVED, other)


async def test_where_two_must_agree_the_card_tells_how_far_they_are(strict_office: Office) -> None:
    office, people = strict_office, strict_office.people
    question, card = await asked(office)
    one = await people.presses(card, actions.APPROVE, by=BOB)
    assert "bob@acme.test approved" in str(one.card)
    assert (await now(office, question)).state is ApprovalState.PENDING
    twice = await people.presses(card, actions.APPROVE, by=BOB)
    assert (twice.status, len((await now(office, question)).voices)) == (200, 1)
    beths = await office.shown(
        lambda one: "bob@acme.test approved" in one.words, at=office.chat_of(BETH)
    )
    assert beths.button(actions.APPROVE) is not None
    other = await people.presses(beths, actions.APPROVE, by=BETH)
    assert not can_decide(other.card)
    for user in (BOB, BETH):
        await office.shown(
            lambda one: "Approved" in one.words and not can_decide(one.cards),
            at=office.chat_of(user),
        )
    assert await ended(office, question) == "Deleted."


async def test_what_has_changed_or_is_closed_is_shown_anew_and_decides_nothing(
    office: Office,
) -> None:
    people, database = office.people, office.world.assembly.database
    question, card = await asked(office)
    for digest in ("", "0" * 12, question.digest[:11]):
        ids = actions.carried({**on_card(question), "d": digest})
        for verb in (actions.APPROVE, actions.EDIT, actions.DENY_FORM):
            seen = await people.clicks(verb, ids=ids, by=BOB, at=card)
            assert CHANGED in str(seen.card)
            assert can_decide(seen.card)
    assert (await now(office, question)).decisions == ()

    async with database.for_tenant(office.company.tenant.id) as connection:
        past = office.world.assembly.clock.now() - timedelta(seconds=1)
        await connection.execute(
            update(approvals).where(approvals.c.id == question.id).values(expires_at=past)
        )
    looked = await people.clicks("refresh", ids=actions.carried(on_card(question)), by=BOB, at=card)
    assert ("Expired" in str(looked.card), can_decide(looked.card)) == (True, False)
    for verb in (actions.EDIT, actions.DENY):
        late = await people.clicks(verb, ids=actions.carried(on_card(question)), by=BOB, at=card)
        assert late.words == "This approval is closed already: expired."
    await people.says("approvals", by=BOB)
    await office.shown(lambda one: "Nothing waits" in one.words, at=office.chat_of(BOB))
    late = await people.presses(card, actions.APPROVE, by=BOB)
    assert late.words == "This approval is closed already: expired."
    parts = office.world.assembly
    expiry = Expiry(
        records=parts.approvals,
        deadlines=parts.directory,
        dispatcher=office.world.dispatcher,
        clock=parts.clock,
    )
    assert await expiry.sweep() == 1
    locked = await office.shown(
        lambda one: one.id == card.id and "xpired" in one.words, at=office.chat_of(BOB)
    )
    assert not can_decide(locked.cards)
    ids = actions.carried(on_card(question))
    looked = await people.clicks("refresh", ids=ids, by=BOB, at=card)
    assert not can_decide(looked.card)
    assert (await now(office, question)).decisions == ()

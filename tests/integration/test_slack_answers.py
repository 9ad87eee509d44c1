"""Questions answered by clicks in Slack: by whoever may, to what they saw, once."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import update

from bots import actions
from bots.arguments import arguments_of
from bots.arrivals import Click, kept
from core.domain.approval import Answer, Approval, ApprovalState, GrantScope
from core.domain.canonical import JsonObject
from core.domain.principal import Role
from core.domain.run import RunStatus
from core.store.tables import approvals
from tests.databases import Urls
from tests.scenarios.test_one_decision import TwoMustAgree
from tests.slack.desk import (
    ALICE,
    BETH,
    BOB,
    BOT,
    CAROL,
    GUEST,
    NOBODY,
    STRANGER,
    Desk,
    desk_on,
    on_card,
    texts_in,
)

ANSWERS = (actions.APPROVE, actions.DENY, actions.EDIT)
CHANGED = "What you saw is not what would run. Look at the approval again, then decide."


@pytest.fixture
async def desk(urls: Urls, tmp_path: Path) -> AsyncGenerator[Desk]:
    async with desk_on(urls, tmp_path) as made:
        yield made


@pytest.fixture
async def strict_desk(urls: Urls, tmp_path: Path) -> AsyncGenerator[Desk]:
    async with desk_on(urls, tmp_path, kind=TwoMustAgree) as made:
        yield made


async def still_waits(desk: Desk, question: Approval) -> bool:
    now = await desk.question(question)
    run = await desk.run(question.run_id)
    return (now.state, now.decisions, run.status) == (
        ApprovalState.PENDING,
        (),
        RunStatus.AWAITING_APPROVAL,
    )


async def typed(desk: Desk, question: Approval, *, task: int) -> dict[str, str]:
    """Return the edit form's fields with another task in them."""
    tool = next(one for one in await desk.app.tools(desk.acme.admin) if one.name == question.tool)
    blocks = {one.name: one.block for one in arguments_of(tool.input_schema)}
    return {blocks["task_id"]: str(desk.acme.task_ids[task])}


async def test_an_approver_approves_and_the_run_goes_on(desk: Desk) -> None:
    question = await desk.asked()
    await desk.clicks(actions.APPROVE, on_card(question), by=BOB)
    now = await desk.question(question)
    (decision,) = now.decisions
    assert (now.state, decision.via, decision.principal.email) == (
        ApprovalState.APPROVED,
        "slack",
        "bob@acme.test",
    )
    assert (await desk.run(question.run_id)).result == "Deleted."
    assert desk.notes() == []


async def test_similar_calls_are_approved_for_the_run_only(desk: Desk) -> None:
    question = await desk.asked()
    await desk.clicks(actions.APPROVE_SIMILAR, on_card(question), by=BOB)
    (decision,) = (await desk.question(question)).decisions
    assert decision.scope is GrantScope.RUN


async def test_a_no_asks_why_first_and_then_is_kept_with_the_reason(desk: Desk) -> None:
    question = await desk.asked()
    await desk.clicks(actions.DENY, on_card(question), by=BOB)
    assert await still_waits(desk, question)
    (form,) = desk.slack.forms
    assert form["callback_id"] == actions.DENY_FORM
    await desk.sends(form, {actions.REASON: "We need it."}, by=BOB)
    (decision,) = (await desk.question(question)).decisions
    assert (decision.answer, decision.reason) == (Answer.DENY, "We need it.")
    assert (await desk.run(question.run_id)).result == "Left alone."


async def test_a_form_that_comes_too_late_is_clicked_for_again(desk: Desk) -> None:
    question = await desk.asked()
    desk.slack.is_too_late = True
    await desk.clicks(actions.DENY, on_card(question), by=BOB)
    assert desk.notes() == [(BOB, "That took me too long. Please click again.")]


async def test_an_edit_shows_what_it_would_do_before_the_last_yes(desk: Desk) -> None:
    question = await desk.asked()
    await desk.clicks(actions.EDIT, on_card(question), by=BOB)
    await desk.sends(desk.slack.forms[-1], await typed(desk, question, task=0), by=BOB)
    assert await still_waits(desk, question)
    shown = desk.slack.forms[-1]
    assert any("Write the report" in text for text in texts_in(shown))
    await desk.sends(shown, await typed(desk, question, task=0), by=BOB)
    now = await desk.question(question)
    assert (now.state, now.arguments) == (
        ApprovalState.APPROVED,
        {"task_id": str(desk.acme.task_ids[0])},
    )
    assert (await desk.run(question.run_id)).result == "Deleted."


async def test_an_edit_changed_once_more_is_shown_once_more(desk: Desk) -> None:
    question = await desk.asked()
    await desk.clicks(actions.EDIT, on_card(question), by=BOB)
    await desk.sends(desk.slack.forms[-1], await typed(desk, question, task=0), by=BOB)
    await desk.sends(desk.slack.forms[-1], await typed(desk, question, task=2), by=BOB)
    assert await still_waits(desk, question)
    assert any("Call the customer" in text for text in texts_in(desk.slack.forms[-1]))


async def test_an_edit_that_does_not_fit_is_refused_in_words(desk: Desk) -> None:
    question = await desk.asked()
    await desk.clicks(actions.EDIT, on_card(question), by=BOB)
    block = next(iter(await typed(desk, question, task=0)))
    await desk.sends(desk.slack.forms[-1], {block: str(uuid4())}, by=BOB)
    assert await still_waits(desk, question)
    assert desk.notes() == [(BOB, "There is no such task.")]


async def test_a_card_from_before_an_edit_decides_nothing_and_shows_the_new_one(
    strict_desk: Desk,
) -> None:
    desk = strict_desk
    question = await desk.asked()
    await desk.clicks(actions.EDIT, on_card(question), by=BOB)
    await desk.sends(desk.slack.forms[-1], await typed(desk, question, task=0), by=BOB)
    await desk.sends(desk.slack.forms[-1], await typed(desk, question, task=0), by=BOB)
    desk.outbox.wishes.clear()
    for action in ANSWERS:
        desk.outbox.wishes.clear()
        await desk.clicks(action, on_card(question), by=BETH)
        assert desk.notes() == [(BETH, CHANGED)]
        (wish,) = desk.outbox.wishes
        now = await desk.question(question)
        assert now.state is ApprovalState.PENDING
        assert actions.carried(on_card(now)) in texts_in(wish.payload)
    await desk.clicks(actions.APPROVE, on_card(await desk.question(question)), by=BETH)
    assert (await desk.question(question)).state is ApprovalState.APPROVED


async def test_who_asked_may_not_answer(desk: Desk) -> None:
    question = await desk.asked()
    for action in ANSWERS:
        await desk.clicks(action, on_card(question), by=ALICE)
    assert desk.notes() == [
        (ALICE, "You asked for this yourself; somebody else must decide.")
    ] * len(ANSWERS)
    assert desk.slack.forms == []
    assert await still_waits(desk, question)


async def test_an_approver_may_not_answer_their_own_question(desk: Desk) -> None:
    await desk.says("Please delete the old draft", by=BOB)
    await desk.world.drive()
    (question,) = await desk.world.pending(desk.acme.admin)
    desk.outbox.wishes.clear()
    await desk.clicks(actions.APPROVE, on_card(question), by=BOB)
    assert desk.notes() == [(BOB, "You asked for this yourself; somebody else must decide.")]
    assert await still_waits(desk, question)


async def test_a_member_may_not_answer(desk: Desk) -> None:
    question = await desk.asked()
    people = desk.world.assembly.people
    dan = await people.create_principal(
        desk.acme.tenant.id, email="dan@acme.test", roles=(Role.MEMBER,), groups=()
    )
    await desk.link("U0DAN", dan)
    for action in ANSWERS:
        desk.outbox.wishes.clear()
        await desk.clicks(action, on_card(question), by="U0DAN")
        assert desk.note == "You may not decide this. It needs an approver."
    assert desk.slack.forms == []
    assert await still_waits(desk, question)


async def test_who_is_nobody_here_decides_nothing(desk: Desk) -> None:
    question = await desk.asked()
    nobodies = (GUEST, STRANGER, BOT, NOBODY)
    for user in nobodies:
        for action in ANSWERS:
            await desk.clicks(action, on_card(question), by=user)
    assert [reader for reader, _ in desk.notes()] == [one for one in nobodies for _ in ANSWERS]
    assert desk.slack.forms == []
    assert await still_waits(desk, question)


async def test_an_approver_who_is_one_no_more_is_refused(desk: Desk) -> None:
    question = await desk.asked()
    bob = desk.acme.approver.principal
    await desk.world.assembly.people.change_roles(
        bob.tenant_id, principal_id=bob.id, roles=(Role.MEMBER,)
    )
    await desk.clicks(actions.APPROVE, on_card(question), by=BOB)
    assert desk.note == "You may not decide this. It needs an approver."
    assert await still_waits(desk, question)


async def test_a_form_opened_before_the_role_was_lost_decides_nothing(desk: Desk) -> None:
    question = await desk.asked()
    await desk.clicks(actions.DENY, on_card(question), by=BOB)
    bob = desk.acme.approver.principal
    await desk.world.assembly.people.change_roles(
        bob.tenant_id, principal_id=bob.id, roles=(Role.MEMBER,)
    )
    await desk.sends(desk.slack.forms[-1], {actions.REASON: "no"}, by=BOB)
    assert desk.note == "You may not decide this. It needs an approver."
    assert await still_waits(desk, question)


async def test_a_person_who_is_disabled_is_nobody(desk: Desk) -> None:
    question = await desk.asked()
    enrolment = desk.world.assembly.enrolment
    await enrolment.disable(
        desk.acme.tenant.id, email="bob@acme.test", at=desk.world.assembly.clock.now()
    )
    await desk.clicks(actions.APPROVE, on_card(question), by=BOB)
    assert await still_waits(desk, question)


async def test_after_its_time_nobody_decides(desk: Desk) -> None:
    question = await desk.asked()
    past = desk.world.assembly.clock.now() - timedelta(seconds=1)
    async with desk.world.assembly.database.for_tenant(desk.acme.tenant.id) as connection:
        await connection.execute(
            update(approvals)
            .where(approvals.c.tenant_id == desk.acme.tenant.id)
            .values(expires_at=past)
        )
    await desk.clicks(actions.APPROVE, on_card(question), by=BOB)
    assert desk.note == "This approval is closed already: expired."
    assert (await desk.question(question)).decisions == ()


async def test_after_the_decision_nobody_decides(desk: Desk) -> None:
    question = await desk.asked()
    await desk.clicks(actions.APPROVE, on_card(question), by=BOB)
    for action in ANSWERS:
        await desk.clicks(action, on_card(question), by=BETH)
    assert desk.notes() == [(BETH, "This approval is closed already: approved.")] * len(ANSWERS)
    assert len((await desk.question(question)).decisions) == 1


async def test_a_click_handled_again_has_one_effect(desk: Desk) -> None:
    question = await desk.asked()
    arrival = await desk.clicks(actions.APPROVE, on_card(question), by=BOB)
    await desk.handling(arrival)
    assert len((await desk.question(question)).decisions) == 1
    run = await desk.run(question.run_id)
    deletions = [
        call for step in run.steps for call in step.calls if call.call.tool == "delete_task"
    ]
    assert [call.attempts for call in deletions] == [1]


async def test_however_many_click_at_once_one_decision_counts(desk: Desk) -> None:
    question = await desk.asked()
    async with asyncio.TaskGroup() as group:
        for number in range(12):
            by = (BOB, BETH, CAROL)[number % 3]
            group.create_task(desk.clicks(actions.APPROVE, on_card(question), by=by))
    assert len((await desk.question(question)).decisions) == 1
    assert len(desk.notes()) == 11
    assert (await desk.run(question.run_id)).result == "Deleted."


async def test_a_question_of_another_company_is_not_there(desk: Desk) -> None:
    globex = await desk.world.company("globex")
    await desk.world.app.start_run(globex.member, task="Please delete the old draft")
    await desk.world.drive()
    (theirs,) = await desk.world.pending(globex.admin)
    for action in (*ANSWERS, actions.APPROVE_SIMILAR, actions.HAPPENED, actions.RETRY):
        desk.outbox.wishes.clear()
        await desk.clicks(action, on_card(theirs), by=CAROL)
        assert desk.note == "There is no such approval."
    assert desk.slack.forms == []
    now = await desk.app.approval(globex.admin, approval_id=theirs.id)
    assert (now.state, now.decisions) == (ApprovalState.PENDING, ())


async def test_what_is_no_question_is_refused(desk: Desk) -> None:
    for carried in ({}, {"a": "not an id"}, {"a": str(uuid4()), "d": "0" * 12}):
        await desk.clicks(actions.APPROVE, carried, by=BOB)
    assert desk.notes() == [(BOB, "There is no such approval.")] * 3


async def test_without_the_digest_that_was_shown_nothing_is_decided(desk: Desk) -> None:
    question = await desk.asked()
    for digest in ("", "0" * 12, question.digest[:11]):
        for action in ANSWERS:
            await desk.clicks(action, {**on_card(question), "d": digest}, by=BOB)
    assert {text for _, text in desk.notes()} == {CHANGED}
    assert desk.slack.forms == []
    assert await still_waits(desk, question)


async def test_an_answer_to_another_kind_of_question_is_refused(desk: Desk) -> None:
    question = await desk.asked()
    for action in (actions.HAPPENED, actions.DID_NOT, actions.RETRY):
        desk.outbox.wishes.clear()
        await desk.clicks(action, on_card(question), by=BOB)
        assert desk.note == "This approval takes one of: approve, deny."
    assert await still_waits(desk, question)


async def test_a_value_that_we_did_not_write_is_refused(desk: Desk) -> None:
    for value in ("", "null", "[1]", "{", '{"a":1}', "x" * 2500):
        click = Click(user=BOB, user_team="T0ACME", action=actions.APPROVE, value=value)
        await desk.arrives(click)
    assert {text for _, text in desk.notes()} == {"There is no such approval."}


async def test_a_form_forged_for_another_question_is_judged_anew(desk: Desk) -> None:
    question = await desk.asked()
    form: JsonObject = {
        "callback_id": actions.DENY_FORM,
        "private_metadata": actions.carried(on_card(question)),
    }
    await desk.sends(form, {actions.REASON: "no"}, by=ALICE)
    assert desk.note == "You asked for this yourself; somebody else must decide."
    assert await still_waits(desk, question)


def test_what_is_kept_of_a_click_is_no_more_than_its_ids() -> None:
    click = Click(user=BOB, action="approve", value="{}", trigger="t")
    assert set(kept(click)) == {
        "type",
        "user",
        "user_team",
        "action",
        "value",
        "channel",
        "thread",
        "message",
        "trigger",
        "view",
    }

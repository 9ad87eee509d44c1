"""Deciding, on questions in memory: whose word counts for whom, and of which call."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.decide import Decider
from core.decisions import Asked
from core.domain.approval import Answer, Approval, ApprovalState, Edit, GrantScope, Question
from core.domain.canonical import JsonObject, digest_of
from core.domain.event import EventKind
from core.domain.principal import Caller, Principal, Role
from core.domain.verdict import Approvers
from core.errors import NotFound, Refused
from tests.builders import SteadyClock
from tests.nouns import NOON, a_person, an_approval
from tests.unit.approvals.board import Calendar, Pinboard
from tests.world import caller_of

ALICE = a_person(1)
BOB = a_person(2, Role.APPROVER)
BETH = a_person(3, Role.APPROVER)
CAROL = a_person(4, Role.ADMIN)
FINN = a_person(5, Role.APPROVER, groups=["finance"])
CROWD = (ALICE, BOB, BETH, CAROL, FINN)
FINANCE = Approvers(role=Role.APPROVER, groups=frozenset({"finance"}))
TWO = Approvers(role=Role.APPROVER, needed=2)


@dataclass
class Judging:
    """The Editor port: any number of a task is there but 0; ``approvers`` is whom it then asks."""

    approvers: Approvers = field(default_factory=lambda: Approvers(role=Role.APPROVER))

    async def edited(self, approval: Approval, *, arguments: JsonObject, by: str) -> Edit:
        del by
        if arguments.get("task") == 0:
            raise NotFound("not_found", noun="task")
        return Edit(
            arguments=arguments,
            preview={"summary": f"Delete {arguments['task']}."},
            digest=digest_of(arguments),
            tool_version=approval.tool_version,
            reason="",
            approvers=self.approvers,
            verdict={},
        )


@dataclass
class Desk:
    """One question about task 1, and who decides it."""

    board: Pinboard
    judging: Judging
    calendar: Calendar
    decider: Decider

    @property
    def question(self) -> Approval:
        return self.board.asked[0]

    async def say(
        self,
        person: Principal,
        answer: Answer = Answer.APPROVE,
        *,
        task: int | None = None,
        digest: str | None = None,
        scope: GrantScope = GrantScope.ONCE,
        reason: str = "",
        edited_digest: str | None = None,
    ) -> Approval:
        return await self.decider.decide(
            caller_of(person),
            approval_id=self.question.id,
            answer=answer,
            digest=digest or self.question.digest,
            scope=scope,
            reason=reason,
            arguments=None if task is None else {"task": task},
            edited_digest=edited_digest,
        )

    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.board.told]


def desk(approvers: Approvers | None = None, **deputies: Principal) -> Desk:
    """Return a desk; ``deputies`` are named for whom they stand in."""
    approvers = approvers or Approvers(role=Role.APPROVER)
    away = {"bob": BOB, "finn": FINN, "carol": CAROL, "alice": ALICE, "beth": BETH}
    first: JsonObject = {"task": 1}
    board = Pinboard(
        asked=[
            an_approval(
                arguments=first,
                preview={"summary": "Delete 1."},
                digest=digest_of(first),
                approvers=approvers,
            )
        ],
        crowd=CROWD,
        deputy_of={away[name].id: deputy for name, deputy in deputies.items()},
        due=2,
    )
    judging, calendar = Judging(approvers=approvers), Calendar(board)
    decider = Decider(records=board, editor=judging, dispatcher=calendar, clock=SteadyClock())
    return Desk(board=board, judging=judging, calendar=calendar, decider=decider)


SAID = st.tuples(
    st.sampled_from(CROWD),
    st.sampled_from([Answer.APPROVE, Answer.APPROVE, Answer.APPROVE, Answer.DENY]),
    st.sampled_from([None, None, 0, 1, 2, 3]),
    st.booleans(),
)


@given(st.lists(SAID, max_size=12), st.integers(1, 3))
async def test_whatever_is_said_only_what_enough_people_approved_is_approved(
    said: Sequence[tuple[Principal, Answer, int | None, bool]], needed: int
) -> None:
    at = desk(Approvers(role=Role.APPROVER, needed=needed), finn=BETH)
    shown = at.question.digest
    agreed: dict[str, set[str]] = {}
    for person, answer, task, is_fresh in said:
        before = at.question
        digest = before.digest if is_fresh else shown
        try:
            now = await at.say(person, answer, task=task, digest=digest)
        except Refused:
            assert at.question == before, "a refusal changes nothing"
            continue
        assert before.state is ApprovalState.PENDING
        assert person != ALICE
        assert now.digest == (digest_of({"task": task}) if task else before.digest)
        if answer is Answer.APPROVE:
            agreed.setdefault(now.digest, set()).add(person.email)
    end = at.question
    if end.state is ApprovalState.APPROVED:
        assert len(agreed[end.digest]) >= needed
        assert at.calendar.driven == [2]
    assert len({one.voice.id for one in end.voices}) == len(end.voices)
    assert end.digest == digest_of(end.arguments)


async def test_an_edit_tells_what_it_was_and_what_it_is() -> None:
    at = desk()
    await at.say(BOB, task=2)
    assert at.kinds() == [EventKind.APPROVAL_EDITED, EventKind.APPROVAL_DECIDED]
    edited = at.board.told[0].data
    assert (edited["before"], edited["after"]) == ({"task": 1}, {"task": 2})
    assert [record.action for record in at.board.audit] == ["approval.edited", "approval.decided"]
    assert {record.actor for record in at.board.audit} == {BOB.email}


async def test_what_the_operator_changes_is_the_operators() -> None:
    at = desk()
    caller = replace(caller_of(BOB), on_behalf=True)
    await at.decider.decide(
        caller,
        approval_id=at.question.id,
        answer=Answer.APPROVE,
        digest=at.question.digest,
        arguments={"task": 2},
    )
    actors = {record.actor for record in at.board.audit}
    assert actors == {f"operator on behalf of {BOB.email}"}


async def test_an_edit_that_asks_others_is_not_for_whom_it_does_not_ask() -> None:
    at = desk()
    at.judging.approvers = FINANCE
    before = at.question
    with pytest.raises(Refused, match="not_eligible"):
        await at.say(BOB, task=2)
    assert (at.question, at.board.told) == (before, [])
    assert (await at.say(FINN, task=2)).approvers == FINANCE


@pytest.mark.parametrize(
    ("code", "person", "said"),
    [
        ("not_found", BOB, {"task": 0}),
        ("wrong_digest", BOB, {"task": 2, "digest": "another"}),
        ("wrong_digest", BOB, {"task": 2, "edited_digest": "another"}),
        ("wrong_answer", BOB, {"answer": Answer.DENY, "task": 2}),
        ("wrong_answer", BOB, {"answer": Answer.RETRY}),
        ("only_once", BOB, {"task": 2, "scope": GrantScope.RUN}),
        ("self_approval", replace(ALICE, roles=BOB.roles), {"task": 2}),
        ("missing_scope", ALICE, {"task": 2}),
        ("reason_too_long", BOB, {"reason": "x" * 2001}),
        ("scope_needs_admin", BOB, {"scope": GrantScope.ALWAYS}),
    ],
)
async def test_what_is_refused_changes_nothing(
    code: str,
    person: Principal,
    said: dict[str, Any],  # Any: what say takes
) -> None:
    at = desk()
    before = at.question
    with pytest.raises(Refused, match=code):
        await at.say(person, **said)
    assert (at.question, at.board.told, at.calendar.driven) == (before, [], [])


async def test_a_run_at_work_is_not_edited() -> None:
    at = desk()
    at.board.parked = False
    with pytest.raises(Refused, match="run_at_work"):
        await at.say(BOB, task=2)
    assert (await at.say(BOB)).state is ApprovalState.APPROVED


async def test_what_is_over_is_over() -> None:
    at = desk()
    at.board.asked[0] = replace(at.question, expires_at=NOON)
    with pytest.raises(Refused, match="approval_closed"):
        await at.say(BOB)


async def test_what_became_of_a_call_is_answered_once() -> None:
    at = desk()
    at.board.asked[0] = replace(at.question, question=Question.OUTCOME)
    assert (await at.say(BOB, Answer.HAPPENED)).state is ApprovalState.APPROVED


async def test_a_wider_yes_is_a_grant() -> None:
    at = desk()
    await at.say(BOB, scope=GrantScope.RUN)
    assert [grant.granted_by for grant in at.board.kept] == [(BOB,)]


async def test_a_preview_changes_nothing_and_is_for_whom_it_asks() -> None:
    at = desk(FINANCE)
    before = at.question

    async def preview(person: Principal) -> Edit:
        return await at.decider.preview_edit(
            caller_of(person), approval_id=before.id, arguments={"task": 2}
        )

    assert (await preview(FINN)).preview == {"summary": "Delete 2."}
    for person in (ALICE, BOB):
        with pytest.raises(Refused):
            await preview(person)
    assert (at.question, at.board.told) == (before, [])


async def test_a_deputy_answers_in_the_place_of_who_is_away() -> None:
    at = desk(FINANCE, finn=BOB)
    now = await at.say(BOB)
    (decision,) = now.decisions
    assert now.state is ApprovalState.APPROVED
    assert (decision.principal, decision.voice) == (BOB, FINN)
    assert at.board.audit[-1].actor == f"{BOB.email} for {FINN.email}"
    told = at.board.told[-1].data
    assert (told["by"], told["for"]) == (BOB.email, FINN.email)


async def test_nobody_answers_twice_not_even_by_a_deputy() -> None:
    at = desk(replace(FINANCE, needed=2), finn=BOB)
    await at.say(FINN)
    with pytest.raises(Refused, match="already_decided"):
        await at.say(BOB)
    other = desk(replace(FINANCE, needed=2), finn=BOB)
    await other.say(BOB)
    with pytest.raises(Refused, match="already_decided"):
        await other.say(FINN)
    with pytest.raises(Refused, match="already_decided"):
        await other.say(BOB)


@pytest.mark.parametrize(
    ("deputy", "for_", "code"),
    [
        (replace(ALICE, roles=BOB.roles), "finn", "self_approval"),
        (BOB, "beth", "not_eligible"),
        (replace(BOB, roles=frozenset({Role.MEMBER})), "finn", "missing_scope"),
    ],
    ids=["of what they asked for", "of who could not either", "who may never decide"],
)
async def test_who_cannot_stand_in_does_not(deputy: Principal, for_: str, code: str) -> None:
    at = desk(FINANCE, **{for_: deputy})
    with pytest.raises(Refused, match=code):
        await at.say(deputy)


async def test_nobody_stands_in_for_whoever_asked() -> None:
    at = desk(replace(FINANCE, people=frozenset({ALICE.email})), alice=BOB)
    with pytest.raises(Refused, match="not_eligible"):
        await at.say(BOB)


async def test_a_deputy_gives_no_standing_permission() -> None:
    at = desk(FINANCE, finn=BOB)
    with pytest.raises(Refused, match="only_once"):
        await at.say(BOB, scope=GrantScope.RUN)


async def test_whoever_is_asked_is_told_with_deputies_in_the_place_of_who_is_away() -> None:
    async def asked(at: Desk) -> Sequence[Asked]:
        return await at.decider.asked(at.question)

    everyone = [Asked(person=one) for one in (BOB, BETH, CAROL, FINN)]
    assert list(await asked(desk())) == everyone
    assert list(await asked(desk(finn=BOB))) == everyone[:3]
    assert list(await asked(desk(FINANCE, finn=BOB))) == [Asked(person=BOB, in_place_of=FINN)]
    assert list(await asked(desk(FINANCE, finn=ALICE))) == [Asked(person=FINN)]


async def test_whom_a_question_concerns() -> None:
    at, away = desk(FINANCE), desk(FINANCE, finn=BOB)

    async def concerned(at: Desk) -> list[Principal]:
        return [
            one
            for one in CROWD
            if at.decider.concerns(one, approval=at.question, absent=await at.decider.absent(one))
        ]

    assert await concerned(at) == [ALICE, CAROL, FINN]
    assert await concerned(away) == [ALICE, BOB, CAROL, FINN]


async def test_it_concerns_whoever_has_answered_or_was_told() -> None:
    at = desk(TWO)
    await at.say(BOB)
    gone = replace(BOB, roles=frozenset[Role]())
    assert at.decider.concerns(gone, approval=at.question)
    told = replace(at.question, escalated_at=NOON, escalated_to="legal")
    lawyer = a_person(9, groups=["legal"])
    assert at.decider.concerns(lawyer, approval=told)
    assert not at.decider.concerns(lawyer, approval=at.question)


async def test_why_an_answer_would_not_count() -> None:
    at = desk(replace(FINANCE, needed=2), finn=BOB)
    await at.say(BOB)

    async def why(person: Principal) -> str | None:
        absent = await at.decider.absent(person)
        return at.decider.objection(person, approval=at.question, absent=absent)

    assert await why(BOB) == "already_decided"
    assert await why(FINN) == "already_decided"
    assert await why(ALICE) == "self_approval"
    assert await why(BETH) == "not_eligible"
    assert (
        at.decider.objection(
            BETH, approval=at.question, absent=[a_person(7, Role.APPROVER, groups=["finance"])]
        )
        is None
    )


async def test_a_caller_needs_the_scope_to_preview() -> None:
    at = desk()
    with pytest.raises(Refused, match="missing_scope"):
        await at.decider.preview_edit(
            Caller(principal=BOB, scopes=frozenset(), via="api"),
            approval_id=at.question.id,
            arguments={"task": 2},
        )

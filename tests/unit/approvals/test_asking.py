"""The gate and the sweep, on questions in memory: asked once, answered once, over once."""

from dataclasses import replace
from datetime import timedelta

import pytest

from approvals.expiry import Expiry
from approvals.gate import ApprovalGate
from core.domain.approval import Answer, ApprovalState, Decision
from core.domain.approval import Question as Kind
from core.domain.ids import RunId
from core.domain.principal import Role
from core.domain.run import Lease
from core.domain.tool import Preview
from core.domain.verdict import Approvers, RequireApproval
from core.ports import Covered, Declined, Question, Settled, Waiting
from tests.builders import SteadyClock
from tests.nouns import NOON, TENANT, a_decision, a_person, a_request, a_tool
from tests.unit.approvals.board import Calendar, Pinboard

BOB = a_person(2, Role.APPROVER)
CALL = a_request({"name": "a"}, tool="delete_task")
LEASE = Lease(tenant_id=TENANT, run_id=CALL.run_id or RunId(CALL.id), segment=1, number=1)
PUT = Question(
    call=CALL,
    tool=a_tool(),
    preview=Preview(summary="Delete it."),
    digest="what is shown",
    verdict=RequireApproval(reason="so", approvers=Approvers(role=Role.APPROVER)),
    lease=LEASE,
    attempt=1,
    expires_after_days=7,
)


def gate_on(board: Pinboard) -> ApprovalGate:
    return ApprovalGate(records=board, clock=SteadyClock())


async def test_the_same_question_put_twice_is_asked_once() -> None:
    board = Pinboard(crowd=[BOB])
    first, second = [await gate_on(board).put(PUT) for _ in range(2)]
    assert isinstance(first, Waiting)
    assert first == second
    assert (len(board.asked), len(board.told)) == (1, 1)
    assert board.asked[0].expires_at == NOON + timedelta(days=7)


async def test_another_digest_takes_the_question_s_place_twice_and_then_is_a_no() -> None:
    board = Pinboard(crowd=[BOB])
    for digest in ("one", "two", "three"):
        assert isinstance(await gate_on(board).put(replace(PUT, digest=digest)), Waiting)
    assert await gate_on(board).put(replace(PUT, digest="four")) == Declined(
        code="changed_too_often"
    )
    states = [one.state for one in board.asked]
    assert states == [ApprovalState.WITHDRAWN] * 2 + [ApprovalState.PENDING]
    assert len({one.id for one in board.asked}) == 3


async def test_asking_other_people_is_asking_anew() -> None:
    board = Pinboard(crowd=[BOB])
    await gate_on(board).put(PUT)
    stricter = replace(PUT.verdict, approvers=Approvers(role=Role.ADMIN))
    await gate_on(board).put(replace(PUT, verdict=stricter))
    assert [one.approvers.role for one in board.asked] == [Role.APPROVER, Role.ADMIN]


@pytest.mark.parametrize(
    ("state", "decisions", "outcome"),
    [
        (
            ApprovalState.DENIED,
            (replace(a_decision(BOB, Answer.DENY), reason="no"),),
            Declined(code="denied", by=BOB.email, reason="no"),
        ),
        (ApprovalState.EXPIRED, (), Declined(code="expired")),
    ],
    ids=["denied", "expired"],
)
async def test_a_no_stays_a_no(
    state: ApprovalState, decisions: tuple[Decision, ...], outcome: Declined
) -> None:
    board = Pinboard(crowd=[BOB])
    await gate_on(board).put(PUT)
    board.answer(state, *decisions)
    assert await gate_on(board).put(PUT) == outcome
    assert not await gate_on(board).covers(PUT)


async def test_a_yes_covers_this_call_and_no_other() -> None:
    board = Pinboard(crowd=[BOB])
    assert not await gate_on(board).covers(PUT)
    await gate_on(board).put(PUT)
    board.answer(ApprovalState.APPROVED, a_decision(BOB, digest=PUT.digest))
    covered = await gate_on(board).put(PUT)
    assert isinstance(covered, Covered)
    assert (covered.by, covered.how) == ((BOB.email,), "approval")
    assert not await gate_on(board).covers(replace(PUT, digest="another"))


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (ApprovalState.PENDING, Waiting),
        (ApprovalState.APPROVED, Settled),
        (ApprovalState.EXPIRED, Declined),
        (ApprovalState.WITHDRAWN, Declined),
        (ApprovalState.DENIED, Declined),
    ],
)
async def test_what_became_of_an_attempt_is_asked_once_and_told_apart_from_leave(
    state: ApprovalState, outcome: type
) -> None:
    board = Pinboard(crowd=[BOB])
    await gate_on(board).put(PUT)
    asked = replace(
        PUT, verdict=replace(PUT.verdict, approvers=Approvers(role=Role.ADMIN, needed=3))
    )
    await gate_on(board).put_outcome(asked)
    assert [one.question for one in board.asked] == [Kind.PERMIT, Kind.OUTCOME]
    assert board.asked[1].approvers.needed == 1
    board.answer(state, a_decision(BOB, Answer.HAPPENED))
    assert isinstance(await gate_on(board).put_outcome(asked), outcome)
    assert len(board.asked) == 2
    await gate_on(board).put_outcome(replace(asked, attempt=2))
    assert len(board.asked) == 3, "another attempt is another question"


async def test_only_a_run_s_call_can_wait() -> None:
    alone = replace(PUT, call=replace(CALL, run_id=None))
    with pytest.raises(ValueError, match="only a run's call"):
        await gate_on(Pinboard()).put(alone)


@pytest.mark.parametrize("due", [None, 2])
async def test_what_is_over_is_over_once_and_moves_the_run_on_where_it_waited(
    due: int | None,
) -> None:
    board, clock = Pinboard(due=due), SteadyClock()
    await gate_on(board).put(PUT)
    calendar = Calendar(board)
    expiry = Expiry(records=board, deadlines=calendar, dispatcher=calendar, clock=clock)
    assert await expiry.sweep() == 0, "its time is not over"
    clock.move(seconds=7 * 24 * 3600)
    assert [await expiry.sweep() for _ in range(2)] == [1, 0]
    assert board.asked[0].state is ApprovalState.EXPIRED
    assert calendar.driven == ([] if due is None else [due])

"""Reminders, on a question in memory: each once, and others told when nobody answers."""

from dataclasses import replace
from datetime import timedelta

import pytest

from approvals.reminders import Reminders
from core.domain.approval import ApprovalState
from core.domain.event import EventKind
from core.domain.reminding import Reminding
from tests.builders import SteadyClock
from tests.nouns import NOON, an_approval
from tests.unit.approvals.board import Calendar, Pinboard

HOUR = 3600.0


def on(board: Pinboard, clock: SteadyClock) -> Reminders:
    return Reminders(records=board, deadlines=Calendar(board), clock=clock)


async def test_people_are_reminded_after_an_hour_and_a_day_when_admins_are_told() -> None:
    board, clock = Pinboard(asked=[an_approval(preview={"summary": "Delete it."})]), SteadyClock()
    sweep = on(board, clock).sweep
    assert await sweep() == 0
    clock.move(seconds=HOUR)
    assert [await sweep() for _ in range(3)] == [1, 0, 0]
    assert board.remind_at == NOON + timedelta(days=1)
    clock.move(seconds=23 * HOUR)
    assert [await sweep() for _ in range(3)] == [2, 0, 0]
    assert board.remind_at is None
    assert [event.kind for event in board.told] == [
        EventKind.APPROVAL_REMINDED,
        EventKind.APPROVAL_REMINDED,
        EventKind.APPROVAL_ESCALATED,
    ]
    assert [event.data.get("reminded") for event in board.told] == [1, 2, None]
    assert (board.told[2].data["to"], board.told[2].data["summary"]) == ("admins", "Delete it.")
    assert {record.actor for record in board.audit} == {"system"}
    (question,) = board.asked
    assert (question.reminded, question.escalated_to) == (2, "")
    assert question.escalated_at == clock.now()


async def test_what_was_missed_is_one_reminder() -> None:
    board, clock = Pinboard(asked=[an_approval()]), SteadyClock()
    clock.move(seconds=30 * HOUR)
    assert await on(board, clock).sweep() == 2
    assert [event.kind for event in board.told] == [
        EventKind.APPROVAL_REMINDED,
        EventKind.APPROVAL_ESCALATED,
    ]
    assert board.asked[0].reminded == 2


async def test_a_company_has_its_own_plan() -> None:
    plan = Reminding(after=(), escalate_after=timedelta(hours=2), escalate_to="legal")
    board, clock = Pinboard(asked=[an_approval()], reminding=plan), SteadyClock()
    clock.move(seconds=2 * HOUR)
    assert await on(board, clock).sweep() == 1
    assert board.told[0].data["to"] == "legal"
    assert board.asked[0].escalated_to == "legal"


@pytest.mark.parametrize(
    "fields",
    [
        {"state": ApprovalState.APPROVED},
        {"state": ApprovalState.WITHDRAWN},
        {"expires_at": NOON + timedelta(hours=1)},
    ],
    ids=["decided", "withdrawn", "over"],
)
async def test_nobody_is_reminded_of_what_is_closed(fields: dict[str, object]) -> None:
    question = replace(an_approval(), **fields)  # pyright: ignore[reportArgumentType] - as above
    board, clock = Pinboard(asked=[question]), SteadyClock()
    clock.move(seconds=2 * HOUR)
    assert await on(board, clock).sweep() == 0
    assert board.asked == [question]
    assert board.told == []

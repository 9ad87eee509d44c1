"""When people are reminded: each time once, whenever somebody looks."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from core.domain.reminding import Reminding
from tests.nouns import NOON

MINUTES = st.integers(1, 100).map(lambda minutes: timedelta(minutes=minutes))
PLANS = st.builds(
    Reminding,
    after=st.lists(MINUTES, max_size=4, unique=True).map(lambda many: tuple(sorted(many))),
    escalate_after=st.none() | MINUTES,
)


@given(PLANS, st.lists(MINUTES, max_size=8))
def test_however_often_somebody_looks_nothing_is_told_twice_and_in_the_end_everything(
    plan: Reminding, looks: list[timedelta]
) -> None:
    reminded, reminders, escalations = 0, 0, 0
    for look in [*sorted(looks), timedelta(days=1)]:
        now = NOON + look
        due = plan.due(asked_at=NOON, reminded=reminded, escalated=escalations > 0, now=now)
        assert due.reminded >= reminded
        assert due.next_at is None or due.next_at > now
        reminders += due.reminds
        escalations += due.escalates
        reminded = due.reminded
    assert reminded == len(plan.after)
    assert reminders <= len(plan.after)
    assert escalations == (plan.escalate_after is not None)


@given(PLANS)
def test_who_looks_when_something_is_due_misses_nothing(plan: Reminding) -> None:
    reminded, told, next_at = 0, 0, plan.first(asked_at=NOON)
    is_escalated = False
    while next_at is not None:
        due = plan.due(asked_at=NOON, reminded=reminded, escalated=is_escalated, now=next_at)
        assert due.reminds or due.escalates
        told += due.reminds
        reminded, is_escalated, next_at = due.reminded, is_escalated or due.escalates, due.next_at
    assert told == len(plan.after)

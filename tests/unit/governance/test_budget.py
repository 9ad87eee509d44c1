"""Spend never passes the limit, in whatever order things are bought."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import RunStopped
from core.governance.budget import RunBudget, dollars

KEYS = st.sampled_from(["step:1", "step:2", "call:a", "call:b"])
# What is bought: an order under a key, and the part of it that it came to cost in the end.
DEALS = st.lists(
    st.tuples(KEYS, st.integers(0, 1_000), st.none() | st.floats(0, 1)),
    max_size=40,
)


@given(limit=st.integers(0, 3_000), before=st.integers(0, 3_000), deals=DEALS)
def test_spend_never_passes_the_limit(
    limit: int, before: int, deals: list[tuple[str, int, float | None]]
) -> None:
    spent = min(before, limit)
    budget = RunBudget(limit_micros=limit, spent_micros=spent)
    ordered: dict[str, int] = {}
    for key, micros, share in deals:
        fits = spent + sum(v for k, v in ordered.items() if k != key) + micros <= limit
        try:
            budget.reserve(key, micros=micros)
        except RunStopped:
            assert not fits
        else:
            assert fits
            ordered[key] = micros
        if share is not None and key in ordered:
            cost = int(ordered.pop(key) * share)
            budget.settle(key, micros=cost)
            spent += cost
        assert budget.spent_micros == spent
        assert spent + sum(ordered.values()) <= limit


@given(st.integers(0, 1_000), DEALS)
def test_what_was_given_up_can_be_bought_by_somebody_else(
    limit: int, deals: list[tuple[str, int, float | None]]
) -> None:
    budget = RunBudget(limit_micros=limit, spent_micros=0)
    for key, micros, _ in deals:
        with suppress(RunStopped):
            budget.reserve(key, micros=micros)
        budget.settle(key, micros=0)
    budget.reserve("all of it", micros=limit)
    assert budget.spent_micros == 0


def test_the_limit_itself_may_be_spent_and_no_more() -> None:
    budget = RunBudget(limit_micros=100, spent_micros=40)
    budget.reserve("step:1", micros=60)
    with pytest.raises(RunStopped) as stop:
        budget.reserve("call:a", micros=1)
    assert (stop.value.code, stop.value.facts["budget"]) == ("budget_exceeded", "$0.0001")


def test_ordering_again_replaces_the_order() -> None:
    budget = RunBudget(limit_micros=100, spent_micros=0)
    budget.reserve("step:1", micros=90)
    budget.reserve("step:1", micros=100)
    budget.reserve("step:1", micros=10)
    budget.reserve("call:a", micros=90)


@pytest.mark.parametrize(
    ("micros", "told"),
    [
        (0, "$0.00"),
        (500_000, "$0.50"),
        (4_200, "$0.0042"),
        (10_000_000, "$10.00"),
        (1_234_500, "$1.2345"),
        (990_000, "$0.99"),
        (120_000_000_000, "$120000.00"),
    ],
)
def test_money_is_told_as_people_read_it(micros: int, told: str) -> None:
    assert dollars(micros) == told

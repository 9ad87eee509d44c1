"""Nothing that was used is free, and more never costs less."""

from dataclasses import astuple, fields, replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from core.domain.model import Price, TokenUsage

TOKENS = st.integers(0, 10_000_000)
USAGE = st.builds(
    TokenUsage,
    input_tokens=TOKENS,
    output_tokens=TOKENS,
    cache_read_tokens=TOKENS,
    cache_write_tokens=TOKENS,
)
FIELDS = tuple(field.name for field in fields(TokenUsage))
RATE = st.decimals(Decimal("0.0001"), Decimal(500), places=4)
PRICE = st.builds(
    Price,
    model=st.just("m"),
    since=st.just("2026-01-01"),
    input=RATE,
    output=RATE,
    cache_read=RATE,
    cache_write=RATE,
)

FREE = Price(
    model="m",
    since="2026-01-01",
    input=Decimal(0),
    output=Decimal(0),
    cache_read=Decimal(0),
    cache_write=Decimal(0),
)


@given(PRICE, USAGE)
def test_what_was_used_is_never_free_by_rounding(price: Price, usage: TokenUsage) -> None:
    used = sum(astuple(usage))
    assert (price.cost_micros(usage) > 0) is (used > 0)


@given(PRICE, USAGE, USAGE)
def test_more_never_costs_less(price: Price, usage: TokenUsage, more: TokenUsage) -> None:
    summed = (one + other for one, other in zip(astuple(usage), astuple(more), strict=True))
    both = TokenUsage(**dict(zip(FIELDS, summed, strict=True)))
    together = price.cost_micros(both)
    assert together >= price.cost_micros(usage)
    assert together <= price.cost_micros(usage) + price.cost_micros(more)


@given(PRICE, USAGE, TOKENS)
def test_one_more_token_of_a_kind_costs_its_price(
    price: Price, usage: TokenUsage, more: int
) -> None:
    dearer = replace(usage, output_tokens=usage.output_tokens + more)
    rise = price.cost_micros(dearer) - price.cost_micros(usage)
    assert abs(rise - more * price.output) < 1


def test_a_part_of_a_micro_dollar_is_rounded_up() -> None:
    tenth = Decimal("0.1")
    price = replace(FREE, input=tenth)
    assert price.cost_micros(TokenUsage(input_tokens=1)) == 1
    assert price.cost_micros(TokenUsage(input_tokens=10)) == 1
    assert price.cost_micros(TokenUsage(input_tokens=11)) == 2

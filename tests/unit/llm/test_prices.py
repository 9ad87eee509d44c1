from datetime import date
from decimal import Decimal

import pytest

from core.domain.model import Price, TokenUsage
from core.errors import Misconfigured
from core.llm.prices import DEFAULT_MODEL, PUBLISHED, SCRIPTED, Listed, PriceTable
from tests.unit.llm.conversations import prompt

AUTUMN = date(2026, 11, 1)


def price(model: str = "m", *, since: str = "2026-01-01", dollars: str = "1") -> Price:
    each = Decimal(dollars)
    return Price(
        model=model, since=since, input=each, output=each, cache_read=each, cache_write=each
    )


def test_the_price_is_the_latest_that_held_on_the_day() -> None:
    table = PriceTable(
        [
            Listed(price=price(since="2026-03-01", dollars="2")),
            Listed(price=price(since="2026-01-01", dollars="1")),
            Listed(price=price(since="2026-06-01", dollars="3")),
        ]
    )
    on = [date(2025, 1, 1), date(2026, 2, 28), date(2026, 3, 1), date(2026, 7, 1)]
    assert [table.price_of("m", on=day).input for day in on] == [1, 1, 2, 3]


@pytest.mark.parametrize("model", ["claude-sonnet-9", "claude-sonnet", "", "claude-sonnet-5-5-x"])
def test_a_model_that_nobody_priced_is_refused(model: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        PriceTable().price_of(model, on=AUTUMN)
    assert caught.value.code == "unknown_price"
    assert caught.value.facts == {"model": model}


@pytest.mark.parametrize(
    ("dated", "model"),
    [
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("gpt-5.4-2026-03-05", "gpt-5.4"),
        ("claude-sonnet-5-5", "claude-sonnet-5-5"),
    ],
)
def test_a_dated_id_costs_what_its_model_costs(dated: str, model: str) -> None:
    assert PriceTable().price_of(dated, on=AUTUMN).model == model


def test_a_longer_name_never_takes_the_price_of_a_shorter_one() -> None:
    table = PriceTable()
    assert table.price_of("claude-opus-5-5", on=AUTUMN).input == 4
    assert table.price_of("claude-opus-5", on=AUTUMN).input == 5


@pytest.mark.parametrize(("tokens", "dollars"), [(100_000, "0.10"), (100_001, "0.50")])
def test_a_long_prompt_has_its_own_price(tokens: int, dollars: str) -> None:
    usage = TokenUsage(input_tokens=tokens - 10, cache_read_tokens=10)
    found, _ = PriceTable().cost(usage, model="claude-haiku-5-5", on=AUTUMN)
    assert found.input == Decimal(dollars)


def test_an_override_holds_from_its_day_on() -> None:
    table = PriceTable(
        [Listed(price=price(dollars="1"))],
        overrides={"m": {"input": "7", "output": 8, "since": "2026-06-01"}},
    )
    assert table.price_of("m", on=date(2026, 5, 31)).input == 1
    own = table.price_of("m", on=date(2026, 6, 1))
    assert (own.input, own.output, own.cache_read, own.cache_write) == (7, 8, 7, 7)


def test_an_override_without_a_day_always_holds_and_brings_new_models() -> None:
    table = PriceTable(
        overrides={
            "local": {"input": 0, "output": 0},
            SCRIPTED: {"input": 1, "output": 2, "cache_read": "0.1", "cache_write": "1.5"},
        }
    )
    assert table.price_of("local", on=AUTUMN).cost_micros(TokenUsage(input_tokens=10**6)) == 0
    assert table.price_of(SCRIPTED, on=date(2020, 1, 1)).cache_write == Decimal("1.5")


def test_an_override_of_a_day_to_come_prices_a_model_that_has_no_other_price() -> None:
    table = PriceTable(
        overrides={"new": {"input": "3", "output": "4", "since": "2027-01-01"}},
    )
    assert table.price_of("new", on=AUTUMN).input == 3


@pytest.mark.parametrize(
    "given",
    [
        {"input": "1"},
        {"input": "-1", "output": "1"},
        {"input": "much", "output": "1"},
        {"input": 1, "output": 1, "per": "token"},
        {"input": 1, "output": 1, "since": "soon"},
    ],
)
def test_a_wrong_override_names_its_model(given: dict[str, object]) -> None:
    with pytest.raises(Misconfigured) as caught:
        PriceTable(overrides={"m": given})
    assert caught.value.code == "invalid_price"
    assert caught.value.facts["model"] == "m"


def test_the_default_model_is_a_sonnet_with_a_price() -> None:
    assert "sonnet" in DEFAULT_MODEL
    assert PriceTable().price_of(DEFAULT_MODEL, on=AUTUMN).output > 0


def test_every_published_price_is_plausible() -> None:
    for one in PUBLISHED:
        found = one.price
        date.fromisoformat(found.since)
        assert 0 < found.cache_read < found.input <= found.cache_write < found.output, found


def test_the_most_that_a_prompt_may_cost_is_charged_at_the_dearest_input_price() -> None:
    table = PriceTable(
        [
            Listed(
                price=Price(
                    model="m",
                    since="2026-01-01",
                    input=Decimal(1),
                    output=Decimal(10),
                    cache_read=Decimal(0),
                    cache_write=Decimal(2),
                )
            )
        ]
    )
    asked = prompt("x" * 3000, max_output_tokens=100)
    assert table.most_micros(asked, model="m", on=AUTUMN) >= 2 * 1000 + 10 * 100


def test_text_that_is_not_ascii_counts_by_its_bytes() -> None:
    table = PriceTable()
    plain, wide = (
        table.most_micros(prompt(letter * 4000), model=SCRIPTED, on=AUTUMN) for letter in "xű"
    )
    assert wide > plain

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import pytest

from core.domain.model import ModelAnswer, Price, Prompt, StopReason, TokenUsage
from core.errors import ModelFailed, ModelOverloaded
from core.llm.fallback import FallbackModel, Link
from core.ports import OnText
from tests.unit.llm.conversations import Listener, SettableClock, prompt

FREE = Price(
    model="m",
    since="2026-01-01",
    input=Decimal(0),
    output=Decimal(0),
    cache_read=Decimal(0),
    cache_write=Decimal(0),
)
DOWN = ModelOverloaded("model_overloaded", provider="x", status=529, attempts=4)
HICCUP = ModelOverloaded("model_overloaded", provider="x", status=529, attempts=1)
BAD = ModelFailed("model_failed", provider="x", status=400, detail="invalid_request_error")
NO_KEY = ModelFailed("model_failed", provider="x", status=401, detail="authentication_error")
NO_MONEY = ModelFailed("model_failed", provider="x", status=429, detail="insufficient_quota")


class Provider:
    """Answers with its name, or fails with what it is told, the last thing told again and again."""

    def __init__(self, name: str, *told: ModelFailed | None, micros: int = 1) -> None:
        self.name = name
        self.told: Sequence[ModelFailed | None] = told or (None,)
        self.asked: list[Prompt] = []
        self.micros = micros
        self.closed = False
        self.gate: asyncio.Event | None = None
        self.arrived = asyncio.Semaphore(0)

    async def answer(self, prompt: Prompt, *, on_text: OnText) -> ModelAnswer:
        told = self.told[min(len(self.asked), len(self.told) - 1)]
        self.asked.append(prompt)
        self.arrived.release()
        if self.gate is not None:
            await self.gate.wait()
        if told is not None:
            raise told
        await on_text(self.name)
        return ModelAnswer(
            provider=self.name,
            model=prompt.model,
            text=self.name,
            thinking="",
            calls=(),
            stop=StopReason.DONE,
            usage=TokenUsage(),
            price=FREE,
            cost_micros=0,
            duration_ms=0,
        )

    def most_micros(self, prompt: Prompt) -> int:
        return self.micros * len(prompt.model)

    async def close(self) -> None:
        self.closed = True


def chain(*providers: Provider, clock: SettableClock | None = None) -> FallbackModel:
    links = [
        Link(provider=one.name, model=one, model_name=f"{one.name}-own" if index else None)
        for index, one in enumerate(providers)
    ]
    return FallbackModel(links, clock=clock or SettableClock())


async def ask(model: FallbackModel) -> ModelAnswer:
    return await model.answer(prompt("Hi", model="asked"), on_text=Listener())


async def test_the_first_answers_while_it_can() -> None:
    first, second = Provider("first"), Provider("second")
    answer = await ask(chain(first, second))
    assert (answer.provider, answer.model, answer.refused_attempts) == ("first", "asked", ())
    assert second.asked == []


@pytest.mark.parametrize("trouble", [DOWN, HICCUP, NO_KEY, NO_MONEY])
async def test_the_next_answers_with_its_own_model_and_it_is_told_who_failed(
    trouble: ModelFailed,
) -> None:
    answer = await ask(chain(Provider("first", trouble), Provider("second")))
    assert (answer.provider, answer.model) == ("second", "second-own")
    assert answer.refused_attempts == (("first", trouble.code),)


@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_trouble_with_our_account_is_not_shared(status: int) -> None:
    trouble = ModelFailed("model_failed", provider="x", status=status, detail="unknown_error")
    assert (await ask(chain(Provider("first", trouble), Provider("second")))).text == "second"


async def test_a_bad_request_is_bad_everywhere() -> None:
    second = Provider("second")
    with pytest.raises(ModelFailed) as caught:
        await ask(chain(Provider("first", BAD), second))
    assert caught.value is BAD
    assert second.asked == []


async def test_when_all_fail_the_last_one_says_why() -> None:
    with pytest.raises(ModelFailed) as caught:
        await ask(chain(Provider("first", DOWN), Provider("second", NO_KEY)))
    assert caught.value is NO_KEY


@pytest.mark.parametrize(("trouble", "times"), [(DOWN, 1), (HICCUP, 4), (NO_KEY, 1)])
async def test_more_than_three_errors_in_a_row_leave_a_provider_alone(
    trouble: ModelFailed, times: int
) -> None:
    first, second = Provider("first", trouble), Provider("second")
    model = chain(first, second)
    for _ in range(times + 1):
        await ask(model)
    answer = await ask(model)
    assert len(first.asked) == times
    assert answer.refused_attempts == (("first", "cooling_down"),)


async def test_errors_count_only_in_a_row() -> None:
    first = Provider("first", *(HICCUP, HICCUP, HICCUP, None, HICCUP, HICCUP, HICCUP, BAD) * 2)
    model = chain(first, Provider("second"))
    for index in range(16):
        if index % 8 == 7:
            with pytest.raises(ModelFailed):
                await ask(model)
        else:
            await ask(model)
    assert len(first.asked) == 16


async def test_after_the_cool_down_one_prompt_tries_and_an_answer_closes_the_circuit() -> None:
    clock = SettableClock()
    first = Provider("first", DOWN, None)
    model = chain(first, Provider("second"), clock=clock)
    await ask(model)
    clock.passed = 59.9
    assert (await ask(model)).provider == "second"
    clock.passed = 60.0
    first.gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        await first.arrived.acquire()
        trying = group.create_task(ask(model))
        await first.arrived.acquire()
        assert (await ask(model)).refused_attempts == (("first", "cooling_down"),)
        first.gate.set()
    assert trying.result().provider == "first"
    assert (await ask(model)).provider == "first"


async def test_a_failed_try_cools_down_again() -> None:
    clock = SettableClock()
    first = Provider("first", DOWN, HICCUP, None)
    model = chain(first, Provider("second"), clock=clock)
    await ask(model)
    clock.passed = 60.0
    assert (await ask(model)).refused_attempts == (("first", "model_overloaded"),)
    clock.passed = 119.0
    assert (await ask(model)).refused_attempts == (("first", "cooling_down"),)
    clock.passed = 120.0
    assert (await ask(model)).provider == "first"


async def test_a_cancelled_try_lets_the_next_one_try() -> None:
    clock = SettableClock()
    first = Provider("first", DOWN, None)
    model = chain(first, Provider("second"), clock=clock)
    await ask(model)
    clock.passed = 60.0
    first.gate = asyncio.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await ask(model)
    first.gate.set()
    assert (await ask(model)).provider == "first"


async def test_when_all_are_left_alone_all_are_tried() -> None:
    first, second = Provider("first", DOWN, DOWN), Provider("second", DOWN, None)
    model = chain(first, second)
    with pytest.raises(ModelOverloaded):
        await ask(model)
    answer = await ask(model)
    assert (answer.provider, answer.refused_attempts) == (
        "second",
        (("first", "model_overloaded"),),
    )


async def test_whoever_goes_down_while_others_are_asked_is_passed_by() -> None:
    first, second = Provider("first", HICCUP), Provider("second", NO_KEY)
    first.gate = asyncio.Event()
    model = chain(first, second)
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(_failed(model)) for _ in range(2)]
        await first.arrived.acquire()
        await first.arrived.acquire()
        first.gate.set()
    assert len(second.asked) == 1
    assert {type(one.result()) for one in asking} == {ModelFailed, ModelOverloaded}


async def _failed(model: FallbackModel) -> ModelFailed:
    with pytest.raises(ModelFailed) as caught:
        await ask(model)
    return caught.value


async def test_the_most_that_a_prompt_may_cost_is_the_dearest_providers() -> None:
    model = chain(Provider("first", micros=3), Provider("second", micros=2))
    assert model.most_micros(prompt("Hi", model="asked")) == max(3 * 5, 2 * len("second-own"))


async def test_closing_the_chain_closes_every_link() -> None:
    providers = Provider("first"), Provider("second")
    await chain(*providers).close()
    assert all(one.closed for one in providers)


def test_a_chain_has_a_provider_at_least() -> None:
    with pytest.raises(ValueError, match="at least"):
        chain()

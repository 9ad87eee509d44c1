"""One provider on a socket for each test module, fresh for each test, and Claude who asks it."""

from collections.abc import AsyncGenerator, Generator

import pytest

from core.llm.asking import Retries
from core.llm.provided import ProvidedModel
from tests.unit.llm.conversations import SettableClock, Waits
from tests.unit.llm.models import claude_at
from tests.unit.llm.wire import Wire, wire


@pytest.fixture(scope="module")
def running_provider() -> Generator[Wire]:
    with wire() as provider:
        yield provider


@pytest.fixture
def provider(running_provider: Wire) -> Wire:
    running_provider.reset()
    return running_provider


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def waits(clock: SettableClock) -> Waits:
    return Waits(clock)


@pytest.fixture
async def claude_model(
    provider: Wire, clock: SettableClock, waits: Waits
) -> AsyncGenerator[ProvidedModel]:
    model = claude_at(
        provider.url,
        clock=clock,
        key="sk-ant-test",
        timeout_seconds=5,
        retries=Retries(sleep=waits, jitter=lambda: 0.0),
    )
    yield model
    await model.close()

"""What the contract of the port to Teams is held against: both adapters, and who they speak to."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest

from tests.builders import SteadyClock
from tests.teams.connector import Connector, serving
from tests.teams.login import (
    signing_in,
)
from tests.teams.peer import Adapter, Peer


@pytest.fixture(params=["botbuilder", "teams-sdk"])
def adapter(request: pytest.FixtureRequest) -> Adapter:
    # Each SDK takes a second to import: only a worker that asks it pays for that.
    if request.param == "teams-sdk":
        from bots.teams.teams_sdk_wire import TeamsSdkWire  # noqa: PLC0415

        return TeamsSdkWire
    from bots.teams.botbuilder_wire import BotBuilderWire  # noqa: PLC0415

    return BotBuilderWire


@pytest.fixture
async def peer(adapter: Adapter, clock: SteadyClock) -> AsyncGenerator[Peer]:
    async with AsyncExitStack() as stack:
        login = await stack.enter_async_context(signing_in())
        connector = await stack.enter_async_context(serving(Connector(login)))
        yield Peer(adapter=adapter, login=login, connector=connector, clock=clock, stack=stack)

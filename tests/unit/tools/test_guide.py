"""The guide to writing a tool, taken at its word."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from core.domain.canonical import JsonObject
from core.domain.effect import Effect
from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Principal, Role
from core.domain.tool import Succeeded
from core.tools.registry import Registry
from tests.builders import SteadyClock
from tests.permits import OpenDoor

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "writing-a-tool.md"


class Once:
    def __init__(self, kept: dict[str, JsonObject], key: str) -> None:
        self.prior = kept.get(key)
        self._kept = kept
        self._key = key

    def record(self, outcome: JsonObject) -> None:
        self._kept[self._key] = outcome


class EffectsInMemory:
    """Once per key, as long as this lives."""

    def __init__(self) -> None:
        self._kept: dict[str, JsonObject] = {}

    @asynccontextmanager
    async def once(self, effect: Effect) -> AsyncGenerator[Once]:
        yield Once(self._kept, effect.key)


async def test_the_pack_of_the_guide_works_as_the_guide_says(clock: SteadyClock) -> None:
    # Any: what the guide defines is known when it has run.
    room: dict[str, Any] = {"__name__": "guide"}
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, str(GUIDE), "exec"), room)  # noqa: S102 - our own guide
    alice = Principal(
        id=PrincipalId(uuid4()),
        tenant_id=TenantId(uuid4()),
        email="alice@acme.test",
        roles=frozenset({Role.MEMBER}),
        groups=frozenset(),
    )
    store = room["Topics"](EffectsInMemory(), {})
    door = OpenDoor(Registry([room["ROOMS"].bound(store)], clock=clock))

    one = door.under("one")
    first = await one.call(alice, "set_topic", room="lobby", topic="Hello")
    second = await one.call(alice, "set_topic", room="lobby", topic="Hello")
    assert isinstance(first, Succeeded)
    assert first == second
    preview = await door.preview(alice, "set_topic", room="lobby", topic="Bye")
    assert preview is not None
    assert preview.changes[0].before == "Hello"
    await door.undo(alice, first)
    assert await door.output(alice, "read_topic", room="lobby") == {"topic": ""}

"""Microsoft's keys, where fetching them takes its time."""

import asyncio
import json
from typing import Any, cast

from jwt.algorithms import RSAAlgorithm

from bots.teams.signing_keys import SigningKeys
from core.egress import Egress
from tests.builders import SteadyClock
from tests.oidc_provider import a_key


class Slow:
    """Answers with one key, once it is let."""

    def __init__(self) -> None:
        self.lets = asyncio.Event()
        self.asked = asyncio.Event()
        self._key: Any = json.loads(RSAAlgorithm.to_jwk(a_key().public_key()))  # Any: JSON

    async def fetch(self, url: str, **_: object) -> "Answer":
        self.asked.set()
        await self.lets.wait()
        if url.endswith("/keys"):
            return Answer({"keys": [{**self._key, "kid": "one"}]})
        return Answer({"issuer": "them", "jwks_uri": "https://them.test/keys"})


class Answer:
    status = 200

    def __init__(self, told: object) -> None:
        self.body = json.dumps(told).encode()


async def test_a_made_up_id_has_nobody_wait_whose_key_is_known() -> None:
    slow, clock = Slow(), SteadyClock()
    keys = SigningKeys(
        "https://them.test/configuration",
        issuer="them",
        egress=cast("Egress", slow),
        clock=clock,
    )
    slow.lets.set()
    assert await keys.find("one") is not None
    slow.lets.clear()
    slow.asked.clear()
    clock.move(seconds=61)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        made_up = group.create_task(keys.find("made up"))
        await slow.asked.wait()
        assert await keys.find("one") is not None
        assert not made_up.done()
        slow.lets.set()
    assert made_up.result() is None

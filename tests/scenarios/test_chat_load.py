"""More than chat will let us answer at once: nothing lost, nothing twice, what matters first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Executable, func, select

from bots import actions
from core.store.chat_tables import inbox, outbox
from core.store.tables import runs
from tests.databases import Urls
from tests.scenarios.test_slack_story import SCRIPT, is_card
from tests.slack import load as slack_load
from tests.slack import office as slack_office
from tests.slack.workspace import ALICE, BOB, CAROL, GENERAL
from tests.teams import conversations
from tests.teams import load as teams_load
from tests.teams import office as teams_office
from tests.waiting import until

RATE, SECONDS, SHARE = 40, 1.5, 0.3


@dataclass(frozen=True, slots=True)
class Kept:
    """What a company's tables hold of a load."""

    office: "slack_office.Office | teams_office.Office"

    async def arrivals(self) -> Sequence[str]:
        return [str(one) for (one,) in await self._rows(select(inbox.c.external_id))]

    async def something_waits(self) -> bool:
        return bool(await self._rows(select(outbox.c.key).where(outbox.c.state == "waiting")))

    async def is_once_each(
        self, told: Mapping[str, Any], *, before: Sequence[str], surface: str
    ) -> None:
        """Wait until all is handled, and check that it was, once each."""
        assert set(told["acknowledged"]) == {"200"}
        assert told["open_ids"] == []
        await until(self._are_handled)
        kept = await self.arrivals()
        assert sorted(set(kept) - set(before)) == told["ids"]
        assert len(kept) == len(set(kept))
        asked = {f"{surface}:{one}" for one in told["ids"] if one.startswith("event:")}
        keys = [str(key) for (key,) in await self._rows(select(runs.c.client_key))]
        assert len(keys) == len(set(keys))
        assert asked <= set(keys)
        assert len(keys) == len(asked) + 1

    async def _are_handled(self) -> bool:
        left = select(func.count()).select_from(inbox).where(inbox.c.handled_at.is_(None))
        return [tuple(row) for row in await self._rows(left)] == [(0,)]

    async def _rows(self, query: Executable) -> list[tuple[object, ...]]:
        database = self.office.world.assembly.database
        async with database.for_tenant(self.office.company.tenant.id) as connection:
            return [tuple(row) for row in (await connection.execute(query)).all()]


async def test_a_burst_in_slack_is_handled_once_each_and_cards_go_first(
    urls: Urls, tmp_path: Path
) -> None:
    async with slack_office.office_on(urls, tmp_path, script=SCRIPT) as office:
        office.slack.trusts_threads = True
        for user in (ALICE, BOB, CAROL):
            office.at.im(user)
        await office.people.mentions("please delete the old draft", by=ALICE, channel=GENERAL)
        kept = Kept(office)
        before = await kept.arrivals()
        told = await slack_load.offer(
            slack_load.Plan(
                url=f"{office.url}/slack/events",
                rate=RATE,
                seconds=SECONDS,
                duplicates=SHARE,
                clicks=SHARE,
                action_id=actions.APPROVE,
            )
        )
        await office.shown(lambda one: one.channel == office.at.im(BOB).id and is_card(one))
        assert await kept.something_waits(), "the card went before what could wait"
        await kept.is_once_each(told, before=before, surface="slack")
        assert office.slack.meter.excesses == []


async def test_a_burst_in_teams_is_handled_once_each_and_cards_go_first(
    urls: Urls, tmp_path: Path
) -> None:
    async with teams_office.office_on(urls, tmp_path, script=SCRIPT) as office:
        service_url = office.connector.service_url
        for user in (conversations.ALICE, conversations.BOB, conversations.CAROL):
            office.chat_of(user)
        await office.people.says("please delete the old draft", by=conversations.ALICE)
        kept = Kept(office)
        before = await kept.arrivals()
        told = await teams_load.offer(
            teams_load.Plan(
                url=f"{office.url}/api/messages",
                rate=RATE,
                seconds=SECONDS,
                service_url=service_url,
                authorizations=[office.login.signed(office.login.claims(service_url))],
                duplicates=SHARE,
                clicks=SHARE,
                verb=actions.APPROVE,
            )
        )
        bobs = office.chat_of(conversations.BOB)
        await office.shown(lambda one: one.button(actions.APPROVE) is not None, at=bobs)
        assert await kept.something_waits(), "the card went before what could wait"
        await kept.is_once_each(told, before=before, surface="teams")
        assert office.connector.excesses == 0

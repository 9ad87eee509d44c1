"""More than Slack will let us answer at once: nothing lost, nothing twice, what matters first."""

from pathlib import Path

from sqlalchemy import Executable, func, select

from bots import actions
from core.store.chat_tables import inbox, outbox
from core.store.tables import runs
from tests.databases import Urls
from tests.scenarios.test_slack_story import SCRIPT, is_card
from tests.slack.load import Plan, offer
from tests.slack.office import Office, office_on
from tests.slack.workspace import ALICE, BOB, CAROL, GENERAL
from tests.waiting import until


async def arrivals(office: Office) -> list[str]:
    return [str(one) for (one,) in await rows(office, select(inbox.c.external_id))]


async def are_handled(office: Office) -> bool:
    left = select(func.count()).select_from(inbox).where(inbox.c.handled_at.is_(None))
    return [tuple(row) for row in await rows(office, left)] == [(0,)]


async def rows(office: Office, query: Executable) -> list[tuple[object, ...]]:
    database = office.world.assembly.database
    async with database.for_tenant(office.company.tenant.id) as connection:
        return [tuple(row) for row in (await connection.execute(query)).all()]


async def test_a_burst_with_repeats_is_handled_once_each_and_cards_go_first(
    urls: Urls, tmp_path: Path
) -> None:
    async with office_on(urls, tmp_path, script=SCRIPT) as office:
        office.slack.trusts_threads = True
        for user in (ALICE, BOB, CAROL):
            office.at.im(user)
        await office.people.mentions("please delete the old draft", by=ALICE, channel=GENERAL)
        before = set(await arrivals(office))
        told = await offer(
            Plan(
                url=f"{office.url}/slack/events",
                rate=40,
                seconds=1.5,
                duplicates=0.3,
                clicks=0.3,
                action_id=actions.APPROVE,
            )
        )
        await office.shown(lambda one: one.channel == office.at.im(BOB).id and is_card(one))
        waiting = select(outbox.c.key).where(outbox.c.state == "waiting")
        assert await rows(office, waiting), "the card went before what could wait"

        assert set(told["acknowledged"]) == {"200"}
        assert told["open_ids"] == []
        await until(lambda: are_handled(office))
        kept = await arrivals(office)
        assert sorted(set(kept) - before) == told["ids"]
        assert len(kept) == len(set(kept))
        asked = {f"slack:{one}" for one in told["ids"] if one.startswith("event:")}
        keys = [str(key) for (key,) in await rows(office, select(runs.c.client_key))]
        assert len(keys) == len(set(keys))
        assert asked <= set(keys)
        assert len(keys) == len(asked) + 1
        assert office.slack.meter.excesses == []

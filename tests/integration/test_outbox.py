"""Every wish is kept until the platform took it: in order, within limits, and no message twice."""

import asyncio
from dataclasses import replace
from typing import Final

import pytest
from structlog.testing import capture_logs

from bots.limits import Rate
from bots.outbox import Later, Never
from core.domain.delivery import Kind
from core.domain.principal import Principal, Role
from core.errors import NotFound
from core.store.chat_outbox import StoredOutbox
from core.store.database import Database
from sallyport.clock import SystemClock
from tests.builders import make_person, make_tenant
from tests.chat_platform import (
    WORKSPACE,
    KeptMessages,
    a_wish,
    delivering,
    keep_workspace,
    outbox_on,
)
from tests.waiting import until

SLOW: Final = {"post": Rate(per_minute=60_000, burst=1)}


@pytest.fixture
async def admin(database: Database) -> Principal:
    person = await make_person(database, await make_tenant(database), "carol@acme.test", Role.ADMIN)
    await keep_workspace(database, person)
    return person


async def test_the_newest_wish_for_a_message_is_what_it_becomes(
    database: Database, admin: Principal
) -> None:
    platform = KeptMessages()
    outbox = outbox_on(database, platform)
    for text in ("one", "two", "three"):
        await outbox.wish(admin.tenant_id, a_wish(text))

    async def is_said() -> bool:
        return platform.messages == {"run:1": "three"}

    async with delivering(outbox):
        await until(is_said)
        assert platform.made == [("post", "run:1")]
        await outbox.wish(admin.tenant_id, a_wish("four"))
        await until(lambda: edited(platform, "four"))


async def edited(platform: KeptMessages, text: str) -> bool:
    return platform.messages["run:1"] == text


async def test_a_wish_that_comes_while_the_one_before_is_being_said_is_said_too(
    database: Database, admin: Principal
) -> None:
    gate = asyncio.Event()
    platform = KeptMessages(says=[gate])
    outbox = outbox_on(database, platform)
    await outbox.wish(admin.tenant_id, a_wish("old"))
    async with delivering(outbox):
        await until(lambda: has_made(platform, 1))
        await outbox.wish(admin.tenant_id, a_wish("new"))
        gate.set()
        await until(lambda: has_said(platform, "new"))


async def has_made(platform: KeptMessages, count: int) -> bool:
    return len(platform.made) >= count


async def has_said(platform: KeptMessages, text: str) -> bool:
    return platform.messages.get("run:1") == text


async def test_questions_go_before_answers_and_answers_before_progress(
    database: Database, admin: Principal
) -> None:
    platform = KeptMessages(rates=SLOW)
    outbox = outbox_on(database, platform)
    for kind in reversed(Kind):
        for number in range(3):
            await outbox.wish(admin.tenant_id, a_wish("x", key=f"{kind.value}:{number}", kind=kind))
    async with delivering(outbox):
        await until(lambda: has_made(platform, 3 * len(Kind)))
    # A few are on their way at once, and may overtake one another by a little.
    told = [key.partition(":")[0] for _, key in platform.made]
    last = {kind: len(told) - 1 - told[::-1].index(kind.value) for kind in Kind}
    first = {kind: told.index(kind.value) for kind in Kind}
    assert last[Kind.APPROVAL] < first[Kind.HOME]
    assert last[Kind.FINAL] < first[Kind.PROGRESS]
    assert told[:2] == ["approval", "approval"]


async def test_a_platform_that_says_later_is_asked_later_and_it_counts_as_no_failure(
    database: Database, admin: Principal
) -> None:
    later = Later(code="ratelimited", seconds=0.01, rate=("post", ""))
    platform = KeptMessages(says=[later] * 15)
    outbox = outbox_on(database, platform)
    await outbox.wish(admin.tenant_id, a_wish("one"))
    async with delivering(outbox):
        await until(lambda: has_said(platform, "one"))
    assert {method for method, _ in platform.made} == {"post"}


async def test_a_call_that_breaks_is_a_failure_of_its_message_alone(
    database: Database, admin: Principal
) -> None:
    platform = KeptMessages(says=[KeyError("id")])
    outbox = outbox_on(database, platform)
    await outbox.wish(admin.tenant_id, a_wish("one", key="broken", kind=Kind.APPROVAL))
    with capture_logs() as logs:
        async with delivering(outbox):
            await until(lambda: has_made(platform, 1))
            for number in range(20):
                await outbox.wish(admin.tenant_id, a_wish("x", key=f"run:{number}"))
            await until(lambda: all_are_there(platform, 21))
    failed = [(one["event"], one.get("error")) for one in logs if one["log_level"] == "error"]
    assert failed == [("outbox.call_broken", "KeyError")]
    # That one may have been said, so it is looked for before it is said again.
    assert [method for method, key in platform.made if key == "broken"] == ["post", "look", "post"]


async def test_what_the_platform_refuses_is_a_dead_letter_and_can_be_replayed(
    database: Database, admin: Principal
) -> None:
    platform = KeptMessages(says=[Never(code="is_archived")])
    records, outbox = StoredOutbox(database), outbox_on(database, platform)
    await outbox.wish(admin.tenant_id, a_wish("one"))

    async def is_dead() -> bool:
        return bool(await records.dead_letters(admin.tenant_id, limit=10))

    async with delivering(outbox):
        await until(is_dead)
        (letter,) = await records.dead_letters(admin.tenant_id, limit=10)
        assert (letter.what, letter.error, letter.way) == ("run:1", "is_archived", "out")
        await records.replay(admin.tenant_id, letter=letter.id)
        await until(lambda: has_said(platform, "one"))
    assert await records.dead_letters(admin.tenant_id, limit=10) == ()
    with pytest.raises(NotFound):
        await records.replay(admin.tenant_id, letter=letter.id)


async def test_two_processes_deliver_to_a_workspace_one_after_the_other(
    database: Database, admin: Principal
) -> None:
    records, now = StoredOutbox(database), SystemClock().now()
    leased = {"surface": "slack", "workspace": WORKSPACE}

    async def lease(name: str) -> bool:
        return await records.lease(admin.tenant_id, by=name, now=now, seconds=30, **leased)

    assert await lease("one")
    assert not await lease("two")
    assert await lease("one")
    await records.let_go(admin.tenant_id, by="two", **leased)
    assert not await lease("two")
    await records.let_go(admin.tenant_id, by="one", **leased)
    assert await lease("two")


async def test_however_many_deliver_nothing_is_said_twice(
    database: Database, admin: Principal
) -> None:
    platform = KeptMessages()
    outboxes = [outbox_on(database, platform, name=name) for name in ("one", "two", "three")]
    for number in range(60):
        await outboxes[number % 3].wish(admin.tenant_id, a_wish("x", key=f"run:{number}"))
    async with delivering(*outboxes):
        await until(lambda: all_are_there(platform, 60))


async def all_are_there(platform: KeptMessages, count: int) -> bool:
    return len(platform.messages) == count


async def test_a_message_whose_acknowledgement_was_lost_is_found_and_not_said_again(
    database: Database, admin: Principal
) -> None:
    records, platform = StoredOutbox(database), KeptMessages()
    outbox = outbox_on(database, platform)
    await outbox.wish(admin.tenant_id, a_wish("one"))
    now = SystemClock().now()
    (parcel,) = await records.due(
        admin.tenant_id, surface="slack", workspace=WORKSPACE, now=now, limit=10
    )
    # A process that died between the platform's yes and its own note of it.
    await records.sent(parcel, sent={"posting": "run:1"})
    platform.messages["run:1"] = "one"
    async with delivering(outbox):
        await until(lambda: has_made(platform, 1))

        async def is_delivered() -> bool:
            return not await records.due(
                admin.tenant_id, surface="slack", workspace=WORKSPACE, now=now, limit=10
            )

        await until(is_delivered)
    assert platform.made == [("look", "run:1")]


async def test_a_delivery_of_an_older_wish_does_not_close_a_newer_one(
    database: Database, admin: Principal
) -> None:
    records = StoredOutbox(database)
    await records.wish(admin.tenant_id, wishes=[a_wish("old")])
    now = SystemClock().now()
    (parcel,) = await records.due(
        admin.tenant_id, surface="slack", workspace=WORKSPACE, now=now, limit=10
    )
    await records.wish(admin.tenant_id, wishes=[a_wish("new")])
    assert not await records.delivered(parcel, at=now)
    assert await records.delivered(replace(parcel, version=parcel.version + 1), at=now)


async def test_an_old_wish_is_not_replayed_over_a_newer_one(
    database: Database, admin: Principal
) -> None:
    platform = KeptMessages(says=[Never(code="is_archived")])
    records, outbox = StoredOutbox(database), outbox_on(database, platform)
    await outbox.wish(admin.tenant_id, a_wish("open"))

    async def is_dead() -> bool:
        return bool(await records.dead_letters(admin.tenant_id, limit=10))

    async with delivering(outbox):
        await until(is_dead)
        (letter,) = await records.dead_letters(admin.tenant_id, limit=10)
        await outbox.wish(admin.tenant_id, a_wish("locked"))
        await until(lambda: has_said(platform, "locked"))
        await records.replay(admin.tenant_id, letter=letter.id)
        await outbox.wish(admin.tenant_id, a_wish("other", key="run:2"))
        await until(lambda: is_said(platform, "run:2"))
    assert platform.messages["run:1"] == "locked"
    assert await records.dead_letters(admin.tenant_id, limit=10) == ()


async def is_said(platform: KeptMessages, key: str) -> bool:
    return key in platform.messages

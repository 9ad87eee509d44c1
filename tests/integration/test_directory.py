from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import insert, text

from core.domain.ids import TenantId
from core.domain.principal import Tier
from core.store.database import Database
from core.store.directory import Directory, DueApproval, DueSegment
from core.store.tables import access_tokens, approvals, audit_records, tool_calls
from tests.builders import make_tenant
from tests.databases import Urls
from tests.driving import Runs

_NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def directory(database: Database) -> Directory:
    return Directory(database)


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


async def _beat(database: Database, executor_id: str, *, seconds_ago: int) -> None:
    async with database.without_tenant() as connection:
        await connection.execute(
            text("insert into workers values (:id, now() - make_interval(secs => :ago))"),
            {"id": executor_id, "ago": seconds_ago},
        )


async def _ask(
    database: Database, runs: Runs, tenant_id: TenantId, *, state: str, expires_at: datetime
) -> UUID:
    """Insert an approval and the run and call that it needs; return its id."""
    [run_id] = await runs.start(tenant_id)
    of_all = {"tenant_id": tenant_id, "run_id": run_id, "requester_id": tenant_id}
    call_id, approval_id = uuid4(), uuid4()
    async with database.for_tenant(tenant_id) as connection:
        await connection.execute(
            insert(tool_calls).values(
                **of_all, id=call_id, tool="walk", arguments={}, state="requested"
            )
        )
        await connection.execute(
            insert(approvals).values(
                **of_all,
                id=approval_id,
                call_id=call_id,
                question="permit",
                tool="walk",
                tool_version=1,
                risk="destructive",
                arguments={},
                preview={},
                digest="",
                reason="",
                approvers={},
                needed=1,
                state=state,
                expires_at=expires_at,
            )
        )
    return approval_id


async def test_tenants_are_listed_by_name_page_by_page(
    database: Database, directory: Directory
) -> None:
    for name in ("globex", "acme", "initech"):
        await make_tenant(database, name)

    first = await directory.tenants(limit=2)
    rest = await directory.tenants(after=first[-1].name, limit=2)

    assert [entry.name for entry in first] == ["acme", "globex"]
    assert [entry.name for entry in rest] == ["initech"]
    assert {entry.tier for entry in first} == {Tier.PRO}


async def test_tenant_is_found_by_its_name_or_not_at_all(
    database: Database, directory: Directory
) -> None:
    acme = await make_tenant(database, "acme")

    assert await directory.tenant_id("acme") == acme.id
    assert await directory.tenant_id("nobody") is None


async def test_token_leads_to_its_tenant(
    database: Database, directory: Directory, runs: Runs
) -> None:
    tenant_id, token_id = await runs.tenant("acme"), uuid4()
    async with database.for_tenant(tenant_id) as connection:
        await connection.execute(
            insert(access_tokens).values(
                tenant_id=tenant_id,
                id=token_id,
                principal_id=tenant_id,
                token_hash=b"one",
                audience="api",
                scopes=[],
                expires_at=_NOW,
            )
        )

    assert await directory.token(b"one") == (tenant_id, token_id)
    assert await directory.token(b"other") is None


async def test_segment_is_due_when_it_waits_too_long_or_its_driver_has_no_pulse(
    database: Database, directory: Directory, runs: Runs
) -> None:
    acme, globex = await runs.tenant("acme"), await runs.tenant("globex")
    await _beat(database, "alive", seconds_ago=1)
    await _beat(database, "silent", seconds_ago=60)
    [waiting] = await runs.start(acme)
    [abandoned] = await runs.start(globex)
    [fresh, driven, parked, forgotten] = await runs.start(acme, count=4)
    long_ago = datetime.now(UTC) - timedelta(minutes=1)  # noqa: TID251 - PostgreSQL has no other
    await runs.change(acme, run_id=waiting, queued_at=long_ago, segment=3)
    await runs.change(globex, run_id=abandoned, dispatch="driving", driver="silent")
    await runs.change(acme, run_id=forgotten, dispatch="driving", driver="never seen")
    await runs.change(acme, run_id=driven, dispatch="driving", driver="alive")
    await runs.change(acme, run_id=parked, dispatch="parked", queued_at=long_ago)

    due = await directory.due_segments(queued_seconds=30, stale_seconds=5, limit=10)

    assert due[0] == DueSegment(tenant_id=acme, run_id=waiting, segment=3, abandoned=False)
    assert {(each.tenant_id, each.run_id, each.abandoned) for each in due[1:]} == {
        (globex, abandoned, True),
        (acme, forgotten, True),
    }
    assert fresh not in {each.run_id for each in due}


async def test_due_segments_stop_at_the_limit_with_the_longest_queued_first(
    directory: Directory, runs: Runs
) -> None:
    acme = await runs.tenant("acme")
    ids = await runs.start(acme, count=3)
    for minutes, run_id in enumerate(ids, start=1):
        moment = datetime.now(UTC) - timedelta(minutes=minutes)  # noqa: TID251 - as above
        await runs.change(acme, run_id=run_id, queued_at=moment)

    due = await directory.due_segments(queued_seconds=1, stale_seconds=5, limit=2)

    assert [each.run_id for each in due] == [ids[2], ids[1]]


async def test_worker_finds_what_it_is_said_to_drive(directory: Directory, runs: Runs) -> None:
    acme = await runs.tenant("acme")
    [mine, other, over] = await runs.start(acme, count=3)
    await runs.change(acme, run_id=mine, dispatch="driving", driver="me", segment=2)
    await runs.change(acme, run_id=other, dispatch="driving", driver="other")
    await runs.change(acme, run_id=over, dispatch="ended", status="failed", driver="me")

    assert await directory.driven_by("me", limit=10) == (
        DueSegment(tenant_id=acme, run_id=mine, segment=2, abandoned=False),
    )


async def test_only_workers_with_a_fresh_beat_are_alive(
    database: Database, directory: Directory
) -> None:
    await _beat(database, "alive", seconds_ago=1)
    await _beat(database, "silent", seconds_ago=60)

    assert await directory.alive_workers(stale_seconds=5) == {"alive"}


async def test_expired_questions_of_every_tenant_are_due_while_they_are_pending(
    database: Database, directory: Directory, runs: Runs
) -> None:
    acme, globex = await runs.tenant("acme"), await runs.tenant("globex")
    second = _NOW - timedelta(hours=1)
    late = await _ask(database, runs, acme, state="pending", expires_at=second)
    later = await _ask(database, runs, globex, state="pending", expires_at=_NOW)
    await _ask(database, runs, acme, state="pending", expires_at=_NOW + timedelta(seconds=1))
    await _ask(database, runs, acme, state="approved", expires_at=second)

    due = await directory.due_approvals(now=_NOW, limit=10)

    assert [(each.tenant_id, each.approval_id) for each in due] == [(acme, late), (globex, later)]
    assert isinstance(due[0], DueApproval)
    assert len(await directory.due_approvals(now=_NOW, limit=1)) == 1


async def test_tenant_is_unsealed_until_a_block_covers_its_records(
    database: Database, directory: Directory, runs: Runs, urls: Urls
) -> None:
    acme = await runs.tenant("acme")
    assert await directory.unsealed(limit=10) == ()
    async with database.for_tenant(acme) as connection:
        await connection.execute(
            insert(audit_records).values(
                tenant_id=acme, id=uuid4(), at=_NOW, action="x", actor="y", content="{}", digest=""
            )
        )

    assert await directory.unsealed(limit=10) == (acme,)

    with psycopg.connect(urls.privileged, autocommit=True) as connection:
        connection.execute(
            """insert into audit_blocks values
                 (%s, 1, '{}', pg_snapshot_xmin(pg_current_snapshot()), '', '', '', '', now())""",
            [acme],
        )
    assert await directory.unsealed(limit=10) == ()

"""The audit on real PostgreSQL: sealed in commit order, and no hand in it goes unseen."""

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from core.domain.audit import AuditRecord, audit_record
from core.domain.audit_chain import Flaw, Verification
from core.domain.ids import TenantId
from core.domain.principal import Tenant
from core.identity.keys import SigningKey, TrustedKeys
from core.store.audit import AuditPlace, AuditTrail
from core.store.audit_file import csv_lines, jsonl_lines, verify_file
from core.store.database import Database
from core.store.directory import Directory
from core.store.grouped import GroupedWrites
from core.store.journal import StoredJournal, append_audit
from core.store.sealing import Sealer
from tests.builders import SteadyClock, make_tenant
from tests.databases import Urls

Hand = Callable[[list[str]], list[str]]


@pytest.fixture
async def acme(database: Database) -> Tenant:
    return await make_tenant(database)


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.open(tmp_path / "key")


class Audit:
    """An audit with a sealer, an auditor, and a hand that has no business in it."""

    def __init__(
        self, database: Database, *, urls: Urls, key: SigningKey, clock: SteadyClock
    ) -> None:
        self.database = database
        self.urls = urls
        self.key = key
        self.clock = clock
        self.trail = AuditTrail(database)
        self.keys = TrustedKeys([key.public_pem()])

    def sealer(self, *, at_once: int = 20_000, key: SigningKey | None = None) -> Sealer:
        return Sealer(
            self.database,
            directory=Directory(self.database),
            signer=key or self.key,
            clock=self.clock,
            at_once=at_once,
        )

    async def write(self, tenant: Tenant, count: int = 1) -> list[UUID]:
        records = [self.record(tenant, n) for n in range(count)]
        await StoredJournal(self.database, writes=GroupedWrites(self.database)).record(*records)
        return [record.id for record in records]

    def record(self, tenant: Tenant, n: int = 0) -> AuditRecord:
        self.clock.move(seconds=1)
        return audit_record(
            tenant.id,
            at=self.clock.now(),
            action="call.executed",
            actor="alice@acme.example",
            content={"input": {"n": n, "text": "Grüße"}},
            call_id=uuid4(),
            tool="=list_tasks",
        )

    async def verified(self, tenant: Tenant) -> Verification:
        return await self.trail.verify(tenant.id, keys=self.keys)

    async def flaws(self, tenant: Tenant) -> set[Flaw]:
        verification = await self.verified(tenant)
        assert verification.ok == (not verification.problems)
        return {problem.flaw for problem in verification.problems}

    def tamper(self, statement: LiteralString | sql.Composed, *values: object) -> None:
        with psycopg.connect(self.urls.privileged) as connection:
            assert connection.execute(statement, values).rowcount > 0

    async def exported(
        self,
        tenant: Tenant,
        path: Path,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Path:
        lines = jsonl_lines(self.trail.export(tenant.id, since=since, until=until))
        text = "".join([line async for line in lines])
        await asyncio.to_thread(path.write_text, text)
        return path


@pytest.fixture
def audit(database: Database, urls: Urls, key: SigningKey, clock: SteadyClock) -> Audit:
    return Audit(database, urls=urls, key=key, clock=clock)


@pytest.fixture
async def sealed(audit: Audit, acme: Tenant) -> list[UUID]:
    """Three blocks: of two, of two, of one record."""
    ids: list[UUID] = []
    for count in (2, 2, 1):
        ids += await audit.write(acme, count)
        assert await audit.sealer().seal_due() == count
    assert (await audit.verified(acme)).ok
    return ids


async def test_what_many_write_at_once_is_all_sealed_while_it_comes(
    audit: Audit, database: Database, acme: Tenant
) -> None:
    globex = await make_tenant(database, "globex")
    done = asyncio.Event()

    async def write(tenant: Tenant) -> None:
        for _ in range(25):
            await audit.write(tenant, 2)

    async def seal() -> None:
        sealer = audit.sealer()
        while not done.is_set():
            await sealer.seal_due()

    async with asyncio.TaskGroup() as sealers:
        for _ in range(2):
            sealers.create_task(seal())
        async with asyncio.TaskGroup() as writers:
            for tenant in (acme, acme, acme, globex):
                writers.create_task(write(tenant))
        done.set()
    await audit.sealer().seal_due()
    for tenant, count in ((acme, 150), (globex, 50)):
        verification = await audit.verified(tenant)
        assert verification.problems == ()
        assert (verification.records, verification.sealed, verification.waiting) == (
            count,
            count,
            0,
        )


async def test_a_transaction_that_takes_long_holds_sealing_back_and_loses_nothing(
    audit: Audit, database: Database, acme: Tenant
) -> None:
    early = audit.record(acme)
    async with database.for_tenant(acme.id) as slow:
        await append_audit(slow, early)
        late = await audit.write(acme)
        assert await audit.sealer().seal_due() == 0
        assert (await audit.verified(acme)).waiting == 1
    assert await audit.sealer().seal_due() == 2
    assert await audit.sealer().seal_due() == 0
    exported = [part async for part in audit.trail.export(acme.id)]
    block = exported[0]
    assert getattr(block, "record_ids", None) == (early.id, *late)
    assert (await audit.verified(acme)).ok


async def test_blocks_hold_a_thousand_records_at_most(audit: Audit, acme: Tenant) -> None:
    await audit.write(acme, 1001)
    assert await audit.sealer().seal_due() == 1001
    verification = await audit.verified(acme)
    assert (verification.ok, verification.blocks, verification.sealed) == (True, 2, 1001)


async def test_a_backlog_is_sealed_transaction_by_transaction(audit: Audit, acme: Tenant) -> None:
    for count in (1, 5, 2, 1):
        await audit.write(acme, count)
    assert await audit.sealer(at_once=2).seal_due() == 9
    verification = await audit.verified(acme)
    assert (verification.ok, verification.waiting) == (True, 0)
    assert verification.blocks > 2


async def test_records_that_keep_coming_are_not_chased(
    audit: Audit, database: Database, acme: Tenant
) -> None:
    looks: list[int] = []

    class Busy(Directory):
        async def unsealed(self, *, limit: int) -> tuple[TenantId, ...]:
            looks.append(limit)
            await audit.write(acme)
            return await super().unsealed(limit=limit)

    sealer = Sealer(database, directory=Busy(database), signer=audit.key, clock=audit.clock)
    async with asyncio.timeout(5):
        assert await sealer.seal_due() == 1
    assert len(looks) == 1
    assert await sealer.seal_due() == 1


async def test_an_audit_without_records_is_in_order(audit: Audit, acme: Tenant) -> None:
    assert await audit.sealer().seal_due() == 0
    verification = await audit.verified(acme)
    assert (verification.ok, verification.records, verification.blocks) == (True, 0, 0)


@pytest.mark.usefixtures("sealed")
async def test_the_app_itself_cannot_change_or_delete_what_is_recorded(
    audit: Audit, acme: Tenant
) -> None:
    for statement in (
        b"delete from audit_records",
        b"update audit_records set actor = ''",
        b"delete from audit_blocks",
        b"update audit_blocks set head = ''",
    ):
        with psycopg.connect(audit.urls.app) as connection:
            connection.execute("select set_config('app.tenant_id', %s, true)", [str(acme.id)])
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


@pytest.mark.parametrize(
    "change",
    [
        "content = replace(content, 'Gr', 'gr')",
        "actor = 'mallory@acme.example'",
        "at = at + interval '1 microsecond'",
        "tool = null",
        "run_id = gen_random_uuid()",
        "action = 'call.refused'",
        "digest = repeat('0', 64)",
    ],
)
async def test_a_changed_record_is_found(
    audit: Audit, acme: Tenant, sealed: list[UUID], change: LiteralString
) -> None:
    statement = sql.SQL("update audit_records set {} where id = %s").format(sql.SQL(change))
    audit.tamper(statement, sealed[1])
    assert Flaw.RECORD_ALTERED in await audit.flaws(acme)


async def test_a_record_changed_while_it_waits_is_found(audit: Audit, acme: Tenant) -> None:
    await audit.write(acme)
    audit.tamper("update audit_records set actor = 'mallory@acme.example'")
    assert await audit.flaws(acme) == {Flaw.RECORD_ALTERED}


async def test_a_record_changed_together_with_its_digest_is_found(
    audit: Audit, acme: Tenant, sealed: list[UUID]
) -> None:
    forged = audit_record(
        acme.id,
        at=audit.clock.now(),
        action="call.executed",
        actor="mallory@acme.example",
        content={},
        record_id=sealed[2],
    )
    audit.tamper(
        """update audit_records set at = %s, actor = %s, content = '{}', digest = %s, tool = null,
                  call_id = null where id = %s""",
        forged.at,
        forged.actor,
        forged.digest,
        forged.id,
    )
    assert await audit.flaws(acme) == {Flaw.HEAD_WRONG}


async def test_a_deleted_record_is_found(audit: Audit, acme: Tenant, sealed: list[UUID]) -> None:
    audit.tamper("delete from audit_records where id = %s", sealed[4])
    verification = await audit.verified(acme)
    assert [(p.flaw, p.block, p.record) for p in verification.problems] == [
        (Flaw.RECORD_MISSING, 3, sealed[4])
    ]
    assert (verification.records, verification.sealed) == (4, 4)


async def test_a_record_slipped_in_behind_is_found(
    audit: Audit, acme: Tenant, sealed: list[UUID]
) -> None:
    late = (await audit.write(acme))[0]
    audit.tamper(
        """update audit_records set xact = (select xact from audit_records where id = %s)
           where id = %s""",
        sealed[0],
        late,
    )
    assert await audit.sealer().seal_due() == 0
    verification = await audit.verified(acme)
    assert [(p.flaw, p.record) for p in verification.problems] == [(Flaw.RECORD_BEHIND, late)]


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize(
    ("change", "flaws"),
    [
        (
            "update audit_blocks set head = repeat('0', 64) where number = 2",
            {Flaw.HEAD_WRONG, Flaw.SIGNATURE_WRONG, Flaw.CHAIN_BROKEN},
        ),
        (
            "update audit_blocks set previous = repeat('0', 64) where number = 2",
            {Flaw.HEAD_WRONG, Flaw.SIGNATURE_WRONG, Flaw.CHAIN_BROKEN},
        ),
        (
            "update audit_blocks set sealed_at = sealed_at - interval '1 day' where number = 3",
            {Flaw.SIGNATURE_WRONG},
        ),
        (
            "update audit_blocks set signature = repeat('0', 128) where number = 1",
            {Flaw.SIGNATURE_WRONG},
        ),
        ("update audit_blocks set key_id = 'another' where number = 1", {Flaw.KEY_UNKNOWN}),
        (
            """update audit_blocks set record_ids = array[record_ids[2], record_ids[1]]
               where number = 1""",
            {Flaw.HEAD_WRONG},
        ),
        (
            """update audit_blocks set record_ids =
                 array_append(record_ids, (select record_ids[1] from audit_blocks where number = 1))
               where number = 2""",
            {Flaw.HEAD_WRONG, Flaw.RECORD_SEALED_TWICE},
        ),
        ("delete from audit_blocks where number = 1", {Flaw.BLOCK_MISSING, Flaw.RECORD_BEHIND}),
        ("delete from audit_blocks where number = 2", {Flaw.BLOCK_MISSING, Flaw.RECORD_BEHIND}),
        (
            "update audit_blocks set number = 4 where number = 3",
            {Flaw.BLOCK_MISSING, Flaw.SIGNATURE_WRONG},
        ),
    ],
)
async def test_a_changed_block_is_found(
    audit: Audit, acme: Tenant, change: LiteralString, flaws: set[Flaw]
) -> None:
    audit.tamper(change)
    assert await audit.flaws(acme) == flaws


async def test_a_chain_sealed_anew_with_another_key_is_found(
    audit: Audit, acme: Tenant, sealed: list[UUID], tmp_path: Path
) -> None:
    assert sealed
    audit.tamper("delete from audit_blocks")
    other = SigningKey.open(tmp_path / "other")
    assert await audit.sealer(key=other).seal_due() == 5
    assert await audit.flaws(acme) == {Flaw.KEY_UNKNOWN}
    both = TrustedKeys([audit.key.public_pem(), other.public_pem()])
    assert (await audit.trail.verify(acme.id, keys=both)).ok


async def test_no_more_than_a_thousand_problems_are_told(audit: Audit, acme: Tenant) -> None:
    await audit.write(acme, 1200)
    audit.tamper("update audit_records set actor = 'mallory@acme.example'")
    assert len((await audit.verified(acme)).problems) == 1000


def as_if_restored(audit: Audit, *, ahead: int) -> None:
    """Make records and blocks look as if from a cluster whose transaction ids were far ahead."""
    for statement in (
        "update audit_records set xact = (xact::text::bigint + %s)::text::xid8",
        "update audit_blocks set upto_xact = (upto_xact::text::bigint + %s)::text::xid8",
    ):
        audit.tamper(statement, ahead)


@pytest.mark.usefixtures("sealed")
async def test_after_a_restore_into_a_younger_cluster_everything_is_sealed_once(
    audit: Audit, acme: Tenant
) -> None:
    await audit.write(acme, 2)
    as_if_restored(audit, ahead=100)
    sealer = audit.sealer()
    assert await sealer.seal_due() == 2
    # Written while our ids are below the old ones, on the way through them, and beyond.
    written = 0
    for _ in range(150):
        await audit.write(acme)
        written += await audit.sealer().seal_due()
    assert written == 150
    verification = await audit.verified(acme)
    assert verification.problems == ()
    assert (verification.sealed, verification.waiting) == (157, 0)
    before = verification.blocks
    await audit.write(acme)
    assert await sealer.seal_due() == 1
    assert (await audit.verified(acme)).blocks == before + 1


async def test_a_transaction_under_way_during_the_catching_up_is_not_lost(
    audit: Audit, acme: Tenant, sealed: list[UUID], database: Database
) -> None:
    assert len(sealed) == 5
    as_if_restored(audit, ahead=20)
    async with database.for_tenant(acme.id) as slow:
        await append_audit(slow, audit.record(acme))
        for _ in range(40):
            await audit.write(acme)
            await audit.sealer().seal_due()
    await audit.sealer().seal_due()
    verification = await audit.verified(acme)
    assert verification.problems == ()
    assert (verification.sealed, verification.waiting) == (46, 0)


async def test_records_are_listed_newest_first_page_by_page_and_by_time(
    audit: Audit, acme: Tenant
) -> None:
    ids = await audit.write(acme, 5)
    first = await audit.trail.page(acme.id, limit=2)
    last = first[-1]
    rest = await audit.trail.page(
        acme.id, before=AuditPlace(at=last.record.at, seq=last.seq), limit=10
    )
    assert [entry.record.id for entry in (*first, *rest)] == ids[::-1]
    assert first[0].record.says() == {"input": {"n": 4, "text": "Grüße"}}
    since, until = rest[-2].record.at, rest[0].record.at
    some = await audit.trail.page(acme.id, since=since, until=until)
    assert [entry.record.id for entry in some] == [ids[1]]


async def test_nobody_reads_another_tenants_audit(
    audit: Audit, database: Database, sealed: list[UUID]
) -> None:
    assert sealed
    globex = await make_tenant(database, "globex")
    assert await audit.trail.page(globex.id) == ()
    assert [part async for part in audit.trail.export(globex.id)] == []
    assert (await audit.verified(globex)).records == 0


@pytest.mark.usefixtures("sealed")
async def test_an_export_is_verified_without_the_database(
    audit: Audit, acme: Tenant, tmp_path: Path
) -> None:
    await audit.write(acme, 2)
    path = await audit.exported(acme, tmp_path / "audit.jsonl")
    assert verify_file(path, keys=audit.keys) == await audit.verified(acme)
    assert verify_file(path, keys=audit.keys).waiting == 2


async def test_an_export_of_a_time_holds_digests_of_the_rest_and_can_be_verified(
    audit: Audit, acme: Tenant, sealed: list[UUID], tmp_path: Path
) -> None:
    newest = await audit.trail.page(acme.id)
    # From the second record of block 2 to the only one of block 3.
    path = await audit.exported(acme, tmp_path / "some.jsonl", since=newest[1].record.at)
    text = await asyncio.to_thread(path.read_text)
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["kind"] for line in lines] == ["block", "digest", "record", "block", "record"]
    assert [line["id"] for line in lines if line["kind"] == "record"] == [
        str(record) for record in sealed[3:]
    ]
    verification = verify_file(path, keys=audit.keys)
    assert (verification.ok, verification.sealed, verification.blocks) == (True, 3, 2)
    later = newest[0].record.at + timedelta(seconds=1)
    nothing = await audit.exported(acme, tmp_path / "none.jsonl", since=later)
    assert nothing.stat().st_size == 0


async def test_a_record_deleted_from_the_database_is_missing_in_its_export(
    audit: Audit, acme: Tenant, sealed: list[UUID], tmp_path: Path
) -> None:
    await audit.write(acme)
    audit.tamper("delete from audit_records where id = %s", sealed[0])
    path = await audit.exported(acme, tmp_path / "audit.jsonl", until=audit.clock.now())
    verification = verify_file(path, keys=audit.keys)
    assert [(p.flaw, p.record) for p in verification.problems] == [(Flaw.RECORD_MISSING, sealed[0])]
    assert (verification.sealed, verification.waiting) == (4, 0)


def lost_record(lines: list[str]) -> list[str]:
    return [*lines[:1], *lines[2:]]


def doubled_record(lines: list[str]) -> list[str]:
    return [*lines[:2], lines[1], *lines[2:]]


def lost_beginning(lines: list[str]) -> list[str]:
    return lines[3:]


def lost_block(lines: list[str]) -> list[str]:
    return [*lines[:3], *lines[6:]]


def unknown_line(lines: list[str]) -> list[str]:
    return [*lines, "{}"]


def no_json(lines: list[str]) -> list[str]:
    return [*lines, "no json"]


def changed_content(lines: list[str]) -> list[str]:
    return [lines[0], lines[1].replace("Gr", "gr"), *lines[2:]]


def other_beginning(lines: list[str]) -> list[str]:
    return [lines[0].replace('"previous": ""', '"previous": "0"'), *lines[1:]]


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize(
    ("hand", "flaws"),
    [
        (lost_record, {Flaw.RECORD_MISSING}),
        (doubled_record, {Flaw.RECORD_BEHIND}),
        (lost_beginning, set[Flaw]()),
        (lost_block, {Flaw.BLOCK_MISSING}),
        (unknown_line, {Flaw.FILE_MALFORMED}),
        (no_json, {Flaw.FILE_MALFORMED}),
        (changed_content, {Flaw.RECORD_ALTERED, Flaw.HEAD_WRONG}),
        (other_beginning, {Flaw.CHAIN_BROKEN, Flaw.HEAD_WRONG, Flaw.SIGNATURE_WRONG}),
    ],
)
async def test_a_hand_in_an_exported_file_is_found(
    audit: Audit, acme: Tenant, tmp_path: Path, hand: Hand, flaws: set[Flaw]
) -> None:
    path = await audit.exported(acme, tmp_path / "audit.jsonl")
    lines = await asyncio.to_thread(path.read_text)
    await asyncio.to_thread(path.write_text, "\n".join(hand(lines.splitlines())))
    verification = verify_file(path, keys=audit.keys)
    assert {problem.flaw for problem in verification.problems} == flaws


async def test_a_spreadsheet_finds_no_formula_in_an_export(audit: Audit, acme: Tenant) -> None:
    ids = await audit.write(acme)
    await audit.sealer().seal_due()
    lines = [line async for line in csv_lines(audit.trail.export(acme.id))]
    assert lines[0].startswith("id,at,action,actor,run_id,call_id,tool,content,digest,block")
    assert lines[1].startswith(str(ids[0]))
    assert ",'=list_tasks," in lines[1]
    assert len(lines) == 2

"""What auditors ask of a tenant: is every record there and untouched, and what does it say?"""

from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.audit import AuditBlock
from core.domain.audit_chain import (
    NO_HEAD,
    Flaw,
    KeptRecord,
    Keys,
    Problem,
    Verification,
    block_problems,
    record_problem,
)
from core.domain.ids import TenantId
from core.store.database import Database
from core.store.rows import AnyRow
from core.store.tables import audit_blocks, audit_records

_PROBLEMS: Final = 1000
_BLOCKS: Final = 100
_RECORDS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """A record in a list; ``at`` and ``seq`` together are its place."""

    record: KeptRecord
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPlace:
    """A place in the list of records, between two of them."""

    at: datetime
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedRecord:
    """A record of an export, with the block that it is in; None where it still waits."""

    record: KeptRecord
    block: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedDigest:
    """Stands for a record out of the export's time, so that its block can be verified."""

    id: UUID
    digest: str


Exported = AuditBlock | ExportedRecord | ExportedDigest


class AuditTrail:
    """One tenant's audit at a time. No answer ever holds more than some thousand records."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    async def page(
        self,
        tenant_id: TenantId,
        *,
        before: AuditPlace | None = None,
        limit: int = 100,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> tuple[AuditEntry, ...]:
        """Return records, the newest first, those older than ``before``; 1000 at most.

        ``since`` is included, ``until`` is not.
        """
        query = (
            select(audit_records)
            .where(*_in_time(tenant_id, since=since, until=until))
            .order_by(audit_records.c.at.desc(), audit_records.c.seq.desc())
            .limit(min(limit, _RECORDS))
        )
        if before is not None:
            place = tuple_(audit_records.c.at, audit_records.c.seq)
            query = query.where(place < (before.at, before.seq))
        async with self._database.for_tenant(tenant_id) as connection:
            rows = (await connection.execute(query)).all()
        return tuple(AuditEntry(record=_record(row), seq=row.seq) for row in rows)

    async def verify(self, tenant_id: TenantId, *, keys: Keys) -> Verification:
        """Check every record's content, each block's chain and signature, and that none is missing.

        Raises:
            Unavailable: ``database_unavailable``.
        """
        problems: list[Problem] = []
        sealed = waiting = number = 0
        head = NO_HEAD
        async for block, records in self._blocks(tenant_id, after=0, upto=None):
            digests = {record.id: record.recomputed() for record in records.values()}
            problems += [
                problem
                for record in records.values()
                if (
                    problem := record_problem(
                        record, recomputed=digests[record.id], block=block.number
                    )
                )
            ]
            problems += block_problems(
                block, number=number + 1, previous=head, digests=digests, keys=keys
            )
            number, head = block.number, block.head
            sealed += len(records)
            del problems[_PROBLEMS:]
        problems += await self._sealed_twice(tenant_id)
        async for record, behind in self._unsealed(tenant_id, upto=number):
            waiting += 1
            if problem := record_problem(record, recomputed=record.recomputed(), block=None):
                problems.append(problem)
            if behind:
                problems.append(Problem(flaw=Flaw.RECORD_BEHIND, record=record.id))
            del problems[_PROBLEMS:]
        return Verification(
            records=sealed + waiting,
            sealed=sealed,
            waiting=waiting,
            blocks=number,
            head=head,
            problems=tuple(problems),
        )

    async def export(
        self,
        tenant_id: TenantId,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncGenerator[Exported]:
        """Yield each block with its records behind it, in its order; then the records that wait.

        Of blocks that are only partly of that time, the other records are there as digests.
        """
        first, last = await self._blocks_in_time(tenant_id, since=since, until=until)
        async for block, records in self._blocks(tenant_id, after=first - 1, upto=last):
            yield block
            for record_id in block.record_ids:
                record = records.get(record_id)
                if record is None:
                    continue
                if _is_in_time(record.at, since=since, until=until):
                    yield ExportedRecord(record=record, block=block.number)
                else:
                    yield ExportedDigest(id=record.id, digest=record.digest)
        newest = await self._newest_block(tenant_id)
        async for record, _ in self._unsealed(tenant_id, upto=max(newest, last)):
            if _is_in_time(record.at, since=since, until=until):
                yield ExportedRecord(record=record, block=None)

    async def _blocks(
        self, tenant_id: TenantId, *, after: int, upto: int | None
    ) -> AsyncGenerator[tuple[AuditBlock, dict[UUID, KeptRecord]]]:
        """Yield blocks by number with the records of theirs that are there."""
        while True:
            query = (
                select(audit_blocks)
                .where(audit_blocks.c.tenant_id == tenant_id, audit_blocks.c.number > after)
                .order_by(audit_blocks.c.number)
                .limit(_BLOCKS)
            )
            if upto is not None:
                query = query.where(audit_blocks.c.number <= upto)
            async with self._database.for_tenant(tenant_id) as connection:
                page = [_block(row) for row in (await connection.execute(query)).all()]
            for group in _grouped(page):
                # A transaction for each: a long one would hold up the sealing of everybody.
                async with self._database.for_tenant(tenant_id) as connection:
                    found = await _records_of(connection, group)
                for block in group:
                    yield block, {id_: found[id_] for id_ in block.record_ids if id_ in found}
            if len(page) < _BLOCKS:
                return
            after = page[-1].number

    async def _unsealed(
        self, tenant_id: TenantId, *, upto: int
    ) -> AsyncGenerator[tuple[KeptRecord, bool]]:
        """Yield records in no block up to that number, and whether they came in behind it."""
        after = 0
        while True:
            values = {"tenant": tenant_id, "upto": upto, "after": after, "limit": _RECORDS}
            async with self._database.for_tenant(tenant_id) as connection:
                rows = (await connection.execute(_UNSEALED, values)).all()
            for row in rows:
                yield _record(row), row.behind
            if len(rows) < _RECORDS:
                return
            after = rows[-1].seq

    async def _sealed_twice(self, tenant_id: TenantId) -> list[Problem]:
        async with self._database.for_tenant(tenant_id) as connection:
            rows = (await connection.execute(_TWICE, {"tenant": tenant_id})).all()
        return [
            Problem(flaw=Flaw.RECORD_SEALED_TWICE, block=row.number, record=row.id) for row in rows
        ]

    async def _blocks_in_time(
        self, tenant_id: TenantId, *, since: datetime | None, until: datetime | None
    ) -> tuple[int, int]:
        """Return the first and the last block with a record of that time; all without a time."""
        if since is None and until is None:
            return 1, await self._newest_block(tenant_id)
        sealed = (
            select(audit_blocks.c.number, func.unnest(audit_blocks.c.record_ids).label("id"))
            .where(audit_blocks.c.tenant_id == tenant_id)
            .subquery()
        )
        query = (
            select(func.min(sealed.c.number), func.max(sealed.c.number))
            .join_from(audit_records, sealed, audit_records.c.id == sealed.c.id)
            .where(*_in_time(tenant_id, since=since, until=until))
        )
        async with self._database.for_tenant(tenant_id) as connection:
            first, last = (await connection.execute(query)).one()
        return first or 1, last or 0

    async def _newest_block(self, tenant_id: TenantId) -> int:
        query = select(func.max(audit_blocks.c.number)).where(audit_blocks.c.tenant_id == tenant_id)
        async with self._database.for_tenant(tenant_id) as connection:
            return await connection.scalar(query) or 0


def _grouped(blocks: Sequence[AuditBlock]) -> Iterator[Sequence[AuditBlock]]:
    """Yield neighbours with some thousand records together: most blocks hold very few."""
    group: list[AuditBlock] = []
    for block in blocks:
        group.append(block)
        if sum(len(each.record_ids) for each in group) >= _RECORDS:
            yield group
            group = []
    if group:
        yield group


async def _records_of(
    connection: AsyncConnection, blocks: Sequence[AuditBlock]
) -> dict[UUID, KeptRecord]:
    wanted = [record_id for block in blocks for record_id in block.record_ids]
    rows = await connection.execute(
        select(audit_records).where(
            audit_records.c.tenant_id == blocks[0].tenant_id,
            audit_records.c.id == func.any(wanted),
        )
    )
    return {row.id: _record(row) for row in rows}


def _in_time(
    tenant_id: TenantId, *, since: datetime | None, until: datetime | None
) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [audit_records.c.tenant_id == tenant_id]
    if since is not None:
        where.append(audit_records.c.at >= since)
    if until is not None:
        where.append(audit_records.c.at < until)
    return where


def _is_in_time(at: datetime, *, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or at >= since) and (until is None or at < until)


def _record(row: AnyRow) -> KeptRecord:
    return KeptRecord(
        id=row.id,
        tenant_id=TenantId(row.tenant_id),
        at=row.at,
        action=row.action,
        actor=row.actor,
        run_id=row.run_id,
        call_id=row.call_id,
        tool=row.tool,
        content=row.content,
        digest=row.digest,
    )


def _block(row: AnyRow) -> AuditBlock:
    return AuditBlock(
        tenant_id=TenantId(row.tenant_id),
        number=row.number,
        record_ids=tuple(row.record_ids),
        previous=row.previous,
        head=row.head,
        key_id=row.key_id,
        signature=row.signature,
        sealed_at=row.sealed_at,
    )


# Behind: below the last block's cursor, while that is exact (see the sealer on restores).
_UNSEALED = text(
    """select r.*,
              coalesce(r.xact < l.upto_xact and cardinality(l.record_ids) > 0
                       and l.upto_xact <= pg_snapshot_xmin(pg_current_snapshot()), false) as behind
       from audit_records r
       left join (select unnest(record_ids) as id from audit_blocks
                  where tenant_id = :tenant and number <= :upto) b on b.id = r.id
       left join audit_blocks l on l.tenant_id = :tenant and l.number = :upto
       where r.tenant_id = :tenant and b.id is null and r.seq > :after
       order by r.seq limit :limit"""
)

_TWICE = text(
    """select id, max(number) as number from (
         select number, unnest(record_ids) as id from audit_blocks where tenant_id = :tenant) b
       group by id having count(*) > 1 order by 2, 1 limit 1000"""
)

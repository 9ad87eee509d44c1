"""Chains what has been recorded into signed blocks, soon after it was committed, in that order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol
from uuid import UUID

import structlog
from sqlalchemy import TextClause, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.audit import head_of
from core.domain.audit_chain import NO_HEAD, signed_bytes
from core.domain.ids import TenantId
from core.ports import Clock
from core.store.database import Database
from core.store.directory import Directory
from core.store.tables import audit_blocks

_BLOCK: Final = 1000
_TENANTS: Final = 100

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Signer(Protocol):
    """Signs blocks with a key that the database does not have."""

    key_id: str

    def sign(self, message: bytes) -> str:
        """Return the signature in hex."""
        ...


class Sealer:
    """Seals every tenant's records; as many as like may try at a time, one does."""

    def __init__(
        self,
        database: Database,
        *,
        directory: Directory,
        signer: Signer,
        clock: Clock,
        at_once: int = 20_000,
    ) -> None:
        """Take what signs; ``at_once`` is about how many records one transaction seals."""
        self._database = database
        self._directory = directory
        self._signer = signer
        self._clock = clock
        self._at_once = at_once
        self._looked_at: str | None = ""

    async def seal_due(self) -> int:
        """Seal what is complete, and return how many records that were.

        A record is complete once every transaction that began before its own has ended: none can
        come in before it any more. What comes in meanwhile is left for the next time.

        Raises:
            Unavailable: ``database_unavailable``.
        """
        total, has_more = 0, True
        while has_more:
            tenants = await self._directory.unsealed(limit=_TENANTS)
            sealed = await self._round(tenants)
            total += sealed.records
            # Only what there was no room for: to chase what comes in meanwhile would never end
            # under load, with a block for every few records.
            has_more = sealed.records > 0 and (sealed.has_more or len(tenants) == _TENANTS)
        return total + await self._look_on()

    async def _round(self, tenants: Sequence[TenantId]) -> "_Sealed":
        each = [await self._seal(tenant_id) for tenant_id in tenants]
        return _Sealed(sum(one.records for one in each), any(one.has_more for one in each))

    async def _look_on(self) -> int:
        """Look at some more of all tenants, each once in this process's life.

        After a logical restore transaction ids begin anew, below the blocks' cursors, and the
        directory does not see what is unsealed.
        """
        if self._looked_at is None:
            return 0
        tenants = await self._directory.tenants(after=self._looked_at, limit=_TENANTS)
        sealed = await self._round([tenant.id for tenant in tenants])
        self._looked_at = tenants[-1].name if len(tenants) == _TENANTS else None
        return sealed.records

    async def _seal(self, tenant_id: TenantId) -> "_Sealed":
        async with self._database.for_tenant(tenant_id) as connection:
            locked = await connection.scalar(_LOCK, {"tenant": str(tenant_id)})
            if not locked:
                return _Sealed(0)
            row = (await connection.execute(_WHERE, {"tenant": tenant_id})).one()
            chain = _Chain(
                connection=connection,
                tenant_id=tenant_id,
                signer=self._signer,
                clock=self._clock,
                number=row.number or 0,
                head=row.head or NO_HEAD,
            )
            if row.upto > row.complete:
                # From another cluster: an empty block takes its place before anything else.
                _log.warning("audit.restored", tenant_id=str(tenant_id), block=row.number)
                await chain.append([], [], upto=row.complete)
            if row.upto > row.complete or row.distrusted:
                return _Sealed(await _seal_restored(chain, complete=row.complete))
            return await self._seal_on(chain, upto=row.upto, complete=row.complete)

    async def _seal_on(self, chain: "_Chain", *, upto: int, complete: int) -> "_Sealed":
        """Seal from the last block's cursor on; it is exact, so that nothing is looked at twice."""
        values: dict[str, object] = {"tenant": chain.tenant_id, "upto": upto, "complete": complete}
        edge = (await chain.connection.execute(_EDGE, values | {"at_once": self._at_once})).one()
        if edge.last is not None:
            # A transaction's records are never parted, however many they are.
            complete = max(edge.last, edge.first + 1)
        sealed = await chain.extend(_NEXT, values | {"complete": complete}, upto=complete)
        return _Sealed(sealed, edge.last is not None)


class _Sealed(NamedTuple):
    """How many records were sealed, and whether more were complete than there was room for."""

    records: int
    has_more: bool = False


@dataclass(slots=True, kw_only=True)
class _Chain:
    """The end of a tenant's chain, in the transaction that extends it."""

    connection: AsyncConnection
    tenant_id: TenantId
    signer: Signer
    clock: Clock
    number: int
    head: str

    async def extend(self, query: TextClause, values: Mapping[str, object], *, upto: int) -> int:
        """Seal what ``query`` finds, id by id with its digest, and return how many there were."""
        sealed = 0
        async with self.connection.stream(query, values) as rows:
            async for part in rows.partitions(_BLOCK):
                await self.append([row.id for row in part], [row.digest for row in part], upto=upto)
                sealed += len(part)
        return sealed

    async def append(self, ids: Sequence[UUID], digests: list[str], *, upto: int) -> None:
        """Add one block."""
        previous, sealed_at = self.head, self.clock.now()
        self.head = head_of(previous, digests)
        self.number += 1
        message = signed_bytes(
            self.tenant_id,
            number=self.number,
            previous=previous,
            head=self.head,
            sealed_at=sealed_at,
        )
        await self.connection.execute(
            _ADD_BLOCK,
            {
                "tenant_id": self.tenant_id,
                "number": self.number,
                "record_ids": list(ids),
                "upto_xact": upto,
                "previous": previous,
                "head": self.head,
                "key_id": self.signer.key_id,
                "signature": self.signer.sign(message),
                "sealed_at": sealed_at,
            },
        )


async def _seal_restored(chain: _Chain, *, complete: int) -> int:
    """Seal whatever is in no block, while ids from before a restore are above ours.

    No sealed record's id is ever above every block's cursor. While the chain ends with an empty
    block, its cursor is not trusted; once our ids have passed the highest there ever was, a block
    of the ordinary kind ends that.
    """
    values = {"tenant": chain.tenant_id, "complete": complete}
    highest = int(await chain.connection.scalar(_HIGHEST, values) or 0)
    foreign = await chain.connection.scalar(_HIGHEST_FOREIGN, values)
    highest = max(highest, 0 if foreign is None else int(foreign) + 1)
    if highest <= complete:
        return await chain.extend(_UNSEALED, values, upto=complete)
    sealed = await chain.extend(_UNSEALED, values, upto=highest)
    if sealed:
        await chain.append([], [], upto=complete)
    return sealed


_ADD_BLOCK = insert(audit_blocks)

_LOCK = text("select pg_try_advisory_xact_lock(hashtextextended('audit/' || :tenant, 0))")

# Read in one statement and used in the next: by then, all that is older than `complete` is visible.
_WHERE = text(
    """select b.number, b.head, coalesce(b.upto_xact, '0'::xid8) as upto,
              pg_snapshot_xmin(s) as complete,
              coalesce(cardinality(b.record_ids) = 0, false) as distrusted
       from pg_current_snapshot() s
       left join lateral (select number, head, upto_xact, record_ids from audit_blocks
                          where tenant_id = :tenant order by number desc limit 1) b on true"""
)

_EDGE = text(
    """with due as (select xact, seq from audit_records
                    where tenant_id = :tenant and xact >= :upto and xact < :complete)
       select (select xact from due order by xact, seq limit 1) as first,
              (select xact from due order by xact, seq offset :at_once limit 1) as last"""
)

_NEXT = text(
    """select id, digest from audit_records
       where tenant_id = :tenant and xact >= :upto and xact < :complete order by xact, seq"""
)

# Visible and at or above the next id to be given: from before the restore.
_FOREIGN = "r.xact >= pg_snapshot_xmax(pg_current_snapshot())"

_UNSEALED = text(
    f"""select r.id, r.digest from audit_records r
        left join (select unnest(record_ids) as id from audit_blocks
                   where tenant_id = :tenant) b on b.id = r.id
        where r.tenant_id = :tenant and b.id is null and (r.xact < :complete or {_FOREIGN})
        order by r.seq"""  # noqa: S608 - the part stands above
)

_HIGHEST = text(
    """select upto_xact from audit_blocks where tenant_id = :tenant
       order by upto_xact desc limit 1"""
)

_HIGHEST_FOREIGN = text(
    f"""select r.xact from audit_records r where r.tenant_id = :tenant and {_FOREIGN}
        order by r.xact desc limit 1"""  # noqa: S608 - the part stands above
)

"""What happened in a run, and the text as it comes, for whoever shows it."""

from collections.abc import Sequence

from sqlalchemy import delete, func, insert, select, text

from core.domain.canonical import storable
from core.domain.event import EventKind, RunEvent, TextChunk
from core.domain.ids import RunId, TenantId
from core.domain.run import Lease
from core.errors import Unavailable
from core.ports import Clock
from core.store.database import Database
from core.store.tables import run_events, run_text

_HOLD_SECONDS = 0.2
_KEEP_HOURS = 1


class StoredEvents:
    """The reading side: events from a cursor on, and chunks of text."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    async def after(
        self, tenant_id: TenantId, *, run_id: RunId, seq: int, limit: int = 200
    ) -> tuple[RunEvent, ...]:
        """Return the events behind number ``seq``, in order."""
        query = (
            select(run_events)
            .where(
                run_events.c.tenant_id == tenant_id,
                run_events.c.run_id == run_id,
                run_events.c.seq > seq,
            )
            .order_by(run_events.c.seq)
            .limit(limit)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            rows = (await connection.execute(query)).all()
        return tuple(
            RunEvent(
                run_id=RunId(row.run_id),
                seq=row.seq,
                kind=EventKind(row.kind),
                data=row.data,
                at=row.at,
            )
            for row in rows
        )

    async def text_after(
        self, tenant_id: TenantId, *, run_id: RunId, step: int, seq: int, limit: int = 200
    ) -> tuple[TextChunk, ...]:
        """Return the pieces of text behind piece ``seq`` of ``step``, later steps included."""
        place = func.row(run_text.c.step, run_text.c.seq)
        query = (
            select(run_text)
            .where(
                run_text.c.tenant_id == tenant_id,
                run_text.c.run_id == run_id,
                place > func.row(step, seq),
            )
            .order_by(run_text.c.step, run_text.c.seq)
            .limit(limit)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            rows = (await connection.execute(query)).all()
        return tuple(
            TextChunk(run_id=RunId(row.run_id), step=row.step, seq=row.seq, text=row.text)
            for row in rows
        )

    async def forget_text(self, tenants: Sequence[TenantId]) -> None:
        """Delete text that is old enough to have been shown."""
        old = run_text.c.at < func.now() - text(f"interval '{_KEEP_HOURS} hours'")
        for tenant_id in tenants:
            async with self._database.for_tenant(tenant_id) as connection:
                await connection.execute(
                    delete(run_text).where(run_text.c.tenant_id == tenant_id, old)
                )


class StoredText:
    """The TextSink port: pieces of about 200 ms, in a table that a crash may empty."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        """Take the database and the time."""
        self._database = database
        self._clock = clock
        self._held: dict[Lease, _Held] = {}

    async def append(self, lease: Lease, *, step: int, text: str) -> None:
        """Take the next piece; see the port."""
        held = self._held.get(lease)
        if held is None or held.step != step:
            held = self._held[lease] = _Held(step=step, since=self._clock.monotonic())
        held.pieces.append(text)
        if self._clock.monotonic() - held.since >= _HOLD_SECONDS:
            await self._send(lease, held)

    async def flush(self, lease: Lease) -> None:
        """Forget what is still held back: the whole answer is in the journal a moment later."""
        self._held.pop(lease, None)

    async def _send(self, lease: Lease, held: "_Held") -> None:
        pieces, held.pieces = storable("".join(held.pieces)), []
        held.since = self._clock.monotonic()
        held.seq += 1
        row = {
            "tenant_id": lease.tenant_id,
            "run_id": lease.run_id,
            "step": held.step,
            # A later driver of the same step starts above whatever an earlier one said.
            "seq": lease.number * 100_000 + held.seq,
            "text": pieces,
        }
        try:
            async with self._database.for_tenant(lease.tenant_id) as connection:
                await connection.execute(insert(run_text).values(row))
        except Unavailable:
            return  # text as it comes may be lost; the answer may not


class _Held:
    """Pieces of one step that have not been sent."""

    def __init__(self, *, step: int, since: float) -> None:
        self.step = step
        self.since = since
        self.seq = 0
        self.pieces: list[str] = []

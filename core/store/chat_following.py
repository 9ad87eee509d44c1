"""What surfaces are told: runs that somebody follows there, and questions that were put there."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from core.domain.delivery import FollowedRun, Place, Wish
from core.domain.ids import ApprovalId, RunId, TenantId
from core.store.chat_outbox import put_wish
from core.store.chat_tables import chat_news, chat_questions, chat_runs
from core.store.database import Database
from core.store.rows import AnyRow
from core.store.tables import run_text, runs


@dataclass(frozen=True, slots=True, kw_only=True)
class PutQuestion:
    """Where a question stands on a surface; ``decides`` where it can be answered there."""

    place: Place
    decides: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has come: its newest event, and its newest piece of text."""

    seq: int
    text: int


class StoredFollowing:
    """Cursors of surfaces on PostgreSQL: a wish and the cursor behind it are one commit."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    async def follow(self, tenant_id: TenantId, *, run_id: RunId, place: Place, asker: str) -> None:
        """Have a run told at a place from now on; twice is once."""
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(
                upsert(chat_runs)
                .values(
                    tenant_id=tenant_id,
                    run_id=run_id,
                    surface=place.surface,
                    workspace=place.workspace,
                    address=place.address,
                    asker=asker,
                )
                .on_conflict_do_nothing()
            )

    async def followed(self, tenant_id: TenantId, *, run_id: RunId) -> FollowedRun | None:
        """Return where a run is told; None where nowhere."""
        query = select(chat_runs).where(
            chat_runs.c.tenant_id == tenant_id, chat_runs.c.run_id == run_id
        )
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        return _followed(row) if row is not None else None

    async def runs_at(self, tenant_id: TenantId, *, place: Place, limit: int) -> tuple[RunId, ...]:
        """Return the runs that were asked for at a place, newest first."""
        query = (
            select(chat_runs.c.run_id)
            .join(
                runs,
                and_(runs.c.tenant_id == chat_runs.c.tenant_id, runs.c.id == chat_runs.c.run_id),
            )
            .where(
                chat_runs.c.tenant_id == tenant_id,
                chat_runs.c.surface == place.surface,
                chat_runs.c.workspace == place.workspace,
                chat_runs.c.address == place.address,
            )
            .order_by(runs.c.created_at.desc(), runs.c.id)
            .limit(limit)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            return tuple(RunId(one) for one in (await connection.execute(query)).scalars())

    async def progress(self, tenant_id: TenantId, *, run_id: RunId) -> Progress:
        """Return how far a run has come. Asked for before it is read, it is never too far."""
        newest = (
            select(func.max(run_text.c.step * 100_000 + run_text.c.seq))
            .where(run_text.c.tenant_id == tenant_id, run_text.c.run_id == run_id)
            .scalar_subquery()
        )
        query = select(runs.c.event_seq, newest.label("text")).where(
            runs.c.tenant_id == tenant_id, runs.c.id == run_id
        )
        async with self._database.for_tenant(tenant_id) as connection:
            row = (await connection.execute(query)).one()
        return Progress(seq=row.event_seq, text=row.text or 0)

    async def tell_run(
        self, followed: FollowedRun, *, wishes: Sequence[Wish], upto: Progress, has_ended: bool
    ) -> bool:
        """Put the wishes and move the cursor; False, and nothing is, where another was first."""
        mine = and_(
            chat_runs.c.tenant_id == followed.tenant_id,
            chat_runs.c.run_id == followed.run_id,
            chat_runs.c.told_seq == followed.told_seq,
            chat_runs.c.told_text == followed.told_text,
        )
        moved = (
            update(chat_runs)
            .where(mine)
            .values(told_seq=upto.seq, told_text=upto.text, ended=has_ended)
            .returning(chat_runs.c.run_id)
        )
        async with self._database.for_tenant(followed.tenant_id) as connection:
            if (await connection.execute(moved)).one_or_none() is None:
                return False
            for wish in wishes:
                await put_wish(connection, followed.tenant_id, wish=wish)
        return True

    async def news_of(self, tenant_id: TenantId, *, approval_id: ApprovalId) -> int | None:
        """Return the version of a question's news; None where it was told meanwhile."""
        query = select(chat_news.c.version).where(
            chat_news.c.tenant_id == tenant_id, chat_news.c.approval_id == approval_id
        )
        async with self._database.for_tenant(tenant_id) as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    async def put_at(
        self, tenant_id: TenantId, *, approval_id: ApprovalId
    ) -> Sequence[PutQuestion]:
        """Return where a question was put."""
        query = (
            select(chat_questions)
            .where(
                chat_questions.c.tenant_id == tenant_id,
                chat_questions.c.approval_id == approval_id,
            )
            .order_by(
                chat_questions.c.surface, chat_questions.c.workspace, chat_questions.c.address
            )
        )
        async with self._database.for_tenant(tenant_id) as connection:
            rows = (await connection.execute(query)).all()
        return tuple(
            PutQuestion(
                place=Place(surface=row.surface, workspace=row.workspace, address=row.address),
                decides=row.decides,
            )
            for row in rows
        )

    async def tell_question(
        self,
        tenant_id: TenantId,
        *,
        approval_id: ApprovalId,
        version: int,
        wishes: Sequence[Wish],
        places: Sequence[PutQuestion],
    ) -> None:
        """Put the wishes, note where they stand, and be done with these news, unless newer came."""
        async with self._database.for_tenant(tenant_id) as connection:
            for one in places:
                await connection.execute(
                    upsert(chat_questions)
                    .values(
                        tenant_id=tenant_id,
                        approval_id=approval_id,
                        surface=one.place.surface,
                        workspace=one.place.workspace,
                        address=one.place.address,
                        decides=one.decides,
                    )
                    .on_conflict_do_nothing()
                )
            for wish in wishes:
                await put_wish(connection, tenant_id, wish=wish)
            await connection.execute(
                delete(chat_news).where(
                    chat_news.c.tenant_id == tenant_id,
                    chat_news.c.approval_id == approval_id,
                    chat_news.c.version == version,
                )
            )


def _followed(row: AnyRow) -> FollowedRun:
    return FollowedRun(
        tenant_id=TenantId(row.tenant_id),
        run_id=RunId(row.run_id),
        place=Place(surface=row.surface, workspace=row.workspace, address=row.address),
        asker=row.asker,
        told_seq=row.told_seq,
        told_text=row.told_text,
    )

"""Exactly one effect per idempotency key, and none for a worker that has lost its run."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.canonical import JsonObject
from core.domain.effect import Effect
from core.domain.run import Lease
from core.errors import LeaseLost
from core.store.database import Database
from core.store.tables import runs, tool_effects


class Once:
    """An effect under way: the transaction it happens in, and what it was if it has happened.

    Attributes:
        connection: the open transaction; the effect is written through it and nothing else.
        prior: what an earlier call under the same key recorded, None where this is the first.
    """

    __slots__ = ("connection", "outcome", "prior")

    def __init__(self, connection: AsyncConnection, *, prior: JsonObject | None) -> None:
        """Take the transaction and what was recorded before."""
        self.connection = connection
        self.prior = prior
        self.outcome: JsonObject | None = None

    def record(self, outcome: JsonObject) -> None:
        """Keep ``outcome`` with the effect: all that a repeated call needs to answer the same."""
        self.outcome = outcome


class Effects:
    """The one transaction in which a tool of ours changes our own tables."""

    def __init__(self, database: Database) -> None:
        """Take the database that holds the tables and the record of effects alike."""
        self._database = database

    @asynccontextmanager
    async def once(self, effect: Effect) -> AsyncGenerator[Once]:
        """Open the transaction of ``effect``; where ``prior`` is set, return what it tells.

        A second call under the same key waits here until the first is committed or undone. The
        block must record an outcome, or raise.

        Raises:
            LeaseLost: another worker drives the run now; nothing is changed.
            Unavailable: ``database_unavailable``; repeat under the same key.
        """
        async with self._database.for_tenant(effect.tenant_id) as connection:
            if effect.lease is not None:
                await _hold(connection, lease=effect.lease)
            once = Once(connection, prior=await _begin(connection, effect=effect))
            yield once
            if once.prior is None:
                await _finish(once, effect=effect)


async def _hold(connection: AsyncConnection, *, lease: Lease) -> None:
    """Lock the run's row first, as everybody does, so that no one can take the run meanwhile."""
    row = runs.c
    held = await connection.scalar(
        select(row.id)
        .where(
            row.tenant_id == lease.tenant_id,
            row.id == lease.run_id,
            row.lease == lease.number,
            row.dispatch == "driving",
        )
        .with_for_update(read=True)
    )
    if held is None:
        raise LeaseLost("lease_lost")


async def _begin(connection: AsyncConnection, *, effect: Effect) -> JsonObject | None:
    """Take the key, or return what its first holder recorded."""
    taken = await connection.scalar(
        insert(tool_effects)
        .values(tenant_id=effect.tenant_id, key=effect.key, tool=effect.tool, output={})
        .on_conflict_do_nothing()
        .returning(tool_effects.c.key)
    )
    if taken is not None:
        return None
    prior = await connection.scalar(
        select(tool_effects.c.output).where(
            tool_effects.c.tenant_id == effect.tenant_id,
            tool_effects.c.key == effect.key,
        )
    )
    return cast("JsonObject", prior)


async def _finish(once: Once, *, effect: Effect) -> None:
    if once.outcome is None:
        message = "an effect was left without its outcome"
        raise RuntimeError(message)
    await once.connection.execute(
        update(tool_effects)
        .where(tool_effects.c.tenant_id == effect.tenant_id, tool_effects.c.key == effect.key)
        .values(output=once.outcome)
    )

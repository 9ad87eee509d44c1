"""Driving what a command sets going: by the workers there are, or in this process without any."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.app import App
from core.domain.ids import RunId, TenantId
from core.domain.run import Run, RunStatus
from core.durable.takeover import Pace
from sallyport.assembly import Assembly

_STALE_SECONDS = Pace().stale_seconds
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """The App, and whether this very process drives what it starts."""

    app: App
    here: bool


async def worker_is_alive(parts: Assembly) -> bool:
    """Return whether any worker's heart beats."""
    return bool(await parts.directory.alive_workers(stale_seconds=_STALE_SECONDS))


@asynccontextmanager
async def driven(parts: Assembly) -> AsyncGenerator[Driven]:
    """Have what is started in the block driven: here where no worker is alive.

    Where the last worker dies meanwhile, this process takes its place.
    """
    if not await worker_is_alive(parts):
        async with parts.working() as app:
            yield Driven(app=app, here=True)
        return
    async with parts.serving() as app, asyncio.TaskGroup() as group:
        substitute = group.create_task(_stand_in(parts), name="stand-in")
        yield Driven(app=app, here=False)
        substitute.cancel()


async def _stand_in(parts: Assembly) -> None:
    while await worker_is_alive(parts):  # noqa: ASYNC110 - other processes' hearts: only a look tells
        await asyncio.sleep(_STALE_SECONDS / 5)
    async with parts.working():
        await asyncio.Event().wait()


async def rest(parts: Assembly, tenant_id: TenantId, *, run_id: RunId) -> Run:
    """Return the run once it has ended or waits for people."""
    while True:
        run = await parts.stored_runs.get(tenant_id, run_id=run_id)
        if run.status.is_final or run.status is RunStatus.AWAITING_APPROVAL:
            return run
        await asyncio.sleep(_LOOK_SECONDS)

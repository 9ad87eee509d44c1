"""What a lasting process is made of: the database, kept running, and its parts."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.app import App
from sallyport.assembly import Assembly
from sallyport.settings import Settings
from sallyport.storage import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process with its database, its parts, and the core's face."""

    storage: Storage
    parts: Assembly
    app: App


@asynccontextmanager
async def process(settings: Settings, *, working: bool) -> AsyncGenerator[Process]:
    """Have the database, kept running where it is ours, and be a worker where that is wanted.

    Raises:
        Misconfigured, Unavailable: as ``Storage`` and ``Assembly`` have it.
    """
    async with Storage(settings.store) as storage:
        parts = Assembly(settings, url=storage.url)
        entered = parts.working() if working else parts.serving()
        async with entered as app, asyncio.TaskGroup() as group:
            supervision = group.create_task(storage.supervise(), name="supervise")
            yield Process(storage=storage, parts=parts, app=app)
            supervision.cancel()

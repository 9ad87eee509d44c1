"""Chat put together: what arrives is handled, what happens is told, what is told is delivered."""

import asyncio
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial

import structlog
from starlette.routing import BaseRoute

from bots.projecting import Teller
from bots.views import Source
from core.app import App
from core.domain.run import Run
from core.runs.sources import sources_of
from sallyport.assembly import Assembly
from sallyport.settings import Settings
from sallyport.signing_in import FrontPages
from sallyport.surfaces import Common, Front

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_AGAIN_SECONDS = 1.0

_Open = Callable[[Common, FrontPages], AbstractAsyncContextManager[Front]]


@asynccontextmanager
async def chatting(
    parts: Assembly, app: App, *, pages: FrontPages, url: str
) -> AsyncGenerator[Sequence[BaseRoute]]:
    """Talk to people on every surface that is on until the block is left; yield the addresses.

    ``url`` is where people find our pages.
    """
    common = Common(parts, app, url=url)
    async with AsyncExitStack() as stack:
        fronts = [
            await stack.enter_async_context(open_front(common, pages))
            for open_front in _surfaces(parts.settings)
        ]
        teller = Teller(
            [front.surface for front in fronts],
            following=common.following,
            directory=common.directory,
            runs=parts.stored_runs,
            approvals=parts.approvals,
            events=parts.events,
            outboxes=[front.outbox for front in fronts],
            pages_url=url,
            sources=_sources,
            clock=parts.clock,
        )
        group = await stack.enter_async_context(asyncio.TaskGroup())
        tasks = [group.create_task(_kept_up("telling", teller.run))]
        for front in fronts:
            arriving = partial(front.inbox.run, front.handle)
            tasks.append(group.create_task(_kept_up("inbox", arriving)))
            tasks.append(group.create_task(_kept_up("outbox", front.outbox.run)))
        yield [route for front in fronts for route in front.routes]
        for task in tasks:
            task.cancel()


def _surfaces(settings: Settings) -> Iterator[_Open]:
    """Return what opens each surface that is on; what speaks to it takes a while to read."""
    if settings.slack.is_on:
        from sallyport.slack import slack_front  # noqa: PLC0415

        yield slack_front
    if settings.teams.is_on:
        from sallyport.teams import teams_front  # noqa: PLC0415

        yield teams_front


async def _kept_up(part: str, run: Callable[[], Awaitable[None]]) -> None:
    """Have a part of chat run until cancelled: what is wrong with it ends nothing beside it."""
    while True:
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - a process's main loop: the server goes on
            frames = traceback.extract_tb(error.__traceback__)[-5:]
            at = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
            _log.error("chat.part_failed", part=part, error=type(error).__name__, at=at)
        await asyncio.sleep(_AGAIN_SECONDS)


def _sources(run: Run) -> Sequence[Source]:
    return [Source(title=one.title) for one in sources_of(run)]

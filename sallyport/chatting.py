"""Chat put together: what arrives is handled, what happens is told, what is told is delivered."""

import asyncio
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import structlog
from starlette.routing import BaseRoute

from bots.inbox import Inbox
from bots.linking import Linking
from bots.outbox import Outbox
from bots.projecting import Teller
from bots.slack.asking import Asking
from bots.slack.calling import Caller
from bots.slack.clicks import Clicks
from bots.slack.commands import Commands
from bots.slack.handling import Handling
from bots.slack.home_view import Homes
from bots.slack.identity import RememberedProfiles, SlackPeople, SlackProfiles
from bots.slack.listeners import listen
from bots.slack.mistakes import mistakes
from bots.slack.our_threads import OurThreads
from bots.slack.questions import Questions
from bots.slack.surface import SLACK, SlackSurface
from bots.slack.threads import SlackThreads
from bots.slack.visit import Answering
from bots.slack.windows import SlackWindows
from bots.views import Source
from core.app import App
from core.domain.approval import Approval
from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Principal
from core.domain.run import Run
from core.runs.sources import sources_of
from core.store.chat_directory import ChatDirectory
from core.store.chat_following import StoredFollowing
from core.store.chat_inbox import StoredInbox
from core.store.chat_outbox import StoredOutbox
from core.switching import Switching
from sallyport.assembly import Assembly
from sallyport.signing_in import FrontPages
from sallyport.slack import SlackParts

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_AGAIN_SECONDS = 1.0


@asynccontextmanager
async def chatting(
    parts: Assembly, app: App, *, pages: FrontPages, url: str
) -> AsyncGenerator[Sequence[BaseRoute]]:
    """Talk to people in Slack until the block is left; yield Slack's addresses.

    ``url`` is where people find our pages.
    """
    database, clock = parts.database, parts.clock
    directory, following = ChatDirectory(database), StoredFollowing(database)
    async with SlackParts(
        parts.settings.slack,
        database=database,
        directory=parts.directory,
        workspaces=parts.chat_workspaces,
        clock=clock,
    ) as slack:
        surface = SlackSurface(
            Caller(slack.clients, workspaces=slack.workspaces),
            workspaces=slack.workspaces,
            people=_Askable(app),
            accounts=_Accounts(parts.linking),
        )
        outbox = Outbox(
            surface,
            records=StoredOutbox(database),
            directory=directory,
            clock=clock,
            name=parts.executor_id,
        )
        inbox = Inbox(
            surface=SLACK, records=StoredInbox(database), directory=directory, clock=clock
        )
        teller = Teller(
            [surface],
            following=following,
            directory=directory,
            runs=parts.stored_runs,
            approvals=parts.approvals,
            events=parts.events,
            outboxes=[outbox],
            pages_url=url,
            sources=_sources,
        )
        handling = _handling(
            parts, app, slack=slack, surface=surface, outbox=outbox, following=following, url=url
        )
        is_ours = OurThreads(directory, following=following, arrived=StoredInbox(database))
        events = slack.events(partial(listen, inbox=inbox, is_ours=is_ours, mistakes=mistakes))
        async with asyncio.TaskGroup() as group, slack.hearing(events):
            tasks = [
                group.create_task(_kept_up("inbox", lambda: inbox.run(handling))),
                group.create_task(_kept_up("telling", teller.run)),
                group.create_task(_kept_up("outbox", outbox.run)),
            ]
            yield slack.routes(events, pages=pages)
            for task in tasks:
                task.cancel()


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


def _handling(
    parts: Assembly,
    app: App,
    *,
    slack: SlackParts,
    surface: SlackSurface,
    outbox: Outbox,
    following: StoredFollowing,
    url: str,
) -> Handling:
    switching = Switching(
        toolbox=parts.toolbox,
        theirs=parts.stored_upstreams,
        settings=parts.people,
        auditor=parts.journal,
        clock=parts.clock,
        renew=parts.tokens.renew,
    )
    answering = Answering(
        app,
        following=following,
        outbox=outbox,
        windows=SlackWindows(slack.clients, workspaces=slack.workspaces),
        rendering=surface,
    )
    homes = Homes(app, tools=switching, pages_url=url)
    threads = SlackThreads(slack.clients, workspaces=slack.workspaces)
    profiles = SlackProfiles(slack.clients, workspaces=slack.workspaces)
    return Handling(
        answering,
        asking=Asking(answering, threads=threads),
        questions=Questions(answering, schemas=switching, pages_url=url),
        clicks=Clicks(answering, switches=switching, links=parts.linking),
        commands=Commands(answering, homes=homes, kept=StoredInbox(parts.database)),
        homes=homes,
        people=SlackPeople(RememberedProfiles(profiles, clock=parts.clock), linking=parts.linking),
        offers=parts.linking,
        departures=slack.departures,
        companies=parts.people,
        outbox=outbox,
        pages_url=url,
    )


def _sources(run: Run) -> Sequence[Source]:
    return [Source(title=one.title) for one in sources_of(run)]


class _Askable:
    def __init__(self, app: App) -> None:
        self._app = app

    async def eligible(self, approval: Approval) -> Sequence[Principal]:
        return await self._app.whom_to_ask(approval)


class _Accounts:
    def __init__(self, linking: Linking) -> None:
        self._linking = linking

    async def accounts_of(
        self, tenant_id: TenantId, *, principal_ids: Sequence[PrincipalId], workspace: str
    ) -> Sequence[str]:
        found = [
            await self._linking.accounts_of(
                tenant_id, principal_id=one, surface=SLACK, workspace=workspace
            )
            for one in principal_ids
        ]
        return [account.user for accounts in found for account in accounts]

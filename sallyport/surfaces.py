"""What every chat surface is put together from, whichever it is: the core's part of it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.routing import BaseRoute

from bots import projecting
from bots.asking import Asking, Threads
from bots.clicks import Clicks
from bots.commands import Commands, Kept
from bots.handling import Handling, People
from bots.homes import Homes
from bots.inbox import Inbox
from bots.our_threads import OurThreads
from bots.outbox import Outbox, Platform
from bots.questions import Questions
from bots.rendering import Page, Rendering
from bots.visit import Answering, Placing, Screens
from bots.whom import TenantWorkspaces, Whom
from core.app import App
from core.domain.approval import Approval
from core.domain.chat import Surface
from core.domain.delivery import Arrival
from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Principal
from core.store.chat_directory import ChatDirectory
from core.store.chat_following import StoredFollowing
from core.store.chat_inbox import StoredInbox
from core.store.chat_outbox import StoredOutbox
from core.switching import Switching
from sallyport.assembly import Assembly


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """A chat surface that is open: what it says, what arrives there, and its addresses."""

    surface: projecting.Surface
    inbox: Inbox
    outbox: Outbox
    handle: Callable[[Arrival], Awaitable[None]]
    routes: Sequence[BaseRoute]


class Common:
    """What surfaces share, on one database; ``url`` is where people find our pages."""

    def __init__(self, parts: Assembly, app: App, *, url: str) -> None:
        """Take the assembled core."""
        self.parts = parts
        self.app = app
        self.url = url
        self.directory = ChatDirectory(parts.database)
        self.following = StoredFollowing(parts.database)
        self.arrived = StoredInbox(parts.database)
        self.switching = Switching(
            toolbox=parts.toolbox,
            theirs=parts.stored_upstreams,
            settings=parts.people,
            auditor=parts.journal,
            clock=parts.clock,
            renew=parts.tokens.renew,
        )
        self.homes = Homes(app, tools=self.switching, pages_url=url, clock=parts.clock)

    def inbox(self, surface: str) -> Inbox:
        """Return a surface's inbox."""
        return Inbox(
            surface=surface,
            records=self.arrived,
            directory=self.directory,
            clock=self.parts.clock,
        )

    def outbox(self, platform: Platform) -> Outbox:
        """Return a surface's outbox."""
        return Outbox(
            platform,
            records=StoredOutbox(self.parts.database),
            directory=self.directory,
            clock=self.parts.clock,
            name=self.parts.executor_id,
        )

    def our_threads(self, surface: str) -> OurThreads:
        """Return who knows which threads of a surface are ours."""
        return OurThreads(
            self.directory, surface=surface, following=self.following, arrived=self.arrived
        )

    def handling(
        self,
        rendering: Rendering,
        *,
        page: Page | None,
        outbox: Outbox,
        screens: Screens,
        placing: Placing,
        threads: Threads,
        people: People,
        kept: Kept,
    ) -> Handling:
        """Return who does what people ask for on a surface with these looks and ways."""
        linking = self.parts.linking
        answering = Answering(
            self.app,
            following=self.following,
            outbox=outbox,
            screens=screens,
            rendering=rendering,
        )
        return Handling(
            answering,
            asking=Asking(answering, threads=threads),
            questions=Questions(
                answering, schemas=self.switching, pages_url=self.url, clock=self.parts.clock
            ),
            clicks=Clicks(answering, switches=self.switching, links=linking),
            commands=Commands(answering, homes=self.homes, kept=kept),
            homes=self.homes,
            page=page,
            placing=placing,
            people=people,
            offers=linking,
            companies=self.parts.people,
            pages_url=self.url,
            outbox=outbox,
        )

    def whom(self, surface: Surface, *, workspaces: TenantWorkspaces) -> Whom:
        """Return who knows whom a surface's questions are put to."""
        accounts = Accounts(self.parts, surface=surface.value)
        return Whom(surface, workspaces=workspaces, people=self, accounts=accounts)

    async def eligible(self, approval: Approval) -> Sequence[Principal]:
        """Return the people who may answer a question as they stand now."""
        return await self.app.whom_to_ask(approval)


class Accounts:
    """The accounts that people have on one surface."""

    def __init__(self, parts: Assembly, *, surface: str) -> None:
        """Take who knows whose accounts are."""
        self._linking = parts.linking
        self._surface = surface

    async def accounts_of(
        self, tenant_id: TenantId, *, principal_ids: Sequence[PrincipalId], workspace: str
    ) -> Sequence[str]:
        """Return their accounts in a workspace."""
        found = await self._linking.accounts_of(
            tenant_id, principal_ids=principal_ids, surface=self._surface, workspace=workspace
        )
        return [account.user for account in found]

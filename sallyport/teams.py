"""Teams put together: who we are at Microsoft, which SDK speaks, and what arrives from there."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from starlette.routing import BaseRoute, Route

from bots.known_workspaces import RememberedWorkspaces
from bots.teams.answers import Answers
from bots.teams.app import MESSAGES_PATH, TeamsEvents
from bots.teams.calling import Caller
from bots.teams.conversations import Conversations
from bots.teams.entra import EntraTokens
from bots.teams.guard import TeamsGuard
from bots.teams.handling import TeamsHandling, TeamsKept
from bots.teams.identity import TeamsPeople
from bots.teams.listeners import Listener
from bots.teams.looking import Looking
from bots.teams.manifest import resource_of
from bots.teams.placing import TeamsPlacing
from bots.teams.registration import (
    Addresses,
    Anonymous,
    Credentials,
    ManagedIdentity,
    MultiTenant,
    Registration,
    SingleTenant,
)
from bots.teams.rendering import TeamsRendering
from bots.teams.surface import TEAMS, TeamsSurface
from bots.teams.tab import tab_routes
from bots.teams.threads import NoThreads
from bots.teams.wire import Wire
from core.domain.chat import Surface
from core.ports import Clock
from core.store.chat_outbox import StoredOutbox
from core.store.chat_references import StoredReferences
from sallyport.settings import TeamsSettings
from sallyport.signing_in import FrontPages
from sallyport.surfaces import Common, Front

_LOOPBACK: Final = ("http://127.0.0.1", "http://localhost", "http://[::1]")


@asynccontextmanager
async def teams_front(common: Common, pages: FrontPages) -> AsyncGenerator[Front]:
    """Talk to people in Teams until the block is left."""
    parts, settings = common.parts, common.parts.settings.teams
    async with _wire(settings, clock=parts.clock) as wire:
        references = StoredReferences(parts.database)
        conversations = Conversations(references, clock=parts.clock)
        rendering, answers = TeamsRendering(), Answers()
        surface = TeamsSurface(
            Caller(
                wire,
                workspaces=parts.chat_workspaces,
                references=references,
                clock=parts.clock,
            ),
            cards=rendering,
            whom=common.whom(Surface.TEAMS, workspaces=parts.chat_workspaces),
            references=references,
        )
        inbox, outbox = common.inbox(TEAMS), common.outbox(surface)
        people = TeamsPeople(
            wire, references=conversations, linking=parts.linking, clock=parts.clock
        )
        handling = common.handling(
            rendering,
            page=None,
            outbox=outbox,
            screens=answers,
            placing=TeamsPlacing(),
            threads=NoThreads(),
            people=people,
            kept=TeamsKept(common.arrived),
        )
        looking = Looking(
            common.app,
            accounts=people,
            people=common,
            cards=rendering,
            pages_url=common.url,
            clock=parts.clock,
        )
        events = TeamsEvents(
            workspaces=RememberedWorkspaces(parts.chat_workspaces, clock=parts.clock),
            listener=Listener(inbox=inbox, is_ours=common.our_threads(TEAMS)),
            answers=answers,
            looking=looking,
        )
        guard = TeamsGuard(events.answer, wire=wire, is_anonymous=settings.teams_anonymous)
        yield Front(
            surface=surface,
            inbox=inbox,
            outbox=outbox,
            handle=TeamsHandling(
                handling,
                conversations=conversations,
                screens=answers,
                sent=StoredOutbox(parts.database),
                following=common.following,
                outbox=outbox,
                notes=rendering,
            ),
            routes=(Route(MESSAGES_PATH, guard), *_tab(common, pages)),
        )


def _wire(settings: TeamsSettings, *, clock: Clock) -> AbstractAsyncContextManager[Wire]:
    """Return the SDK that the settings choose; the other is not read."""
    registration = registration_of(settings)
    if settings.teams_sdk == "teams-sdk":
        from bots.teams.teams_sdk_wire import TeamsSdkWire  # noqa: PLC0415

        return TeamsSdkWire(registration, clock=clock)
    from bots.teams.botbuilder_wire import BotBuilderWire  # noqa: PLC0415

    return BotBuilderWire(registration, clock=clock)


def registration_of(settings: TeamsSettings) -> Registration:
    """Return the app as Microsoft knows it. Where Microsoft is on this machine, so is Teams."""
    addresses = Addresses(
        login=settings.teams_login_url,
        login_tenant=settings.teams_tenant_id or "botframework.com",
        openid_metadata=settings.teams_openid_url,
    )
    return Registration(
        app_id=settings.teams_app_id or "",
        credentials=_credentials(settings),
        addresses=addresses,
        allows_loopback=settings.teams_anonymous or settings.teams_login_url.startswith(_LOOPBACK),
    )


def _credentials(settings: TeamsSettings) -> Credentials:
    if settings.teams_anonymous:
        return Anonymous()
    if settings.teams_managed_identity or settings.teams_app_password is None:
        return ManagedIdentity()
    password = settings.teams_app_password.get_secret_value()
    if settings.teams_tenant_id is not None:
        return SingleTenant(tenant=settings.teams_tenant_id, password=password)
    return MultiTenant(password=password)


def _tab(common: Common, pages: FrontPages) -> Sequence[BaseRoute]:
    """Return the tab's addresses; none where nobody could prove to be anybody."""
    parts = common.parts
    app_id = parts.settings.teams.teams_app_id
    if app_id is None:
        return ()
    tokens = EntraTokens(
        parts.sign_in.openid,
        workspaces=parts.chat_workspaces,
        login_url=parts.settings.teams.teams_login_url,
        app_id=app_id,
        resource=resource_of(app_id, url=common.url),
    )
    return tab_routes(
        tokens,
        links=parts.linking,
        homes=common.homes,
        acting=parts.acting,
        companies=parts.people,
        pages=pages.pages,
        pages_url=common.url,
    )

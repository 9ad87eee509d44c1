"""Slack put together: how workspaces come and go, and the two ways in which events arrive."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Self

from starlette.routing import BaseRoute

from bots.known_workspaces import RememberedWorkspaces
from bots.mistakes import mistakes
from bots.slack.app import Listen, SlackEvents, slack_routes
from bots.slack.calling import Caller
from bots.slack.clients import Departures, SlackClients
from bots.slack.handling import SlackHandling
from bots.slack.identity import RememberedProfiles, SlackPeople, SlackProfiles
from bots.slack.install import InstallPages
from bots.slack.listeners import listen
from bots.slack.placing import SlackPlacing
from bots.slack.socket_mode import socket_mode
from bots.slack.surface import SLACK, SlackSurface
from bots.slack.threads import SlackThreads
from bots.slack.web import WebApi
from bots.slack.windows import SlackWindows
from core.domain.chat import Surface
from core.errors import Misconfigured
from core.ports import Clock
from core.store.chat_installs import StoredInstallStates
from core.store.chat_workspaces import StoredWorkspaces
from core.store.database import Database
from core.store.directory import Directory
from sallyport.settings import SlackSettings
from sallyport.signing_in import FrontPages
from sallyport.surfaces import Common, Front


@asynccontextmanager
async def slack_front(common: Common, pages: FrontPages) -> AsyncGenerator[Front]:
    """Talk to people in Slack until the block is left."""
    parts = common.parts
    async with SlackParts(
        parts.settings.slack,
        database=parts.database,
        directory=parts.directory,
        workspaces=parts.chat_workspaces,
        clock=parts.clock,
    ) as slack:
        surface = SlackSurface(
            Caller(slack.clients, workspaces=slack.workspaces),
            whom=common.whom(Surface.SLACK, workspaces=slack.workspaces),
        )
        inbox, outbox = common.inbox(SLACK), common.outbox(surface)
        profiles = SlackProfiles(slack.clients, workspaces=slack.workspaces)
        people = SlackPeople(RememberedProfiles(profiles, clock=parts.clock), linking=parts.linking)
        handling = common.handling(
            surface,
            page=surface,
            outbox=outbox,
            screens=SlackWindows(slack.clients, workspaces=slack.workspaces),
            placing=SlackPlacing(),
            threads=SlackThreads(slack.clients, workspaces=slack.workspaces),
            people=people,
            kept=common.arrived,
        )
        is_ours = common.our_threads(SLACK)
        events = slack.events(partial(listen, inbox=inbox, is_ours=is_ours, mistakes=mistakes))
        async with slack.hearing(events):
            yield Front(
                surface=surface,
                inbox=inbox,
                outbox=outbox,
                handle=SlackHandling(handling, departures=slack.departures, members=people),
                routes=slack.routes(events, pages=pages),
            )


class SlackParts:
    """The app at Slack, on one database. What asks Slack is open within ``async with``."""

    def __init__(
        self,
        settings: SlackSettings,
        *,
        database: Database,
        directory: Directory,
        workspaces: StoredWorkspaces,
        clock: Clock,
    ) -> None:
        """Take the app's credentials, and where its workspaces are kept.

        Raises:
            Misconfigured: ``slack_off``: there are no credentials.
        """
        if settings.slack_client_id is None or settings.slack_client_secret is None:
            raise Misconfigured("slack_off", key="SALLYPORT_SLACK_CLIENT_ID")
        self._settings = settings
        self._clock = clock
        self._states = StoredInstallStates(database, directory=directory)
        self.workspaces = workspaces
        self.web = WebApi(
            client_id=settings.slack_client_id,
            client_secret=settings.slack_client_secret.get_secret_value(),
            url=settings.slack_api_url,
        )
        self.clients = SlackClients(self.web, workspaces=workspaces, clock=clock)
        self.departures = Departures(workspaces, clock=clock)

    async def __aenter__(self) -> Self:
        """Open the connections to Slack."""
        await self.web.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close them."""
        await self.web.__aexit__(*error)

    def events(self, listen: Listen) -> SlackEvents:
        """Return what hands on what Slack says; ``listen`` registers the listeners."""
        known = RememberedWorkspaces(self.workspaces, clock=self._clock)
        return SlackEvents(self.web, workspaces=known, listen=listen)

    def routes(self, events: SlackEvents, *, pages: FrontPages) -> Sequence[BaseRoute]:
        """Return Slack's addresses."""
        install = InstallPages(
            self.web,
            workspaces=self.workspaces,
            states=self._states,
            people=pages.sign_in,
            pages=pages.pages,
            here=pages.site,
            clock=self._clock,
        )
        secret = self._settings.slack_signing_secret
        return slack_routes(
            events,
            install=install,
            signing_secret=secret.get_secret_value() if secret else None,
            clock=self._clock,
        )

    @asynccontextmanager
    async def hearing(self, events: SlackEvents) -> AsyncGenerator[None]:
        """Hear Slack over Socket Mode until the block is left, where there is an app token."""
        token = self._settings.slack_app_token
        if token is None:
            yield
            return
        async with socket_mode(
            events, web=self.web, app_token=token.get_secret_value(), clock=self._clock
        ):
            yield

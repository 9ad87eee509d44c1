"""Slack's parts on a test's database, and workspaces as an installation leaves them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from core.domain.audit import audit_record
from core.domain.chat import Installation, Surface, Workspace
from core.domain.principal import Principal, Role
from core.identity.master import MasterKeys
from core.store.chat_workspaces import StoredWorkspaces
from core.store.database import Database
from core.store.directory import Directory
from sallyport.settings import SlackSettings
from sallyport.slack import SlackParts
from tests.builders import SteadyClock, make_person, make_tenant
from tests.slack_api import APP_TOKEN, CLIENT_ID, CLIENT_SECRET, SIGNING_SECRET, SlackApi

KEY = bytes(range(32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """Slack's parts, with one company's admin."""

    parts: SlackParts
    slack: SlackApi
    clock: SteadyClock
    admin: Principal

    @property
    def workspaces(self) -> StoredWorkspaces:
        return self.parts.workspaces

    async def installed(
        self,
        team: str = "T0001",
        *,
        by: Principal | None = None,
        token: str | None = None,
        refreshed: bool = True,
    ) -> Workspace:
        """Return a workspace as an installation leaves it; its token expires in 12 hours."""
        told = self.slack.tokens()
        now = self.clock.now()
        installation = Installation(
            surface=Surface.SLACK,
            workspace=team,
            name=f"Team {team}",
            app="A0001",
            bot_user="U0BOT",
            scopes=("chat:write",),
            token=token or told["access_token"],
            refresh_token=told["refresh_token"] if refreshed else None,
            token_expires_at=now + timedelta(hours=12) if refreshed else None,
        )
        who = by or self.admin
        audit = audit_record(
            who.tenant_id, at=now, action="slack.installed", actor=who.email, content={}
        )
        return await self.workspaces.keep(
            who.tenant_id, installation=installation, installed_by=who.id, at=now, audit=audit
        )

    async def now(self, workspace: Workspace) -> Workspace:
        """Return the workspace as it is kept now."""
        found = await self.workspaces.find(workspace.surface, workspace=workspace.workspace)
        assert found is not None
        return found


def parts_on(
    database: Database, *, slack: SlackApi, clock: SteadyClock, keyring: MasterKeys | None = None
) -> SlackParts:
    """Return Slack's parts, as one process has them."""
    directory = Directory(database)
    settings = SlackSettings.model_validate(
        {
            "slack_client_id": CLIENT_ID,
            "slack_client_secret": CLIENT_SECRET,
            "slack_signing_secret": SIGNING_SECRET,
            "slack_app_token": APP_TOKEN,
            "slack_api_url": slack.url,
        }
    )
    return SlackParts(
        settings,
        database=database,
        directory=directory,
        workspaces=StoredWorkspaces(
            database, directory=directory, keyring=keyring or MasterKeys([KEY])
        ),
        clock=clock,
    )


@asynccontextmanager
async def branch_on(
    database: Database, *, slack: SlackApi, clock: SteadyClock
) -> AsyncGenerator[Branch]:
    """Put Slack's parts together, with a company acme and its admin."""
    tenant = await make_tenant(database)
    admin = await make_person(database, tenant, "carol@acme.test", Role.ADMIN)
    async with parts_on(database, slack=slack, clock=clock) as parts:
        yield Branch(parts=parts, slack=slack, clock=clock, admin=admin)

"""A whole ``serve`` whose company has the agent in Teams, with Teams and Microsoft on loopback."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import select

from core.domain.account import Account
from core.domain.chat import Installation, Surface
from core.domain.principal import Principal
from core.store.chat_tables import inbox
from sallyport.assembly import Assembly
from sallyport.settings import TeamsSettings
from tests.databases import Urls
from tests.premises import Premises, installed, premises_on
from tests.teams import conversations
from tests.teams.connector import Connector, serving
from tests.teams.conversations import Conversation
from tests.teams.events import BOT
from tests.teams.login import APP_ID, PASSWORD, TENANT, Login, signing_in
from tests.teams.people import People, Shown
from tests.waiting import until
from tests.world import Company, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Where people of a company work: Alice asks, Bob approves, Carol is the admin."""

    url: str
    connector: Connector
    login: Login
    people: People
    world: World
    company: Company

    def messages(self, at: Conversation) -> list[Shown]:
        """Return our messages in a conversation as they stand, the oldest first."""
        return [Shown(conversation=at, id=id_, activity=told) for id_, told in at.messages.items()]

    def chat_of(self, user: str) -> Conversation:
        """Return somebody's own chat with the agent."""
        return self.connector.teams.personal(user)

    async def shown(
        self, holds: Callable[[Shown], bool], *, at: Conversation, seconds: float = 20
    ) -> Shown:
        """Return the first message of ours that is as wanted, once there is one."""
        found: list[Shown] = []

        async def is_there() -> bool:
            found[:] = [one for one in self.messages(at) if holds(one)]
            return bool(found)

        await until(is_there, seconds=seconds)
        return found[0]

    async def kept(self) -> list[str]:
        """Return what is kept of what has arrived, the oldest first, once all of it is handled."""
        tenant_id, rows = self.company.tenant.id, list[tuple[str, datetime | None]]()

        async def is_handled() -> bool:
            async with self.world.assembly.database.for_tenant(tenant_id) as connection:
                found = await connection.execute(
                    select(inbox.c.external_id, inbox.c.handled_at).order_by(inbox.c.received_at)
                )
                rows[:] = [(row.external_id, row.handled_at) for row in found]
            return all(at is not None for _, at in rows)

        await until(is_handled)
        return [name for name, _ in rows]

    async def link(self, user: str, person: Principal) -> None:
        """Make an account somebody's."""
        account = Account(surface="teams", workspace=TENANT, user=user)
        await self.world.assembly.linking.bind(person, account=account, actor="operator")


@asynccontextmanager
async def office_on(
    urls: Urls,
    folder: Path,
    *,
    script: str,
    sdk: str = "botbuilder",
    links: bool = True,
    kind: type[Assembly] = Assembly,
) -> AsyncGenerator[Office]:
    """Serve a world whose company's people may use the app, and drive what is due."""
    async with (
        signing_in() as login,
        serving(Connector(login)) as connector,
        premises_on(
            urls, folder, script=script, kind=kind, teams=teams_settings(login, sdk=sdk)
        ) as premises,
    ):
        yield await office_in(premises, connector=connector, login=login, links=links)


async def office_in(
    premises: Premises, *, connector: Connector, login: Login, links: bool = True
) -> Office:
    """Have the company's people use the app, their accounts linked or not."""
    company = premises.company
    await allow(premises.world.assembly, by=company.admin.principal)
    url = f"{premises.url}/api/messages"
    office = Office(
        url=premises.url,
        connector=connector,
        login=login,
        people=People(premises.http, connector=connector, login=login, url=url),
        world=premises.world,
        company=company,
    )
    if links:
        await office.link(conversations.ALICE, company.member.principal)
        await office.link(conversations.BOB, company.approver.principal)
        await office.link(conversations.CAROL, company.admin.principal)
    return office


def teams_settings(login: Login, *, sdk: str = "botbuilder") -> TeamsSettings:
    """Return the settings of an app that the sign-in on this machine knows."""
    return TeamsSettings.model_validate(
        {
            "teams_app_id": APP_ID,
            "teams_app_password": SecretStr(PASSWORD),
            "teams_tenant_id": TENANT,
            "teams_sdk": sdk,
            "teams_login_url": login.url,
            "teams_openid_url": login.addresses().openid_metadata,
        }
    )


async def allow(assembly: Assembly, *, by: Principal, tenant: str = TENANT) -> None:
    """Let the people of an Entra tenant talk to a company's agent."""
    installation = Installation(
        surface=Surface.TEAMS,
        workspace=tenant,
        name="Acme",
        app=APP_ID,
        bot_user=BOT,
        scopes=(),
        token="",
    )
    await installed(assembly, installation, by=by)

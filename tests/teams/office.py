"""A whole ``serve`` whose company has the agent in Teams, with Teams and Microsoft on loopback."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from core.domain.account import Account
from core.domain.audit import audit_record
from core.domain.chat import Installation, Surface
from core.domain.principal import Principal
from sallyport.answering import answer_http
from sallyport.assembly import Assembly
from sallyport.processes import Process
from sallyport.settings import HttpSettings, TeamsSettings
from sallyport.storage import Storage
from tests.databases import Urls
from tests.loopback import http_client
from tests.rest import EagerDispatcher
from tests.slack.office import drive
from tests.teams import conversations
from tests.teams.connector import Connector, serving
from tests.teams.conversations import Conversation
from tests.teams.events import BOT
from tests.teams.login import APP_ID, PASSWORD, TENANT, Login, signing_in
from tests.teams.people import People, Shown
from tests.waiting import until
from tests.world import Company, World, settings_for


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

    async def link(self, user: str, person: Principal) -> None:
        """Make an account somebody's."""
        account = Account(surface="teams", workspace=TENANT, user=user)
        await self.world.assembly.linking.bind(person, account=account, actor="operator")


@asynccontextmanager
async def office_on(
    urls: Urls, folder: Path, *, script: str, sdk: str = "botbuilder", links: bool = True
) -> AsyncGenerator[Office]:
    """Serve a world whose company's people may use the app, and drive what is due."""
    path = folder / "script.yaml"
    path.write_text(script, encoding="utf-8")
    async with AsyncExitStack() as stack:
        login = await stack.enter_async_context(signing_in())
        connector = await stack.enter_async_context(serving(Connector(login)))
        settings = settings_for(folder, script=path).model_copy(
            update={"http": HttpSettings(port=0), "teams": teams_settings(login, sdk=sdk)}
        )
        assembly = Assembly(settings, url=urls.app)
        stack.push_async_callback(assembly.database.close)
        world, dispatcher = World(assembly), EagerDispatcher()
        app = assembly.build_app(dispatcher)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        process = Process(storage=Storage(settings.store), parts=assembly, app=app)
        for work in (
            answer_http(process, port=0, ready=port.set_result),
            drive(world, dispatcher),
        ):
            stack.callback(group.create_task(work).cancel)
        url = f"http://127.0.0.1:{await port}"
        company = await world.company()
        await allow(assembly, by=company.admin.principal)
        http = await stack.enter_async_context(http_client(timeout=30))
        people = People(http, connector=connector, login=login, url=f"{url}/api/messages")
        office = Office(
            url=url,
            connector=connector,
            login=login,
            people=people,
            world=world,
            company=company,
        )
        if links:
            await office.link(conversations.ALICE, company.member.principal)
            await office.link(conversations.BOB, company.approver.principal)
            await office.link(conversations.CAROL, company.admin.principal)
        yield office


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
    now = assembly.clock.now()
    await assembly.chat_workspaces.keep(
        by.tenant_id,
        installation=Installation(
            surface=Surface.TEAMS,
            workspace=tenant,
            name="Acme",
            app=APP_ID,
            bot_user=BOT,
            scopes=(),
            token="",
        ),
        installed_by=by.id,
        at=now,
        audit=audit_record(
            by.tenant_id, at=now, action="teams.allowed", actor=by.email, content={}
        ),
    )

"""A whole Sallyport that talks to a Slack of ours: installed, with accounts of people linked."""

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
from sallyport.settings import HttpSettings, SlackSettings
from sallyport.storage import Storage
from tests.databases import Urls
from tests.loopback import http_client
from tests.rest import EagerDispatcher
from tests.slack import workspace as slacks
from tests.slack.people import People
from tests.slack.web_api import serving
from tests.slack.workspace import Message, Slack, Workspace
from tests.waiting import until
from tests.world import Company, World, settings_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Where people of a company work: Alice asks, Bob approves, Carol is the admin."""

    url: str
    slack: Slack
    at: Workspace
    people: People
    world: World
    company: Company

    async def shown(self, holds: Callable[[Message], bool], *, seconds: float = 20) -> Message:
        """Return the first message of the bot's that is as wanted, once there is one."""
        found: list[Message] = []

        async def is_there() -> bool:
            found[:] = [one for one in self.at.of_bot() if holds(one)]
            return bool(found)

        await until(is_there, seconds=seconds)
        return found[0]

    async def link(self, user: str, person: Principal) -> None:
        """Make an account somebody's."""
        account = Account(surface="slack", workspace=self.at.team, user=user)
        await self.world.assembly.linking.bind(person, account=account, actor="operator")


@asynccontextmanager
async def office_on(
    urls: Urls, folder: Path, *, script: str, slack: Slack | None = None
) -> AsyncGenerator[Office]:
    """Serve a world whose company has the app in its workspace, and drive what is due."""
    path = folder / "script.yaml"
    path.write_text(script, encoding="utf-8")
    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(serving(slack or Slack()))
        settings = settings_for(folder, script=path).model_copy(
            update={
                "http": HttpSettings(port=0),
                "slack": SlackSettings(
                    slack_client_id=slacks.CLIENT_ID,
                    slack_client_secret=SecretStr(slacks.CLIENT_SECRET),
                    slack_signing_secret=SecretStr(slacks.SIGNING_SECRET),
                    slack_api_url=slack.api_url,
                ),
            }
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
        at, company = slack.company(), await world.company()
        await install(assembly, at, by=company.admin.principal)
        http = await stack.enter_async_context(http_client(timeout=30))
        office = Office(
            url=url,
            slack=slack,
            at=at,
            people=People(http, slack=slack, at=at, url=f"{url}/slack/events"),
            world=world,
            company=company,
        )
        await office.link(slacks.ALICE, company.member.principal)
        await office.link(slacks.BOB, company.approver.principal)
        await office.link(slacks.CAROL, company.admin.principal)
        yield office


async def install(
    assembly: Assembly, at: Workspace, *, by: Principal, token: str | None = None
) -> None:
    """Have the app in a workspace, as its OAuth would leave it; ``token`` is one made before."""
    now = assembly.clock.now()
    await assembly.chat_workspaces.keep(
        by.tenant_id,
        installation=Installation(
            surface=Surface.SLACK,
            workspace=at.team,
            name=at.name,
            app=slacks.APP,
            bot_user=at.bot_user,
            scopes=(),
            token=token or at.token(),
        ),
        installed_by=by.id,
        at=now,
        audit=audit_record(
            by.tenant_id, at=now, action="slack.installed", actor=by.email, content={}
        ),
    )


async def drive(world: World, dispatcher: EagerDispatcher) -> None:
    while True:
        await world.loop.drive(*await dispatcher.due.get())

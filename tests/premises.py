"""A whole ``serve`` on loopback with a company in it, for whichever chat surfaces a test has."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from pydantic import BaseModel

from core.domain.account import Account
from core.domain.audit import audit_record
from core.domain.chat import Installation
from core.domain.principal import Principal
from sallyport.answering import answer_http
from sallyport.assembly import Assembly
from sallyport.processes import Process
from sallyport.settings import HttpSettings
from sallyport.storage import Storage
from tests.databases import Urls
from tests.loopback import http_client
from tests.rest import EagerDispatcher
from tests.world import Company, World, settings_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Premises:
    """A world that answers at ``url``, and drives what is due."""

    url: str
    http: httpx2.AsyncClient
    world: World
    company: Company

    async def link(self, account: Account, person: Principal) -> None:
        """Make an account somebody's."""
        await self.world.assembly.linking.bind(person, account=account, actor="operator")


@asynccontextmanager
async def premises_on(
    urls: Urls,
    folder: Path,
    *,
    script: str,
    kind: type[Assembly] = Assembly,
    **settings: BaseModel,
) -> AsyncGenerator[Premises]:
    """Serve a world with a company; ``settings`` are those of its surfaces, by name."""
    path = folder / "script.yaml"
    path.write_text(script, encoding="utf-8")
    async with AsyncExitStack() as stack:
        chosen = settings_for(folder, script=path).model_copy(
            update={"http": HttpSettings(port=0), **settings}
        )
        assembly = kind(chosen, url=urls.app)
        stack.push_async_callback(assembly.database.close)
        world, dispatcher = World(assembly), EagerDispatcher()
        app = assembly.build_app(dispatcher)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        process = Process(storage=Storage(chosen.store), parts=assembly, app=app)
        for work in (
            answer_http(process, port=0, ready=port.set_result),
            _drive(world, dispatcher),
        ):
            stack.callback(group.create_task(work).cancel)
        yield Premises(
            url=f"http://127.0.0.1:{await port}",
            http=await stack.enter_async_context(http_client(timeout=30)),
            world=world,
            company=await world.company(),
        )


async def installed(assembly: Assembly, installation: Installation, *, by: Principal) -> None:
    """Have the agent in a workspace, as an admin's setting it up would leave it."""
    now = assembly.clock.now()
    await assembly.chat_workspaces.keep(
        by.tenant_id,
        installation=installation,
        installed_by=by.id,
        at=now,
        audit=audit_record(
            by.tenant_id,
            at=now,
            action=f"{installation.surface}.installed",
            actor=by.email,
            content={},
        ),
    )


async def _drive(world: World, dispatcher: EagerDispatcher) -> None:
    while True:
        await world.loop.drive(*await dispatcher.due.get())

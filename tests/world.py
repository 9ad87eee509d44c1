"""A whole Sallyport on a test's database: two companies, their people, and a hand on the wheel."""

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from core.app import App
from core.domain.approval import Approval, ApprovalState
from core.domain.ids import RunId, TenantId
from core.domain.principal import Audience, Caller, Principal, Role, Tenant, scopes_held
from core.domain.run import Run
from core.domain.task import NewTask, Priority, ProjectId, TaskId
from core.runs.loop import Loop
from core.store.seeds import create_project, seed_tasks
from sallyport.assembly import Assembly
from sallyport.settings import Settings, of_values
from tests.builders import make_people, make_tenant
from tests.databases import Urls, database_on


class HeldDispatcher:
    """The Dispatcher port in a test's hand: what is due is driven when the test says so."""

    def __init__(self) -> None:
        self.due: deque[tuple[TenantId, RunId, int]] = deque()

    async def enqueue(self, tenant_id: TenantId, *, run_id: RunId, segment: int) -> None:
        self.due.append((tenant_id, run_id, segment))


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """A tenant with somebody in each role, and a project with tasks in it."""

    tenant: Tenant
    member: Caller
    approver: Caller
    second_approver: Caller
    admin: Caller
    project_id: UUID
    task_ids: tuple[UUID, ...]


class World:
    """The real parts, put together by the real assembly; segments are driven by ``drive``."""

    def __init__(self, assembly: Assembly) -> None:
        self.assembly = assembly
        self.dispatcher = HeldDispatcher()
        self.app: App = assembly.build_app(self.dispatcher)
        self.loop: Loop = assembly.build_loop()

    async def company(self, name: str = "acme") -> Company:
        database = self.assembly.database
        tenant = await make_tenant(database, name)
        async with database.for_tenant(tenant.id) as connection:
            member, approver, second, admin = await make_people(
                connection,
                tenant,
                (f"alice@{name}.test", Role.MEMBER),
                (f"bob@{name}.test", Role.APPROVER),
                (f"beth@{name}.test", Role.APPROVER),
                (f"carol@{name}.test", Role.ADMIN),
            )
            project_id, tasks = await _project(connection, member)
        return Company(
            tenant=tenant,
            member=caller_of(member),
            approver=caller_of(approver),
            second_approver=caller_of(second),
            admin=caller_of(admin),
            project_id=project_id,
            task_ids=tasks,
        )

    async def drive(self, *, at_most: int = 100) -> None:
        """Drive what is due, and what becomes due of it."""
        for _ in range(at_most):
            if not self.dispatcher.due:
                return
            await self.loop.drive(*self.dispatcher.due.popleft())

    async def run(self, caller: Caller, task: str) -> Run:
        """Start a run, drive it as far as it goes without people, and return it."""
        run_id = await self.app.start_run(caller, task=task)
        await self.drive()
        return await self.app.run(caller, run_id=run_id)

    async def pending(self, caller: Caller) -> Sequence[Approval]:
        """Return the questions that wait, as this person sees them, the oldest first."""
        shown, _ = await self.app.approvals(
            caller, state=ApprovalState.PENDING, before=None, limit=50
        )
        return tuple(reversed(shown))

    async def token(self, person: Principal, *, audience: Audience = Audience.API) -> str:
        """Return a bearer token of this person."""
        return await self.assembly.tokens.issue(person, audience=audience, ttl=timedelta(hours=1))


async def _project(
    connection: AsyncConnection, creator: Principal
) -> tuple[UUID, tuple[UUID, ...]]:
    project = ProjectId(uuid4())
    titles = ("Write the report", "Old draft", "Call the customer")
    new = {
        TaskId(uuid4()): NewTask(
            project_id=project, title=title, priority=Priority.NORMAL, assignee=None, due_date=None
        )
        for title in titles
    }
    await create_project(
        connection, creator.tenant_id, project_id=project, name="Inbox", open_to_all=True
    )
    await seed_tasks(connection, creator, new=new)
    return project, tuple(new)


@asynccontextmanager
async def world_on(
    urls: Urls, folder: Path, *, script: str, kind: type[Assembly] = Assembly
) -> AsyncGenerator[World]:
    """Put a world together on a test's database; ``script`` is what the model says."""
    path = folder / f"script-{uuid4().hex}.yaml"
    path.write_text(script, encoding="utf-8")
    async with database_on(urls) as database:
        yield World(kind(settings_for(folder, script=path), url=urls.app, database=database))


def settings_for(folder: Path, *, script: Path | None = None) -> Settings:
    """Return settings that stay within a test's folder."""
    values: dict[str, object] = {"data_dir": folder, "llm": "scripted", "model": "scripted"}
    if script is not None:
        values["script"] = script
    return of_values(values)


def caller_of(person: Principal, *, via: str = "api") -> Caller:
    """Return the person as they come through a front door with everything they hold."""
    return Caller(principal=person, scopes=scopes_held(person), via=via)

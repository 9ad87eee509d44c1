"""The demo's two companies, laid out the same however the last demo ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import uuid4

from core.domain.effect import Effect
from core.domain.ids import TenantId
from core.domain.principal import Principal, Role, Tier
from core.domain.run import StopCause
from core.domain.task import NewTask, Priority, ProjectId, TaskFilter, TaskId
from core.errors import Conflict, NotFound
from core.store.seeds import create_project, seed_tasks
from sallyport.assembly import Assembly
from sallyport.founding import OPERATOR, add_person, found_tenant

PROJECT = "Website relaunch"
DUPLICATE = "Fix the footer links (copy)"

_ACME, _GLOBEX = "acme", "globex"
_MOST = 1000
_OVER = StopCause(code="cancelled", message="A new demo began.")


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Who plays: Alice asks, Bob decides, Carol looks at the audit, Dave is of another company."""

    alice: Principal
    bob: Principal
    carol: Principal
    dave: Principal

    @property
    def acme(self) -> TenantId:
        """The company that the story is about."""
        return self.alice.tenant_id


async def lay_out(parts: Assembly, *, today: date) -> People:
    """Have both companies and their people, and the project as the story begins with it."""
    acme = await _company(parts, _ACME)
    globex = await _company(parts, _GLOBEX)
    people = People(
        alice=await _person(parts, acme, email="alice@acme.test", role=Role.MEMBER),
        bob=await _person(parts, acme, email="bob@acme.test", role=Role.APPROVER),
        carol=await _person(parts, acme, email="carol@acme.test", role=Role.ADMIN),
        dave=await _person(parts, globex, email="dave@globex.test", role=Role.ADMIN),
    )
    await _end_runs(parts, acme)
    await _lay_out_project(parts, people.alice, today=today)
    return people


async def _company(parts: Assembly, name: str) -> TenantId:
    found = await parts.directory.tenant_id(name)
    return found or (await found_tenant(parts, name, tier=Tier.PRO)).id


async def _person(parts: Assembly, tenant_id: TenantId, *, email: str, role: Role) -> Principal:
    try:
        return await parts.people.by_email(tenant_id, email=email)
    except NotFound:
        return await add_person(parts, tenant_id, email=email, roles=(role,))


async def _end_runs(parts: Assembly, tenant_id: TenantId) -> None:
    """End what a demo that was killed has left open, so that nothing of it comes in between."""
    for run in await parts.stored_runs.page(tenant_id, requester_id=None, before=None, limit=_MOST):
        if run.status.is_final:
            continue
        try:
            await parts.stored_runs.cancel(tenant_id, run_id=run.id, actor=OPERATOR, cause=_OVER)
        except Conflict:
            continue  # it has ended by itself


async def _lay_out_project(parts: Assembly, owner: Principal, *, today: date) -> None:
    project_id = await _project(parts, owner)
    left = await parts.tasks.tasks_of(
        owner, project_id=project_id, wanted=TaskFilter(), limit=_MOST, after=None
    )
    for task in left:
        effect = Effect(
            tenant_id=owner.tenant_id,
            principal=owner,
            key=f"demo:{uuid4()}",
            tool="delete_task",
            at=parts.clock.now(),
        )
        await parts.tasks.delete(effect, task_id=task.id)
    async with parts.database.for_tenant(owner.tenant_id) as connection:
        await seed_tasks(connection, owner, new=_tasks(project_id, today=today))


async def _project(parts: Assembly, owner: Principal) -> ProjectId:
    for project in await parts.tasks.projects(owner, limit=50, after=None):
        if project.name == PROJECT:
            return project.id
    project_id = ProjectId(uuid4())
    async with parts.database.for_tenant(owner.tenant_id) as connection:
        await create_project(
            connection, owner.tenant_id, project_id=project_id, name=PROJECT, open_to_all=True
        )
    return project_id


def _tasks(project_id: ProjectId, *, today: date) -> Mapping[TaskId, NewTask]:
    told: tuple[tuple[str, Priority, str | None, int | None], ...] = (
        ("Fix the footer links", Priority.NORMAL, "alice@acme.test", 5),
        ("Move the blog to the new theme", Priority.HIGH, "bob@acme.test", -12),
        ("Publish the pricing page", Priority.URGENT, "alice@acme.test", 3),
        (DUPLICATE, Priority.LOW, None, None),
        ("Ask legal about the cookie banner", Priority.NORMAL, "carol@acme.test", 20),
    )
    return {
        TaskId(uuid4()): NewTask(
            project_id=project_id,
            title=title,
            priority=priority,
            assignee=assignee,
            due_date=today + timedelta(days=days) if days is not None else None,
        )
        for title, priority, assignee, days in told
    }

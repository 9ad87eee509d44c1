"""The first projects and tasks of a tenant: written in its own transaction, past the door."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Principal
from core.domain.task import NewTask, ProjectId, ProjectStatus, TaskId, TaskStatus
from core.store.tables import project_members, projects, tasks
from core.store.task_queries import assignee_id_of


async def create_project(
    connection: AsyncConnection,
    tenant_id: TenantId,
    *,
    project_id: ProjectId,
    name: str,
    open_to_all: bool,
) -> None:
    """Create a project in the tenant's open transaction, for its beginnings and for demos."""
    await connection.execute(
        insert(projects).values(
            tenant_id=tenant_id,
            id=project_id,
            name=name,
            status=ProjectStatus.ACTIVE.value,
            open_to_all=open_to_all,
        )
    )


async def add_member(
    connection: AsyncConnection,
    tenant_id: TenantId,
    *,
    project_id: ProjectId,
    principal_id: PrincipalId,
) -> None:
    """Let a person see a project that is not open to all."""
    await connection.execute(
        insert(project_members).values(
            tenant_id=tenant_id, project_id=project_id, principal_id=principal_id
        )
    )


async def seed_tasks(
    connection: AsyncConnection, creator: Principal, *, new: Mapping[TaskId, NewTask]
) -> None:
    """Insert tasks as they are given, in this order, past every check: for demos and tests.

    Raises:
        NotFound: an assignee that is not there.
    """
    # One transaction has one time, and lists are in order of time.
    started = cast("datetime", await connection.scalar(select(func.now())))
    for number, (task_id, task) in enumerate(new.items()):
        await connection.execute(
            insert(tasks).values(
                tenant_id=creator.tenant_id,
                id=task_id,
                project_id=task.project_id,
                title=task.title,
                status=TaskStatus.TODO.value,
                priority=task.priority.value,
                assignee_id=await assignee_id_of(connection, creator, named=task.assignee),
                due_date=task.due_date,
                created_by=creator.id,
                created_at=started + timedelta(microseconds=number),
            )
        )

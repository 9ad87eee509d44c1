"""What of projects, tasks and people a person may see, as queries; used by the task repository."""

from datetime import datetime, timedelta

# Any: SQLAlchemy types a row by the tuple of its columns, which the mapper names once.
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, exists, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.principal import Principal, Role
from core.domain.task import (
    DAYS_TO_RESTORE,
    Priority,
    ProjectId,
    ProjectStatus,
    Task,
    TaskId,
    TaskStatus,
)
from core.errors import NotFound, ToolFailed
from core.store.tables import principals, project_members, projects, tasks

AnyRow = Row[*tuple[Any, ...]]


def sees_all(viewer: Principal) -> bool:
    """Return whether every project is visible to this person."""
    return Role.ADMIN in viewer.roles


def visible_to(viewer: Principal) -> ColumnElement[bool]:
    """Return the condition under which a row of ``projects`` is visible to this person."""
    if sees_all(viewer):
        return true()
    member = project_members.c
    return or_(
        projects.c.open_to_all,
        exists().where(
            member.tenant_id == viewer.tenant_id,
            member.project_id == projects.c.id,
            member.principal_id == viewer.id,
        ),
    )


async def visible_project(
    connection: AsyncConnection, *, viewer: Principal, project_id: ProjectId
) -> AnyRow:
    """Return name and status of a project.

    Raises:
        NotFound: no such project for this person.
    """
    row = (
        await connection.execute(
            select(projects.c.name, projects.c.status).where(
                projects.c.tenant_id == viewer.tenant_id,
                projects.c.id == project_id,
                visible_to(viewer),
            )
        )
    ).one_or_none()
    if row is None:
        raise NotFound("not_found", noun="project")
    return row


async def active_project(
    connection: AsyncConnection, *, viewer: Principal, project_id: ProjectId
) -> str:
    """Return the name of a project that takes tasks.

    Raises:
        NotFound: no such project for this person.
        ToolFailed: ``project_archived``.
    """
    row = await visible_project(connection, viewer=viewer, project_id=project_id)
    if row.status != ProjectStatus.ACTIVE.value:
        raise ToolFailed("project_archived", project=row.name)
    return row.name


async def person_of(
    connection: AsyncConnection, viewer: Principal, *, named: str, enabled: bool = False
) -> AnyRow:
    """Return id and email of a person of the viewer's tenant, given by either.

    Raises:
        NotFound: nobody of that name, or disabled where they must be ``enabled``.
    """
    column = principals.c
    try:
        asked = column.id == UUID(named)
    except ValueError:
        asked = column.email == named.lower()
    query = select(column.id, column.email).where(column.tenant_id == viewer.tenant_id, asked)
    if enabled:
        query = query.where(column.disabled_at.is_(None))
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound("not_found", noun="person")
    return row


async def enabled_person(connection: AsyncConnection, viewer: Principal, *, named: str) -> AnyRow:
    """Return id and email of an enabled person, given by either.

    Raises:
        NotFound: nobody of that name, or disabled.
    """
    return await person_of(connection, viewer, named=named, enabled=True)


async def assignee_id_of(
    connection: AsyncConnection, viewer: Principal, *, named: str | None
) -> UUID | None:
    """Return the id of an enabled person, None for nobody.

    Raises:
        NotFound: nobody of that name, or disabled.
    """
    if named is None:
        return None
    return (await enabled_person(connection, viewer, named=named)).id


def tasks_seen_by(viewer: Principal) -> Select[*tuple[Any, ...]]:
    """Return the query of all tasks, deleted ones too, in projects that this person sees."""
    task = tasks.c
    return (
        select(
            task.id,
            task.project_id,
            projects.c.name.label("project"),
            task.title,
            task.status,
            task.priority,
            principals.c.email.label("assignee"),
            task.due_date,
            task.created_at,
            task.created_by,
            task.touched_by_others,
            task.deleted_at,
        )
        .join_from(
            tasks,
            projects,
            and_(projects.c.tenant_id == task.tenant_id, projects.c.id == task.project_id),
        )
        .outerjoin(
            principals,
            and_(principals.c.tenant_id == task.tenant_id, principals.c.id == task.assignee_id),
        )
        .where(task.tenant_id == viewer.tenant_id, visible_to(viewer))
    )


async def task_row(
    connection: AsyncConnection,
    *,
    viewer: Principal,
    task_id: TaskId,
    deleted: bool = False,
    locked: bool = False,
) -> AnyRow:
    """Return one row of :func:`tasks_seen_by`, locked for a change where wanted.

    Raises:
        NotFound: no such task for this person.
    """
    is_there = tasks.c.deleted_at.is_not(None) if deleted else tasks.c.deleted_at.is_(None)
    query = tasks_seen_by(viewer).where(tasks.c.id == task_id, is_there)
    if locked:
        query = query.with_for_update(of=tasks)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound("not_found", noun="deleted task" if deleted else "task")
    return row


def check_age(row: AnyRow, *, at: datetime) -> None:
    """Refuse to bring back what was deleted too long before ``at``.

    Raises:
        ToolFailed: ``too_late_to_undo``.
    """
    if at - row.deleted_at > timedelta(days=DAYS_TO_RESTORE):
        raise ToolFailed("too_late_to_undo", days=DAYS_TO_RESTORE)


def task_of(row: AnyRow) -> Task:
    """Return the task that a row of :func:`tasks_seen_by` holds."""
    return Task(
        id=TaskId(row.id),
        project_id=ProjectId(row.project_id),
        project=row.project,
        title=row.title,
        status=TaskStatus(row.status),
        priority=Priority(row.priority),
        assignee=row.assignee,
        due_date=row.due_date,
        created_at=row.created_at,
    )

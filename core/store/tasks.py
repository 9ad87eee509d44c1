"""Projects, tasks and messages in PostgreSQL, each seen only by those who may see its project."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

# Any: SQLAlchemy types a row by the tuple of its columns.
from typing import Any, cast
from uuid import UUID, uuid5

from pydantic import TypeAdapter
from sqlalchemy import Select, func, insert, or_, tuple_, update

from core.domain.effect import Effect
from core.domain.principal import Principal
from core.domain.task import (
    MessageId,
    NewTask,
    Project,
    ProjectId,
    Task,
    TaskChange,
    TaskFilter,
    TaskId,
    TaskStatus,
)
from core.errors import NotFound, ToolFailed
from core.store.database import Database
from core.store.effects import Effects, Once
from core.store.suggestions import emails_like, project_names_like, task_ids_like
from core.store.tables import messages, tasks
from core.store.task_queries import (
    active_project,
    assignee_id_of,
    check_age,
    enabled_person,
    person_of,
    sees_all,
    task_of,
    task_row,
    tasks_seen_by,
    visible_project,
)

_TASKS = UUID("5a11f0e7-0000-4000-8000-000000000011")
_MESSAGES = UUID("5a11f0e7-0000-4000-8000-000000000012")

_TASK = TypeAdapter(Task)
_CHANGE = TypeAdapter(TaskChange)
_PROJECTS = TypeAdapter(list[Project])


class TaskRepository:
    """The store of the built-in ``tasks`` pack.

    What a person may not see is not there for them: every method that takes a ``viewer`` or an
    ``effect`` answers for that person, with NotFound for the rest.
    """

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database
        self._effects = Effects(database)

    async def projects(
        self, viewer: Principal, *, limit: int, after: tuple[str, UUID] | None
    ) -> Sequence[Project]:
        """Return projects by name, from the one after ``after``."""
        name, last = after or (None, None)
        told = await self._database.hot(
            "select list_projects($1, $2, $3, $4, $5, $6)",
            viewer.tenant_id,
            viewer.id,
            sees_all(viewer),
            name,
            last,
            limit,
        )
        return _PROJECTS.validate_json(cast("str", told))

    async def project_name(self, viewer: Principal, *, project_id: ProjectId) -> str:
        """Return the name of a project that takes tasks.

        Raises:
            NotFound: no such project for this person.
            ToolFailed: ``project_archived``.
        """
        async with self._database.for_tenant(viewer.tenant_id) as connection:
            return await active_project(connection, viewer=viewer, project_id=project_id)

    async def project_names(
        self, viewer: Principal, *, containing: str, limit: int
    ) -> Sequence[str]:
        """Return names of the projects that hold the text, those that begin with it first."""
        return await self._first(project_names_like(viewer, text=containing), viewer, limit)

    async def task_ids(self, viewer: Principal, *, titled: str, limit: int) -> Sequence[str]:
        """Return ids of the tasks whose title holds the text, those that begin with it first."""
        return await self._first(task_ids_like(viewer, text=titled), viewer, limit)

    async def emails(self, viewer: Principal, *, containing: str, limit: int) -> Sequence[str]:
        """Return emails of the enabled people that hold the text, beginnings first."""
        return await self._first(emails_like(viewer, text=containing), viewer, limit)

    async def person_email(self, viewer: Principal, *, named: str) -> str:
        """Return the email of an enabled person, given by email or id.

        Raises:
            NotFound: nobody of that name, or disabled.
        """
        async with self._database.for_tenant(viewer.tenant_id) as connection:
            return (await enabled_person(connection, viewer, named=named)).email

    async def tasks_of(
        self,
        viewer: Principal,
        *,
        project_id: ProjectId,
        wanted: TaskFilter,
        limit: int,
        after: tuple[datetime, UUID] | None,
    ) -> Sequence[Task]:
        """Return the project's tasks, oldest first, from the one after ``after``.

        Raises:
            NotFound: no such project for this person, or no such assignee.
        """
        column = tasks.c
        async with self._database.for_tenant(viewer.tenant_id) as connection:
            await visible_project(connection, viewer=viewer, project_id=project_id)
            query = tasks_seen_by(viewer).where(
                column.project_id == project_id, column.deleted_at.is_(None)
            )
            if wanted.status is not None:
                query = query.where(column.status == wanted.status.value)
            if wanted.assignee is not None:
                person = await person_of(connection, viewer, named=wanted.assignee)
                query = query.where(column.assignee_id == person.id)
            if wanted.due_before is not None:
                query = query.where(column.due_date < wanted.due_before)
            if after is not None:
                query = query.where(tuple_(column.created_at, column.id) > after)
            rows = await connection.execute(
                query.order_by(column.created_at, column.id).limit(limit)
            )
            return [task_of(row) for row in rows]

    async def task(self, viewer: Principal, *, task_id: TaskId) -> Task:
        """Return one task.

        Raises:
            NotFound: no such task for this person.
        """
        async with self._database.for_tenant(viewer.tenant_id) as connection:
            return task_of(await task_row(connection, viewer=viewer, task_id=task_id))

    async def deleted_task(self, viewer: Principal, *, task_id: TaskId, at: datetime) -> Task:
        """Return one deleted task that can still be brought back at ``at``.

        Raises:
            NotFound: no such deleted task for this person.
            ToolFailed: ``too_late_to_undo``.
        """
        async with self._database.for_tenant(viewer.tenant_id) as connection:
            row = await task_row(connection, viewer=viewer, task_id=task_id, deleted=True)
            check_age(row, at=at)
            return task_of(row)

    async def create(self, effect: Effect, *, new: NewTask) -> Task:
        """Create a task once and return it.

        Raises:
            NotFound: no such project or assignee for this person.
            ToolFailed: ``project_archived``.
        """
        async with self._effects.once(effect) as once:
            if once.prior is not None:
                return _TASK.validate_python(once.prior)
            connection, viewer = once.connection, effect.principal
            await active_project(connection, viewer=viewer, project_id=new.project_id)
            task_id = TaskId(uuid5(_TASKS, effect.key))
            await connection.execute(
                insert(tasks).values(
                    tenant_id=effect.tenant_id,
                    id=task_id,
                    project_id=new.project_id,
                    title=new.title,
                    status=TaskStatus.TODO.value,
                    priority=new.priority.value,
                    assignee_id=await assignee_id_of(connection, viewer, named=new.assignee),
                    due_date=new.due_date,
                    created_by=viewer.id,
                )
            )
            task = task_of(await task_row(connection, viewer=viewer, task_id=task_id))
            once.record(_TASK.dump_python(task, mode="json"))
            return task

    async def set_status(
        self, effect: Effect, *, task_id: TaskId, status: TaskStatus
    ) -> TaskChange:
        """Move a task to ``status`` once; return it before and after.

        Raises:
            NotFound: no such task for this person.
        """
        async with self._effects.once(effect) as once:
            if once.prior is not None:
                return _CHANGE.validate_python(once.prior)
            return await _change(
                once, effect=effect, task_id=task_id, values={"status": status.value}
            )

    async def assign(self, effect: Effect, *, task_id: TaskId, assignee: str | None) -> TaskChange:
        """Give a task to somebody, or to nobody, once; return it before and after.

        Raises:
            NotFound: no such task or no such person for this person.
        """
        async with self._effects.once(effect) as once:
            if once.prior is not None:
                return _CHANGE.validate_python(once.prior)
            person_id = await assignee_id_of(once.connection, effect.principal, named=assignee)
            return await _change(
                once, effect=effect, task_id=task_id, values={"assignee_id": person_id}
            )

    async def put_back_status(
        self, effect: Effect, *, task_id: TaskId, status: TaskStatus, put: TaskStatus
    ) -> TaskChange:
        """Move a task back to ``status`` once, if it stands where it was ``put``.

        Raises:
            NotFound: no such task for this person.
            ToolFailed: ``changed_since``: somebody has moved it since.
        """
        async with self._effects.once(effect) as once:
            if once.prior is not None:
                return _CHANGE.validate_python(once.prior)
            values = {"status": status.value}
            return await _change(
                once,
                effect=effect,
                task_id=task_id,
                values=values,
                only_if=lambda task: task.status is put,
            )

    async def put_back_assignee(
        self, effect: Effect, *, task_id: TaskId, assignee: str | None, put: str | None
    ) -> TaskChange:
        """Give a task back to ``assignee`` once, if it is whose it was ``put``.

        Raises:
            NotFound: no such task or no such person for this person.
            ToolFailed: ``changed_since``: somebody has assigned it since.
        """
        async with self._effects.once(effect) as once:
            if once.prior is not None:
                return _CHANGE.validate_python(once.prior)
            person_id = await assignee_id_of(once.connection, effect.principal, named=assignee)
            return await _change(
                once,
                effect=effect,
                task_id=task_id,
                values={"assignee_id": person_id},
                only_if=lambda task: task.assignee == put,
            )

    async def delete(self, effect: Effect, *, task_id: TaskId) -> None:
        """Delete a task once; it can be restored for 30 days.

        Raises:
            NotFound: no such task for this person.
        """
        async with self._effects.once(effect) as once:
            if once.prior is None:
                await task_row(
                    once.connection, viewer=effect.principal, task_id=task_id, locked=True
                )
                await _delete(once, effect=effect, task_id=task_id)

    async def take_back(self, effect: Effect, *, task_id: TaskId) -> None:
        """Remove, once, a task that its creator made and nobody else has worked on.

        Raises:
            NotFound: no such task of this person's.
            ToolFailed: ``changed_since``: somebody else has worked on it.
        """
        async with self._effects.once(effect) as once:
            if once.prior is None:
                viewer = effect.principal
                row = await task_row(once.connection, viewer=viewer, task_id=task_id, locked=True)
                if row.created_by != viewer.id and not sees_all(viewer):
                    raise NotFound("not_found", noun="task")
                if row.touched_by_others:
                    raise ToolFailed("changed_since", noun="task")
                await _delete(once, effect=effect, task_id=task_id)

    async def restore(self, effect: Effect, *, task_id: TaskId) -> Task:
        """Bring a deleted task back once.

        Raises:
            NotFound: no such deleted task for this person.
            ToolFailed: ``too_late_to_undo``.
        """
        async with self._effects.once(effect) as once:
            if once.prior is not None:
                return _TASK.validate_python(once.prior)
            row = await task_row(
                once.connection,
                viewer=effect.principal,
                task_id=task_id,
                deleted=True,
                locked=True,
            )
            check_age(row, at=effect.at)
            await once.connection.execute(
                update(tasks)
                .where(tasks.c.tenant_id == effect.tenant_id, tasks.c.id == task_id)
                .values(deleted_at=None, deleted_by=None)
            )
            task = task_of(row)
            once.record(_TASK.dump_python(task, mode="json"))
            return task

    async def send(self, effect: Effect, *, recipient: str, text: str) -> MessageId:
        """Send a message once and return its id.

        Raises:
            NotFound: nobody of that name, or disabled.
        """
        message_id = MessageId(uuid5(_MESSAGES, effect.key))
        async with self._effects.once(effect) as once:
            if once.prior is None:
                to = await enabled_person(once.connection, effect.principal, named=recipient)
                await once.connection.execute(
                    insert(messages).values(
                        tenant_id=effect.tenant_id,
                        id=message_id,
                        sender_id=effect.principal.id,
                        recipient_id=to.id,
                        text=text,
                    )
                )
                once.record({"message_id": str(message_id)})
        return message_id

    async def _first(
        self, query: Select[tuple[Any]], viewer: Principal, limit: int
    ) -> Sequence[str]:
        async with self._database.for_tenant(viewer.tenant_id) as connection:
            return [str(one) for one in await connection.scalars(query.limit(limit))]


async def _change(
    once: Once,
    *,
    effect: Effect,
    task_id: TaskId,
    values: Mapping[str, object],
    only_if: Callable[[Task], bool] | None = None,
) -> TaskChange:
    viewer = effect.principal
    before = await task_row(once.connection, viewer=viewer, task_id=task_id, locked=True)
    if only_if is not None and not only_if(task_of(before)):
        raise ToolFailed("changed_since", noun="task")
    await once.connection.execute(
        update(tasks)
        .where(tasks.c.tenant_id == effect.tenant_id, tasks.c.id == task_id)
        .values(
            **values,
            touched_by_others=or_(tasks.c.touched_by_others, tasks.c.created_by != viewer.id),
            updated_at=func.now(),
        )
    )
    after = await task_row(once.connection, viewer=viewer, task_id=task_id)
    change = TaskChange(before=task_of(before), after=task_of(after))
    once.record(_CHANGE.dump_python(change, mode="json"))
    return change


async def _delete(once: Once, *, effect: Effect, task_id: TaskId) -> None:
    await once.connection.execute(
        update(tasks)
        .where(tasks.c.tenant_id == effect.tenant_id, tasks.c.id == task_id)
        .values(deleted_at=effect.at, deleted_by=effect.principal.id)
    )
    once.record({"deleted": str(task_id)})

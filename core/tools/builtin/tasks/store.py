"""What the tasks pack asks of its store."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

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


class TaskStore(Protocol):
    """Projects, tasks and messages of one tenant at a time.

    Everything is answered for the person who asks: what they may not see raises NotFound, as what
    is not there does. What takes an ``effect`` happens once per key, and tells the same each time.
    """

    async def projects(
        self, viewer: Principal, *, limit: int, after: tuple[str, UUID] | None
    ) -> Sequence[Project]:
        """Return projects by name, from the one after ``after``."""
        ...

    async def project_name(self, viewer: Principal, *, project_id: ProjectId) -> str:
        """Return the name of a project that takes tasks; ToolFailed where it is archived."""
        ...

    async def person_email(self, viewer: Principal, *, named: str) -> str:
        """Return the email of an enabled person, given by email or id."""
        ...

    async def project_names(
        self, viewer: Principal, *, containing: str, limit: int
    ) -> Sequence[str]:
        """Return names of projects, those that begin with the text first."""
        ...

    async def task_ids(self, viewer: Principal, *, titled: str, limit: int) -> Sequence[str]:
        """Return ids of tasks by words of the title, those that begin with the text first."""
        ...

    async def emails(self, viewer: Principal, *, containing: str, limit: int) -> Sequence[str]:
        """Return emails of enabled people, those that begin with the text first."""
        ...

    async def tasks_of(
        self,
        viewer: Principal,
        *,
        project_id: ProjectId,
        wanted: TaskFilter,
        limit: int,
        after: tuple[datetime, UUID] | None,
    ) -> Sequence[Task]:
        """Return the project's tasks, oldest first, from the one after ``after``."""
        ...

    async def task(self, viewer: Principal, *, task_id: TaskId) -> Task:
        """Return one task that is not deleted."""
        ...

    async def deleted_task(self, viewer: Principal, *, task_id: TaskId, at: datetime) -> Task:
        """Return one deleted task; ToolFailed ``too_late_to_undo`` after 30 days."""
        ...

    async def create(self, effect: Effect, *, new: NewTask) -> Task:
        """Create a task."""
        ...

    async def set_status(
        self, effect: Effect, *, task_id: TaskId, status: TaskStatus
    ) -> TaskChange:
        """Move a task to ``status``."""
        ...

    async def assign(self, effect: Effect, *, task_id: TaskId, assignee: str | None) -> TaskChange:
        """Give a task to somebody, or to nobody."""
        ...

    async def put_back_status(
        self, effect: Effect, *, task_id: TaskId, status: TaskStatus, put: TaskStatus
    ) -> TaskChange:
        """Move a task back; ToolFailed ``changed_since`` where it stands elsewhere than ``put``."""
        ...

    async def put_back_assignee(
        self, effect: Effect, *, task_id: TaskId, assignee: str | None, put: str | None
    ) -> TaskChange:
        """Give a task back; ToolFailed ``changed_since`` where it is not ``put``'s any more."""
        ...

    async def delete(self, effect: Effect, *, task_id: TaskId) -> None:
        """Delete a task, so that it can be restored for 30 days."""
        ...

    async def take_back(self, effect: Effect, *, task_id: TaskId) -> None:
        """Remove one's own creation; ToolFailed ``changed_since`` where others worked on it."""
        ...

    async def restore(self, effect: Effect, *, task_id: TaskId) -> Task:
        """Bring a deleted task back."""
        ...

    async def send(self, effect: Effect, *, recipient: str, text: str) -> MessageId:
        """Send a message to an enabled person."""
        ...

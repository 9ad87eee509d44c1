"""What the tools of this pack take and return in common."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from core.domain.task import Priority, Task, TaskId, TaskStatus
from core.tools.authoring import Arguments, Output

Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Person = Annotated[
    str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=3, max_length=254)
]


class OneTask(Arguments):
    """Names a task."""

    task_id: TaskId = Field(description="The id of the task, as list_tasks_in_project returns it.")


class TaskView(Output):
    """A task as models and people see it."""

    id: TaskId
    title: str
    status: TaskStatus
    assignee: str | None
    due_date: date | None
    priority: Priority

    @classmethod
    def of(cls, task: Task) -> "TaskView":
        """Return the view of ``task``."""
        return cls(
            id=task.id,
            title=task.title,
            status=task.status,
            assignee=task.assignee,
            due_date=task.due_date,
            priority=task.priority,
        )


class TaskResult(Output):
    """One task, as it is now."""

    task: TaskView


class TaskDeleted(Output):
    """Which task is gone."""

    task_id: TaskId
    deleted: Literal[True] = True


def in_words(task: Task) -> str:
    """Return how a task is named on a card."""
    return f'"{task.title}" in {task.project}'

"""The tool ``list_tasks_in_project``."""

from datetime import date

from pydantic import Field

from core.domain.task import ProjectId, TaskFilter, TaskStatus
from core.domain.tool import Risk
from core.tools.authoring import Arguments, Context, Output, tool
from core.tools.builtin.paging import LONGEST_CURSOR, after_moment, cursor_of
from core.tools.builtin.tasks.store import TaskStore
from core.tools.builtin.tasks.views import Person, TaskView


class ListTasks(Arguments):
    """Which tasks of which project."""

    project_id: ProjectId = Field(description="The id of the project, from list_projects.")
    status: TaskStatus | None = Field(None, description="Only tasks that stand here.")
    assignee: Person | None = Field(
        None, description="Only tasks of this person: an email address or a principal's id."
    )
    due_before: date | None = Field(
        None, description="Only tasks with a due date before this day, as YYYY-MM-DD."
    )
    limit: int = Field(10, ge=1, le=50, description="How many tasks to return at most.")
    cursor: str | None = Field(
        None,
        max_length=LONGEST_CURSOR,
        description="next_cursor of the page before; leave it out for the first page.",
    )


class TaskList(Output):
    """A page of tasks; ``next_cursor`` is null on the last one."""

    tasks: list[TaskView]
    next_cursor: str | None


@tool(risk=Risk.SAFE, per_minute=60)
async def list_tasks_in_project(arguments: ListTasks, context: Context[TaskStore]) -> TaskList:
    """List the tasks of one project, oldest first, filtered by status, assignee or due date.

    Returns id, title, status, assignee (an email address or null), due date and priority of each,
    and next_cursor for the next page. Use it to answer questions about work, and to find the
    task_id before changing or deleting a task.
    """
    found = await context.store.tasks_of(
        context.principal,
        project_id=arguments.project_id,
        wanted=TaskFilter(
            status=arguments.status,
            assignee=arguments.assignee,
            due_before=arguments.due_before,
        ),
        limit=arguments.limit + 1,
        after=after_moment(arguments.cursor),
    )
    page = found[: arguments.limit]
    last = page[-1] if len(found) > len(page) else None
    return TaskList(
        tasks=[TaskView.of(task) for task in page],
        next_cursor=cursor_of(last.created_at, last=last.id) if last else None,
    )

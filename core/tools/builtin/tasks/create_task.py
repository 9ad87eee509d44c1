"""The tool ``create_task``."""

from datetime import date

from pydantic import Field

from core.domain.task import NewTask, Priority, ProjectId, TaskStatus
from core.domain.tool import Change, Preview, Risk
from core.tools.authoring import Arguments, Context, Done, EffectContext, tool
from core.tools.builtin.tasks.store import TaskStore
from core.tools.builtin.tasks.views import OneTask, Person, TaskResult, TaskView, Title


class CreateTask(Arguments):
    """What the task is to be."""

    project_id: ProjectId = Field(description="The id of the project, from list_projects.")
    title: Title = Field(description="What is to be done, in a few words.")
    priority: Priority = Field(Priority.NORMAL, description="How much it presses.")
    assignee: Person | None = Field(
        None, description="Who does it: an email address or a principal's id; null for nobody yet."
    )
    due_date: date | None = Field(None, description="The day it is due, as YYYY-MM-DD.")


async def what_it_creates(arguments: CreateTask, context: Context[TaskStore]) -> Preview:
    """Show the task that would be there."""
    viewer, store = context.principal, context.store
    project = await store.project_name(viewer, project_id=arguments.project_id)
    assignee = None
    if arguments.assignee is not None:
        assignee = await store.person_email(viewer, named=arguments.assignee)
    due_date = arguments.due_date.isoformat() if arguments.due_date else None
    after = {
        "title": arguments.title,
        "status": TaskStatus.TODO.value,
        "priority": arguments.priority.value,
        "assignee": assignee,
        "due_date": due_date,
    }
    return Preview(
        summary=f'Create the task "{arguments.title}" in {project}.',
        target=project,
        changes=tuple(
            Change(field=field, before=None, after=value)
            for field, value in after.items()
            if value is not None
        ),
    )


@tool(risk=Risk.CAUTIOUS, preview=what_it_creates, undo="remove_created_task", per_minute=30)
async def create_task(arguments: CreateTask, context: EffectContext[TaskStore]) -> Done[TaskResult]:
    """Create a task in a project, with status todo.

    Returns the task with its new id. Use it when somebody asks for a task, reminder or follow-up to
    be noted down.
    """
    task = await context.store.create(
        context.effect,
        new=NewTask(
            project_id=arguments.project_id,
            title=arguments.title,
            priority=arguments.priority,
            assignee=arguments.assignee,
            due_date=arguments.due_date,
        ),
    )
    return Done(TaskResult(task=TaskView.of(task)), undo=OneTask(task_id=task.id))

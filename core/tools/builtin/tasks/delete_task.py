"""The tool ``delete_task``."""

from core.domain.tool import Change, Preview, Risk
from core.tools.authoring import Context, Done, EffectContext, tool
from core.tools.builtin.tasks.store import TaskStore
from core.tools.builtin.tasks.views import OneTask, TaskDeleted, in_words


async def what_it_deletes(arguments: OneTask, context: Context[TaskStore]) -> Preview:
    """Show the task that would be gone."""
    task = await context.store.task(context.principal, task_id=arguments.task_id)
    before = {
        "title": task.title,
        "status": task.status.value,
        "priority": task.priority.value,
        "assignee": task.assignee,
        "due_date": task.due_date.isoformat() if task.due_date else None,
    }
    return Preview(
        summary=f"Delete the task {in_words(task)}.",
        target=in_words(task),
        changes=tuple(
            Change(field=field, before=value, after=None)
            for field, value in before.items()
            if value is not None
        ),
    )


@tool(risk=Risk.DESTRUCTIVE, preview=what_it_deletes, undo="restore_task", per_minute=30)
async def delete_task(arguments: OneTask, context: EffectContext[TaskStore]) -> Done[TaskDeleted]:
    """Delete one task from its project. An approver is asked first.

    Returns the id of the task that is gone; it can be brought back for 30 days. Use it only when
    somebody clearly asks for this task to be deleted; to finish a task, set its status to done.
    """
    await context.store.delete(context.effect, task_id=arguments.task_id)
    return Done(TaskDeleted(task_id=arguments.task_id), undo=OneTask(task_id=arguments.task_id))

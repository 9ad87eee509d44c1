"""The tool ``remove_created_task``: takes ``create_task`` back."""

from core.domain.tool import Change, Preview, Risk
from core.tools.authoring import Context, EffectContext, tool
from core.tools.builtin.tasks.store import TaskStore
from core.tools.builtin.tasks.views import OneTask, TaskDeleted, in_words


async def what_it_takes_back(arguments: OneTask, context: Context[TaskStore]) -> Preview:
    """Show the task that would be gone."""
    task = await context.store.task(context.principal, task_id=arguments.task_id)
    return Preview(
        summary=f"Take back the new task {in_words(task)}.",
        target=in_words(task),
        changes=(Change(field="task", before=task.title, after=None),),
    )


@tool(risk=Risk.CAUTIOUS, preview=what_it_takes_back, per_minute=30, listed=False)
async def remove_created_task(arguments: OneTask, context: EffectContext[TaskStore]) -> TaskDeleted:
    """Remove a task that one has created oneself and nobody else has worked on.

    Returns its id. Only Undo uses it.
    """
    await context.store.take_back(context.effect, task_id=arguments.task_id)
    return TaskDeleted(task_id=arguments.task_id)

"""The tool ``restore_task``: takes ``delete_task`` back."""

from core.domain.tool import Change, Preview, Risk
from core.tools.authoring import Context, EffectContext, tool
from core.tools.builtin.tasks.store import TaskStore
from core.tools.builtin.tasks.views import OneTask, TaskResult, TaskView, in_words


async def what_it_restores(arguments: OneTask, context: Context[TaskStore]) -> Preview:
    """Show the task that would be back."""
    task = await context.store.deleted_task(
        context.principal, task_id=arguments.task_id, at=context.now
    )
    return Preview(
        summary=f"Bring back the task {in_words(task)}.",
        target=in_words(task),
        changes=(Change(field="task", before=None, after=task.title),),
    )


@tool(risk=Risk.CAUTIOUS, preview=what_it_restores, per_minute=30, listed=False)
async def restore_task(arguments: OneTask, context: EffectContext[TaskStore]) -> TaskResult:
    """Bring back a task that was deleted in the last 30 days.

    Returns the task. Only Undo uses it.
    """
    task = await context.store.restore(context.effect, task_id=arguments.task_id)
    return TaskResult(task=TaskView.of(task))

"""The tool ``put_back_task_status``: takes ``update_task_status`` back."""

from pydantic import Field

from core.domain.task import TaskStatus
from core.domain.tool import Change, Preview, Risk
from core.tools.authoring import Context, EffectContext, tool
from core.tools.builtin.tasks.store import TaskStore
from core.tools.builtin.tasks.views import OneTask, TaskResult, TaskView, in_words


class PutBackStatus(OneTask):
    """Which task, where it stood, and where it was put."""

    status: TaskStatus = Field(description="Where the task stood before.")
    put: TaskStatus = Field(description="Where it was put; it must stand there still.")


async def what_it_puts_back(arguments: PutBackStatus, context: Context[TaskStore]) -> Preview:
    """Show where the task stands and would stand again."""
    task = await context.store.task(context.principal, task_id=arguments.task_id)
    return Preview(
        summary=f"Set {in_words(task)} back to {arguments.status.value}.",
        target=in_words(task),
        changes=(Change(field="status", before=task.status.value, after=arguments.status.value),),
    )


@tool(risk=Risk.CAUTIOUS, preview=what_it_puts_back, per_minute=30, listed=False)
async def put_back_task_status(
    arguments: PutBackStatus, context: EffectContext[TaskStore]
) -> TaskResult:
    """Set a task back to where it stood, unless somebody has moved it since.

    Returns the task as it is then. Only Undo uses it.
    """
    change = await context.store.put_back_status(
        context.effect, task_id=arguments.task_id, status=arguments.status, put=arguments.put
    )
    return TaskResult(task=TaskView.of(change.after))

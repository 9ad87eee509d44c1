"""The tool ``update_task_status``."""

from pydantic import Field

from core.domain.task import TaskStatus
from core.domain.tool import Change, Preview, Risk
from core.tools.authoring import Context, Done, EffectContext, tool
from core.tools.builtin.tasks.put_back_task_status import PutBackStatus
from core.tools.builtin.tasks.store import TaskStore
from core.tools.builtin.tasks.views import OneTask, TaskResult, TaskView, in_words


class UpdateTaskStatus(OneTask):
    """Which task, and where it is to stand."""

    status: TaskStatus = Field(description="Where the task stands from now on.")


async def what_it_moves(arguments: UpdateTaskStatus, context: Context[TaskStore]) -> Preview:
    """Show where the task stands and would stand."""
    task = await context.store.task(context.principal, task_id=arguments.task_id)
    return Preview(
        summary=f"Set {in_words(task)} to {arguments.status.value}.",
        target=in_words(task),
        changes=(Change(field="status", before=task.status.value, after=arguments.status.value),),
    )


@tool(risk=Risk.CAUTIOUS, preview=what_it_moves, undo="put_back_task_status", per_minute=30)
async def update_task_status(
    arguments: UpdateTaskStatus, context: EffectContext[TaskStore]
) -> Done[TaskResult]:
    """Set where a task stands: todo, in_progress, blocked or done.

    Returns the task as it is then. Use it when somebody says that work has started, is stuck or is
    finished.
    """
    change = await context.store.set_status(
        context.effect, task_id=arguments.task_id, status=arguments.status
    )
    return Done(
        TaskResult(task=TaskView.of(change.after)),
        undo=PutBackStatus(
            task_id=arguments.task_id, status=change.before.status, put=change.after.status
        ),
    )

"""The tool ``put_back_assignee``: takes ``assign_task`` back."""

from pydantic import Field

from core.domain.tool import Change, Preview, Risk
from core.tools.authoring import Context, EffectContext, tool
from core.tools.builtin.tasks.store import TaskStore
from core.tools.builtin.tasks.views import OneTask, Person, TaskResult, TaskView, in_words


class PutBackAssignee(OneTask):
    """Which task, whose it was, and whose it was made."""

    assignee: Person | None = Field(description="Whose the task was before; null for nobody's.")
    put: Person | None = Field(description="Whose it was made; it must be theirs still.")


async def what_it_puts_back(arguments: PutBackAssignee, context: Context[TaskStore]) -> Preview:
    """Show whose the task is and would be again."""
    task = await context.store.task(context.principal, task_id=arguments.task_id)
    return Preview(
        summary=f"Give {in_words(task)} back to {arguments.assignee or 'nobody'}.",
        target=in_words(task),
        changes=(Change(field="assignee", before=task.assignee, after=arguments.assignee),),
    )


@tool(risk=Risk.CAUTIOUS, preview=what_it_puts_back, per_minute=30, listed=False)
async def put_back_assignee(
    arguments: PutBackAssignee, context: EffectContext[TaskStore]
) -> TaskResult:
    """Give a task back to whose it was, unless somebody has assigned it since.

    Returns the task as it is then. Only Undo uses it.
    """
    change = await context.store.put_back_assignee(
        context.effect, task_id=arguments.task_id, assignee=arguments.assignee, put=arguments.put
    )
    return TaskResult(task=TaskView.of(change.after))

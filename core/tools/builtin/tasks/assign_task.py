"""The tool ``assign_task``."""

from pydantic import Field

from core.domain.tool import Change, Preview, Risk
from core.tools.authoring import Context, Done, EffectContext, tool
from core.tools.builtin.tasks.put_back_assignee import PutBackAssignee
from core.tools.builtin.tasks.store import TaskStore
from core.tools.builtin.tasks.views import OneTask, Person, TaskResult, TaskView, in_words


class AssignTask(OneTask):
    """Which task, and whose it is to be."""

    assignee: Person | None = Field(
        description="Who does it: an email address or a principal's id; null for nobody."
    )


async def what_it_assigns(arguments: AssignTask, context: Context[TaskStore]) -> Preview:
    """Show whose the task is and would be."""
    viewer, store = context.principal, context.store
    task = await store.task(viewer, task_id=arguments.task_id)
    assignee = None
    if arguments.assignee is not None:
        assignee = await store.person_email(viewer, named=arguments.assignee)
    return Preview(
        summary=f"Assign {in_words(task)} to {assignee or 'nobody'}.",
        target=in_words(task),
        changes=(Change(field="assignee", before=task.assignee, after=assignee),),
    )


@tool(risk=Risk.CAUTIOUS, preview=what_it_assigns, undo="put_back_assignee", per_minute=30)
async def assign_task(arguments: AssignTask, context: EffectContext[TaskStore]) -> Done[TaskResult]:
    """Give a task to a person of the company, or to nobody.

    Returns the task as it is then. Use it when somebody is to do, take over or hand back a task.
    """
    change = await context.store.assign(
        context.effect, task_id=arguments.task_id, assignee=arguments.assignee
    )
    return Done(
        TaskResult(task=TaskView.of(change.after)),
        undo=PutBackAssignee(
            task_id=arguments.task_id,
            assignee=change.before.assignee,
            put=change.after.assignee,
        ),
    )

"""The tools of the tasks pack, in the order a reader wants them."""

from core.tools.authoring import Pack
from core.tools.builtin.tasks.assign_task import assign_task
from core.tools.builtin.tasks.create_task import create_task
from core.tools.builtin.tasks.delete_task import delete_task
from core.tools.builtin.tasks.list_projects import list_projects
from core.tools.builtin.tasks.list_tasks_in_project import list_tasks_in_project
from core.tools.builtin.tasks.prompts import PROMPTS
from core.tools.builtin.tasks.put_back_assignee import put_back_assignee
from core.tools.builtin.tasks.put_back_task_status import put_back_task_status
from core.tools.builtin.tasks.remove_created_task import remove_created_task
from core.tools.builtin.tasks.restore_task import restore_task
from core.tools.builtin.tasks.send_message_to_user import send_message_to_user
from core.tools.builtin.tasks.store import TaskStore
from core.tools.builtin.tasks.update_task_status import update_task_status

TASKS: Pack[TaskStore] = Pack(
    name="tasks",
    tools=(
        list_projects,
        list_tasks_in_project,
        create_task,
        update_task_status,
        assign_task,
        delete_task,
        send_message_to_user,
        # Only Undo calls these.
        put_back_assignee,
        put_back_task_status,
        remove_created_task,
        restore_task,
    ),
    prompts=PROMPTS,
)

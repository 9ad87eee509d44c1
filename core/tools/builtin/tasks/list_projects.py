"""The tool ``list_projects``."""

from pydantic import Field

from core.domain.task import ProjectId, ProjectStatus
from core.domain.tool import Risk
from core.tools.authoring import Arguments, Context, Output, tool
from core.tools.builtin.paging import LONGEST_CURSOR, after_text, cursor_of
from core.tools.builtin.tasks.store import TaskStore


class ListProjects(Arguments):
    """How many projects, and from where."""

    limit: int = Field(50, ge=1, le=50, description="How many projects to return at most.")
    cursor: str | None = Field(
        None,
        max_length=LONGEST_CURSOR,
        description="next_cursor of the page before; leave it out for the first page.",
    )


class ProjectView(Output):
    """A project as models and people see it."""

    id: ProjectId
    name: str
    status: ProjectStatus
    member_count: int


class ProjectList(Output):
    """A page of projects; ``next_cursor`` is null on the last one."""

    projects: list[ProjectView]
    next_cursor: str | None


@tool(risk=Risk.SAFE, per_minute=60)
async def list_projects(arguments: ListProjects, context: Context[TaskStore]) -> ProjectList:
    """List the projects that the person can see, by name.

    Returns id, name, status and number of members of each, 50 at most. Use it first, to find the
    project_id that the other tools ask for.
    """
    found = await context.store.projects(
        context.principal, limit=arguments.limit + 1, after=after_text(arguments.cursor)
    )
    page = found[: arguments.limit]
    return ProjectList(
        projects=[
            ProjectView(
                id=project.id,
                name=project.name,
                status=project.status,
                member_count=project.member_count,
            )
            for project in page
        ],
        next_cursor=cursor_of(page[-1].name, last=page[-1].id) if len(found) > len(page) else None,
    )

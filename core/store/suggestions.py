"""What may be meant by what somebody has typed so far, as queries; each is given a limit."""

# Any: SQLAlchemy types a row by the tuple of its columns.
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, and_, select

from core.domain.principal import Principal
from core.store.tables import principals, projects, tasks
from core.store.task_queries import visible_to

Q = TypeVar("Q", bound=Select[*tuple[Any, ...]])


def likeliest(query: Q, *, named: ColumnElement[str], text: str) -> Q:
    """Return ``query`` for names that hold ``text``; those that begin with it come first."""
    return query.where(named.icontains(text, autoescape=True)).order_by(
        named.istartswith(text, autoescape=True).desc(), named
    )


def project_names_like(viewer: Principal, *, text: str) -> Select[tuple[Any]]:
    """Return the query of names of projects that this person sees."""
    query = select(projects.c.name).where(
        projects.c.tenant_id == viewer.tenant_id, visible_to(viewer)
    )
    return likeliest(query, named=projects.c.name, text=text).order_by(projects.c.id)


def task_ids_like(viewer: Principal, *, text: str) -> Select[tuple[Any]]:
    """Return the query of ids of tasks that this person sees, by title."""
    task = tasks.c
    query = (
        select(task.id)
        .join_from(
            tasks,
            projects,
            and_(projects.c.tenant_id == task.tenant_id, projects.c.id == task.project_id),
        )
        .where(task.tenant_id == viewer.tenant_id, visible_to(viewer), task.deleted_at.is_(None))
    )
    return likeliest(query, named=task.title, text=text).order_by(task.id)


def emails_like(viewer: Principal, *, text: str) -> Select[tuple[Any]]:
    """Return the query of emails of enabled people of the viewer's tenant."""
    person = principals.c
    query = select(person.email).where(
        person.tenant_id == viewer.tenant_id, person.disabled_at.is_(None)
    )
    return likeliest(query, named=person.email, text=text)

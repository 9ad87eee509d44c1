"""Projects, the tasks in them, and messages: what the built-in ``tasks`` pack is about."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

ProjectId = NewType("ProjectId", UUID)
TaskId = NewType("TaskId", UUID)
MessageId = NewType("MessageId", UUID)

DAYS_TO_RESTORE = 30
"""For how long what was deleted can be brought back."""


class ProjectStatus(StrEnum):
    """Whether a project takes new tasks."""

    ACTIVE = "active"
    ARCHIVED = "archived"


class TaskStatus(StrEnum):
    """Where a task stands."""

    TODO = "todo"
    IN_PROGRESS = "in_progress"
    BLOCKED = "blocked"
    DONE = "done"


class Priority(StrEnum):
    """How much a task presses."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project as its viewer sees it. Of one open to all, everybody enabled is a member."""

    id: ProjectId
    name: str
    status: ProjectStatus
    member_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task; ``assignee`` is a person's email address."""

    id: TaskId
    project_id: ProjectId
    project: str
    title: str
    status: TaskStatus
    priority: Priority
    assignee: str | None
    due_date: date | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """What a task is to be; ``assignee`` is an email address or a principal's id."""

    project_id: ProjectId
    title: str
    priority: Priority
    assignee: str | None
    due_date: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Which tasks of a project are wanted; None wants all. ``assignee`` as in NewTask."""

    status: TaskStatus | None = None
    assignee: str | None = None
    due_before: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChange:
    """A task before and after an effect."""

    before: Task
    after: Task

"""What one write of a run's journal holds; all of it is kept or none."""

from dataclasses import dataclass

from core.domain.audit import AuditRecord
from core.domain.canonical import JsonObject
from core.domain.event import EventKind
from core.domain.ids import CallId
from core.domain.model import ModelAnswer
from core.domain.tool import CallState, Inverse, ToolCall, ToolResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """A run event before it has its number."""

    kind: EventKind
    data: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class CallUpdate:
    """How a call moves on. What is None stays as it is; a settled call is never changed."""

    call_id: CallId
    state: CallState
    tool_version: int | None = None
    verdict: JsonObject | None = None
    preview: JsonObject | None = None
    digest: str | None = None
    result: ToolResult | None = None
    inverse: Inverse | None = None
    attempt: bool = False
    cost_micros: int = 0
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUsage:
    """A call that is charged for: ``cost_micros`` for one call of ``tool``."""

    call_id: CallId
    tool: str
    agent: str
    step: int
    cost_micros: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A model's answer as step ``number``, with the calls it asked for; metered with it."""

    number: int
    agent: str
    answer: ModelAnswer
    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One write: at most one answer, the calls that moved on, and what goes with them.

    ``active_ms`` is the working time since the last write.
    """

    answered: Answered | None = None
    calls: tuple[CallUpdate, ...] = ()
    usage: tuple[ToolUsage, ...] = ()
    events: tuple[Happened, ...] = ()
    audit: tuple[AuditRecord, ...] = ()
    active_ms: int = 0

    @property
    def cost_micros(self) -> int:
        """Everything that this write charges to the run."""
        answered = self.answered.answer.cost_micros if self.answered else 0
        return answered + sum(used.cost_micros for used in self.usage)

    def followed_by(self, later: "Entry") -> "Entry":
        """Return both as one write; only one of them may hold an answer."""
        return Entry(
            answered=self.answered or later.answered,
            calls=self.calls + later.calls,
            usage=self.usage + later.usage,
            events=self.events + later.events,
            audit=self.audit + later.audit,
            active_ms=self.active_ms + later.active_ms,
        )

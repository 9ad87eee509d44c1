"""One durable attempt at one task, and the steps that it is made of."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.domain.canonical import JsonObject
from core.domain.ids import CallId, RunId, TenantId
from core.domain.model import ModelAnswer
from core.domain.principal import Principal
from core.domain.quoted import Quoted
from core.domain.tool import CallState, Inverse, ToolCall, ToolResult


class RunStatus(StrEnum):
    """Where a run stands; the last four are final."""

    PENDING = "pending"
    RUNNING = "running"
    AWAITING_APPROVAL = "awaiting_approval"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    BUDGET_EXCEEDED = "budget_exceeded"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to the run."""
        return self not in _LIVE


_LIVE = frozenset({RunStatus.PENDING, RunStatus.RUNNING, RunStatus.AWAITING_APPROVAL})


class RunKind(StrEnum):
    """An agent with a task, or one call with an effect from a front door."""

    AGENT = "agent"
    CALL = "call"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentVersion:
    """One immutable version of a named configuration: model, prompt, tools, limits.

    ``tools`` None offers every tool that the requester may use. Seconds are active time: waiting
    for people does not count.
    """

    agent: str
    version: int
    model: str
    system: str
    tools: tuple[str, ...] | None = None
    max_steps: int = 20
    budget_micros: int = 500_000
    max_output_tokens: int = 4096
    segment_seconds: int = 300
    run_seconds: int = 10_800
    approval_days: int = 7
    history_tokens: int = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Where to answer: surface name and opaque address."""

    surface: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """A call as the journal holds it, with what became of it."""

    call: ToolCall
    state: CallState
    result: ToolResult | None = None
    tool_version: int | None = None
    digest: str | None = None
    verdict: JsonObject | None = None
    preview: JsonObject | None = None
    inverse: Inverse | None = None
    undoes: CallId | None = None
    attempts: int = 0
    cost_micros: int = 0
    duration_ms: int = 0
    undone_by: CallId | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    settled_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One turn of the loop: a model's answer and the calls it asked for, in their order.

    A run of one call has one step without an answer.
    """

    number: int
    answer: ModelAnswer | None
    calls: tuple[CallRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCause:
    """Why a run stopped short: a stable code and the sentence that the requester reads."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What somebody thinks of what a run came to; their last word."""

    principal: Principal
    good: bool
    reason: str
    given_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One durable attempt at one task. Money in micro-dollars, ``active_ms`` without waits.

    ``actor`` is who acts in it for the requester; empty where they do themselves. ``context`` was
    said before in the conversation that it was asked in, the oldest first.
    """

    id: RunId
    tenant_id: TenantId
    requester: Principal
    kind: RunKind
    agent: AgentVersion
    task: str
    status: RunStatus
    segment: int
    lease: int
    cost_micros: int
    active_ms: int
    created_at: datetime
    via: str = ""
    actor: str = ""
    conversation: Conversation | None = None
    result: str | None = None
    error: StopCause | None = None
    cancel_requested: bool = False
    started_at: datetime | None = None
    completed_at: datetime | None = None
    steps: tuple[Step, ...] = ()
    context: tuple[Quoted, ...] = ()
    feedback: tuple[Feedback, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write a run's journal: number ``number``, for segment ``segment``."""

    tenant_id: TenantId
    run_id: RunId
    segment: int
    number: int

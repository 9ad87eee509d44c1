"""What this API takes and answers: the edge parses with these models, and documents itself."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, StrictBool

from api.paging import LONGEST_CURSOR
from core.domain.run import RunStatus
from core.domain.tool import Risk

_MOST_ITEMS = 100
_ITEMS = 50
_TASK_LENGTH = 50_000
REASON_LENGTH = 2_000
NAME_LENGTH = 200

JsonDict = dict[str, Any]  # Any: JSON that a tool has made and its schema has checked


class Input(BaseModel):
    """Whatever is sent to us: a key that we don't know is an error that names it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Nothing(Input):
    """An operation that is told nothing."""


class StartRun(Input):
    """A task for the agent."""

    task: str = Field(max_length=_TASK_LENGTH, description="What is to be done, in words.")
    agent: str | None = Field(default=None, max_length=NAME_LENGTH, description="By name.")


class CallTool(Input):
    """A call of one tool."""

    arguments: dict[str, JsonValue] = Field(description="As the tool's input_schema wants them.")
    dry_run: StrictBool = Field(default=False, description="Only say what the door would say.")


class GiveFeedback(Input):
    """What somebody thinks of what a run came to; the last word counts."""

    good: StrictBool
    reason: str = Field(default="", max_length=REASON_LENGTH, description="Why, if you like.")


class PageQuery(Input):
    """Where a list goes on, and how far."""

    cursor: str | None = Field(default=None, max_length=LONGEST_CURSOR)
    limit: int = Field(default=_ITEMS, ge=1, le=_MOST_ITEMS)


class PeriodQuery(Input):
    """A period: from ``since`` on, before ``until``."""

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class AuditQuery(PageQuery, PeriodQuery):
    """Which audit records."""


class EventsQuery(Input):
    """Where a stream goes on, for clients that cannot send ``Last-Event-ID``."""

    after: int | None = Field(default=None, ge=0, le=2**31 - 1)


class Output(BaseModel):
    """Whatever we answer."""

    model_config = ConfigDict(frozen=True)


class Problem(Output):
    """Why not (RFC 9457); ``code`` is stable, ``detail`` is for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    facts: dict[str, str | int | float | bool | list[str] | None]


class Fault(Output):
    """What went wrong with a call or a run."""

    code: str
    message: str


class RunStarted(Output):
    """A run that was started, or joined by its idempotency key."""

    run_id: UUID


class StepCall(Output):
    """A call within a step."""

    call_id: UUID
    tool: str
    arguments: JsonDict
    edited_by: str | None = Field(description="The approver who changed the arguments.")
    original_arguments: JsonDict | None = Field(description="As they were asked for, if changed.")
    status: str
    result: JsonDict | None
    error: Fault | None
    cost_micros: int
    duration_ms: int


class StepView(Output):
    """One turn of the agent; the model's part is null in a run of one direct call."""

    number: int
    text: str | None
    thinking: str | None
    provider: str | None
    model: str | None
    input_tokens: int
    output_tokens: int
    cost_micros: int
    duration_ms: int
    calls: list[StepCall]


class SourceView(Output):
    """A document that a run's answer rests on."""

    id: str
    title: str


class FeedbackView(Output):
    """What somebody thinks of what a run came to."""

    by: str
    good: bool
    reason: str
    given_at: datetime


class RunView(Output):
    """A run; lists leave its steps out."""

    id: UUID
    tenant: UUID
    requester: str
    actor: str = Field(description="Who acts in it: the requester, or agents on behalf of them.")
    agent: str
    agent_version: int
    task: str
    status: RunStatus
    result: str | None
    error: Fault | None
    cost_micros: int
    budget_micros: int
    steps: list[StepView]
    sources: list[SourceView] = Field(description="Documents that its tools have read or found.")
    feedback: list[FeedbackView]
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class RunsPage(Output):
    """Runs, newest first."""

    items: list[RunView]
    next_cursor: str | None


class CallStatus(Output):
    """A call: ``result`` once it succeeded, ``error`` where it did not, else what it waits for.

    ``status`` is one of pending_approval, running, succeeded, failed, denied, expired, cancelled,
    unknown. What does not apply is left out.
    """

    call_id: UUID
    status: str
    run_id: UUID | None = None
    result: JsonDict | None = None
    error: Fault | None = None
    approval_id: UUID | None = None


class DryRun(Output):
    """What the door would say to a call now."""

    verdict: str
    reasons: list[str]
    rules: list[str]
    preview: JsonDict | None


class ToolView(Output):
    """A tool that the caller may use."""

    name: str
    pack: str
    version: int
    description: str
    input_schema: JsonDict
    output_schema: JsonDict
    risk: Risk
    reversible: bool
    cost_micros: int


class ToolsPage(Output):
    """Tools, by name."""

    items: list[ToolView]
    next_cursor: str | None


class UsageView(Output):
    """What one model or tool was used for. Money in micro-dollars."""

    kind: str
    name: str
    provider: str | None
    count: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_micros: int


class UsagePage(Output):
    """Usage by kind and name: an admin's of the company, anybody else's of their own runs."""

    items: list[UsageView]
    next_cursor: str | None
    cost_micros: int


class AuditView(Output):
    """One fact for the auditor."""

    id: UUID
    at: datetime
    action: str
    actor: str
    run_id: UUID | None
    call_id: UUID | None
    tool: str | None
    content: JsonDict
    digest: str


class AuditPage(Output):
    """Audit records in their order."""

    items: list[AuditView]
    next_cursor: str | None

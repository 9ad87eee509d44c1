"""What happened in a run, for surfaces and traces. Written in the journal's transaction."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.domain.canonical import JsonObject
from core.domain.ids import RunId


class EventKind(StrEnum):
    """What a run event tells. The data of each kind is listed beside it."""

    STARTED = "run.started"  # task, budget_micros
    THOUGHT = "step.answered"  # step, text, calls: [tool], cost_micros
    CALL_ALLOWED = "call.allowed"  # call_id, tool, rules
    CALL_SUCCEEDED = "call.succeeded"  # call_id, tool, summary
    CALL_FAILED = "call.failed"  # call_id, tool, code, message
    CALL_DENIED = "call.denied"  # call_id, tool, code, reason
    CALL_UNKNOWN = "call.unknown"  # call_id, tool
    APPROVAL_ASKED = (
        "approval.asked"  # approval_id, call_id, tool, summary, reason, needed, expires_at
    )
    APPROVAL_EDITED = "approval.edited"  # approval_id, call_id, tool, by, before, after, summary
    APPROVAL_DECIDED = "approval.decided"  # approval_id, answer, by, for, reason, state
    APPROVAL_REMINDED = "approval.reminded"  # approval_id, call_id, tool, summary, reminded
    APPROVAL_ESCALATED = "approval.escalated"  # approval_id, call_id, tool, summary, to
    APPROVAL_EXPIRED = "approval.expired"  # approval_id, call_id, tool
    APPROVAL_WITHDRAWN = "approval.withdrawn"  # approval_id, call_id, tool, covered_by: approval_id
    RESUMED = "run.resumed"  # segment
    COMPLETED = "run.completed"  # result, cost_micros
    STOPPED = "run.stopped"  # status, code, message, cost_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """One thing that happened. ``seq`` rises by one within the run; clients resume from it."""

    run_id: RunId
    seq: int
    kind: EventKind
    data: JsonObject
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TextChunk:
    """Text as the model says it; may be lost, the answer may not."""

    run_id: RunId
    step: int
    seq: int
    text: str

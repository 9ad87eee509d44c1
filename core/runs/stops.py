"""When a run must stop, and what is said then: pure."""

from collections.abc import Sequence

from core.domain.canonical import canonical_json
from core.domain.model import ModelAnswer, StopReason
from core.domain.run import Run, RunStatus, Step, StopCause
from core.domain.tool import Failed
from core.errors import RunStopped
from core.words import sentence_of

_SAME_IN_A_ROW = 5
_UNKNOWN_TOOLS = 2

_STATUS = {
    "budget_exceeded": RunStatus.BUDGET_EXCEEDED,
    "cancelled": RunStatus.CANCELLED,
}


def check_before_asking(run: Run, *, steps: Sequence[Step]) -> None:
    """Raise where the model may not be asked once more.

    Raises:
        RunStopped: ``max_steps``, ``stuck`` (the same call five times in a row), or
            ``unknown_tools`` (two calls of tools that do not exist).
    """
    calls = [record.call for step in steps for record in step.calls]
    last = [(call.tool, canonical_json(call.asked_for)) for call in calls[-_SAME_IN_A_ROW:]]
    if len(last) == _SAME_IN_A_ROW and len(set(last)) == 1:
        raise RunStopped("stuck", times=_SAME_IN_A_ROW, tool=last[0][0])
    invented = [
        record.call.tool
        for step in steps
        for record in step.calls
        if isinstance(record.result, Failed) and record.result.code == "unknown_tool"
    ]
    if len(invented) >= _UNKNOWN_TOOLS:
        raise RunStopped("unknown_tools", tool=", ".join(sorted(set(invented))))
    if len(steps) >= run.agent.max_steps:
        raise RunStopped("max_steps", max_steps=run.agent.max_steps)


def check_answer(answer: ModelAnswer, *, run: Run) -> None:
    """Raise where an answer ends the run without being its result.

    Raises:
        RunStopped: ``model_refused`` or ``model_truncated``.
    """
    match answer.stop:
        case StopReason.REFUSED:
            raise RunStopped("model_refused")
        case StopReason.LENGTH if not answer.calls:
            raise RunStopped("model_truncated", limit=run.agent.max_output_tokens)
        case StopReason.DONE | StopReason.CALLS | StopReason.LENGTH:
            pass


def status_of(stop: RunStopped) -> RunStatus:
    """Return the final status of a run that was stopped."""
    return _STATUS.get(stop.code, RunStatus.FAILED)


def cause_of(stop: RunStopped) -> StopCause:
    """Return the code and the sentence that the requester reads."""
    return StopCause(code=stop.code, message=sentence_of(stop))

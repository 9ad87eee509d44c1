"""A run and a question as their surfaces tell of them: pure, from what is journalled."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from bots.views import ApprovalView, Line, Mark, RunView, Source, Stage, Undoable, Voice
from core.domain.approval import Answer, Approval, ApprovalState, GrantScope, Question
from core.domain.run import CallRecord, Run, RunKind, RunStatus, Step
from core.domain.tool import CallState, Failed, Preview, Risk

_STAGES: Final = {
    RunStatus.PENDING: Stage.WORKING,
    RunStatus.RUNNING: Stage.WORKING,
    RunStatus.AWAITING_APPROVAL: Stage.WAITING,
    RunStatus.COMPLETED: Stage.DONE,
    RunStatus.FAILED: Stage.STOPPED,
    RunStatus.CANCELLED: Stage.STOPPED,
    RunStatus.BUDGET_EXCEEDED: Stage.STOPPED,
}
_MARKS: Final = {
    CallState.REQUESTED: Mark.DOING,
    CallState.PENDING_APPROVAL: Mark.WAITING,
    CallState.RUNNING: Mark.DOING,
    CallState.SUCCEEDED: Mark.DONE,
    CallState.FAILED: Mark.FAILED,
    CallState.DENIED: Mark.REFUSED,
    CallState.EXPIRED: Mark.REFUSED,
    CallState.UNKNOWN: Mark.WAITING,
    CallState.CANCELLED: Mark.FAILED,
}


def run_view(
    run: Run, *, asked: Sequence[Approval] = (), heard: str = "", sources: Sequence[Source] = ()
) -> RunView:
    """Return what a run's asker sees; ``heard`` is text as it comes, of a step not answered yet."""
    calls = list(_calls(run.steps))
    stage = _STAGES[run.status]
    return RunView(
        run_id=run.id,
        task=run.task,
        stage=stage,
        lines=tuple(_line(record) for record in calls),
        text=_text(run, heard=heard),
        needs=_needs(asked) if stage is Stage.WAITING else "",
        problem=run.error.message if run.error else "",
        cost_micros=run.cost_micros,
        budget_micros=run.agent.budget_micros,
        sources=tuple(sources) if stage is Stage.DONE else (),
        undoable=tuple(_undoable(calls)) if stage in {Stage.DONE, Stage.STOPPED} else (),
        asks_feedback=stage is Stage.DONE and run.kind is not RunKind.CALL,
    )


def approval_view(
    approval: Approval, *, run: Run, url: str | None, may_edit: bool, now: datetime
) -> ApprovalView:
    """Return what a question's card shows; ``url`` is where its page is."""
    state = approval.state_at(now)
    preview = Preview.of_json(approval.preview) if approval.preview else None
    is_permit = approval.question is Question.PERMIT
    may_stand = is_permit and approval.risk is not Risk.IRREVERSIBLE
    return ApprovalView(
        approval_id=approval.id,
        run_id=approval.run_id,
        call_id=approval.call_id,
        question=approval.question,
        state=state,
        tool=approval.tool,
        risk=approval.risk,
        requester=approval.requester.email,
        summary=preview.summary if preview else in_words(approval.tool),
        target=preview.target if preview else "",
        changes=preview.changes if preview else (),
        reversible=preview.reversible if preview else False,
        why=_why(run, approval=approval),
        reason=approval.reason,
        approvers=approval.approvers.in_words(),
        needed=approval.approvers.needed,
        voices=tuple(
            Voice(by=one.principal.email, answer=one.answer, at=one.decided_at, reason=one.reason)
            for one in approval.voices
        ),
        digest=approval.digest,
        cost_micros=_cost(run, approval=approval),
        expires_at=approval.expires_at,
        url=url,
        scopes=(GrantScope.ONCE, GrantScope.RUN) if may_stand else (GrantScope.ONCE,),
        may_edit=may_edit and is_permit and state is ApprovalState.PENDING,
        reminded=approval.reminded,
        escalated_to=(approval.escalated_to or "the admins") if approval.escalated_at else "",
        edited_by=approval.edited.by if approval.edited else "",
        closed_at=approval.closed_at,
    )


def in_words(tool: str) -> str:
    """Return a tool's name as a person would write it: ``delete task``."""
    return tool.replace("__", ": ").replace("_", " ").strip()


def _calls(steps: Sequence[Step]) -> Iterator[CallRecord]:
    for step in steps:
        yield from step.calls


def _line(record: CallRecord) -> Line:
    preview = Preview.of_json(record.preview) if record.preview else None
    title = preview.summary if preview else in_words(record.call.tool).capitalize()
    detail = record.result.message if isinstance(record.result, Failed) else ""
    return Line(id=str(record.call.id), title=title, mark=_MARKS[record.state], detail=detail)


def _text(run: Run, *, heard: str) -> str:
    """Return the answer where there is one, else what the agent said last.

    A call that somebody made by themselves has none: nobody said anything, and its lines tell.
    """
    if run.kind is RunKind.CALL:
        return ""
    if run.result is not None:
        return run.result
    said = [step.answer.text for step in run.steps if step.answer and step.answer.text]
    return heard or (said[-1] if said else "")


def _needs(asked: Sequence[Approval]) -> str:
    waiting = [one for one in asked if one.state is ApprovalState.PENDING]
    whom = sorted({one.approvers.in_words() for one in waiting})
    if not whom:
        return ""
    what = "a yes" if len(waiting) == 1 else f"{len(waiting)} answers"
    if all(one.question is Question.OUTCOME for one in waiting):
        what = "word on what became of a call"
    return f"{what} from {' and '.join(whom)}"


def _undoable(calls: Sequence[CallRecord]) -> Iterator[Undoable]:
    for record in calls:
        open_still = record.state is CallState.SUCCEEDED and record.undone_by is None
        if open_still and record.inverse is not None:
            preview = Preview.of_json(record.preview) if record.preview else None
            yield Undoable(
                call_id=record.call.id,
                summary=f"Take back: {preview.summary if preview else in_words(record.call.tool)}",
            )


def _why(run: Run, *, approval: Approval) -> str:
    """Return what the agent said when it asked for the call."""
    for step in run.steps:
        if any(record.call.id == approval.call_id for record in step.calls):
            return step.answer.text if step.answer else ""
    return ""


def _cost(run: Run, *, approval: Approval) -> int:
    for record in _calls(run.steps):
        if record.call.id == approval.call_id:
            return record.cost_micros
    return 0


def settled_by(approval: ApprovalView) -> Voice | None:
    """Return whose answer closed a question; None where time or another answer did."""
    if approval.is_open or not approval.voices:
        return None
    closing = {ApprovalState.DENIED: {Answer.DENY}}.get(approval.state)
    voices = [one for one in approval.voices if closing is None or one.answer in closing]
    return voices[-1] if voices else None

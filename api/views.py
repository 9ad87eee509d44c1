"""The core's nouns as this API shows them."""

from api.approval_models import ApprovalView, ApproversView, DecisionView, EditView
from api.models import (
    CallStatus,
    Fault,
    FeedbackView,
    RunView,
    SourceView,
    StepCall,
    StepView,
    ToolView,
)
from core.app import CallView
from core.domain.approval import Approval, Edit
from core.domain.run import CallRecord, Run, Step
from core.domain.tool import CallState, Failed, Succeeded, Tool, ToolResult
from core.domain.verdict import Approvers
from core.runs.sources import sources_of


def status_of(state: CallState) -> str:
    """Return how a call's state is named outside: one that is due is running."""
    return (CallState.RUNNING if state is CallState.REQUESTED else state).value


def call_status(view: CallView) -> CallStatus:
    """Return a call with the keys that apply to it, and no others."""
    record = view.record
    known: dict[str, object] = {"call_id": record.call.id, "status": status_of(record.state)}
    if record.call.run_id is not None:
        known["run_id"] = record.call.run_id
    if view.approval_id is not None:
        known["approval_id"] = view.approval_id
    match record.result:
        case Succeeded() as done:
            known["result"] = dict(done.output)
        case Failed() as failed:
            known["error"] = Fault(code=failed.code, message=failed.message)
        case None:
            pass
    return CallStatus.model_validate(known)


def tool_view(tool: Tool) -> ToolView:
    """Return a tool."""
    return ToolView(
        name=tool.name,
        pack=tool.pack,
        version=tool.version,
        description=tool.description,
        input_schema=dict(tool.input_schema),
        output_schema=dict(tool.output_schema),
        risk=tool.risk,
        reversible=tool.reversible,
        cost_micros=tool.cost_micros,
    )


def run_view(run: Run) -> RunView:
    """Return a run with the steps that it was read with."""
    return RunView(
        id=run.id,
        tenant=run.tenant_id,
        requester=run.requester.email,
        actor=run.actor or run.requester.email,
        agent=run.agent.agent,
        agent_version=run.agent.version,
        task=run.task,
        status=run.status,
        result=run.result,
        error=Fault(code=run.error.code, message=run.error.message) if run.error else None,
        cost_micros=run.cost_micros,
        budget_micros=run.agent.budget_micros,
        steps=[_step(step) for step in run.steps],
        sources=[SourceView(id=one.id, title=one.title) for one in sources_of(run)],
        feedback=[
            FeedbackView(
                by=one.principal.email, good=one.good, reason=one.reason, given_at=one.given_at
            )
            for one in run.feedback
        ],
        created_at=run.created_at,
        started_at=run.started_at,
        completed_at=run.completed_at,
    )


def edit_view(edit: Edit) -> EditView:
    """Return what a call would be with other arguments."""
    return EditView(
        arguments=dict(edit.arguments),
        preview=dict(edit.preview),
        digest=edit.digest,
        reason=edit.reason,
        approvers=_approvers(edit.approvers),
    )


def approval_view(approval: Approval) -> ApprovalView:
    """Return a question with its answers."""
    edited = approval.edited
    return ApprovalView(
        id=approval.id,
        run_id=approval.run_id,
        call_id=approval.call_id,
        question=approval.question,
        tool=approval.tool,
        tool_version=approval.tool_version,
        risk=approval.risk,
        arguments=dict(approval.arguments),
        edited_by=edited.by if edited else None,
        original_arguments=dict(edited.before) if edited else None,
        preview=dict(approval.preview),
        digest=approval.digest,
        reason=approval.reason,
        requester=approval.requester.email,
        approvers=_approvers(approval.approvers),
        needed=approval.approvers.needed,
        state=approval.state,
        created_at=approval.created_at,
        expires_at=approval.expires_at,
        closed_at=approval.closed_at,
        reminded=approval.reminded,
        escalated_at=approval.escalated_at,
        escalated_to=(approval.escalated_to or "admins") if approval.escalated_at else None,
        decisions=[
            DecisionView(
                by=one.principal.email,
                decision=one.answer,
                scope=one.scope,
                reason=one.reason,
                digest=one.digest,
                in_place_of=one.in_place_of.email if one.in_place_of else None,
                via=one.via,
                decided_at=one.decided_at,
            )
            for one in approval.decisions
        ],
    )


def _approvers(approvers: Approvers) -> ApproversView:
    return ApproversView(
        role=approvers.role,
        needed=approvers.needed,
        groups=sorted(approvers.groups),
        people=sorted(approvers.people),
        allow_requester=approvers.allow_requester,
    )


def _step(step: Step) -> StepView:
    answer = step.answer
    return StepView(
        number=step.number,
        text=answer.text if answer else None,
        thinking=answer.thinking if answer else None,
        provider=answer.provider if answer else None,
        model=answer.model if answer else None,
        input_tokens=answer.usage.input_tokens if answer else 0,
        output_tokens=answer.usage.output_tokens if answer else 0,
        cost_micros=answer.cost_micros if answer else 0,
        duration_ms=answer.duration_ms if answer else 0,
        calls=[_call(record) for record in step.calls],
    )


def _call(record: CallRecord) -> StepCall:
    result: ToolResult | None = record.result
    failed = result if isinstance(result, Failed) else None
    edited = record.call.edited
    return StepCall(
        call_id=record.call.id,
        tool=record.call.tool,
        arguments=dict(record.call.arguments),
        edited_by=edited.by if edited else None,
        original_arguments=dict(edited.before) if edited else None,
        status=status_of(record.state),
        result=dict(result.output) if isinstance(result, Succeeded) else None,
        error=Fault(code=failed.code, message=failed.message) if failed else None,
        cost_micros=record.cost_micros,
        duration_ms=record.duration_ms,
    )

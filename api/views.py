"""The core's nouns as this API shows them."""

from api.models import (
    ApprovalView,
    ApproversView,
    CallStatus,
    DecisionView,
    Fault,
    RunView,
    StepCall,
    StepView,
    ToolView,
)
from core.app import CallView
from core.domain.approval import Approval
from core.domain.run import CallRecord, Run, Step
from core.domain.tool import CallState, Failed, Succeeded, Tool, ToolResult


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
        created_at=run.created_at,
        started_at=run.started_at,
        completed_at=run.completed_at,
    )


def approval_view(approval: Approval) -> ApprovalView:
    """Return a question with its answers."""
    approvers = approval.approvers
    return ApprovalView(
        id=approval.id,
        run_id=approval.run_id,
        call_id=approval.call_id,
        question=approval.question,
        tool=approval.tool,
        tool_version=approval.tool_version,
        risk=approval.risk,
        arguments=dict(approval.arguments),
        preview=dict(approval.preview),
        digest=approval.digest,
        reason=approval.reason,
        requester=approval.requester.email,
        approvers=ApproversView(
            role=approvers.role,
            needed=approvers.needed,
            groups=sorted(approvers.groups),
            people=sorted(approvers.people),
            allow_requester=approvers.allow_requester,
        ),
        needed=approvers.needed,
        state=approval.state,
        created_at=approval.created_at,
        expires_at=approval.expires_at,
        closed_at=approval.closed_at,
        decisions=[
            DecisionView(
                by=one.principal.email,
                decision=one.answer,
                scope=one.scope,
                reason=one.reason,
                via=one.via,
                decided_at=one.decided_at,
            )
            for one in approval.decisions
        ],
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
    return StepCall(
        call_id=record.call.id,
        tool=record.call.tool,
        arguments=dict(record.call.arguments),
        status=status_of(record.state),
        result=dict(result.output) if isinstance(result, Succeeded) else None,
        error=Fault(code=failed.code, message=failed.message) if failed else None,
        cost_micros=record.cost_micros,
        duration_ms=record.duration_ms,
    )

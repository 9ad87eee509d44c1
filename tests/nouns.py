"""Nouns for tests of the pure parts: each with one line, and whatever a test cares about."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from core.domain.approval import (
    Answer,
    Approval,
    ApprovalState,
    Decision,
    Grant,
    GrantScope,
    Question,
)
from core.domain.canonical import JsonObject
from core.domain.ids import (
    ApprovalId,
    CallId,
    GrantId,
    PrincipalId,
    RunId,
    TenantId,
    call_id_of,
)
from core.domain.model import ModelAnswer, Price, StopReason, TokenUsage, ToolUse
from core.domain.principal import Principal, Role
from core.domain.run import AgentVersion, CallRecord, Run, RunKind, RunStatus, Step
from core.domain.tool import CallState, Risk, Succeeded, Tool, ToolCall, ToolResult
from core.domain.verdict import Approvers

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TENANT = TenantId(UUID(int=1))
PRICE = Price(
    model="scripted",
    since="2026-01-01",
    input=Decimal(3),
    output=Decimal(15),
    cache_read=Decimal("0.3"),
    cache_write=Decimal("3.75"),
)
AGENT = AgentVersion(agent="default", version=1, model="scripted", system="Be careful.")


def a_person(
    number: int = 1, *roles: Role, groups: Sequence[str] = (), tenant: TenantId = TENANT
) -> Principal:
    """Return the person of that number; the same number is the same person."""
    return Principal(
        id=PrincipalId(UUID(int=number)),
        tenant_id=tenant,
        email=f"person{number}@acme.test",
        roles=frozenset(roles or (Role.MEMBER,)),
        groups=frozenset(groups),
    )


# Any: whatever a test cares about, by the field's name.
def a_tool(name: str = "delete_task", **fields: Any) -> Tool:  # noqa: ANN401 - as above
    """Return a destructive tool, but for ``fields``."""
    tool = Tool(
        name=name,
        pack="tasks",
        version=1,
        description="Do it.",
        input_schema={"type": "object"},
        output_schema={"type": "object"},
        risk=Risk.DESTRUCTIVE,
        approver=Role.APPROVER,
        needed=1,
        idempotent=True,
        reversible=True,
        cost_micros=0,
        timeout_seconds=30.0,
        per_minute=None,
        definition_digest="d1",
    )
    return replace(tool, **fields)


def a_request(arguments: JsonObject, *, step: int = 1, index: int = 0, tool: str = "t") -> ToolCall:
    """Return a run's call, as the loop makes it."""
    run_id = RunId(UUID(int=7))
    return ToolCall(
        id=call_id_of(run_id, step=step, index=index),
        tenant_id=TENANT,
        requester=a_person(),
        tool=tool,
        arguments=arguments,
        run_id=run_id,
        step=step,
        index=index,
        handle=f"call_{step}_{index}",
    )


def a_step(
    number: int,
    *results: ToolResult,
    text: str = "I look.",
    tool: str = "look",
    arguments: JsonObject | None = None,
) -> Step:
    """Return a step whose calls came to ``results``."""
    calls = tuple(
        CallRecord(
            call=a_request(arguments or {}, step=number, index=index, tool=tool),
            state=CallState.SUCCEEDED if isinstance(result, Succeeded) else CallState.FAILED,
            result=result,
        )
        for index, result in enumerate(results)
    )
    uses = tuple(
        ToolUse(handle=one.call.handle, name=one.call.tool, arguments=one.call.arguments)
        for one in calls
    )
    return Step(number=number, answer=an_answer(text, *uses), calls=calls)


def an_answer(text: str = "Done.", *calls: ToolUse, stop: StopReason | None = None) -> ModelAnswer:
    """Return a model's answer that cost a micro-dollar."""
    return ModelAnswer(
        provider="scripted",
        model="scripted",
        text=text,
        thinking="",
        calls=calls,
        stop=stop or (StopReason.CALLS if calls else StopReason.DONE),
        usage=TokenUsage(input_tokens=1, output_tokens=1),
        price=PRICE,
        cost_micros=1,
        duration_ms=1,
    )


def a_run(
    task: str = "Tidy up.", *, agent: AgentVersion = AGENT, steps: Sequence[Step] = ()
) -> Run:
    """Return a run under way."""
    return Run(
        id=RunId(UUID(int=7)),
        tenant_id=TENANT,
        requester=a_person(),
        kind=RunKind.AGENT,
        agent=agent,
        task=task,
        status=RunStatus.RUNNING,
        segment=1,
        lease=1,
        cost_micros=0,
        active_ms=0,
        created_at=NOON,
        steps=tuple(steps),
    )


# Any: as in a_tool.
def an_approval(
    *decisions: Decision,
    **fields: Any,  # noqa: ANN401 - as above
) -> Approval:
    """Return a question by person 1 to any approver, answered by ``decisions``."""
    approval = Approval(
        id=ApprovalId(UUID(int=50)),
        tenant_id=TENANT,
        run_id=RunId(UUID(int=7)),
        call_id=CallId(UUID(int=8)),
        question=Question.PERMIT,
        tool="delete_task",
        tool_version=1,
        risk=Risk.DESTRUCTIVE,
        arguments={},
        preview={},
        digest="what was shown",
        reason="",
        requester=a_person(),
        approvers=Approvers(role=Role.APPROVER),
        state=ApprovalState.PENDING,
        expires_at=NOON + timedelta(days=7),
        created_at=NOON,
        decisions=decisions,
    )
    return replace(approval, **fields)


def a_decision(
    person: Principal,
    answer: Answer = Answer.APPROVE,
    *,
    scope: GrantScope = GrantScope.ONCE,
    digest: str = "what was shown",
) -> Decision:
    """Return somebody's answer."""
    return Decision(
        approval_id=ApprovalId(UUID(int=50)),
        principal=person,
        answer=answer,
        scope=scope,
        reason="",
        digest=digest,
        via="api",
        decided_at=NOON,
    )


# Any: as in a_tool.
def a_grant(**fields: Any) -> Grant:  # noqa: ANN401 - as above
    """Return a run's grant by person 2, but for ``fields``."""
    grant = Grant(
        id=GrantId(uuid4()),
        tenant_id=TENANT,
        requester_id=PrincipalId(UUID(int=1)),
        run_id=RunId(UUID(int=7)),
        tool="delete_task",
        tool_version=1,
        pattern={},
        granted_by=(a_person(2, Role.APPROVER),),
        approvers=Approvers(role=Role.APPROVER),
        expires_at=NOON + timedelta(days=1),
        uses_left=None,
    )
    return replace(grant, **fields)

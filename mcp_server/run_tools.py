"""Runs over MCP: give the company's own agent a task, and look at how it is getting on."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from mcp import types
from pydantic import Field

from core.app import App
from core.domain.canonical import Json
from core.domain.ids import ApprovalId, RunId
from core.domain.principal import Caller
from core.domain.run import Run, RunStatus, Step
from core.domain.tool import CallState, Failed
from core.tools.authoring import Arguments, Output
from mcp_server.answers import answer
from mcp_server.own_tools import OwnTool
from mcp_server.peer import Answer, Peer
from mcp_server.run_views import status_of
from mcp_server.tasks import created, task_of_run

_LONGEST_SAID: Final = 1000
_STATUSES = tuple(status.value for status in RunStatus)


class NewRun(Arguments):
    """What the agent is to do."""

    task: str = Field(
        min_length=1, max_length=50_000, description="The task, in the person's own words."
    )
    request_key: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Any text of your own: the same one starts the run only once.",
    )


class RunStarted(Output):
    """A run that was started."""

    run_id: UUID
    status: str = Field(json_schema_extra={"enum": list(_STATUSES)})
    message: str


class WhichRun(Arguments):
    """One run."""

    run_id: UUID = Field(description="run_id that start_run or a pending result gave.")


class RunError(Output):
    """Why a run stopped short."""

    code: str
    message: str


class CallSoFar(Output):
    """A call of a run, and how it stands."""

    call_id: UUID
    tool: str
    status: str
    message: str | None = Field(None, description="Why it failed or was refused.")


class StepSoFar(Output):
    """One turn of the agent: what it said, shortened, and the tools that it asked for."""

    number: int
    said: str
    calls: list[CallSoFar]


class WaitingFor(Output):
    """A question that people have to answer before the run goes on."""

    approval_id: UUID
    tool: str
    summary: str
    approvers: str
    expires_at: datetime


class RunView(Output):
    """How a run is getting on; ``approvals`` are those that it waits for, without more words."""

    run_id: UUID
    status: str = Field(json_schema_extra={"enum": list(_STATUSES)})
    task: str
    result: str | None
    error: RunError | None
    approvals: list[UUID]
    waiting_for: list[WaitingFor]
    steps: list[StepSoFar]
    cost_micros: int
    budget_micros: int
    created_at: datetime
    completed_at: datetime | None


class RunTools:
    """``start_run`` and ``run_status``."""

    def __init__(self, app: App) -> None:
        """Take the core."""
        self._app = app

    def tools(self) -> tuple[OwnTool[Any], ...]:  # Any: each takes arguments of its own
        """Return the tools."""
        return (
            OwnTool(
                name="start_run",
                description=(
                    "Give the company's own agent a task, for the person, within their budget.\n\n"
                    "Returns the run_id at once; ask run_status how it is getting on. Use it for a"
                    " task of several steps; for a single step call the tool itself."
                ),
                scope="runs:start",
                takes=NewRun,
                gives=RunStarted,
                gives_later=RunView,
                body=self._start,
                is_read_only=False,
            ),
            OwnTool(
                name="run_status",
                description=(
                    "Look at how a run is getting on.\n\n"
                    "Returns its status, the steps so far, what it has cost, whom it waits for"
                    " while it is awaiting_approval, and the result once it is completed. It"
                    " changes nothing, so ask again later until the run has ended. The whole run,"
                    " with arguments and results, is the resource sallyport://runs/{run_id}."
                ),
                scope="runs:read",
                takes=WhichRun,
                gives=RunView,
                body=self._status,
            ),
        )

    async def _start(self, caller: Caller, new: NewRun, peer: Peer) -> Answer:
        run_id = await self._app.start_run(caller, task=new.task, client_key=new.request_key)
        if peer.takes_tasks and "runs:read" in caller.scopes:
            return created(task_of_run(await self._app.run(caller, run_id=run_id)))
        return answer(
            {
                "run_id": str(run_id),
                "status": RunStatus.PENDING.value,
                "message": "Started. Ask run_status with this run_id.",
            }
        )

    async def _status(self, caller: Caller, which: WhichRun, _peer: Peer) -> types.CallToolResult:
        run = await self._app.run(caller, run_id=RunId(which.run_id))
        return await self.result_of(caller, run)

    async def result_of(self, caller: Caller, run: Run) -> types.CallToolResult:
        """Return how a run stands, as ``run_status`` tells it."""
        error: Json = None
        if run.error is not None:
            error = {"code": run.error.code, "message": run.error.message}
        approvals = await self._waited_for(caller, run)
        return answer(
            {
                "run_id": str(run.id),
                "status": run.status.value,
                "task": run.task,
                "result": run.result,
                "error": error,
                "approvals": [str(approval_id) for approval_id in approvals],
                "waiting_for": await self._questions(caller, approvals),
                "steps": [_so_far(step) for step in run.steps],
                "cost_micros": run.cost_micros,
                "budget_micros": run.agent.budget_micros,
                "created_at": run.created_at.isoformat(),
                "completed_at": run.completed_at.isoformat() if run.completed_at else None,
            }
        )

    async def _questions(
        self, caller: Caller, approvals: Sequence[ApprovalId]
    ) -> list[dict[str, Json]]:
        if "approvals:read" not in caller.scopes:
            return []
        found = [
            await self._app.approval(caller, approval_id=approval_id) for approval_id in approvals
        ]
        return [
            {
                "approval_id": str(one.id),
                "tool": one.tool,
                "summary": str(one.preview.get("summary") or one.tool),
                "approvers": one.approvers.in_words(),
                "expires_at": one.expires_at.isoformat(),
            }
            for one in found
        ]

    async def _waited_for(self, caller: Caller, run: Run) -> list[ApprovalId]:
        if "tools:call" not in caller.scopes:
            return []
        waiting = {CallState.PENDING_APPROVAL, CallState.UNKNOWN}
        records = [record for step in run.steps for record in step.calls]
        views = [
            await self._app.call(caller, call_id=record.call.id)
            for record in records
            if record.state in waiting
        ]
        return [view.approval_id for view in views if view.approval_id is not None]


def _so_far(step: Step) -> dict[str, Json]:
    said = step.answer.text if step.answer else ""
    return {
        "number": step.number,
        "said": said if len(said) <= _LONGEST_SAID else f"{said[:_LONGEST_SAID]}…",
        "calls": [
            {
                "call_id": str(record.call.id),
                "tool": record.call.tool,
                "status": status_of(record.state),
            }
            | ({"message": record.result.message} if isinstance(record.result, Failed) else {})
            for record in step.calls
        ],
    }

"""Calls and runs as tasks of the extension ``io.modelcontextprotocol/tasks``: handles that last.

A task is no row of its own: its id is the call's or the run's, and how it stands is how they stand.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from mcp import MCPError, types
from mcp.server import Server
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp_types import HEADER_MISMATCH
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field

from core.app import App, CallView
from core.domain.canonical import Json
from core.domain.ids import CallId, RunId
from core.domain.principal import Caller
from core.domain.run import Run, RunKind, RunStatus
from core.domain.tool import CallState
from core.errors import Conflict, Forbidden, NotFound
from mcp_server.answers import call_answer, pending_content
from mcp_server.peer import TASKS, missing_tasks, takes_tasks
from mcp_server.requests import Context, Identify, guarded

_KEPT_MS: Final = 30 * 24 * 3600 * 1000
"""Approvals are answered within seven days or expire; what came of a call is there for longer."""
_LOOK_MS: Final = 1_000
_LOOK_FOR_PEOPLE_MS: Final = 5_000

Task = dict[str, Json]
"""A task on the wire, with its result where it has one."""
ResultOfRun = Callable[[Caller, Run], Awaitable[types.CallToolResult]]
"""Says what came of a run, as the tool that started it would."""


class WhichTask(types.RequestParams):
    """One task."""

    task_id: str = Field(alias="taskId", max_length=100)


class TaskAnswers(WhichTask):
    """Answers to what a task asked for; where it stands is the database's to say."""

    input_responses: dict[str, Any] = Field(alias="inputResponses")  # Any: looked at by nobody


def task_of_call(view: CallView, *, message: str | None = None) -> Task:
    """Return a call as a task; ``message`` says what it waits for, where more is known than here.

    A refusal, a denial and a failure are results too (``isError``), as the extension has it.
    """
    record = view.record
    moments = (record.created_at, record.started_at, record.settled_at)
    task = _task(str(record.call.id), *moments)
    if record.state is CallState.CANCELLED:
        return task | {"status": "cancelled"}
    if record.state.is_settled:
        return task | {"status": "completed", "result": _plain(call_answer(view))}
    told = message or str(pending_content(view)["message"])
    pace = _LOOK_MS if view.approval_id is None else _LOOK_FOR_PEOPLE_MS
    return task | {"status": "working", "statusMessage": told, "pollIntervalMs": pace}


def task_of_run(run: Run, *, result: types.CallToolResult | None = None) -> Task:
    """Return a run as a task; ``result`` is what came of it, needed only once it has ended."""
    task = _task(str(run.id), run.created_at, run.started_at, run.completed_at)
    if run.status is RunStatus.CANCELLED:
        return task | {"status": "cancelled"}
    if run.status.is_final and result is not None:
        return task | {"status": "completed", "result": _plain(result)}
    waits = run.status is RunStatus.AWAITING_APPROVAL
    doing = "It waits for people to decide" if waits else "The agent is at work"
    told = f"{doing}; steps so far: {len(run.steps)}."
    pace = _LOOK_FOR_PEOPLE_MS if waits else _LOOK_MS
    return task | {"status": "working", "statusMessage": told, "pollIntervalMs": pace}


def created(task: Task) -> Task:
    """Return the task in place of a result. Only for a client whose request takes tasks."""
    return {"resultType": "task", **_handle(task)}


class TaskMethods:
    """``tasks/get``, ``tasks/update`` and ``tasks/cancel``, for the person whose call it is."""

    def __init__(self, app: App, *, identify: Identify, result_of_run: ResultOfRun) -> None:
        """Take the core, who asks, and who says what came of a run."""
        self._app = app
        self._identify = identify
        self._result_of_run = result_of_run

    def serve(self, server: Server[Any]) -> None:  # Any: there is no lifespan state
        """Have ``server`` answer the three methods, and say so."""
        server.extensions[TASKS] = {}
        server.add_request_handler("tasks/get", WhichTask, self._get)
        server.add_request_handler("tasks/update", TaskAnswers, self._update)
        server.add_request_handler("tasks/cancel", WhichTask, self._cancel)

    async def _get(self, context: Context, which: WhichTask) -> Task:
        _admit(context, which)
        return await guarded(self._shown(self._identify(context), which))

    async def _update(self, context: Context, which: TaskAnswers) -> Task:
        """Take note of nothing: what a client says of a page that it opened decides nothing."""
        _admit(context, which)
        await guarded(self._found(self._identify(context), which))
        return {}

    async def _cancel(self, context: Context, which: WhichTask) -> Task:
        _admit(context, which)
        await guarded(self._cancelled(self._identify(context), which))
        return {}

    async def _shown(self, caller: Caller, which: WhichTask) -> Task:
        found = await self._found(caller, which)
        if isinstance(found, CallView):
            return task_of_call(found)
        result = await self._result_of_run(caller, found) if found.status.is_final else None
        return task_of_run(found, result=result)

    async def _cancelled(self, caller: Caller, which: WhichTask) -> None:
        found = await self._found(caller, which)
        run_id = found.record.call.run_id if isinstance(found, CallView) else found.id
        if run_id is None:
            return
        # What has ended cannot be cancelled; that it was wished for is acknowledged all the same.
        with suppress(Conflict):
            await self._app.cancel(caller, run_id=run_id)

    async def _found(self, caller: Caller, which: WhichTask) -> CallView | Run:
        """Return the caller's own call or run of that id: an admin's are no more than anybody's.

        Raises:
            MCPError: there is none.
        """
        unknown = MCPError(types.INVALID_PARAMS, "There is no such task.")
        try:
            told = UUID(which.task_id)
        except ValueError:
            raise unknown from None
        with suppress(NotFound, Forbidden):
            view = await self._app.call(caller, call_id=CallId(told))
            if view.record.call.requester.id == caller.principal.id:
                return view
        with suppress(NotFound, Forbidden):
            run = await self._app.run(caller, run_id=RunId(told))
            if run.requester.id == caller.principal.id and run.kind is RunKind.AGENT:
                return run
        raise unknown


def _admit(context: Context, which: WhichTask) -> None:
    """Refuse who does not declare the extension, and a header that names another task.

    Raises:
        MCPError: -32601 in the handshake era, -32021, -32020.
    """
    if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        raise MCPError(types.METHOD_NOT_FOUND, "Method not found", data=context.method)
    if not takes_tasks(context):
        raise missing_tasks()
    request = context.request
    if request is None:
        return
    if decode_header_value(request.headers.get(MCP_NAME_HEADER)) != which.task_id:
        message = f"{MCP_NAME_HEADER} header does not match the request body's 'taskId' parameter"
        raise MCPError(HEADER_MISMATCH, message)


def _task(task_id: str, *moments: datetime | None) -> Task:
    known = [moment.isoformat() for moment in moments if moment is not None]
    return {
        "taskId": task_id,
        "createdAt": known[0],
        "lastUpdatedAt": known[-1],
        "ttlMs": _KEPT_MS,
        "pollIntervalMs": _LOOK_MS,
    }


def _handle(task: Task) -> Task:
    return {key: value for key, value in task.items() if key != "result"}


def _plain(result: types.CallToolResult) -> dict[str, Json]:
    return result.model_dump(by_alias=True, mode="json", exclude_none=True)

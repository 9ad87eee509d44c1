"""The application with a mortal's parts: each port wrapped, so that a process can die around it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from core.app import App
from core.domain.approval import Approval
from core.domain.audit import AuditRecord
from core.domain.canonical import JsonObject
from core.domain.ids import ApprovalId, RunId, TenantId
from core.domain.journal import Entry, Happened
from core.domain.model import AssistantTurn, ModelAnswer, Prompt, UserText
from core.domain.permit import PermittedCall
from core.domain.run import CallRecord, Lease
from core.domain.tool import CallState, Preview, Tool, ToolCall, ToolResult
from core.ports import (
    Dispatcher,
    DrivenRun,
    Ending,
    Journal,
    LanguageModel,
    OnText,
    Runs,
    ToolBox,
    Written,
)
from core.store.approvals import LockedQuestion, StoredApprovals
from core.store.database import Database
from sallyport.assembly import Assembly
from sallyport.settings import Settings
from tests.scenarios.crash.diary import Diary
from tests.scenarios.crash.fate import Boundary, Fate


class MortalAssembly(Assembly):
    """The real parts, each behind a wrapper that knows this process's fate and keeps its diary."""

    def __init__(self, settings: Settings, *, url: str, fate: Fate, diary: Diary) -> None:
        self.fate = fate
        self.diary = diary
        super().__init__(settings, url=url)

    def build_approvals(self) -> StoredApprovals:
        return _MortalApprovals(self.database, fate=self.fate)

    def build_journal(self) -> Journal:
        return _MortalJournal(super().build_journal(), fate=self.fate)

    def build_runs(self) -> Runs:
        return _MortalRuns(super().build_runs(), fate=self.fate, diary=self.diary)

    def build_toolbox(self) -> ToolBox:
        return _MortalToolBox(super().build_toolbox(), fate=self.fate)

    def build_model(self) -> LanguageModel:
        return _MortalModel(super().build_model(), fate=self.fate, diary=self.diary)

    def build_app(self, dispatcher: Dispatcher) -> App:
        return super().build_app(_MortalDispatcher(dispatcher, fate=self.fate))


class _MortalApprovals(StoredApprovals):
    def __init__(self, database: Database, *, fate: Fate) -> None:
        super().__init__(database)
        self._fate = fate

    async def ask(
        self,
        approval: Approval,
        *,
        lease: Lease,
        verdict: JsonObject,
        event: Happened,
        audit: AuditRecord,
        withdraw: ApprovalId | None,
    ) -> None:
        with self._fate.around("ask", about=approval.tenant_id):
            await super().ask(
                approval, lease=lease, verdict=verdict, event=event, audit=audit, withdraw=withdraw
            )

    @asynccontextmanager
    async def closing(
        self, tenant_id: TenantId, *, approval_id: ApprovalId
    ) -> AsyncGenerator[LockedQuestion]:
        entered = super().closing(tenant_id, approval_id=approval_id)
        question = await entered.__aenter__()
        try:
            yield question
        except BaseException as error:
            await entered.__aexit__(type(error), error, error.__traceback__)
            raise
        # Everything is written and nothing is committed: "before" is the latest there is.
        with self._fate.around("decision", about=tenant_id):
            await entered.__aexit__(None, None, None)


class _MortalJournal:
    def __init__(self, journal: Journal, *, fate: Fate) -> None:
        self._journal = journal
        self._fate = fate

    async def write(self, lease: Lease, *, entry: Entry, epoch: int | None = None) -> Written:
        with self._fate.around(_kind_of(entry), about=lease.tenant_id):
            return await self._journal.write(lease, entry=entry, epoch=epoch)

    async def record_call(self, record: CallRecord, *, audit: AuditRecord, epoch: int) -> None:
        await self._journal.record_call(record, audit=audit, epoch=epoch)

    async def record(self, *records: AuditRecord) -> None:
        await self._journal.record(*records)


def _kind_of(entry: Entry) -> Boundary:
    if entry.answered is not None:
        return "answer"
    if not entry.calls:
        return "hold"
    states = {change.state for change in entry.calls}
    if CallState.UNKNOWN in states:
        return "unknown"
    if CallState.RUNNING in states:
        return "running"
    # Only what changes something is previewed; results of safe calls may come along.
    return "settle" if any(change.preview for change in entry.calls) else "results"


class _MortalRuns:
    def __init__(self, runs: Runs, *, fate: Fate, diary: Diary) -> None:
        self._runs = runs
        self._fate = fate
        self._diary = diary

    async def take(self, tenant_id: TenantId, *, run_id: RunId, segment: int) -> DrivenRun | None:
        with self._fate.around("take", about=tenant_id):
            driven = await self._runs.take(tenant_id, run_id=run_id, segment=segment)
            if driven is not None:
                self._diary.write("took", about=str(run_id), number=segment)
            return driven

    async def park(self, lease: Lease, *, active_ms: int) -> bool:
        with self._fate.around("park", about=lease.tenant_id):
            return await self._runs.park(lease, active_ms=active_ms)

    async def finish(self, lease: Lease, *, ending: Ending, entry: Entry) -> None:
        with self._fate.around("finish", about=lease.tenant_id):
            await self._runs.finish(lease, ending=ending, entry=entry)

    async def pulse(self, lease: Lease) -> bool:
        return await self._runs.pulse(lease)


class _MortalToolBox:
    def __init__(self, toolbox: ToolBox, *, fate: Fate) -> None:
        self._toolbox = toolbox
        self._fate = fate

    def tools(self) -> Sequence[Tool]:
        return self._toolbox.tools()

    def find(self, name: str) -> Tool | None:
        return self._toolbox.find(name)

    def checked_arguments(self, tool: Tool, arguments: JsonObject) -> JsonObject:
        return self._toolbox.checked_arguments(tool, arguments)

    async def preview(self, call: ToolCall) -> Preview | None:
        return await self._toolbox.preview(call)

    async def call(self, permitted: PermittedCall) -> ToolResult:
        boundary: Boundary = "effect" if permitted.tool.risk.has_effect else "read"
        with self._fate.around(boundary, about=permitted.call.tenant_id):
            return await self._toolbox.call(permitted)


class _MortalModel:
    """Notes each time it is asked, by the task's text: a prompt does not say whose it is.

    A crash test's tasks end in their tenant's id.
    """

    def __init__(self, model: LanguageModel, *, fate: Fate, diary: Diary) -> None:
        self._model = model
        self._fate = fate
        self._diary = diary

    async def answer(self, prompt: Prompt, *, on_text: OnText) -> ModelAnswer:
        task = next(one.text for one in prompt.messages if isinstance(one, UserText))
        step = 1 + sum(isinstance(one, AssistantTurn) for one in prompt.messages)
        with self._fate.around("model", about=task.split()[-1]):
            self._diary.write("asked", about=task, number=step)
            return await self._model.answer(prompt, on_text=on_text)

    def most_micros(self, prompt: Prompt) -> int:
        return self._model.most_micros(prompt)


class _MortalDispatcher:
    def __init__(self, dispatcher: Dispatcher, *, fate: Fate) -> None:
        self._dispatcher = dispatcher
        self._fate = fate

    async def enqueue(self, tenant_id: TenantId, *, run_id: RunId, segment: int) -> None:
        with self._fate.around("enqueue", about=tenant_id):
            await self._dispatcher.enqueue(tenant_id, run_id=run_id, segment=segment)

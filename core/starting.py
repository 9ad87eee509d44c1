"""Starting runs: of the agent with a task, or of one call with an effect."""

from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

from core.domain.audit import AuditRecord, audit_record
from core.domain.canonical import Json, JsonObject, storable
from core.domain.event import EventKind
from core.domain.ids import CallId, RunId, call_id_of
from core.domain.journal import Happened
from core.domain.principal import Caller
from core.domain.quoted import Quoted
from core.domain.run import AgentVersion, Conversation, Run, RunKind, RunStatus
from core.domain.tool import ToolCall
from core.errors import Conflict, NotFound, Refused
from core.governance.digest import request_digest
from core.governance.judgement import Judgement
from core.governance.spending import Spending
from core.ports import Clock, Dispatcher
from core.store.runs import Beginning, Started, StoredRuns


class Starter:
    """Writes a run down, queued, and has it driven."""

    def __init__(
        self,
        *,
        runs: StoredRuns,
        dispatcher: Dispatcher,
        spending: Spending,
        clock: Clock,
        agent: AgentVersion,
    ) -> None:
        """Take where runs are kept, who drives them, and the configuration of new ones."""
        self._runs = runs
        self._spending = spending
        self._dispatcher = dispatcher
        self._clock = clock
        self._agent = agent

    async def start(
        self,
        caller: Caller,
        *,
        task: str,
        agent: str | None,
        conversation: Conversation | None,
        client_key: str | None,
        context: tuple[Quoted, ...] = (),
    ) -> Started:
        """Start a run of the agent; the same ``client_key`` of the same caller starts it once.

        Raises:
            NotFound: ``not_found``: no agent is named ``agent``.
        """
        if agent not in {None, self._agent.agent}:
            raise NotFound("not_found", noun="agent")
        run = self._new_run(caller, kind=RunKind.AGENT, task=task)
        content: JsonObject = {"task": task, "quoted": len(context)}
        return await self._begin(
            Beginning(
                run=replace(run, conversation=conversation, context=tuple(map(_storable, context))),
                scopes=caller.scopes,
                client_key=client_key,
                events=(_started(run),),
                audit=self._audit_start(caller, run=run, content=content),
            )
        )

    async def start_call(
        self,
        caller: Caller,
        *,
        judgement: Judgement,
        client_key: str | None = None,
        undoes: CallId | None = None,
    ) -> Started:
        """Start a run of one call that was let in; the same call joins the one still open.

        One that joins costs a token for a few calls nothing.

        Raises:
            Conflict: ``undone_already``.
        """
        summary = judgement.preview.summary if judgement.preview else judgement.tool.name
        run = self._new_run(caller, kind=RunKind.CALL, task=summary)
        call = replace(judgement.call, id=call_id_of(run.id, step=0, index=0), run_id=run.id)
        content: JsonObject = {
            "tool": call.tool,
            "input": call.arguments,
            "undoes": str(undoes) if undoes else None,
        }
        beginning = Beginning(
            run=run,
            scopes=caller.scopes,
            call=call,
            client_key=client_key,
            request_digest=request_digest(call, tool=judgement.tool, undoes=undoes),
            undoes=undoes,
            events=(_started(run),),
            audit=self._audit_start(caller, run=run, content=content),
        )
        async with self._spending.unless_refused(judgement):
            started = await self._begin(beginning)
        if started.joined:
            await self._spending.give_back(judgement)
        return started

    async def made_before(
        self, call: ToolCall, *, client_key: str | None, checked: Callable[[], ToolCall]
    ) -> CallId | None:
        """Return the call under this key: what it changed may make it impossible by now.

        A token for a few calls finds the same call again while it is open, even once it is spent.

        Raises:
            Conflict: ``key_reused``: the key was another request's.
        """
        if client_key is None:
            return await self._open(checked) if call.capability else None
        record = await self._runs.call_of_key(
            call.tenant_id, requester_id=call.requester.id, client_key=client_key
        )
        if record is None:
            return None
        if (record.call.tool, record.call.asked_for) != (call.tool, checked().arguments):
            raise Conflict("key_reused")
        return record.call.id

    async def _open(self, checked: Callable[[], ToolCall]) -> CallId | None:
        try:
            call = checked()
        except Refused:
            return None  # the door says so, and has it audited
        return await self._runs.open_call(call)

    async def _begin(self, beginning: Beginning) -> Started:
        try:
            started = await self._runs.begin(beginning)
        except Conflict as conflict:
            if conflict.code != "request_repeated":
                raise
            started = await self._runs.begin(beginning)  # the quicker twin is there to join now
        await self._dispatcher.enqueue(
            beginning.run.tenant_id, run_id=started.run_id, segment=started.segment
        )
        return started

    def _new_run(self, caller: Caller, *, kind: RunKind, task: str) -> Run:
        return Run(
            id=RunId(uuid4()),
            tenant_id=caller.tenant_id,
            requester=caller.principal,
            kind=kind,
            agent=self._agent,
            task=task,
            status=RunStatus.PENDING,
            segment=1,
            lease=0,
            cost_micros=0,
            active_ms=0,
            created_at=self._clock.now(),
            via=caller.via,
            actor=acting_in(caller),
        )

    def _audit_start(self, caller: Caller, *, run: Run, content: JsonObject) -> AuditRecord:
        return audit_record(
            run.tenant_id,
            at=self._clock.now(),
            action="run.started",
            actor=caller.actor,
            run_id=run.id,
            content={**content, "kind": run.kind.value, "via": caller.via},
        )


def _storable(quote: Quoted) -> Quoted:
    return replace(quote, by=storable(quote.by), text=storable(quote.text))


def acting_in(caller: Caller) -> str:
    """Return who acts with a delegated token; empty where the person does, or the operator."""
    return caller.actor if caller.actors else ""


def _started(run: Run) -> Happened:
    told: dict[str, Json] = {"task": run.task, "budget_micros": run.agent.budget_micros}
    return Happened(kind=EventKind.STARTED, data=told)


def direct_call(caller: Caller, *, tool: str, arguments: JsonObject) -> ToolCall:
    """Return a call straight from a front door, of no run yet."""
    return ToolCall(
        id=CallId(uuid4()),
        tenant_id=caller.tenant_id,
        requester=caller.principal,
        tool=tool,
        arguments=arguments,
        via=caller.via,
        actor=acting_in(caller),
        capability=caller.capability,
    )

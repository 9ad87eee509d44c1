"""All that a front door may ask for, in one screen; each answer is for one caller of one tenant."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime

from core.absences import Absences
from core.domain.approval import Approval
from core.domain.canonical import JsonObject, storable
from core.domain.event import RunEvent, TextChunk
from core.domain.ids import ApprovalId, CallId, RunId, call_id_of
from core.domain.principal import Caller, Role
from core.domain.quoted import MOST_CHARACTERS, MOST_QUOTES, Quoted, is_bounded
from core.domain.run import CallRecord, Conversation, Run
from core.domain.tool import CallState, Tool, ToolCall
from core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    RunStopped,
    StaleEpoch,
    Unavailable,
)
from core.following import followed
from core.governance.door import Door
from core.governance.judge import Judge
from core.governance.judgement import Judgement
from core.handbook import Handbook
from core.letters import Letters
from core.opinions import Opinions
from core.ports import Clock, People, Renew
from core.questions import Questions
from core.reports import Reports
from core.runs.stops import cause_of
from core.standings import Standings
from core.starting import Starter, direct_call
from core.store.events import StoredEvents
from core.store.runs import StoredRuns

_JUDGED_AGAIN = 5
_TASK_LENGTH = 50_000
_FIRST_LOOK_SECONDS = 0.005
_LAST_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class CallView:
    """A call as its requester sees it; ``approval_id`` where people are being asked about it."""

    record: CallRecord
    approval_id: ApprovalId | None = None


class App:
    """The core's one face. Every method takes the caller first and answers within their tenant."""

    def __init__(
        self,
        *,
        door: Door,
        judge: Judge,
        people: People,
        runs: StoredRuns,
        events: StoredEvents,
        questions: Questions,
        opinions: Opinions,
        starter: Starter,
        reports: Reports,
        handbook: Handbook,
        letters: Letters,
        absences: Absences,
        clock: Clock,
        renew: Renew,
    ) -> None:
        """Take the door, what is kept, and who starts runs; four parts answer for themselves."""
        self.reports = reports
        self.handbook = handbook
        self.letters = letters
        self.absences = absences
        self._door = door
        self._judge = judge
        self._runs = runs
        self._events = events
        self._questions = questions
        # What it says of questions, under this name.
        self.approvals = questions.page
        self.pending_for = questions.pending_for
        self.asked = questions.asked
        self.whom_to_ask = questions.whom_to_ask
        self.preview_edit = questions.preview_edit
        self.decide = questions.decide
        self._opinions = opinions
        self._starter = starter
        self._clock = clock
        self._renew = renew
        self._standings = Standings(people, renew=renew)

    async def tools(self, caller: Caller) -> tuple[Tool, ...]:
        """Return the tools that the caller may use, asking people or not, by name."""
        _need(caller, "tools:call")
        caller, standing = await self._standings.now(caller)
        offered = self._judge.offered(standing, scopes=caller.scopes, via=caller.via)
        return tuple(one for one in offered if caller.may_name(one.name))

    async def dry_run(self, caller: Caller, *, tool: str, arguments: JsonObject) -> Judgement:
        """Return verdict, reasons and preview of a call; nothing is done or recorded.

        Raises:
            Refused: unknown tool, bad arguments, targets that are not there.
        """
        _need(caller, "tools:call")
        caller, standing = await self._standings.now(caller)
        call = direct_call(caller, tool=tool, arguments=arguments)
        return await self._judge.judge(call, standing=standing, scopes=caller.scopes)

    async def call_tool(
        self,
        caller: Caller,
        *,
        tool: str,
        arguments: JsonObject,
        client_key: str | None = None,
        wait_seconds: float = 0.0,
    ) -> CallView:
        """Make one call: a safe one now, any other as a run of its own, driven by a worker.

        The same call by the same caller joins the one that is still open. ``wait_seconds`` is how
        long to wait for one that needs nobody; one that waits for people is returned at once.

        Raises:
            Refused: the door's reason; it is audited.
        """
        _need(caller, "tools:call")
        call = direct_call(caller, tool=tool, arguments=arguments)
        # What the tenant has beside the registered tools, only its standing tells.
        standing = None
        if not self._judge.is_registered(tool):
            caller, standing = await self._standings.now(caller)
        if not self._judge.has_effect(tool, standing=standing):
            return CallView(record=await self._answered(caller, call))
        caller = await self._now(caller, "tools:call")
        call = replace(call, requester=caller.principal)
        caller, standing = await self._standings.now(caller)
        made = await self._starter.made_before(
            call,
            client_key=client_key,
            checked=lambda: self._judge.checked(call, standing=standing),
        )
        if made is not None:
            return await self._settled(caller, call_id=made, wait_seconds=wait_seconds)
        judgement = await self._door.admit(call, standing=standing, scopes=caller.scopes)
        started = await self._starter.start_call(caller, judgement=judgement, client_key=client_key)
        call_id = call_id_of(started.run_id, step=0, index=0)
        return await self._settled(caller, call_id=call_id, wait_seconds=wait_seconds)

    async def undo(self, caller: Caller, *, call_id: CallId, wait_seconds: float = 0.0) -> CallView:
        """Take a call back, by its inverse, through the same door. Once only.

        Raises:
            NotFound: no such call of theirs.
            Conflict: ``nothing_to_undo``, ``undone_already``.
        """
        caller = await self._now(caller, "tools:call")
        record = (await self.call(caller, call_id=call_id)).record
        inverse = record.inverse
        if record.state is not CallState.SUCCEEDED:
            stands = record.state.value.replace("_", " ")
            raise Conflict("nothing_to_undo", detail=f"it is {stands}")
        if inverse is None:
            raise Conflict("nothing_to_undo", detail="it has no way back")
        if record.undone_by is not None:
            raise Conflict("undone_already")
        inverse_call = direct_call(
            replace(caller, via="undo"), tool=inverse.tool, arguments=inverse.arguments
        )
        caller, standing = await self._standings.now(caller)
        judgement = await self._door.admit(inverse_call, standing=standing, scopes=caller.scopes)
        started = await self._starter.start_call(caller, judgement=judgement, undoes=call_id)
        undoing = call_id_of(started.run_id, step=0, index=0)
        return await self._settled(caller, call_id=undoing, wait_seconds=wait_seconds)

    async def call(self, caller: Caller, *, call_id: CallId) -> CallView:
        """Return a call: the caller's own, or any that they may see the run of.

        Raises:
            NotFound: ``not_found``.
        """
        _need(caller, "tools:call")
        record = await self._runs.call(caller.tenant_id, call_id=call_id)
        if not caller.may_name(record.call.tool):
            raise NotFound("not_found", noun="call")
        mine = record.call.requester.id == caller.principal.id
        if not mine and not await self._questions.concerns_call(caller.principal, call_id=call_id):
            raise NotFound("not_found", noun="call")
        waiting = None
        if record.state in {CallState.PENDING_APPROVAL, CallState.UNKNOWN}:
            waiting = await self._questions.open_about(caller, call_id=call_id)
        return CallView(record=record, approval_id=waiting)

    async def start_run(
        self,
        caller: Caller,
        *,
        task: str,
        agent: str | None = None,
        conversation: Conversation | None = None,
        client_key: str | None = None,
        context: tuple[Quoted, ...] = (),
    ) -> RunId:
        """Start a run of the agent for the caller; the same ``client_key`` starts it once.

        ``context`` is what was said before, the oldest first: the model is shown it as quoted data.

        Raises:
            InvalidInput: ``invalid_task``: empty, or longer than 50,000 characters;
                ``invalid_context``: more than a run can be told.
            NotFound: ``not_found``: no such agent.
        """
        caller = await self._now(caller, "runs:start")
        if not task.strip() or len(task) > _TASK_LENGTH or storable(task) != task:
            raise InvalidInput("invalid_task", limit=_TASK_LENGTH)
        if not is_bounded(context):
            raise InvalidInput("invalid_context", quotes=MOST_QUOTES, limit=MOST_CHARACTERS)
        started = await self._starter.start(
            caller,
            task=task,
            agent=agent,
            conversation=conversation,
            client_key=client_key,
            context=context,
        )
        return started.run_id

    async def run(self, caller: Caller, *, run_id: RunId) -> Run:
        """Return a run with its steps: the caller's own, one routed to them, or any of an admin's.

        Raises:
            NotFound: ``not_found``.
        """
        _need(caller, "runs:read")
        run = await self._runs.get(caller.tenant_id, run_id=run_id)
        mine = run.requester.id == caller.principal.id
        if mine or Role.ADMIN in caller.principal.roles:
            return run
        if await self._questions.concerns_run(caller.principal, run_id=run_id):
            return run
        raise NotFound("not_found", noun="run")

    async def runs(
        self, caller: Caller, *, before: tuple[datetime, RunId] | None, limit: int
    ) -> tuple[Run, ...]:
        """Return the caller's runs (an admin's: the tenant's), newest first, without steps."""
        _need(caller, "runs:read")
        everyone = Role.ADMIN in caller.principal.roles
        return await self._runs.page(
            caller.tenant_id,
            requester_id=None if everyone else caller.principal.id,
            before=before,
            limit=limit,
        )

    async def runs_at(
        self, caller: Caller, *, conversation: Conversation, limit: int = 10
    ) -> tuple[Run, ...]:
        """Return what the caller (an admin: anybody) asked there, newest first, without steps."""
        _need(caller, "runs:read")
        everyone = Role.ADMIN in caller.principal.roles
        return await self._runs.of_conversation(
            caller.tenant_id,
            conversation=conversation,
            requester_id=None if everyone else caller.principal.id,
            limit=limit,
        )

    async def cancel(self, caller: Caller, *, run_id: RunId) -> None:
        """Cancel a run of the caller's own, or any of an admin's, for good.

        Raises:
            NotFound: ``not_found``.
            Conflict: ``run_ended``.
        """
        caller = await self._now(caller, "runs:start")
        run = await self.run(caller, run_id=run_id)
        if run.requester.id != caller.principal.id and Role.ADMIN not in caller.principal.roles:
            raise Forbidden("not_yours", noun="run")
        await self._runs.cancel(
            caller.tenant_id,
            run_id=run_id,
            actor=caller.actor,
            cause=cause_of(RunStopped("cancelled")),
        )

    async def events(self, caller: Caller, *, run_id: RunId, after: int) -> tuple[RunEvent, ...]:
        """Return what happened in a run behind event number ``after``.

        Raises:
            NotFound: ``not_found``.
        """
        await self.run(caller, run_id=run_id)
        return await self._events.after(caller.tenant_id, run_id=run_id, seq=after)

    async def follow(
        self, caller: Caller, *, run_id: RunId, after: int = 0, poll_seconds: float = 0.1
    ) -> AsyncGenerator[RunEvent | TextChunk]:
        """Yield what happens in a run, and text as it comes, until the run has ended.

        Raises:
            NotFound: ``not_found``.
        """
        run = await self.run(caller, run_id=run_id)
        told = followed(run, events=self._events, after=after, poll_seconds=poll_seconds)
        async with aclosing(told):
            async for happened in told:
                yield happened

    async def give_feedback(
        self, caller: Caller, *, run_id: RunId, good: bool, reason: str = ""
    ) -> Run:
        """Keep what the caller thinks of what a run came to; their last word counts.

        Raises:
            NotFound: ``not_found``.
            InvalidInput: ``reason_too_long``.
        """
        caller = await self._now(caller, "runs:start")
        run = await self.run(caller, run_id=run_id)
        await self._opinions.give(caller, run=run, good=good, reason=reason)
        return await self.run(caller, run_id=run_id)

    async def approval(self, caller: Caller, *, approval_id: ApprovalId) -> Approval:
        """Return a question that concerns the caller.

        Raises:
            NotFound: ``not_found``.
        """
        _need(caller, "approvals:read")
        return await self._questions.one(caller, approval_id=approval_id)

    async def asked_about(
        self, caller: Caller, *, approval_id: ApprovalId
    ) -> tuple[CallView, Approval]:
        """Return the call that a question is about; one's own without ``approvals:read``, too.

        Raises:
            NotFound: ``not_found``.
        """
        _need(caller, "tools:call")
        approval = await self._questions.one(caller, approval_id=approval_id)
        if approval.requester.id != caller.principal.id:
            _need(caller, "approvals:read")
        return await self.call(caller, call_id=approval.call_id), approval

    async def _answered(self, caller: Caller, call: ToolCall) -> CallRecord:
        """Make a safe call under the caller's standing; where that was out of date, look again."""
        for _ in range(_JUDGED_AGAIN):
            caller, standing = await self._standings.last(caller)
            try:
                return await self._door.answer(call, standing=standing, scopes=caller.scopes)
            except StaleEpoch:
                self._standings.forget(caller)
                caller = await self._renew(caller)
        raise Unavailable("configuration_changing")

    async def _now(self, caller: Caller, scope: str) -> Caller:
        """Return the caller past everything remembered: whoever changes anything may do so now."""
        caller = await self._renew(caller)
        _need(caller, scope)
        return caller

    async def _settled(self, caller: Caller, *, call_id: CallId, wait_seconds: float) -> CallView:
        """Look at the call until it is settled, waits for people, or the time is over."""
        until = self._clock.monotonic() + wait_seconds
        pause = _FIRST_LOOK_SECONDS
        while True:
            view = await self.call(caller, call_id=call_id)
            done = view.record.state.is_settled or view.approval_id is not None
            if done or self._clock.monotonic() >= until:
                return view
            await asyncio.sleep(pause)
            pause = min(_LAST_LOOK_SECONDS, pause * 2)


def _need(caller: Caller, scope: str) -> None:
    if scope not in caller.scopes:
        raise Forbidden("missing_scope", scope=scope)

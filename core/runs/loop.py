"""Driving one segment of a run: read the journal, go on from there, end or wait."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from core.domain.canonical import canonical_json
from core.domain.event import EventKind
from core.domain.ids import RunId, TenantId, call_id_of
from core.domain.journal import Answered, Entry, Happened
from core.domain.model import ModelAnswer, Prompt, ToolOffer
from core.domain.run import CallRecord, Lease, Run, RunKind, RunStatus, Step, StopCause
from core.domain.tool import CallState, Failed, Succeeded, ToolCall
from core.errors import LeaseLost, ModelFailed, RunStopped, SallyportError
from core.governance.budget import RunBudget
from core.governance.door import Door
from core.governance.held import HeldWrites
from core.governance.judge import Judge
from core.governance.passage import Passage
from core.ports import (
    Clock,
    Ending,
    Journal,
    LanguageModel,
    People,
    Runs,
    Standing,
    TextSink,
    Waiting,
    Written,
)
from core.runs.context import Shown, offers_of, prompt_for
from core.runs.order import waves
from core.runs.stops import cause_of, check_answer, check_before_asking, status_of

_PULSE_SECONDS = 1.0
_HELD_SECONDS = 0.025


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offered:
    """The tools that a person was found to have, in an hour: rules may look at the clock."""

    standing: Standing
    hour: datetime
    offers: tuple[ToolOffer, ...]


@dataclass(slots=True, kw_only=True)
class _Drive:
    """One segment under way: the run as it was read, and what has been added since."""

    run: Run
    lease: Lease
    passage: Passage
    steps: list[Step]
    began: float
    written: float
    offered: _Offered | None = None
    shown: dict[int, Shown] = field(default_factory=dict[int, Shown])


class Loop:
    """Builds context, asks the model, takes the calls to the door, writes, checks the stops."""

    def __init__(
        self,
        *,
        runs: Runs,
        journal: Journal,
        people: People,
        judge: Judge,
        door: Door,
        model: LanguageModel,
        text: TextSink,
        clock: Clock,
    ) -> None:
        """Take the run's records, both gates, the model and where text goes as it comes."""
        self._runs = runs
        self._journal = journal
        self._people = people
        self._judge = judge
        self._door = door
        self._model = model
        self._text = text
        self._clock = clock

    async def drive(self, tenant_id: TenantId, run_id: RunId, segment: int) -> None:
        """Drive the segment until the run ends or waits; do nothing where it is not due any more.

        Raises:
            LeaseLost: another worker drives the run now; nothing more was written.
            Unavailable: the database cannot be reached; drive again.
        """
        driven = await self._runs.take(tenant_id, run_id=run_id, segment=segment)
        if driven is None:
            return
        run, lease, standing = driven.run, driven.lease, driven.standing
        if standing is None:
            gone = Ending(
                status=RunStatus.FAILED,
                cost_micros=run.cost_micros,
                error=cause_of(RunStopped("requester_gone")),
            )
            await self._runs.finish(lease, ending=gone, entry=Entry())
            return
        now = self._clock.monotonic()
        passage = Passage(
            lease=lease,
            journal=HeldWrites(self._journal, lease=lease),
            standing=standing,
            scopes=driven.scopes,
            budget=RunBudget(limit_micros=run.agent.budget_micros, spent_micros=run.cost_micros),
            approval_days=run.agent.approval_days,
        )
        drive = _Drive(
            run=run, lease=lease, passage=passage, steps=list(run.steps), began=now, written=now
        )
        try:
            await self._go_on(drive)
        except RunStopped as stop:
            await self._end(drive, status=status_of(stop), error=cause_of(stop))
        except ModelFailed as failure:
            told = [failure.facts.get(name) for name in ("provider", "status", "detail")]
            detail = " ".join(str(fact) for fact in told if fact is not None) or failure.code
            stop = RunStopped("model_failed", detail=detail)
            await self._end(drive, status=status_of(stop), error=cause_of(stop))

    async def _go_on(self, drive: _Drive) -> None:
        if drive.run.cancel_requested:
            raise RunStopped("cancelled")
        while True:
            last = drive.steps[-1].answer if drive.steps else None
            if last is not None:
                check_answer(last, run=drive.run)
            if await self._settle_calls(drive):
                await drive.passage.journal.flush()
                if await self._runs.park(drive.lease, active_ms=self._active_ms(drive)):
                    return
                # People were quicker than we were: what became of the calls is read again.
                await self.drive(drive.run.tenant_id, drive.run.id, drive.lease.segment)
                return
            if drive.run.kind is RunKind.CALL:
                await self._end_of_call(drive, drive.steps[0].calls[0])
                return
            if last is not None and not last.calls:
                await self._end(drive, status=RunStatus.COMPLETED, result=last.text)
                return
            check_before_asking(drive.run, steps=drive.steps)
            await self._ask(drive)

    async def _settle_calls(self, drive: _Drive) -> bool:
        """Take the last step's open calls to the door; True where people are waited for."""
        if not drive.steps:
            return False
        step = drive.steps[-1]
        records = list(step.calls)
        blocked: set[int] = set()
        for wave in waves(
            [record.call for record in records],
            has_effect=[
                self._judge.has_effect(record.call.tool, standing=drive.passage.standing)
                for record in records
            ],
        ):
            due = [at for at in wave if not records[at].state.is_settled]
            if not due or blocked:
                blocked.update(due)
                continue
            outcomes = await self._take(drive, [records[at] for at in due])
            for at, outcome in zip(due, outcomes, strict=True):
                if isinstance(outcome, Waiting):
                    blocked.add(at)
                else:
                    records[at] = outcome
            if drive.passage.journal.cancel_requested:
                raise RunStopped("cancelled")
        drive.steps[-1] = replace(step, calls=tuple(records))
        return bool(blocked)

    async def _take(
        self, drive: _Drive, records: Sequence[CallRecord]
    ) -> list[CallRecord | Waiting]:
        if len(records) == 1:
            return [await self._door.take(records[0], passage=drive.passage)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._outcome(drive, record)) for record in records]
        outcomes = [task.result() for task in tasks]
        errors = [outcome for outcome in outcomes if isinstance(outcome, SallyportError)]
        if errors:
            raise next((e for e in errors if isinstance(e, LeaseLost)), errors[0])
        return [outcome for outcome in outcomes if not isinstance(outcome, SallyportError)]

    async def _outcome(
        self, drive: _Drive, record: CallRecord
    ) -> CallRecord | Waiting | SallyportError:
        """Take one of several calls; its error must not break off another's effect."""
        try:
            return await self._door.take(record, passage=drive.passage)
        except SallyportError as error:
            return error

    async def _ask(self, drive: _Drive) -> None:
        """Ask the model once; its answer and what it cost are one write."""
        run, passage = drive.run, drive.passage
        prompt = prompt_for(run, steps=drive.steps, tools=self._offers(drive), shown=drive.shown)
        number = len(drive.steps) + 1
        key = f"step:{number}"
        passage.budget.reserve(key, micros=self._model.most_micros(prompt))
        answer = (await self._answer(drive, prompt, number=number)).storable()
        passage.budget.settle(key, micros=answer.cost_micros)
        calls = tuple(
            _call(run, drive, answer, number=number, index=index)
            for index in range(len(answer.calls))
        )
        answered = Answered(number=number, agent=run.agent.agent, answer=answer, calls=calls)
        entry = Entry(
            answered=answered,
            events=(_thought(answered),),
            active_ms=self._active_ms(drive),
        )
        records = tuple(CallRecord(call=call, state=CallState.REQUESTED) for call in calls)
        drive.steps.append(Step(number=number, answer=answer, calls=records))
        if not calls:
            # The last answer goes with the run's end, in one write.
            passage.journal.hold(entry)
        elif (await self._written(drive, entry)).cancel_requested:
            raise RunStopped("cancelled")

    def _offers(self, drive: _Drive) -> tuple[ToolOffer, ...]:
        """Return what the model may ask for: the same tuple as long as the rules see the same."""
        run, passage, hour = (
            drive.run,
            drive.passage,
            self._clock.now().replace(minute=0, second=0, microsecond=0),
        )
        offered = drive.offered
        if offered is None or offered.standing is not passage.standing or offered.hour != hour:
            tools = self._judge.offered(passage.standing, scopes=passage.scopes, via=run.via)
            wanted = run.agent.tools
            offers = offers_of(tool for tool in tools if wanted is None or tool.name in wanted)
            offered = drive.offered = _Offered(standing=passage.standing, hour=hour, offers=offers)
        return offered.offers

    async def _written(self, drive: _Drive, entry: Entry) -> Written:
        """Write, and look at who the requester is now where the configuration has changed."""
        written = await drive.passage.journal.write(entry)
        if written.epoch != drive.passage.standing.tenant.epoch:
            await drive.passage.renew(self._people)
        return written

    async def _answer(self, drive: _Drive, prompt: Prompt, *, number: int) -> ModelAnswer:
        async def on_text(text: str) -> None:
            await self._text.append(drive.lease, step=number, text=text)

        try:
            async with self._within_time(drive), self._watched(drive):
                return await self._model.answer(prompt, on_text=on_text)
        finally:
            await self._text.flush(drive.lease)

    @asynccontextmanager
    async def _within_time(self, drive: _Drive) -> AsyncGenerator[None]:
        """Stop the run where the segment, or the run in all, has worked for too long."""
        agent = drive.run.agent
        worked = self._clock.monotonic() - drive.began
        of_segment = agent.segment_seconds - worked
        of_run = agent.run_seconds - drive.run.active_ms / 1000 - worked
        try:
            async with asyncio.timeout(max(0.0, min(of_segment, of_run))):
                yield
        except TimeoutError as error:
            if of_run <= of_segment:
                raise RunStopped("run_timeout", seconds=agent.run_seconds) from error
            raise RunStopped("segment_timeout", seconds=agent.segment_seconds) from error

    @asynccontextmanager
    async def _watched(self, drive: _Drive) -> AsyncGenerator[None]:
        """Leave the block early where the run is cancelled or taken over meanwhile."""
        answered = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                # A quick answer needs nobody to watch it.
                begin = asyncio.get_running_loop().call_later(
                    _HELD_SECONDS, lambda: group.create_task(self._watch(drive, answered))
                )
                try:
                    yield
                finally:
                    begin.cancel()
                    # Told rather than cancelled: a write that is under way is not broken off.
                    answered.set()
        except BaseExceptionGroup as errors:
            raise _first(errors) from errors

    async def _watch(self, drive: _Drive, answered: asyncio.Event) -> None:
        """While the model thinks, write what was held, and look whether to go on."""
        await drive.passage.journal.flush()
        while not await _happens(answered, within=_PULSE_SECONDS):
            if await self._runs.pulse(drive.lease):
                raise RunStopped("cancelled")

    async def _end_of_call(self, drive: _Drive, record: CallRecord) -> None:
        match record.result:
            case Succeeded(output=output):
                await self._end(drive, status=RunStatus.COMPLETED, result=canonical_json(output))
            case Failed(code=code, message=message):
                cause = StopCause(code=code, message=message)
                await self._end(drive, status=RunStatus.FAILED, error=cause)
            case None:
                message = f"call {record.call.id} is not settled"
                raise ValueError(message)

    async def _end(
        self,
        drive: _Drive,
        *,
        status: RunStatus,
        result: str | None = None,
        error: StopCause | None = None,
    ) -> None:
        last = drive.passage.journal.with_held(Entry(active_ms=self._active_ms(drive)))
        ending = Ending(
            status=status,
            cost_micros=drive.passage.budget.spent_micros,
            result=result,
            error=error,
        )
        await self._runs.finish(drive.lease, ending=ending, entry=last)

    def _active_ms(self, drive: _Drive) -> int:
        """Return the working time since it was last written down."""
        now = self._clock.monotonic()
        worked, drive.written = now - drive.written, now
        return int(worked * 1000)


async def _happens(event: asyncio.Event, *, within: float) -> bool:
    try:
        async with asyncio.timeout(within):
            return await event.wait()
    except TimeoutError:
        return False


def _call(run: Run, drive: _Drive, answer: ModelAnswer, *, number: int, index: int) -> ToolCall:
    use = answer.calls[index]
    return ToolCall(
        id=call_id_of(run.id, step=number, index=index),
        tenant_id=run.tenant_id,
        requester=drive.passage.standing.principal,
        tool=use.name,
        arguments=use.arguments,
        run_id=run.id,
        step=number,
        index=index,
        handle=use.handle,
        agent=run.agent.agent,
        via=run.via,
        actor=run.actor,
    )


def _thought(answered: Answered) -> Happened:
    answer = answered.answer
    return Happened(
        kind=EventKind.THOUGHT,
        data={
            "step": answered.number,
            "text": answer.text,
            "calls": [call.name for call in answer.calls],
            "cost_micros": answer.cost_micros,
        },
    )


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what the group is about: a lost lease before anything else, then the first error."""
    flat = list(_flat(errors))
    lost = [error for error in flat if isinstance(error, LeaseLost)]
    return (lost or flat)[0]


def _flat(errors: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in errors.exceptions:
        match error:
            case BaseExceptionGroup():
                found.extend(_flat(error))
            case _:
                found.append(error)
    return found

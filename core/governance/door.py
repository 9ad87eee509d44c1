"""The one door to every tool: policy first, then people, and a record of everything that came."""

import asyncio
from dataclasses import replace

from core.domain.approval import Answer
from core.domain.journal import CallUpdate, Entry
from core.domain.permit import PermittedCall
from core.domain.run import CallRecord, Lease
from core.domain.tool import CallState, ToolCall, ToolResult
from core.domain.verdict import Allow, Deny, RequireApproval
from core.errors import Forbidden, NotFound, Refused, StaleEpoch, Unavailable
from core.governance.digest import idempotency_key
from core.governance.judge import Judge
from core.governance.judgement import Judgement
from core.governance.passage import Passage, question_about
from core.governance.record import (
    allowed_event,
    answered_with,
    as_begun,
    as_settled,
    audit_of,
    audit_of_refusal,
    closed_with,
    failed_as,
    failed_by,
    failed_with,
    refusal_of,
    settled_entry,
    timed_out,
    unknown_event,
    update_of,
)
from core.governance.spending import Spending
from core.ports import (
    Approvals,
    Clock,
    Covered,
    Declined,
    Journal,
    People,
    Settled,
    Standing,
    ToolBox,
    Waiting,
)

_JUDGED_AGAIN = 5
_ATTEMPTS = 3
_FRESH_SECONDS = 2.0


class Door:
    """Every tool call, from wherever, passes here; nothing else can make a PermittedCall."""

    def __init__(
        self,
        *,
        judge: Judge,
        toolbox: ToolBox,
        approvals: Approvals,
        people: People,
        journal: Journal,
        spending: Spending,
        clock: Clock,
    ) -> None:
        """Take the two gates, the tools behind them, and where everything is written down."""
        self._judge = judge
        self._toolbox = toolbox
        self._approvals = approvals
        self._people = people
        self._journal = journal
        self._spending = spending
        self._clock = clock

    async def answer(
        self, call: ToolCall, *, standing: Standing, scopes: frozenset[str]
    ) -> CallRecord:
        """Make a safe call that belongs to no run, metered and audited in one commit.

        Raises:
            Refused: with the door's reason; the refusal is audited.
            StaleEpoch: the standing is out of date; come again with a new one.
        """
        try:
            judgement = await self._admitted(call, standing=standing, scopes=scopes)
            if isinstance(judgement.verdict, RequireApproval):  # only a run can wait for people
                raise Forbidden("needs_approval", tool=call.tool, reason=judgement.verdict.reason)
            if judgement.tool.risk.has_effect:  # it had none when the caller looked
                raise StaleEpoch("stale_epoch")
            await self._spending.spend(judgement)
        except Refused as refusal:
            await self._check_fresh(standing)
            await self._turn_away(call, refusal=refusal)
            raise
        begun = self._clock.monotonic()
        result = await self._call(judgement, lease=None) or timed_out(judgement.tool)
        record, audit = answered_with(
            judgement, result=result, at=self._clock.now(), duration_ms=self._since(begun)
        )
        async with self._spending.unless_refused(judgement):
            await self._journal.record_call(record, audit=audit, epoch=standing.tenant.epoch)
        return record

    async def admit(
        self, call: ToolCall, *, standing: Standing, scopes: frozenset[str]
    ) -> Judgement:
        """Judge a call that belongs to no run yet; whoever is turned away is audited and told.

        Raises:
            Refused: unknown tool, bad arguments, targets that are not there, or the policy's no.
        """
        try:
            judgement = await self._admitted(call, standing=standing, scopes=scopes)
            await self._spending.spend(judgement)
        except Refused as refusal:
            await self._turn_away(call, refusal=refusal)
            raise
        return judgement

    async def _admitted(
        self, call: ToolCall, *, standing: Standing, scopes: frozenset[str]
    ) -> Judgement:
        judgement = await self._judge.judge(call, standing=standing, scopes=scopes)
        if isinstance(judgement.verdict, Deny):
            raise refusal_of(judgement.verdict, tool=call.tool)
        return judgement

    async def _turn_away(self, call: ToolCall, *, refusal: Refused) -> None:
        await self._journal.record(audit_of_refusal(call, at=self._clock.now(), refusal=refusal))

    async def _check_fresh(self, standing: Standing) -> None:
        """Have a no be as fresh as a yes, which the journal checks when it keeps the call."""
        try:
            now = await self._people.standing(
                standing.tenant.id, principal_id=standing.principal.id
            )
        except NotFound as error:
            raise StaleEpoch("stale_epoch") from error
        if now.tenant.epoch != standing.tenant.epoch:
            raise StaleEpoch("stale_epoch")

    async def take(self, record: CallRecord, *, passage: Passage) -> CallRecord | Waiting:
        """Bring a run's call as far as it will go: settled, or waiting for people.

        Taking a settled call again returns it; one that was under way when a worker died is
        repeated only where that is harmless, and otherwise put to people.

        Raises:
            LeaseLost: another worker drives the run.
            RunStopped: ``budget_exceeded``, or ``requester_gone`` meanwhile.
            Unavailable: the database, or a configuration that never stands still.
        """
        if record.state.is_settled:
            return record
        under_way = record.state in {CallState.RUNNING, CallState.UNKNOWN}
        for _ in range(_JUDGED_AGAIN):
            try:
                if under_way:
                    return await self._after_crash(record, passage=passage)
                return await self._judged(record, passage=passage)
            except StaleEpoch:
                passage.budget.settle(str(record.call.id), micros=0)
                await passage.renew(self._people)
        raise Unavailable("configuration_changing")

    async def _judged(self, record: CallRecord, *, passage: Passage) -> CallRecord | Waiting:
        try:
            judgement = await self._judge.judge(
                passage.as_now(record.call), standing=passage.standing, scopes=passage.scopes
            )
        except Refused as refusal:
            if not record.attempts:
                return await self._close(record, failed_by(refusal), passage=passage)
            # What it is about may be gone because it has happened: only its key can tell.
            judgement = self._as_begun(record, passage=passage)
            if judgement is None or not judgement.repeats(record):
                return await self._lost(record, passage=passage)
        match judgement.verdict:
            case Deny() as deny:
                answer = Declined(code=deny.code, reason=deny.reason)
            case Allow():
                answer = None
            case RequireApproval():
                answer = await self._approvals.put(
                    question_about(judgement, record=record, passage=passage)
                )
        match answer:
            case Waiting():
                return answer
            case Declined():
                return await self._declined(record, answer, passage=passage, judgement=judgement)
            case Covered() | None:
                return await self._execute(
                    record, judgement=judgement, passage=passage, covered=answer
                )

    async def _after_crash(self, record: CallRecord, *, passage: Passage) -> CallRecord | Waiting:
        """Go on with a call that was under way: whether it happened is not known here."""
        judgement = self._as_begun(record, passage=passage)
        if judgement is None:
            return await self._lost(record, passage=passage)
        repeatable = (
            record.state is CallState.RUNNING
            and record.attempts < _ATTEMPTS
            and judgement.repeats(record)
        )
        if repeatable and await self._still_covered(judgement, record=record, passage=passage):
            return await self._execute(record, judgement=judgement, passage=passage, covered=None)
        return await self._unknown(record, judgement=judgement, passage=passage)

    def _as_begun(self, record: CallRecord, *, passage: Passage) -> Judgement | None:
        """Judge a call as what it was when it was begun; None where no tool takes that any more."""
        try:
            return self._judge.judge_again(
                record,
                call=passage.as_now(record.call),
                standing=passage.standing,
                scopes=passage.scopes,
            )
        except Refused:
            return None

    async def _lost(self, record: CallRecord, *, passage: Passage) -> CallRecord:
        lost = failed_with("outcome_unknown")
        return await self._close(record, lost, passage=passage, action="call.unknown")

    async def _still_covered(
        self, judgement: Judgement, *, record: CallRecord, passage: Passage
    ) -> bool:
        match judgement.verdict:
            case Allow():
                return True
            case Deny():
                return False
            case RequireApproval():
                return judgement.digest == record.digest and await self._approvals.covers(
                    question_about(judgement, record=record, passage=passage)
                )

    async def _execute(
        self,
        record: CallRecord,
        *,
        judgement: Judgement,
        passage: Passage,
        covered: Covered | None,
    ) -> CallRecord | Waiting:
        tool, key = judgement.tool, str(judgement.call.id)
        passage.budget.reserve(key, micros=tool.cost_micros)
        begun = self._clock.monotonic()
        if tool.risk.has_effect:
            begin = Entry(
                calls=(update_of(judgement, state=CallState.RUNNING, attempt=True),),
                events=(allowed_event(judgement, covered=covered),),
            )
            await passage.journal.write(begin, epoch=judgement.epoch)
            record = as_begun(record, judgement=judgement)
        if self._clock.monotonic() - begun > _FRESH_SECONDS:
            # This process stood still meanwhile: the run may be another's by now.
            await passage.journal.write(Entry())
        result = await self._call(judgement, lease=passage.lease)
        if result is None and tool.risk.has_effect:
            return await self._cut_off(
                record, judgement=judgement, passage=passage, covered=covered
            )
        passage.budget.settle(key, micros=tool.cost_micros)
        return await self._close(
            replace(record, duration_ms=self._since(begun), cost_micros=tool.cost_micros),
            result or timed_out(tool),
            passage=passage,
            judgement=judgement,
            covered=covered,
        )

    async def _cut_off(
        self,
        record: CallRecord,
        *,
        judgement: Judgement,
        passage: Passage,
        covered: Covered | None,
    ) -> CallRecord | Waiting:
        """Go on with a call that did not answer in time."""
        if not judgement.tool.idempotent or record.attempts >= _ATTEMPTS:
            return await self._unknown(record, judgement=judgement, passage=passage)
        try:
            return await self._execute(
                record, judgement=judgement, passage=passage, covered=covered
            )
        except StaleEpoch:
            # To be judged again as what it is by now: a call that may have happened.
            return await self.take(record, passage=passage)

    async def _call(self, judgement: Judgement, *, lease: Lease | None) -> ToolResult | None:
        """Call the tool itself: the only permit there is, made and used here.

        None means that it did not answer in time: what it did is not known.
        """
        tool = judgement.tool
        permitted = PermittedCall(
            call=judgement.call,
            tool=tool,
            idempotency_key=idempotency_key(judgement.call, tool=tool),
            lease=lease,
        )
        try:
            async with asyncio.timeout(tool.timeout_seconds):
                return await self._toolbox.call(permitted)
        except TimeoutError:
            return None

    async def _unknown(
        self, record: CallRecord, *, judgement: Judgement, passage: Passage
    ) -> CallRecord | Waiting:
        """Nobody here knows whether it happened: ask people."""
        if record.state is not CallState.UNKNOWN:
            audit = audit_of(
                judgement.call, at=self._clock.now(), action="call.unknown", judgement=judgement
            )
            entry = Entry(
                calls=(CallUpdate(call_id=record.call.id, state=CallState.UNKNOWN),),
                events=(unknown_event(record.call),),
                audit=(audit,),
            )
            await passage.journal.write(entry)
            record = replace(record, state=CallState.UNKNOWN)
        match await self._approvals.put_outcome(
            question_about(judgement, record=record, passage=passage)
        ):
            case Waiting() as waiting:
                return waiting
            case Declined():
                result, covered = failed_with("outcome_unknown"), None
            case Settled(answer=Answer.RETRY, by=by):
                if not await self._still_covered(judgement, record=record, passage=passage):
                    # They said that it may be tried, not that nobody need be asked any more.
                    return await self._judged(record, passage=passage)
                return await self._execute(
                    record,
                    judgement=judgement,
                    passage=passage,
                    covered=Covered(by=(by,), how="retry", reference=""),
                )
            case Settled(answer=answer, by=by):
                result = as_settled(answer, by=by)
                covered = Covered(by=(by,), how=answer.value, reference="")
        return await self._close(
            record, result, passage=passage, judgement=judgement, covered=covered
        )

    async def _declined(
        self, record: CallRecord, declined: Declined, *, passage: Passage, judgement: Judgement
    ) -> CallRecord:
        state = CallState.EXPIRED if declined.code == "expired" else CallState.DENIED
        failed = failed_as(declined)
        return await self._close(record, failed, passage=passage, judgement=judgement, state=state)

    async def _close(
        self,
        record: CallRecord,
        result: ToolResult,
        *,
        passage: Passage,
        state: CallState | None = None,
        judgement: Judgement | None = None,
        covered: Covered | None = None,
        action: str | None = None,
    ) -> CallRecord:
        """Settle the call: result, charge, event and audit in one write.

        What had no effect may wait for the next write. ``state`` is given where the call was
        turned away rather than made; ``action`` is what the audit calls it, where that is neither.
        """
        call = judgement.call if judgement else record.call
        executed = state is None and judgement is not None
        closed = closed_with(record, result=result, state=state, charged=executed)
        entry = settled_entry(
            closed,
            call=call,
            result=result,
            at=self._clock.now(),
            action=action or ("call.executed" if executed else "call.refused"),
            judgement=judgement,
            covered=covered,
        )
        if executed and judgement is not None and judgement.tool.risk.has_effect:
            await passage.journal.write(entry)
        else:
            passage.journal.hold(entry)
        return closed

    def _since(self, begun: float) -> int:
        return int((self._clock.monotonic() - begun) * 1000)

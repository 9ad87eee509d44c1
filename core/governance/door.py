"""The one door to every tool: policy first, then people, and a record of everything that came."""

import asyncio
from dataclasses import dataclass, replace

from core.domain.approval import Answer
from core.domain.canonical import JsonObject
from core.domain.journal import CallUpdate, Entry, ToolUsage
from core.domain.permit import PermittedCall
from core.domain.run import CallRecord, Lease
from core.domain.tool import CallState, Preview, Succeeded, Tool, ToolCall, ToolResult
from core.domain.verdict import Allow, Approvers, Deny, RequireApproval, Verdict
from core.errors import NotFound, Refused, StaleEpoch, Unavailable
from core.governance.budget import RunBudget
from core.governance.digest import approval_digest, idempotency_key
from core.governance.judgement import Judgement, told
from core.governance.record import (
    allowed_event,
    as_settled,
    audit_of,
    audit_of_refusal,
    failed_by,
    failed_with,
    refusal_of,
    settled_event,
    state_of,
    timed_out,
    unknown_event,
    update_of,
)
from core.ports import (
    Approvals,
    Clock,
    Covered,
    Declined,
    Facts,
    Journal,
    People,
    Policy,
    Question,
    Settled,
    Standing,
    ToolBox,
    Waiting,
)
from core.words import sentence_for

_JUDGED_AGAIN = 5
_ATTEMPTS = 3
_FRESH_SECONDS = 2.0


@dataclass(slots=True, kw_only=True)
class Passage:
    """What a driven run brings to the door. ``standing`` is renewed when it has gone stale."""

    lease: Lease
    standing: Standing
    scopes: frozenset[str]
    budget: RunBudget
    approval_days: int


class Door:
    """Every tool call, from wherever, passes here; nothing else can make a PermittedCall."""

    def __init__(
        self,
        *,
        toolbox: ToolBox,
        policy: Policy,
        approvals: Approvals,
        people: People,
        journal: Journal,
        clock: Clock,
    ) -> None:
        """Take the two gates, what lies behind them, and where everything is written down."""
        self._toolbox = toolbox
        self._policy = policy
        self._approvals = approvals
        self._people = people
        self._journal = journal
        self._clock = clock

    def offered(self, standing: Standing, *, scopes: frozenset[str], via: str) -> tuple[Tool, ...]:
        """Return the tools that this person may call at all, asking or not, by name."""
        return tuple(
            tool
            for tool in self._toolbox.tools()
            if tool.listed
            and not isinstance(
                self._verdict(tool, standing=standing, scopes=scopes, arguments={}, via=via), Deny
            )
        )

    def has_effect(self, name: str) -> bool:
        """Return whether a tool changes anything; what is not registered does nothing."""
        tool = self._toolbox.find(name)
        return tool is not None and tool.risk.has_effect

    async def judge(
        self, call: ToolCall, *, standing: Standing, scopes: frozenset[str]
    ) -> Judgement:
        """Return what the door would say to ``call`` now; nothing is done and nothing recorded.

        Raises:
            NotFound: ``unknown_tool``, or an argument names what is not there.
            InvalidInput: the arguments do not fit.
            Forbidden: the tool itself refuses this person.
        """
        tool = self._found(call)
        checked = replace(call, arguments=self._toolbox.checked_arguments(tool, call.arguments))
        verdict = self._verdict(
            tool, standing=standing, scopes=scopes, arguments=checked.arguments, via=call.via
        )
        preview = digest = None
        if tool.risk.has_effect and not isinstance(verdict, Deny):
            preview = await self._toolbox.preview(checked)
        if preview is not None:
            digest = approval_digest(checked, tool=tool, bound=preview.bound())
        return Judgement(call=checked, tool=tool, verdict=verdict, preview=preview, digest=digest)

    async def answer(
        self, call: ToolCall, *, standing: Standing, scopes: frozenset[str]
    ) -> CallRecord:
        """Make a safe call that belongs to no run, metered and audited in one commit.

        Raises:
            Refused: with the door's reason; the refusal is audited.
            StaleEpoch: the standing is out of date; come again with a new one.
        """
        judgement = await self.admit(call, standing=standing, scopes=scopes)
        begun = self._clock.monotonic()
        result = await self._call(judgement, lease=None) or timed_out(judgement.tool)
        record = CallRecord(
            call=judgement.call,
            state=state_of(result),
            result=result,
            tool_version=judgement.tool.version,
            verdict=told(judgement.verdict),
            cost_micros=judgement.tool.cost_micros,
            duration_ms=self._since(begun),
        )
        audit = audit_of(
            judgement.call,
            at=self._clock.now(),
            action="call.executed",
            judgement=judgement,
            result=result,
        )
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
            judgement = await self.judge(call, standing=standing, scopes=scopes)
            if isinstance(judgement.verdict, Deny):
                raise refusal_of(judgement.verdict)
        except Refused as refusal:
            await self._journal.record(
                audit_of_refusal(call, at=self._clock.now(), refusal=refusal)
            )
            raise
        return judgement

    async def take(self, record: CallRecord, *, passage: Passage) -> CallRecord | Waiting:
        """Bring a run's call as far as it will go: settled, or waiting for people.

        Taking a settled call again returns it; one that was under way when a worker died is
        repeated only where that is harmless, and otherwise put to people.

        Raises:
            LeaseLost: another worker drives the run.
            RunStopped: ``budget_exceeded``.
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
                passage.standing = await self._people.standing(
                    passage.lease.tenant_id, principal_id=record.call.requester.id
                )
        raise Unavailable("configuration_changing")

    async def _judged(self, record: CallRecord, *, passage: Passage) -> CallRecord | Waiting:
        call = replace(record.call, requester=passage.standing.principal)
        try:
            judgement = await self.judge(call, standing=passage.standing, scopes=passage.scopes)
        except Refused as refusal:
            return await self._close(record, failed_by(refusal), passage=passage)
        match judgement.verdict:
            case Deny() as deny:
                answer = Declined(code=deny.code, reason=deny.reason)
            case Allow():
                answer = None
            case RequireApproval():
                answer = await self._approvals.put(
                    _question(judgement, record=record, passage=passage)
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
        call = replace(record.call, requester=passage.standing.principal)
        try:
            judgement = self._rejudged(record, call=call, passage=passage)
        except Refused:
            lost = failed_with("outcome_unknown")
            return await self._close(record, lost, passage=passage)
        repeatable = (
            record.state is CallState.RUNNING
            and judgement.tool.idempotent
            and record.attempts < _ATTEMPTS
            and judgement.tool.version == record.tool_version
        )
        if repeatable and await self._still_covered(judgement, record=record, passage=passage):
            return await self._execute(record, judgement=judgement, passage=passage, covered=None)
        return await self._unknown(record, judgement=judgement, passage=passage)

    def _rejudged(self, record: CallRecord, *, call: ToolCall, passage: Passage) -> Judgement:
        """Judge a call that may have happened: its stored preview stands for one made now."""
        tool = self._found(call)
        checked = replace(call, arguments=self._toolbox.checked_arguments(tool, call.arguments))
        stored = record.preview or {}
        bound = {key: value for key, value in stored.items() if key != "volatile"}
        verdict = self._verdict(
            tool,
            standing=passage.standing,
            scopes=passage.scopes,
            arguments=checked.arguments,
            via=call.via,
        )
        return Judgement(
            call=checked,
            tool=tool,
            verdict=verdict,
            preview=Preview(summary=str(stored.get("summary", tool.name))),
            digest=approval_digest(checked, tool=tool, bound=bound),
        )

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
                    _question(judgement, record=record, passage=passage)
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
        epoch = passage.standing.tenant.epoch
        begun = self._clock.monotonic()
        if tool.risk.has_effect:
            begin = Entry(
                calls=(update_of(judgement, state=CallState.RUNNING, attempt=True),),
                events=(allowed_event(judgement, covered=covered),),
            )
            await self._journal.write(passage.lease, entry=begin, epoch=epoch)
            record = replace(record, state=CallState.RUNNING, attempts=record.attempts + 1)
        if self._clock.monotonic() - begun > _FRESH_SECONDS:
            # This process stood still meanwhile: the run may be another's by now.
            await self._journal.write(passage.lease, entry=Entry())
        result = await self._call(judgement, lease=passage.lease)
        if result is None and tool.risk.has_effect:
            if tool.idempotent and record.attempts < _ATTEMPTS:
                return await self._execute(
                    record, judgement=judgement, passage=passage, covered=covered
                )
            return await self._unknown(record, judgement=judgement, passage=passage)
        passage.budget.settle(key, micros=tool.cost_micros)
        return await self._close(
            replace(record, duration_ms=self._since(begun), cost_micros=tool.cost_micros),
            result or timed_out(tool),
            passage=passage,
            judgement=judgement,
            covered=covered,
            epoch=None if tool.risk.has_effect else epoch,
        )

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
            await self._journal.write(passage.lease, entry=entry)
            record = replace(record, state=CallState.UNKNOWN)
        match await self._approvals.put_outcome(
            _question(judgement, record=record, passage=passage)
        ):
            case Waiting() as waiting:
                return waiting
            case Declined():
                result, covered = failed_with("outcome_unknown"), None
            case Settled(answer=Answer.RETRY, by=by):
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
        people = {"by": declined.by, "reason": declined.reason} if declined.by else {}
        because = f": {declined.reason}" if declined.reason else ""
        message = (
            sentence_for(declined.code, {"by": declined.by, "because": because})
            if declined.by or not declined.reason
            else declined.reason
        )
        failed = replace(failed_with(declined.code), message=message, facts=people)
        state = CallState.EXPIRED if declined.code == "expired" else CallState.DENIED
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
        epoch: int | None = None,
    ) -> CallRecord:
        """Settle the call: result, charge, event and audit in one write.

        ``state`` is given where the call was turned away rather than made.
        """
        call = judgement.call if judgement else record.call
        executed = state is None and judgement is not None
        closed = replace(
            record,
            state=state or state_of(result),
            result=result,
            inverse=result.inverse if isinstance(result, Succeeded) else None,
            cost_micros=record.cost_micros if executed else 0,
        )
        update = CallUpdate(call_id=call.id, state=closed.state)
        if judgement is not None:
            update = update_of(judgement, state=closed.state, attempt=False)
        usage = ToolUsage(
            call_id=call.id,
            tool=call.tool,
            agent=call.agent,
            step=call.step,
            cost_micros=closed.cost_micros,
        )
        entry = Entry(
            calls=(
                replace(
                    update,
                    result=result,
                    inverse=closed.inverse,
                    cost_micros=closed.cost_micros,
                    duration_ms=closed.duration_ms,
                ),
            ),
            usage=(usage,) if closed.cost_micros else (),
            events=(
                settled_event(
                    call,
                    state=closed.state,
                    result=result,
                    preview=judgement.preview if judgement else None,
                ),
            ),
            audit=(
                audit_of(
                    call,
                    at=self._clock.now(),
                    action="call.executed" if executed else "call.refused",
                    judgement=judgement,
                    result=result,
                    covered=covered,
                ),
            ),
        )
        await self._journal.write(passage.lease, entry=entry, epoch=epoch)
        return closed

    def _found(self, call: ToolCall) -> Tool:
        tool = self._toolbox.find(call.tool)
        if tool is None or not (tool.listed or call.via == "undo"):
            raise NotFound("unknown_tool", tool=call.tool[:200])
        return tool

    def _verdict(
        self,
        tool: Tool,
        *,
        standing: Standing,
        scopes: frozenset[str],
        arguments: JsonObject,
        via: str,
    ) -> Verdict:
        facts = Facts(
            tenant=standing.tenant,
            principal=standing.principal,
            scopes=scopes,
            resource_tenant=standing.tenant.id,
            tool=tool,
            enabled=tool.name not in standing.disabled_tools,
            arguments=arguments,
            via=via,
            now=self._clock.now(),
        )
        return self._policy.judge(facts)

    def _since(self, begun: float) -> int:
        return int((self._clock.monotonic() - begun) * 1000)


def _question(judgement: Judgement, *, record: CallRecord, passage: Passage) -> Question:
    match judgement.verdict:
        case RequireApproval() as verdict:
            pass
        case Allow() | Deny():
            # What became of a call is asked of people even where making it needs nobody.
            approvers = Approvers(role=judgement.tool.approver)
            verdict = RequireApproval(reason="", approvers=approvers)
    return Question(
        call=judgement.call,
        tool=judgement.tool,
        preview=judgement.preview or Preview(summary=judgement.tool.name),
        digest=judgement.digest or "",
        verdict=verdict,
        lease=passage.lease,
        attempt=record.attempts,
        expires_after_days=passage.approval_days,
    )

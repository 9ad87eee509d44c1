"""Questions that nobody answered in time: they count as no, and the run goes on."""

from approvals.records import ApprovalRecords, Deadlines
from core.domain.approval import ApprovalState
from core.domain.audit import audit_record
from core.domain.canonical import JsonObject
from core.domain.event import EventKind
from core.domain.ids import ApprovalId, TenantId
from core.domain.journal import Happened
from core.ports import Clock, Dispatcher

_AT_ONCE = 200


class Expiry:
    """The sweep that ends what waited too long; any number of workers may run it at once."""

    def __init__(
        self,
        *,
        records: ApprovalRecords,
        deadlines: Deadlines,
        dispatcher: Dispatcher,
        clock: Clock,
    ) -> None:
        """Take where questions are kept, which are due, who drives what is due, and the time."""
        self._records = records
        self._deadlines = deadlines
        self._dispatcher = dispatcher
        self._clock = clock

    async def sweep(self) -> int:
        """Expire what is due and return how many questions that were."""
        due = await self._deadlines.due_approvals(now=self._clock.now(), limit=_AT_ONCE)
        ended = [await self._expire(one.tenant_id, approval_id=one.approval_id) for one in due]
        return sum(ended)

    async def _expire(self, tenant_id: TenantId, *, approval_id: ApprovalId) -> bool:
        now = self._clock.now()
        async with self._records.closing(tenant_id, approval_id=approval_id) as question:
            approval = question.approval
            if approval.state is not ApprovalState.PENDING or approval.expires_at > now:
                return False
            closed = await question.close(ApprovalState.EXPIRED, grant=None)
            told: JsonObject = {
                "approval_id": str(approval.id),
                "call_id": str(approval.call_id),
                "tool": approval.tool,
            }
            await question.tell(
                Happened(kind=EventKind.APPROVAL_EXPIRED, data=told),
                audit=audit_record(
                    tenant_id,
                    at=now,
                    action="approval.expired",
                    actor="system",
                    run_id=approval.run_id,
                    call_id=approval.call_id,
                    tool=approval.tool,
                    content=told,
                ),
            )
        if closed.segment is not None:
            await self._dispatcher.enqueue(
                tenant_id, run_id=approval.run_id, segment=closed.segment
            )
        return True

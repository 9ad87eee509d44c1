"""Questions that wait: people are reminded of them, and then others are told."""

from approvals.records import ApprovalRecords, Deadlines
from approvals.telling import about, audited
from core.domain.approval import ApprovalState
from core.domain.canonical import JsonObject
from core.domain.event import EventKind
from core.domain.ids import ApprovalId, TenantId
from core.domain.journal import Happened
from core.ports import Clock

_AT_ONCE = 200
_ADMINS = "admins"


class Reminders:
    """The sweep that reminds, each time once; any number of workers may run it at once."""

    def __init__(self, *, records: ApprovalRecords, deadlines: Deadlines, clock: Clock) -> None:
        """Take where questions are kept, of which to remind, and the time."""
        self._records = records
        self._deadlines = deadlines
        self._clock = clock

    async def sweep(self) -> int:
        """Remind of what is due, and return how many reminders and escalations that were."""
        due = await self._deadlines.due_reminders(now=self._clock.now(), limit=_AT_ONCE)
        return sum([await self._remind(one.tenant_id, approval_id=one.approval_id) for one in due])

    async def _remind(self, tenant_id: TenantId, *, approval_id: ApprovalId) -> int:
        now = self._clock.now()
        async with self._records.closing(tenant_id, approval_id=approval_id) as question:
            approval = question.approval
            if approval.state is not ApprovalState.PENDING or approval.expires_at <= now:
                return 0
            plan = await question.plan()
            due = plan.due(
                asked_at=approval.created_at,
                reminded=approval.reminded,
                escalated=approval.escalated_at is not None,
                now=now,
            )
            told: list[tuple[EventKind, JsonObject]] = []
            if due.reminds:
                reminded: JsonObject = {**about(approval), "reminded": due.reminded}
                told.append((EventKind.APPROVAL_REMINDED, reminded))
            if due.escalates:
                to: JsonObject = {**about(approval), "to": plan.escalate_to or _ADMINS}
                told.append((EventKind.APPROVAL_ESCALATED, to))
            for kind, data in told:
                await question.tell(
                    Happened(kind=kind, data=data),
                    audit=audited(
                        approval, at=now, action=kind.value, actor="system", content=data
                    ),
                )
            await question.remind(due, now=now, escalated_to=plan.escalate_to)
            return len(told)

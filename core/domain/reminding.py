"""When people are reminded of a question, and whom else it is put before: pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminding:
    """How a tenant reminds: at each of ``after`` since the question was put.

    After ``escalate_after`` it is told to ``escalate_to``, a group, too; empty: the admins. None:
    to nobody else. Who is told may answer only if the policy that asked lets them.
    """

    after: tuple[timedelta, ...] = (timedelta(hours=1), timedelta(days=1))
    escalate_after: timedelta | None = timedelta(days=1)
    escalate_to: str = ""

    def first(self, *, asked_at: datetime) -> datetime | None:
        """Return when the first thing is due for a question put at ``asked_at``."""
        return self.due(asked_at=asked_at, reminded=0, escalated=False, now=asked_at).next_at

    def due(self, *, asked_at: datetime, reminded: int, escalated: bool, now: datetime) -> "Due":
        """Return what is due now for a question of which people were reminded that often.

        Reminders that were missed, with no worker running, are one.
        """
        passed = sum(asked_at + each <= now for each in self.after)
        moments = [asked_at + each for each in self.after]
        escalates = False
        if self.escalate_after is not None and not escalated:
            escalates = asked_at + self.escalate_after <= now
            moments.append(asked_at + self.escalate_after)
        return Due(
            reminded=max(passed, reminded),
            reminds=passed > reminded,
            escalates=escalates,
            next_at=_first_behind(now, moments=moments),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is due for a question, and when to look again; None: never.

    ``reminded`` counts the reminders with this one.
    """

    reminded: int
    reminds: bool
    escalates: bool
    next_at: datetime | None


def _first_behind(now: datetime, *, moments: Sequence[datetime]) -> datetime | None:
    return min((each for each in moments if each > now), default=None)

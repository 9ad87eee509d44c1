"""The parts with which people decide, are reminded, and say what they think, put together."""

from approvals.decide import Decider
from approvals.reminders import Reminders
from core.absences import Absences
from core.editing import Editing
from core.governance.judge import Judge
from core.opinions import Opinions
from core.ports import Clock, Dispatcher, Renew
from core.questions import Questions
from core.store.absences import StoredAbsences
from core.store.approvals import StoredApprovals
from core.store.database import Database
from core.store.directory import Directory
from core.store.feedback import StoredFeedback
from core.store.principals import StoredPeople
from core.store.reminding import StoredReminding
from core.store.runs import StoredRuns


class DecidingParts:
    """Built once by the assembly, which hands in what others share."""

    def __init__(
        self,
        database: Database,
        *,
        approvals: StoredApprovals,
        people: StoredPeople,
        runs: StoredRuns,
        judge: Judge,
        directory: Directory,
        clock: Clock,
        renew: Renew,
    ) -> None:
        """Take the database, what is kept in it, the first gate, the time, and the callers' own."""
        self._approvals = approvals
        self._renew = renew
        self._clock = clock
        self.editing = Editing(judge=judge, people=people, runs=runs)
        self.reminding = StoredReminding(database)
        self.reminders = Reminders(records=approvals, deadlines=directory, clock=clock)
        self.opinions = Opinions(StoredFeedback(database), clock=clock)
        self.absences = Absences(
            absences=StoredAbsences(database), people=people, clock=clock, renew=renew
        )

    def questions(self, dispatcher: Dispatcher) -> Questions:
        """Return questions as people see and decide them; ``dispatcher`` drives what is due."""
        decider = Decider(
            records=self._approvals,
            editor=self.editing,
            dispatcher=dispatcher,
            clock=self._clock,
        )
        return Questions(approvals=self._approvals, decisions=decider, renew=self._renew)

    async def remind(self) -> None:
        """Remind people of what is due."""
        await self.reminders.sweep()

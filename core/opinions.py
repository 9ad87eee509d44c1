"""What people think of what runs came to."""

from typing import Final

from core.domain.audit import audit_record
from core.domain.canonical import JsonObject, storable
from core.domain.principal import Caller
from core.domain.run import Feedback, Run
from core.errors import InvalidInput
from core.ports import Clock
from core.store.feedback import StoredFeedback

_REASON_LENGTH: Final = 2000


class Opinions:
    """Keeps each person's last word on a run, and writes every one down for the auditor."""

    def __init__(self, feedback: StoredFeedback, *, clock: Clock) -> None:
        """Take where feedback is kept, and the time."""
        self._feedback = feedback
        self._clock = clock

    async def give(self, caller: Caller, *, run: Run, good: bool, reason: str) -> None:
        """Keep what somebody thinks of a run that they may see.

        Raises:
            InvalidInput: ``reason_too_long``.
        """
        if len(reason) > _REASON_LENGTH:
            raise InvalidInput("reason_too_long", limit=_REASON_LENGTH)
        now = self._clock.now()
        feedback = Feedback(
            principal=caller.principal, good=good, reason=storable(reason), given_at=now
        )
        told: JsonObject = {"good": good, "reason": feedback.reason, "via": caller.via}
        await self._feedback.keep(
            caller.tenant_id,
            run_id=run.id,
            feedback=feedback,
            audit=audit_record(
                caller.tenant_id,
                at=now,
                action="run.feedback_given",
                actor=caller.actor,
                run_id=run.id,
                content=told,
            ),
        )

"""The seam to where people answer: whoever asks for a decision knows no more of it than this."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from core.domain.approval import Answer, Approval, Edit, GrantScope
from core.domain.canonical import JsonObject
from core.domain.ids import ApprovalId
from core.domain.principal import Caller, Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Somebody who may answer; ``in_place_of`` is who is away, where they do as a deputy."""

    person: Principal
    in_place_of: Principal | None = None


class Decisions(Protocol):
    """Where people answer, whatever surface they come from."""

    async def decide(
        self,
        caller: Caller,
        *,
        approval_id: ApprovalId,
        answer: Answer,
        digest: str,
        scope: GrantScope = GrantScope.ONCE,
        reason: str = "",
        arguments: JsonObject | None = None,
        edited_digest: str | None = None,
    ) -> Approval:
        """Keep one person's answer to what they saw; return the question as it stands then.

        ``arguments`` change the call before it is approved.

        Raises:
            NotFound, Forbidden, Conflict, InvalidInput: see ``approvals.decide``.
        """
        ...

    async def preview_edit(
        self, caller: Caller, *, approval_id: ApprovalId, arguments: JsonObject
    ) -> Edit:
        """Return what the call would be with other arguments; nothing is changed.

        Raises:
            NotFound, Forbidden, Conflict, InvalidInput: see ``approvals.decide``.
        """
        ...

    async def absent(self, person: Principal) -> Sequence[Principal]:
        """Return who is away now and has named this person their deputy, by email."""
        ...

    async def asked(self, approval: Approval) -> tuple[Asked, ...]:
        """Return who may decide, by email, 50 at most: a deputy in the place of who is away."""
        ...

    def objection(
        self, person: Principal, *, approval: Approval, absent: Sequence[Principal] = ()
    ) -> str | None:
        """Return why this person's answer would not count; None if so.

        The codes are ``self_approval``, ``not_eligible`` and ``already_decided``.
        """
        ...

    def concerns(
        self, person: Principal, *, approval: Approval, absent: Sequence[Principal] = ()
    ) -> bool:
        """Return whether this person may see the question.

        That is: theirs, one they may answer or have answered, by themselves or in the place of
        somebody ``absent``, or one that was escalated to a group of theirs.
        """
        ...

"""Teams as a surface: how runs and questions are said there, and where questions are put."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from bots.limits import Rate
from bots.outbox import ApiCall, Never, Outcome, Took
from bots.rendering import Cards
from bots.teams.calling import Caller
from bots.teams.delivering import RATES, next_call, sent_after
from bots.teams.references import References
from bots.views import ApprovalView, RunView
from bots.whom import MOST_MENTIONED, Whom, is_shared
from core.domain.approval import Approval
from core.domain.canonical import JsonObject
from core.domain.chat import Surface
from core.domain.delivery import FollowedRun, Parcel
from core.store.chat_following import PutQuestion

TEAMS: Final = Surface.TEAMS.value
# For more people Teams refreshes no card by itself: they ask for it.
_MOST_VIEWERS: Final = 60


class TeamsCards(Cards, Protocol):
    """How runs and questions look in Teams."""

    def shared_card(self, view: ApprovalView, *, viewers: Sequence[str]) -> JsonObject:
        """Return a question's card where others read it too: ``viewers`` get theirs by asking.

        They are Teams' own ids of people (``29:…``), 60 at most.
        """
        ...


class TeamsSurface:
    """Says things in Teams. What is said is decided purely; only ``perform`` reaches out."""

    def __init__(
        self, caller: Caller, *, cards: TeamsCards, whom: Whom, references: References
    ) -> None:
        """Take who calls Teams, how it looks, and who knows where and whom to ask."""
        self._caller = caller
        self._cards = cards
        self._whom = whom
        self._references = references

    @property
    def surface(self) -> str:
        """The surface's name."""
        return TEAMS

    @property
    def rates(self) -> Mapping[str, Rate]:
        """How often Teams lets an app do what in a tenant."""
        return RATES

    def next_call(self, parcel: Parcel) -> ApiCall | None:
        """Return the next call that brings what was sent to what is wished."""
        return next_call(parcel)

    async def perform(self, parcel: Parcel, call: ApiCall) -> Outcome:
        """Make the call."""
        return await self._caller.perform(parcel, call)

    def sent_after(self, parcel: Parcel, call: ApiCall, outcome: Took | Never) -> JsonObject | None:
        """Return what Teams has of the message after that."""
        return sent_after(parcel, call, outcome)

    async def places_for(
        self, approval: Approval, *, followed: FollowedRun | None
    ) -> Sequence[PutQuestion]:
        """Return the asker's conversation, and the tenant's channel or those who may answer."""
        return await self._whom.places_for(approval, followed=followed)

    def run_payload(self, view: RunView, *, asker: str) -> JsonObject:
        """Return what the message of a run should be."""
        return self._cards.run_payload(view, asker=asker)

    def reminder_payload(self, view: ApprovalView) -> JsonObject:
        """Return the message that reminds people of a question which waits."""
        return self._cards.reminder_payload(view)

    async def question_payload(
        self, view: ApprovalView, *, approval: Approval, put: PutQuestion
    ) -> JsonObject:
        """Return the card of a question at a place.

        Where others read it as well it has no buttons: those who are asked get them by a view of
        their own.
        """
        if not (put.decides and is_shared(put) and view.is_open):
            return self._cards.approval_payload(view, decides=put.decides)
        asked = await self._whom.accounts_asked(approval, workspace=put.place.workspace)
        viewers = await self._ids_of(asked, approval=approval, put=put)
        view = replace(view, mention=tuple(asked[:MOST_MENTIONED]))
        return self._cards.shared_card(view, viewers=viewers[:_MOST_VIEWERS])

    async def _ids_of(
        self, accounts: Sequence[str], *, approval: Approval, put: PutQuestion
    ) -> Sequence[str]:
        """Return Teams' own ids of those who have spoken with the agent themselves."""
        found = await self._references.of(
            approval.tenant_id,
            surface=Surface.TEAMS,
            workspace=put.place.workspace,
            addresses=[f"@{account}/" for account in accounts],
        )
        return [one.mri for one in found if one.mri]

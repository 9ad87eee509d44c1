"""Slack as a surface: how runs and questions are said there, and where questions are put."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from bots.limits import Rate
from bots.outbox import ApiCall, Never, Outcome, Took
from bots.slack.calling import Caller
from bots.slack.delivering import RATES, next_call, sent_after
from bots.slack.rendering import SlackRendering
from bots.views import ApprovalView
from bots.whom import MOST_MENTIONED, Whom, is_shared
from core.domain.approval import Approval
from core.domain.canonical import JsonObject
from core.domain.chat import Surface
from core.domain.delivery import FollowedRun, Parcel
from core.store.chat_following import PutQuestion

SLACK: Final = Surface.SLACK.value


class SlackSurface(SlackRendering):
    """Says things in Slack. What is said is decided purely; only ``perform`` reaches out."""

    def __init__(self, caller: Caller, *, whom: Whom) -> None:
        """Take who calls Slack, and who knows where and whom to ask."""
        self._caller = caller
        self._whom = whom

    @property
    def surface(self) -> str:
        """The surface's name."""
        return SLACK

    @property
    def rates(self) -> Mapping[str, Rate]:
        """How often Slack lets a workspace's app do what."""
        return RATES

    def next_call(self, parcel: Parcel) -> ApiCall | None:
        """Return the next call that brings what was sent to what is wished."""
        return next_call(parcel)

    async def perform(self, parcel: Parcel, call: ApiCall) -> Outcome:
        """Make the call."""
        return await self._caller.perform(parcel, call)

    def sent_after(self, parcel: Parcel, call: ApiCall, outcome: Took | Never) -> JsonObject | None:
        """Return what Slack has of the message after that."""
        return sent_after(parcel, call, outcome)

    async def places_for(
        self, approval: Approval, *, followed: FollowedRun | None
    ) -> Sequence[PutQuestion]:
        """Return the asker's thread, and the tenant's channel or those who may answer."""
        return await self._whom.places_for(approval, followed=followed)

    async def question_payload(
        self, view: ApprovalView, *, approval: Approval, put: PutQuestion
    ) -> JsonObject:
        """Return the card of a question at a place; in a channel it mentions who is asked."""
        if put.decides and is_shared(put) and view.is_open:
            asked = await self._whom.accounts_asked(approval, workspace=put.place.workspace)
            view = replace(view, mention=tuple(asked[:MOST_MENTIONED]))
        return self.approval_payload(view, decides=put.decides)

"""What a card looks like to one person: asked anew each time, it changes nothing.

A card stands without buttons where many read it. Those who may answer are given theirs when Teams
asks for their view of it, and again after each of their clicks.
"""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from bots import actions
from bots.arguments import object_of
from bots.telling import approval_view
from bots.views import ApprovalView
from bots.visit import Visitor
from core.app import App
from core.domain.approval import Approval
from core.domain.canonical import JsonObject
from core.domain.ids import ApprovalId, TenantId
from core.domain.principal import Principal
from core.errors import Forbidden, NotFound
from core.ports import Clock


class Accounts(Protocol):
    """Says who somebody in Teams is."""

    async def at(self, tenant_id: TenantId, *, workspace: str, user: str, channel: str) -> Visitor:
        """Return who an account is that was seen in a conversation.

        Raises:
            Forbidden: the account has no rights.
        """
        ...


class Askable(Protocol):
    """Who may answer a question now."""

    async def eligible(self, approval: Approval) -> Sequence[Principal]:
        """Return the people who may answer it as they stand now."""
        ...


class PersonalCards(Protocol):
    """A question's card as one person sees it."""

    def decider_card(self, view: ApprovalView) -> JsonObject:
        """Return the card with buttons, for somebody who may answer."""
        ...

    def approval_payload(self, view: ApprovalView, *, decides: bool) -> JsonObject:
        """Return the message with the card as everybody sees it."""
        ...


class Looking:
    """Shows people their view of a card."""

    def __init__(
        self,
        app: App,
        *,
        accounts: Accounts,
        people: Askable,
        cards: PersonalCards,
        pages_url: str,
        clock: Clock,
    ) -> None:
        """Take the core's face, who people are, whom to ask, and how cards look."""
        self._clock = clock
        self._app = app
        self._accounts = accounts
        self._people = people
        self._cards = cards
        self._pages_url = pages_url

    async def card(
        self, tenant_id: TenantId, *, workspace: str, user: str, channel: str, value: str
    ) -> JsonObject:
        """Return the Adaptive Card of a question as this account sees it.

        Raises:
            Forbidden: they have no rights here: the card that all see is theirs, too.
            NotFound: there is no such question, or it is none of theirs.
        """
        approval_id = _asked(value)
        visitor = await self._accounts.at(
            tenant_id, workspace=workspace, user=user, channel=channel
        )
        if visitor.person is None:
            raise Forbidden("account_not_linked")
        approval = await self._app.approval(visitor.caller, approval_id=approval_id)
        run = await self._app.run(visitor.caller, run_id=approval.run_id)
        url = f"{self._pages_url}/approvals/{approval_id}"
        view = approval_view(approval, run=run, url=url, may_edit=True, now=self._clock.now())
        if view.is_open and await self._may_answer(approval, person=visitor.person):
            return self._cards.decider_card(view)
        return card_of(self._cards.approval_payload(view, decides=False))

    async def _may_answer(self, approval: Approval, *, person: Principal) -> bool:
        return any(one.id == person.id for one in await self._people.eligible(approval))


def card_of(payload: JsonObject) -> JsonObject:
    """Return the card in a message; empty where it has none."""
    attachments = object_of(payload["activity"]).get("attachments")
    if not isinstance(attachments, Sequence) or not attachments or isinstance(attachments, str):
        return {}
    return object_of(object_of(attachments[0]).get("content"))


def _asked(value: str) -> ApprovalId:
    try:
        return ApprovalId(UUID(actions.ids_of(value).get("a", "")))
    except ValueError:
        raise NotFound("not_found", noun="approval") from None

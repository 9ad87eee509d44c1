"""Slack as a surface: how runs and questions are said there, and where questions are put."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from bots.limits import Rate
from bots.outbox import ApiCall, Never, Outcome, Took
from bots.slack.calling import Caller
from bots.slack.delivering import RATES, next_call, sent_after
from bots.slack.rendering import SlackRendering
from core.domain.approval import Approval
from core.domain.canonical import JsonObject
from core.domain.chat import Surface, Workspace
from core.domain.delivery import FollowedRun, Parcel, Place
from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Principal, Role
from core.store.chat_following import PutQuestion

SLACK: Final = Surface.SLACK.value


class Askable(Protocol):
    """Who may answer a question now."""

    async def eligible(self, approval: Approval) -> Sequence[Principal]:
        """Return the people who may answer it as they stand now, some at least."""
        ...


class Accounts(Protocol):
    """The accounts that people have on a surface."""

    async def accounts_of(
        self, tenant_id: TenantId, *, principal_ids: Sequence[PrincipalId], workspace: str
    ) -> Sequence[str]:
        """Return their accounts in a workspace."""
        ...


class TenantWorkspaces(Protocol):
    """Where workspaces are kept."""

    async def of_tenant(self, tenant_id: TenantId, *, surface: Surface) -> Sequence[Workspace]:
        """Return the tenant's workspaces on a surface."""
        ...


class SlackSurface(SlackRendering):
    """Says things in Slack. What is said is decided purely; only ``perform`` reaches out."""

    def __init__(
        self,
        caller: Caller,
        *,
        workspaces: TenantWorkspaces,
        people: Askable,
        accounts: Accounts,
    ) -> None:
        """Take who calls Slack, and who knows where and whom to ask."""
        self._caller = caller
        self._workspaces = workspaces
        self._people = people
        self._accounts = accounts

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
        """Return the asker's thread, and the tenant's channel or those who may answer.

        In the thread it has no buttons: who asked is not who answers.
        """
        places: list[PutQuestion] = []
        if followed is not None and followed.place.surface == SLACK:
            places.append(PutQuestion(place=followed.place, decides=False))
        for one in await self._workspaces.of_tenant(approval.tenant_id, surface=Surface.SLACK):
            if one.is_active:
                addresses = await self._addresses(approval, workspace=one)
                places.extend(
                    PutQuestion(
                        place=Place(surface=SLACK, workspace=one.workspace, address=address),
                        decides=True,
                    )
                    for address in addresses
                )
        return places

    async def _addresses(self, approval: Approval, *, workspace: Workspace) -> Sequence[str]:
        channel = workspace.approvals_channel
        if channel is not None and approval.escalated_at is None:
            return (f"{channel}/",)
        people = await self._people.eligible(approval)
        if channel is not None:
            people = [person for person in people if _is_told_late(person, approval=approval)]
        accounts = await self._accounts.accounts_of(
            approval.tenant_id,
            principal_ids=[person.id for person in people],
            workspace=workspace.workspace,
        )
        there = [f"{channel}/"] if channel is not None else []
        return (*there, *(f"@{account}/" for account in accounts))


def _is_told_late(person: Principal, *, approval: Approval) -> bool:
    """Return whether a question was escalated to this person."""
    if approval.escalated_to:
        return approval.escalated_to in person.groups
    return Role.ADMIN in person.roles

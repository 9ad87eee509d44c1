"""Whom a question is put to on a surface, and where: the asker's place, a channel, or people."""

from collections.abc import Sequence
from typing import Final, Protocol

from core.domain.approval import Approval
from core.domain.chat import Surface, Workspace
from core.domain.delivery import FollowedRun, Place
from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Principal, Role
from core.store.chat_following import PutQuestion

MOST_MENTIONED: Final = 20


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


class Whom:
    """Knows where on one surface questions stand, and who is asked there."""

    def __init__(
        self,
        surface: Surface,
        *,
        workspaces: TenantWorkspaces,
        people: Askable,
        accounts: Accounts,
    ) -> None:
        """Take the surface, and who knows its workspaces and whose accounts are there."""
        self._surface = surface
        self._workspaces = workspaces
        self._people = people
        self._accounts = accounts

    async def places_for(
        self, approval: Approval, *, followed: FollowedRun | None
    ) -> Sequence[PutQuestion]:
        """Return the asker's place, and the tenant's channel or those who may answer.

        In the asker's place it has no buttons, unless they may answer it themselves, and read it
        there: who asks is not who answers.
        """
        places: dict[Place, PutQuestion] = {}
        if followed is not None and followed.place.surface == self._surface.value:
            places[followed.place] = PutQuestion(place=followed.place, decides=False)
        for one in await self._workspaces.of_tenant(approval.tenant_id, surface=self._surface):
            if one.is_active:
                addresses = await self._addresses(approval, workspace=one)
                for address in addresses:
                    place = Place(
                        surface=self._surface.value, workspace=one.workspace, address=address
                    )
                    places[place] = PutQuestion(place=place, decides=True)
        return tuple(places.values())

    async def accounts_asked(self, approval: Approval, *, workspace: str) -> Sequence[str]:
        """Return the accounts in a workspace of those who may answer a question now."""
        people = await self._people.eligible(approval)
        return await self._accounts_of(people, approval=approval, workspace=workspace)

    async def _addresses(self, approval: Approval, *, workspace: Workspace) -> Sequence[str]:
        channel = workspace.approvals_channel
        if channel is not None and approval.escalated_at is None:
            return (f"{channel}/",)
        people = await self._people.eligible(approval)
        if channel is not None:
            people = [person for person in people if _is_told_late(person, approval=approval)]
        accounts = await self._accounts_of(people, approval=approval, workspace=workspace.workspace)
        there = [f"{channel}/"] if channel is not None else []
        return (*there, *(f"@{account}/" for account in accounts))

    async def _accounts_of(
        self, people: Sequence[Principal], *, approval: Approval, workspace: str
    ) -> Sequence[str]:
        return await self._accounts.accounts_of(
            approval.tenant_id,
            principal_ids=[person.id for person in people],
            workspace=workspace,
        )


def is_shared(put: PutQuestion) -> bool:
    """Return whether others read the place as well: it is nobody's own."""
    return not put.place.address.startswith("@")


def _is_told_late(person: Principal, *, approval: Approval) -> bool:
    """Return whether a question was escalated to this person."""
    if approval.escalated_to:
        return approval.escalated_to in person.groups
    return Role.ADMIN in person.roles

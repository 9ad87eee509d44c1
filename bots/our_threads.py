"""Which threads the agent was asked something in: replies there are for it, without a mention."""

from typing import Protocol

from core.domain.delivery import Place
from core.domain.ids import RunId, TenantId


class WhoseWorkspace(Protocol):
    """Whose a workspace is."""

    async def tenant_of(self, surface: str, *, workspace: str) -> TenantId | None:
        """Return the tenant, None where it is nobody's."""
        ...


class RunsAt(Protocol):
    """Which runs are told where."""

    async def runs_at(self, tenant_id: TenantId, *, place: Place, limit: int) -> tuple[RunId, ...]:
        """Return the runs that were asked for at a place."""
        ...


class Waiting(Protocol):
    """What has arrived."""

    async def waits(self, tenant_id: TenantId, *, place: Place) -> bool:
        """Return whether something that was said in a conversation is yet to be handled."""
        ...


class OurThreads:
    """Says whether a thread is one of ours; what is said in any other is never kept."""

    def __init__(
        self, directory: WhoseWorkspace, *, surface: str, following: RunsAt, arrived: Waiting
    ) -> None:
        """Take whose workspaces are, what is told where, and what has arrived."""
        self._surface = surface
        self._directory = directory
        self._following = following
        self._arrived = arrived

    async def __call__(self, workspace: str, address: str) -> bool:
        """Return whether something was asked there before.

        Raises:
            Unavailable: ``database_unavailable``.
        """
        tenant_id = await self._directory.tenant_of(self._surface, workspace=workspace)
        if tenant_id is None:
            return False
        place = Place(surface=self._surface, workspace=workspace, address=address)
        if await self._following.runs_at(tenant_id, place=place, limit=1):
            return True
        # A reply may come before what it replies to has been handled.
        return await self._arrived.waits(tenant_id, place=place)

"""The way back to conversations: where each was, as it was said with what somebody did there."""

from collections import OrderedDict
from typing import Final

from bots.teams.arrivals import Seen
from bots.teams.references import References
from bots.teams.wire import Reference
from core.domain.chat import ChatReference, Surface
from core.domain.delivery import Arrival
from core.domain.ids import TenantId
from core.ports import Clock

_AGAIN_SECONDS: Final = 3600.0
_MOST: Final = 10_000


class Conversations:
    """Notes where things happen, and knows the way there afterwards."""

    def __init__(self, stored: References, *, clock: Clock) -> None:
        """Take where references are kept."""
        self._stored = stored
        self._clock = clock
        self._noted: OrderedDict[tuple[TenantId, str, Seen], float] = OrderedDict()

    async def note(self, arrival: Arrival, seen: Seen) -> None:
        """Note a conversation, and who was seen in it; what was noted lately costs nothing."""
        key, now = (arrival.tenant_id, arrival.workspace, seen), self._clock.monotonic()
        if now - self._noted.get(key, float("-inf")) < _AGAIN_SECONDS:
            return
        if not seen.is_personal:
            await self._keep(arrival, seen, address=f"{seen.conversation}/", mri="")
        if seen.user:
            await self._note_person(arrival, seen)
        self._noted[key] = now
        while len(self._noted) > _MOST:
            self._noted.popitem(last=False)

    async def forget(self, arrival: Arrival, seen: Seen) -> None:
        """Forget a conversation that the app has left: nothing can be said there any more."""
        self._noted.clear()
        address = f"@{seen.user}/" if seen.is_personal else f"{seen.conversation}/"
        await self._stored.forget(
            arrival.tenant_id,
            surface=Surface.TEAMS,
            workspace=arrival.workspace,
            address=address,
        )

    async def reach(
        self, tenant_id: TenantId, *, workspace: str, conversation: str
    ) -> Reference | None:
        """Return how to reach a conversation (``@`` and an account: their own chat).

        None where nobody was seen there, or anywhere in the workspace.
        """
        address = f"{conversation}/"
        found = await self._stored.of(
            tenant_id, surface=Surface.TEAMS, workspace=workspace, addresses=[address]
        )
        for one in found:
            if one.conversation:
                return _reference(one, conversation=one.conversation)
        if conversation.startswith("@"):
            return None
        newest = await self._stored.newest(tenant_id, surface=Surface.TEAMS, workspace=workspace)
        return _reference(newest, conversation=conversation) if newest else None

    async def known_as(self, tenant_id: TenantId, *, workspace: str, user: str) -> str:
        """Return Teams' own id of somebody; empty where nobody has seen them."""
        found = await self._stored.of(
            tenant_id, surface=Surface.TEAMS, workspace=workspace, addresses=[f"@{user}/"]
        )
        return found[0].mri if found else ""

    async def forget_person(self, tenant_id: TenantId, *, workspace: str, user: str) -> None:
        """Forget where somebody is reached: somebody else is there."""
        self._noted.clear()
        await self._stored.forget(
            tenant_id, surface=Surface.TEAMS, workspace=workspace, address=f"@{user}/"
        )

    async def _note_person(self, arrival: Arrival, seen: Seen) -> None:
        """Keep somebody's own id of Teams', and their own chat with us once they were in it."""
        address, conversation = f"@{seen.user}/", seen.conversation
        if not seen.is_personal:
            known = await self._stored.of(
                arrival.tenant_id,
                surface=Surface.TEAMS,
                workspace=arrival.workspace,
                addresses=[address],
            )
            conversation = known[0].conversation if known else ""
        await self._keep(arrival, seen, address=address, conversation=conversation, mri=seen.mri)

    async def _keep(
        self,
        arrival: Arrival,
        seen: Seen,
        *,
        address: str,
        conversation: str | None = None,
        mri: str,
    ) -> None:
        await self._stored.keep(
            ChatReference(
                tenant_id=arrival.tenant_id,
                surface=Surface.TEAMS,
                workspace=arrival.workspace,
                address=address,
                conversation=seen.conversation if conversation is None else conversation,
                service_url=seen.service_url,
                mri=mri,
                seen_at=self._clock.now(),
            )
        )


def _reference(found: ChatReference, *, conversation: str) -> Reference:
    return Reference(
        service_url=found.service_url, conversation=conversation, tenant=found.workspace
    )

"""Where conversations on Teams are reached: what was kept of them when somebody there spoke."""

from collections.abc import Sequence
from typing import Protocol

from core.domain.chat import ChatReference, Surface
from core.domain.ids import TenantId


class References(Protocol):
    """The references of a tenant's conversations; the newest word on one counts."""

    async def of(
        self, tenant_id: TenantId, *, surface: Surface, workspace: str, addresses: Sequence[str]
    ) -> Sequence[ChatReference]:
        """Return what is known of these addresses, by address."""
        ...

    async def newest(
        self, tenant_id: TenantId, *, surface: Surface, workspace: str
    ) -> ChatReference | None:
        """Return the reference of the workspace that was seen last; None where there is none."""
        ...

    async def keep(self, reference: ChatReference) -> None:
        """Keep where a conversation is, unless something newer is known. Twice is once."""
        ...

    async def forget(
        self, tenant_id: TenantId, *, surface: Surface, workspace: str, address: str
    ) -> bool:
        """Forget a conversation that is no more. Return whether it was known."""
        ...

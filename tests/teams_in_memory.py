"""The ports to Teams in memory: what was said to it is kept, and so is where conversations are."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bots.teams.wire import Reference, WireRefused, WireUnreachable
from core.domain.canonical import JsonObject
from core.domain.chat import ChatReference, Surface
from core.domain.ids import TenantId

Says = WireRefused | WireUnreachable | str


@dataclass(slots=True)
class KeptWire:
    """A Wire that writes down what it is told; ``says`` is what it answers instead."""

    told: list[tuple[str, Reference | str, JsonObject]] = field(
        default_factory=list[tuple[str, "Reference | str", JsonObject]]
    )
    says: list[Says] = field(default_factory=list["Says"])

    async def parse(self, activity: JsonObject, *, authorization: str | None) -> None:
        del activity, authorization

    async def send(self, to: Reference, activity: JsonObject) -> str:
        self.told.append(("send", to, activity))
        return self._answer(f"m{len(self.told)}")

    async def update(self, to: Reference, *, message: str, activity: JsonObject) -> None:
        self.told.append((f"update {message}", to, activity))
        self._answer("")

    async def create(self, *, service_url: str, tenant: str, user: str) -> str:
        self.told.append(("create", service_url, {"tenant": tenant, "user": user}))
        return self._answer("a:1alice")

    async def member(self, to: Reference, *, user: str) -> JsonObject | None:
        del to, user
        return None

    def _answer(self, usual: str) -> str:
        said = self.says.pop(0) if self.says else usual
        if isinstance(said, str):
            return said
        raise said


@dataclass(slots=True)
class KeptReferences:
    """References in memory."""

    kept: dict[str, ChatReference] = field(default_factory=dict[str, ChatReference])

    async def of(
        self, tenant_id: TenantId, *, surface: Surface, workspace: str, addresses: Sequence[str]
    ) -> Sequence[ChatReference]:
        del tenant_id, surface, workspace
        return [self.kept[one] for one in addresses if one in self.kept]

    async def newest(
        self, tenant_id: TenantId, *, surface: Surface, workspace: str
    ) -> ChatReference | None:
        del tenant_id, surface, workspace
        return max(self.kept.values(), key=lambda one: one.seen_at, default=None)

    async def keep(self, reference: ChatReference) -> None:
        self.kept[reference.address] = reference

    async def forget(
        self, tenant_id: TenantId, *, surface: Surface, workspace: str, address: str
    ) -> bool:
        del tenant_id, surface, workspace
        return self.kept.pop(address, None) is not None

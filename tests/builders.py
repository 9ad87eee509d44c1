"""What tests are made of: people and clocks with one line each."""

from datetime import UTC, datetime, timedelta

from core.domain.principal import Principal, Role, Tenant, Tier
from core.store.database import Database
from core.store.principals import StoredPeople


class SteadyClock:
    """The Clock port, standing still until it is moved."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 20, 12, tzinfo=UTC)
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def move(self, *, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds


async def make_tenant(database: Database, name: str = "acme", *, tier: Tier = Tier.PRO) -> Tenant:
    return await StoredPeople(database).create_tenant(name, tier=tier)


async def make_person(
    database: Database, tenant: Tenant, email: str, *roles: Role, groups: tuple[str, ...] = ()
) -> Principal:
    return await StoredPeople(database).create_principal(
        tenant.id, email=email, roles=roles or (Role.MEMBER,), groups=groups
    )

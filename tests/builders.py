"""What tests are made of: people and clocks with one line each."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from core.domain.ids import PrincipalId
from core.domain.principal import Principal, Role, Tenant, Tier
from core.store.database import Database
from core.store.principals import StoredPeople
from core.store.tables import principals


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


async def make_people(
    connection: AsyncConnection, tenant: Tenant, *people: tuple[str, Role]
) -> list[Principal]:
    """Create people, each by an email in lower case, in the tenant's open transaction."""
    made = [
        Principal(
            id=PrincipalId(uuid4()),
            tenant_id=tenant.id,
            email=email,
            roles=frozenset({role}),
            groups=frozenset(),
        )
        for email, role in people
    ]
    await connection.execute(
        insert(principals),
        [
            {
                "tenant_id": tenant.id,
                "id": one.id,
                "email": one.email,
                "roles": sorted(one.roles),
                "groups": [],
            }
            for one in made
        ],
    )
    return made


async def make_person(
    database: Database, tenant: Tenant, email: str, *roles: Role, groups: tuple[str, ...] = ()
) -> Principal:
    return await StoredPeople(database).create_principal(
        tenant.id, email=email, roles=roles or (Role.MEMBER,), groups=groups
    )

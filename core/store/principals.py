"""Tenants and their people."""

from collections.abc import Sequence
from uuid import uuid4

from sqlalchemy import Row, Select, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Principal, Role, Tenant, Tier
from core.errors import Conflict, NotFound
from core.ports import Standing
from core.store.database import Database
from core.store.tables import principals, tenants, tool_settings
from core.store.upstream_rows import held_of, tools_of
from core.store.upstream_tables import upstream_tools

_TOOLS = 1000


class StoredPeople:
    """The People port on PostgreSQL, and what administration needs beside it."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database

    async def create_tenant(self, name: str, *, tier: Tier) -> Tenant:
        """Create a tenant.

        Raises:
            Conflict: ``tenant_exists``.
        """
        tenant_id = TenantId(uuid4())
        async with self._database.for_tenant(tenant_id) as connection:
            row = (
                await connection.execute(
                    upsert(tenants)
                    .values(id=tenant_id, name=name, tier=tier.value)
                    .on_conflict_do_nothing(index_elements=[tenants.c.name])
                    .returning(*tenants.c)
                )
            ).one_or_none()
        if row is None:
            raise Conflict("tenant_exists", tenant=name)
        return tenant_of(row)

    async def tenant(self, tenant_id: TenantId) -> Tenant:
        """Return the tenant as it is now.

        Raises:
            NotFound: ``not_found``.
        """
        async with self._database.for_tenant(tenant_id) as connection:
            found = await connection.execute(select(tenants).where(tenants.c.id == tenant_id))
            row = found.one_or_none()
        if row is None:
            raise NotFound("not_found", noun="tenant")
        return tenant_of(row)

    async def create_principal(
        self, tenant_id: TenantId, *, email: str, roles: Sequence[Role], groups: Sequence[str] = ()
    ) -> Principal:
        """Create a person of the tenant; the email is kept in lower case.

        Raises:
            Conflict: ``principal_exists``.
        """
        principal = Principal(
            id=PrincipalId(uuid4()),
            tenant_id=tenant_id,
            email=email.lower(),
            roles=frozenset(roles),
            groups=frozenset(groups),
        )
        async with self._database.for_tenant(tenant_id) as connection:
            added = await connection.execute(
                upsert(principals)
                .values(
                    tenant_id=tenant_id,
                    id=principal.id,
                    email=principal.email,
                    roles=sorted(principal.roles),
                    groups=sorted(principal.groups),
                )
                .on_conflict_do_nothing(index_elements=[principals.c.tenant_id, principals.c.email])
                .returning(principals.c.id)
            )
        if added.one_or_none() is None:
            raise Conflict("principal_exists", email=principal.email)
        return principal

    async def by_email(self, tenant_id: TenantId, *, email: str) -> Principal:
        """Return the person with that email.

        Raises:
            NotFound: no such person, or disabled.
        """
        async with self._database.for_tenant(tenant_id) as connection:
            found = await connection.execute(
                select(principals).where(
                    principals.c.tenant_id == tenant_id,
                    principals.c.email == email.lower(),
                    principals.c.disabled_at.is_(None),
                )
            )
            row = found.one_or_none()
        if row is None:
            raise NotFound("not_found", noun="person")
        return principal_of(row)

    async def standing(self, tenant_id: TenantId, *, principal_id: PrincipalId) -> Standing:
        """Return how the person stands now; see the port."""
        disabled = (
            select(tool_settings.c.tool)
            .where(tool_settings.c.tenant_id == tenant_id, tool_settings.c.enabled.is_(False))
            .order_by(tool_settings.c.tool)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            tenant = (
                await connection.execute(select(tenants).where(tenants.c.id == tenant_id))
            ).one_or_none()
            person = (
                await connection.execute(
                    select(principals).where(
                        principals.c.tenant_id == tenant_id,
                        principals.c.id == principal_id,
                        principals.c.disabled_at.is_(None),
                    )
                )
            ).one_or_none()
            tools = (await connection.execute(disabled.limit(_TOOLS))).scalars().all()
            theirs = (await connection.execute(_upstream_tools(tenant_id))).all()
        if tenant is None or person is None:
            raise NotFound("not_found", noun="person")
        return Standing(
            tenant=tenant_of(tenant),
            principal=principal_of(person),
            disabled_tools=frozenset(tools),
            tools=tools_of(theirs),
            held_tools=held_of(theirs),
        )

    async def disabled_tools(self, tenant_id: TenantId) -> frozenset[str]:
        """Return the names of the tools that are switched off for the tenant."""
        disabled = (
            select(tool_settings.c.tool)
            .where(tool_settings.c.tenant_id == tenant_id, tool_settings.c.enabled.is_(False))
            .order_by(tool_settings.c.tool)
            .limit(_TOOLS)
        )
        async with self._database.for_tenant(tenant_id) as connection:
            return frozenset((await connection.execute(disabled)).scalars())

    async def change_roles(
        self, tenant_id: TenantId, *, principal_id: PrincipalId, roles: Sequence[Role]
    ) -> None:
        """Give the person these roles instead; verdicts made before are stale from now on.

        Raises:
            NotFound: ``not_found``.
        """
        async with self._database.for_tenant(tenant_id) as connection:
            changed = await connection.execute(
                update(principals)
                .where(principals.c.tenant_id == tenant_id, principals.c.id == principal_id)
                .values(roles=sorted(roles))
                .returning(principals.c.id)
            )
        if changed.one_or_none() is None:
            raise NotFound("not_found", noun="person")

    async def set_tool(self, tenant_id: TenantId, *, tool: str, enabled: bool) -> None:
        """Switch a tool on or off for the tenant; verdicts made before are stale from now on."""
        async with self._database.for_tenant(tenant_id) as connection:
            await connection.execute(
                upsert(tool_settings)
                .values(tenant_id=tenant_id, tool=tool, enabled=enabled)
                .on_conflict_do_update(
                    index_elements=[tool_settings.c.tenant_id, tool_settings.c.tool],
                    set_={"enabled": enabled},
                )
            )


def _upstream_tools(tenant_id: TenantId) -> Select[tuple[object, ...]]:
    """Those that were accepted once, in so far as the door looks at them."""
    unseen = [column for column in upstream_tools.c if column.name not in {"seen", "seen_digest"}]
    return (
        select(*unseen)
        .where(upstream_tools.c.tenant_id == tenant_id, upstream_tools.c.state != "new")
        .order_by(upstream_tools.c.name)
        .limit(_TOOLS)
    )


def principal_of(row: Row[tuple[object, ...]]) -> Principal:
    """Return the person that a row of ``principals`` tells of."""
    return Principal(
        id=PrincipalId(row.id),
        tenant_id=TenantId(row.tenant_id),
        email=row.email,
        roles=frozenset(Role(role) for role in row.roles),
        groups=frozenset(row.groups),
    )


def tenant_of(row: Row[tuple[object, ...]]) -> Tenant:
    """Return the tenant that a row of ``tenants`` tells of."""
    return Tenant(id=TenantId(row.id), name=row.name, tier=Tier(row.tier), epoch=row.epoch)

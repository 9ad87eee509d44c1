"""Tenants and their people."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Principal, Role, Tenant, Tier
from core.errors import Conflict, NotFound
from core.ports import Standing
from core.store.database import Database
from core.store.rows import row_of
from core.store.tables import principals, tenants, tool_settings
from core.store.upstream_rows import held_of, tools_of

_TOOLS = 1000
_STANDING = "select standing_of($1, $2)"


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
        told = await self._database.hot(_STANDING, tenant_id, principal_id)
        if told is None:
            raise NotFound("not_found", noun="person")
        found: dict[str, Any] = json.loads(str(told))  # Any: as standing_of builds it
        return standing_of(found, principal=principal_of(row_of(found["principal"])))

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


def standing_of(told: Mapping[str, Any], *, principal: Principal) -> Standing:  # Any: from JSON
    """Return the standing that a SQL function told of."""
    tools = [row_of(tool) for tool in told["upstream_tools"]]
    return Standing(
        tenant=tenant_of(row_of(told["tenant"])),
        principal=principal,
        disabled_tools=frozenset(told["disabled_tools"]),
        tools=tools_of(tools),
        held_tools=held_of(tools),
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

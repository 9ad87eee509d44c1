"""Bringing tenants and their people into being, written down for the auditor."""

import re
from collections.abc import Sequence
from uuid import uuid4

from core.domain.audit import audit_record
from core.domain.canonical import JsonObject
from core.domain.ids import TenantId
from core.domain.principal import Principal, Role, Tenant, Tier
from core.domain.task import ProjectId
from core.errors import InvalidInput
from core.store.seeds import create_project
from sallyport.assembly import Assembly

OPERATOR = "operator"
_INBOX = "Inbox"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
# What tells one person from another and can be written to; whether it exists, only a message tells.
_EMAIL = re.compile(r"(?=.{3,254}$)[^@\s]+@[^@\s]+")


async def found_tenant(parts: Assembly, name: str, *, tier: Tier) -> Tenant:
    """Create a tenant with its first project, Inbox, open to all its members.

    Raises:
        InvalidInput: ``invalid_tenant_name``.
        Conflict: ``tenant_exists``.
    """
    if _NAME.fullmatch(name) is None:
        raise InvalidInput("invalid_tenant_name")
    tenant = await parts.people.create_tenant(name, tier=tier)
    async with parts.database.for_tenant(tenant.id) as connection:
        await create_project(
            connection,
            tenant.id,
            project_id=ProjectId(uuid4()),
            name=_INBOX,
            open_to_all=True,
        )
    await note(parts, tenant.id, action="tenant.created", content={"name": name, "tier": tier})
    return tenant


async def add_person(
    parts: Assembly,
    tenant_id: TenantId,
    *,
    email: str,
    roles: Sequence[Role],
    groups: Sequence[str] = (),
) -> Principal:
    """Create a person of the tenant.

    Raises:
        InvalidInput: ``invalid_email``.
        Conflict: ``principal_exists``.
    """
    if _EMAIL.fullmatch(email) is None:
        raise InvalidInput("invalid_email")
    person = await parts.people.create_principal(tenant_id, email=email, roles=roles, groups=groups)
    content: JsonObject = {
        "email": person.email,
        "roles": sorted(person.roles),
        "groups": sorted(person.groups),
    }
    await note(parts, tenant_id, action="principal.created", content=content)
    return person


async def note(parts: Assembly, tenant_id: TenantId, *, action: str, content: JsonObject) -> None:
    """Write down for the auditor what the operator did."""
    record = audit_record(
        tenant_id, at=parts.clock.now(), action=action, actor=OPERATOR, content=content
    )
    await parts.journal.record(record)

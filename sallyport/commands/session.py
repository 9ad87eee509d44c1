"""What most commands begin with: the database, its parts, a tenant, and whom to act for."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import click

from core.domain.ids import TenantId
from core.domain.principal import Caller, Principal, scopes_held
from core.errors import NotFound
from sallyport import settings
from sallyport.assembly import Assembly
from sallyport.storage import Storage

VIA = "cli"

tenant_option = click.option("--tenant", required=True, metavar="T", help="The tenant's name.")
as_option = click.option(
    "--as", "email", required=True, metavar="E", help="The email of the person to act for."
)
limit_option = click.option(
    "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many."
)
cursor_option = click.option("--cursor", metavar="C", help="Where to go on: next_cursor.")


@asynccontextmanager
async def parts_of_process() -> AsyncGenerator[Assembly]:
    """Have the database that the settings name, migrated, and the parts on it."""
    read = settings.load()
    async with Storage(read.store) as storage:
        parts = Assembly(read, url=storage.url)
        try:
            yield parts
        finally:
            await parts.database.close()


async def tenant_named(parts: Assembly, name: str) -> TenantId:
    """Return the tenant of that name.

    Raises:
        NotFound: ``unknown_tenant``.
    """
    tenant_id = await parts.directory.tenant_id(name)
    if tenant_id is None:
        raise NotFound("unknown_tenant", tenant=name)
    return tenant_id


async def person_named(parts: Assembly, *, tenant: str, email: str) -> Principal:
    """Return the person with that email.

    Raises:
        NotFound: ``unknown_tenant``, ``unknown_person``.
    """
    tenant_id = await tenant_named(parts, tenant)
    try:
        return await parts.people.by_email(tenant_id, email=email)
    except NotFound as error:
        raise NotFound("unknown_person", tenant=tenant, email=email) from error


async def acting_as(parts: Assembly, *, tenant: str, email: str) -> Caller:
    """Return the caller that the operator's command is, on behalf of the person.

    Raises:
        NotFound: ``unknown_tenant``, ``unknown_person``.
    """
    person = await person_named(parts, tenant=tenant, email=email)
    return Caller(principal=person, scopes=scopes_held(person), via=VIA, on_behalf=True)

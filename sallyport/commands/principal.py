"""People: create them, see who there is, and let them in no more."""

import click

from core.domain.canonical import JsonObject
from core.domain.principal import Enrolled, Role
from core.errors import NotFound
from sallyport.commands.answer import Answer, answering, table
from sallyport.commands.session import (
    cursor_option,
    limit_option,
    parts_of_process,
    tenant_named,
    tenant_option,
)
from sallyport.founding import add_person, note

COMMAND = click.Group("principal", help="Create, list, disable and enable the people of a tenant.")

_email_option = click.option("--email", required=True, metavar="E")


@COMMAND.command("create")
@tenant_option
@_email_option
@click.option(
    "--role",
    "roles",
    required=True,
    multiple=True,
    type=click.Choice(Role, case_sensitive=False),
    help="What the person may do; may be given more than once.",
)
@click.option("--group", "groups", multiple=True, metavar="G", help="May be given more than once.")
@answering
async def create(
    tenant: str, email: str, roles: tuple[Role, ...], groups: tuple[str, ...]
) -> Answer:
    """Create a person of a tenant."""
    async with parts_of_process() as parts:
        tenant_id = await tenant_named(parts, tenant)
        person = await add_person(parts, tenant_id, email=email, roles=roles, groups=groups)
    told = sorted(role.value for role in person.roles)
    return Answer(
        document={
            "id": str(person.id),
            "tenant": tenant,
            "email": person.email,
            "roles": told,
            "groups": sorted(person.groups),
        },
        shown=f"Created {person.email} ({', '.join(told)}) of {tenant}.",
    )


@COMMAND.command("list")
@tenant_option
@limit_option
@cursor_option
@answering
async def listed(tenant: str, limit: int, cursor: str | None) -> Answer:
    """List the people of a tenant, disabled ones too."""
    async with parts_of_process() as parts:
        tenant_id = await tenant_named(parts, tenant)
        found = await parts.enrolment.page(tenant_id, after=cursor, limit=limit)
    return Answer(
        document={
            "items": [_told(one) for one in found],
            "next_cursor": found[-1].principal.email if len(found) == limit else None,
        },
        shown=table(
            "email",
            "roles",
            "groups",
            "disabled_at",
            rows=[
                (
                    one.principal.email,
                    ", ".join(sorted(one.principal.roles)),
                    ", ".join(sorted(one.principal.groups)),
                    one.disabled_at.isoformat(timespec="seconds") if one.disabled_at else None,
                )
                for one in found
            ],
            none=f"There is nobody. Create somebody with: sallyport principal create --tenant "
            f"{tenant}",
        ),
    )


@COMMAND.command("disable")
@tenant_option
@_email_option
@answering
async def disable(tenant: str, email: str) -> Answer:
    """Let a person in no more; their sessions, clients and tokens end for good. Twice is once."""
    async with parts_of_process() as parts:
        tenant_id = await tenant_named(parts, tenant)
        try:
            person, ended = await parts.enrolment.disable(
                tenant_id, email=email, at=parts.clock.now()
            )
        except NotFound as error:
            raise NotFound("unknown_person", tenant=tenant, email=email) from error
        content: JsonObject = {
            "email": person.principal.email,
            "sessions": ended.sessions,
            "clients": ended.clients,
            "tokens": ended.tokens,
        }
        await note(parts, tenant_id, action="principal.disabled", content=content)
    return Answer(
        document={**_told(person), **content},
        shown=f"Disabled {person.principal.email} of {tenant}. Ended: {ended.sessions} sessions, "
        f"{ended.clients} clients, {ended.tokens} tokens.",
    )


@COMMAND.command("enable")
@tenant_option
@_email_option
@answering
async def enable(tenant: str, email: str) -> Answer:
    """Let a person come in again; what had ended stays so. Twice is once."""
    async with parts_of_process() as parts:
        tenant_id = await tenant_named(parts, tenant)
        try:
            person = await parts.enrolment.enable(tenant_id, email=email)
        except NotFound as error:
            raise NotFound("unknown_person", tenant=tenant, email=email) from error
        content: JsonObject = {"email": person.principal.email}
        await note(parts, tenant_id, action="principal.enabled", content=content)
    return Answer(
        document=_told(person), shown=f"{person.principal.email} of {tenant} is not disabled."
    )


def _told(person: Enrolled) -> JsonObject:
    told = person.principal
    return {
        "id": str(told.id),
        "email": told.email,
        "roles": sorted(told.roles),
        "groups": sorted(told.groups),
        "created_at": person.created_at.isoformat(timespec="seconds"),
        "disabled_at": person.disabled_at.isoformat(timespec="seconds")
        if person.disabled_at
        else None,
    }

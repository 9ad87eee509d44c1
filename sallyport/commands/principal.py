"""People: create them."""

import click

from core.domain.principal import Role
from sallyport.commands.answer import Answer, answering
from sallyport.commands.session import parts_of_process, tenant_named, tenant_option
from sallyport.founding import add_person

COMMAND = click.Group("principal", help="Create the people of a tenant.")


@COMMAND.command("create")
@tenant_option
@click.option("--email", required=True, metavar="E")
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

"""Tenants: create and list them."""

import click

from core.domain.principal import Tier
from sallyport.commands.answer import Answer, answering, table
from sallyport.commands.session import cursor_option, limit_option, parts_of_process
from sallyport.founding import found_tenant

COMMAND = click.Group("tenant", help="Create and list tenants.")


@COMMAND.command("create")
@click.argument("name")
@click.option("--tier", type=click.Choice(Tier, case_sensitive=False), default=Tier.FREE)
@answering
async def create(name: str, tier: Tier) -> Answer:
    """Create a tenant, with one project, Inbox, open to all its members."""
    async with parts_of_process() as parts:
        tenant = await found_tenant(parts, name, tier=tier)
    return Answer(
        document={"id": str(tenant.id), "name": tenant.name, "tier": tenant.tier.value},
        shown=f"Created {tenant.name} ({tenant.tier.value}). Next: sallyport principal create "
        f"--tenant {tenant.name} --email EMAIL --role member",
    )


@COMMAND.command("list")
@limit_option
@cursor_option
@answering
async def listed(limit: int, cursor: str | None) -> Answer:
    """List the tenants, by name."""
    async with parts_of_process() as parts:
        found = await parts.directory.tenants(after=cursor or "", limit=limit)
    rows = [
        {
            "id": str(tenant.id),
            "name": tenant.name,
            "tier": tenant.tier.value,
            "created_at": tenant.created_at.isoformat(),
        }
        for tenant in found
    ]
    return Answer(
        document={"items": rows, "next_cursor": found[-1].name if len(found) == limit else None},
        shown=table(
            "name",
            "tier",
            "id",
            rows=[(row["name"], row["tier"], row["id"]) for row in rows],
            none="There are no tenants yet. Create one with: sallyport tenant create NAME",
        ),
    )

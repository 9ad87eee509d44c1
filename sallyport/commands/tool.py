"""The tools of a tenant: see them, switch them on and off."""

import json

import click

from core.domain.canonical import Json, JsonObject
from core.domain.ids import TenantId
from core.domain.tool import Tool
from core.errors import NotFound
from sallyport.assembly import Assembly
from sallyport.commands.answer import Answer, answering, table
from sallyport.commands.session import parts_of_process, tenant_named, tenant_option
from sallyport.founding import note

COMMAND = click.Group("tool", help="See the tools of a tenant, and switch them on and off.")


@COMMAND.command("list")
@tenant_option
@answering
async def listed(tenant: str) -> Answer:
    """List the tools there are, and whether the tenant has them."""
    async with parts_of_process() as parts:
        tenant_id = await tenant_named(parts, tenant)
        disabled = await parts.people.disabled_tools(tenant_id)
        theirs = await parts.stored_upstreams.accepted(tenant_id)
        tools = [tool for tool in (*parts.toolbox.tools(), *theirs.values()) if tool.listed]
    rows = [_told(tool, enabled=tool.name not in disabled) for tool in tools]
    return Answer(
        document={"items": rows, "next_cursor": None},
        shown=table(
            "name",
            "pack",
            "risk",
            "enabled",
            "can be undone",
            rows=[
                (
                    row["name"],
                    row["pack"],
                    row["risk"],
                    "yes" if row["enabled"] else "no",
                    "yes" if row["reversible"] else "",
                )
                for row in rows
            ],
            none="There are no tools.",
        ),
    )


@COMMAND.command("show")
@click.argument("name")
@tenant_option
@answering
async def show(name: str, tenant: str) -> Answer:
    """Show a tool: what it does, takes and returns, and whom it asks."""
    async with parts_of_process() as parts:
        tenant_id = await tenant_named(parts, tenant)
        disabled = await parts.people.disabled_tools(tenant_id)
        tool = await _found(parts, tenant_id, name=name)
    document: dict[str, Json] = {
        **_told(tool, enabled=name not in disabled),
        "approver": tool.approver.value,
        "needed": tool.needed,
        "cost_micros": tool.cost_micros,
        "timeout_seconds": tool.timeout_seconds,
        "per_minute": tool.per_minute,
        "definition_digest": tool.definition_digest,
        "input_schema": tool.input_schema,
        "output_schema": tool.output_schema,
    }
    return Answer(document=document, shown=json.dumps(document, indent=2))


@COMMAND.command("enable")
@click.argument("name")
@tenant_option
@answering
async def enable(name: str, tenant: str) -> Answer:
    """Switch a tool on for the tenant."""
    return await _switched(name, tenant=tenant, enabled=True)


@COMMAND.command("disable")
@click.argument("name")
@tenant_option
@answering
async def disable(name: str, tenant: str) -> Answer:
    """Switch a tool off for the tenant; calls of it are refused from now on."""
    return await _switched(name, tenant=tenant, enabled=False)


async def _switched(name: str, *, tenant: str, enabled: bool) -> Answer:
    async with parts_of_process() as parts:
        tenant_id = await tenant_named(parts, tenant)
        tool = await _found(parts, tenant_id, name=name)
        await parts.people.set_tool(tenant_id, tool=tool.name, enabled=enabled)
        content: JsonObject = {"tool": tool.name, "enabled": enabled}
        await note(parts, tenant_id, action="tool.switched", content=content)
    return Answer(
        document={"name": tool.name, "enabled": enabled},
        shown=f"{tool.name} is {'on' if enabled else 'off'} for {tenant}.",
    )


async def _found(parts: Assembly, tenant_id: TenantId, *, name: str) -> Tool:
    tool = parts.toolbox.find(name)
    if tool is None:
        tool = (await parts.stored_upstreams.accepted(tenant_id)).get(name)
    if tool is None or not tool.listed:
        raise NotFound("unknown_tool", tool=name[:200])
    return tool


def _told(tool: Tool, *, enabled: bool) -> dict[str, Json]:
    return {
        "name": tool.name,
        "pack": tool.pack,
        "version": tool.version,
        "risk": tool.risk.value,
        "enabled": enabled,
        "reversible": tool.reversible,
        "idempotent": tool.idempotent,
        "description": tool.description,
    }

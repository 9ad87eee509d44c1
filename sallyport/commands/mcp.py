"""MCP over standard input and output, for clients that start their servers themselves."""

import asyncio
from dataclasses import replace

import click

from mcp_server.stdio import serve_stdio
from sallyport import settings
from sallyport.assembly import Assembly
from sallyport.commands.answer import Answer, lasting
from sallyport.commands.session import acting_as, as_option, tenant_option
from sallyport.driving import driven
from sallyport.storage import Storage

_VIA = "mcp"


@click.command("mcp", help="Serve MCP on standard input and output, for one person.")
@tenant_option
@as_option
@lasting
async def COMMAND(tenant: str, email: str) -> Answer:  # noqa: N802 - what the command line looks for
    """Serve the person until standard input ends."""
    read = settings.load()
    async with Storage(read.store) as storage, asyncio.TaskGroup() as group:
        supervision = group.create_task(storage.supervise())
        parts = Assembly(read, url=storage.url)
        caller = await acting_as(parts, tenant=tenant, email=email)
        # A model holds this end of the line: people decide elsewhere, as themselves.
        scopes = caller.scopes - {"approvals:decide"}
        async with driven(parts) as wheel:
            await serve_stdio(
                wheel.app,
                caller=replace(caller, scopes=scopes, via=_VIA),
                public_url=read.http.public_url,
            )
        supervision.cancel()
    return Answer(document={})

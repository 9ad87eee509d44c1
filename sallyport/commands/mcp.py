"""MCP over standard input and output, for clients that start their servers themselves."""

import asyncio
from dataclasses import replace

import click

from core.app import App
from core.domain.principal import Caller
from mcp_server.stdio import serve_stdio
from sallyport import settings
from sallyport.assembly import Assembly
from sallyport.commands.answer import Answer, lasting
from sallyport.commands.session import acting_as, as_option, tenant_option
from sallyport.driving import driven
from sallyport.standard_input import relayed
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
            await _served(
                wheel.app,
                caller=replace(caller, scopes=scopes, via=_VIA),
                public_url=read.http.public_url,
            )
        supervision.cancel()
    return Answer(document={})


async def _served(app: App, *, caller: Caller, public_url: str | None) -> None:
    """Serve until standard input ends, or until cancelled, which ends it."""
    end_input = relayed()

    async def end_when_cancelled() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            end_input()

    async with asyncio.TaskGroup() as group:
        ending = group.create_task(end_when_cancelled())

        async def serve() -> None:
            await serve_stdio(app, caller=caller, public_url=public_url)
            ending.cancel()

        # A task of its own: cancelled here, the serving goes on until its input has ended.
        group.create_task(serve())

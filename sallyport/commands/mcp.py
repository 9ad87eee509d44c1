"""MCP over standard input and output, for clients that start their servers themselves."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import click

from mcp_server.stdio import serve_stdio
from sallyport import settings
from sallyport.assembly import Assembly
from sallyport.commands.answer import Answer, lasting
from sallyport.commands.session import acting_as, as_option, tenant_option
from sallyport.driving import driven
from sallyport.processes import pages_of, patience_of
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
                partial(
                    serve_stdio,
                    wheel.app,
                    caller=replace(caller, scopes=scopes, via=_VIA),
                    patience=patience_of(read.http),
                    public_url=pages_of(read.http, port=read.http.port),
                    nudges=parts.nudges,
                )
            )
        supervision.cancel()
    return Answer(document={})


async def _served(serving: Callable[[], Awaitable[None]]) -> None:
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
            await serving()
            ending.cancel()

        # A task of its own: cancelled here, the serving goes on until its input has ended.
        group.create_task(serve())

"""MCP over standard input and output, for clients that start their servers themselves."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from core.domain.canonical import JsonObject
from core.errors import Misconfigured
from mcp_server.stdio import serve_stdio
from sallyport import settings
from sallyport.answering import pages_of, patience_of
from sallyport.assembly import Assembly
from sallyport.clients import WHERE, Client, Program, over_http, over_stdio
from sallyport.commands.answer import Answer, as_json_given, lasting
from sallyport.commands.session import acting_as
from sallyport.driving import driven
from sallyport.standard_input import relayed
from sallyport.storage import Storage

_VIA = "mcp"


@click.command(
    "mcp",
    help="Serve MCP on standard input and output, for one person; or print what to paste into"
    " a client, which then signs its person in over HTTP.",
)
@click.option("--tenant", metavar="T", help="The tenant's name.")
@click.option("--as", "email", metavar="E", help="The email of the person to act for.")
@click.option(
    "--print-config",
    "client",
    type=click.Choice([client.value for client in Client]),
    help="Print what to paste into this client, and do nothing else.",
)
@click.option(
    "--stdio",
    is_flag=True,
    help="With --print-config: have the client start this program for --tenant and --as.",
)
@lasting
async def COMMAND(  # noqa: N802 - what the command line looks for
    *, tenant: str | None, email: str | None, client: str | None, stdio: bool
) -> Answer:
    """Serve the person until standard input ends, or print a client's configuration."""
    read = settings.load()
    if client is not None and not stdio:
        return _pasted(Client(client), over_http(Client(client), url=_address(read.http)))
    if tenant is None or email is None:
        raise click.UsageError("Name the person: --tenant T --as E.")
    if client is not None:
        program = _program(read.store, tenant=tenant, email=email)
        return _pasted(Client(client), over_stdio(Client(client), program=program))
    if stdio:
        raise click.UsageError("--stdio says how to be configured: give --print-config too.")
    await _serve(read, tenant=tenant, email=email)
    return Answer(document={})


def _pasted(client: Client, config: JsonObject) -> Answer:
    """Answer with the configuration alone on standard output, and beside it where it goes."""
    click.echo(f"Paste this into {WHERE[client]}.", err=True)
    if not as_json_given():
        # Not by the console, which breaks lines and reads markup.
        click.echo(json.dumps(config, ensure_ascii=False, indent=2))
    return Answer(document=config)


def _address(http: settings.HttpSettings) -> str:
    if http.port == 0 and http.public_url is None:
        detail = "0 is any free port; set one, or SALLYPORT_PUBLIC_URL"
        raise Misconfigured("invalid_setting", key="SALLYPORT_PORT", detail=detail)
    return f"{pages_of(http, port=http.port)}/mcp"


def _program(store: settings.StoreSettings, *, tenant: str, email: str) -> Program:
    """Return how this very installation is started, from whatever folder a client does it."""
    if store.database_url is not None:
        click.echo("Give the client SALLYPORT_DATABASE_URL too: it is not printed here.", err=True)
    return Program(
        command=str(Path(sys.executable).with_name("sallyport")),
        arguments=("mcp", "--tenant", tenant, "--as", email),
        environment={"SALLYPORT_DATA_DIR": str(store.data_dir.absolute())},
    )


async def _serve(read: settings.Settings, *, tenant: str, email: str) -> None:
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

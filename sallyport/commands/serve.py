"""Everything in one process: HTTP, worker, embedded PostgreSQL."""

import os
import sys

import click

from core.telemetry.logs import configure_logs
from sallyport import settings
from sallyport.answering import address_of, answer_http
from sallyport.commands.answer import Answer, as_json_given, give_json, lasting
from sallyport.processes import process


@click.command("serve", help="Run everything in one process: HTTP, worker, embedded PostgreSQL.")
@click.option("--no-worker", is_flag=True, help="Serve only: workers run elsewhere.")
@lasting
async def COMMAND(*, no_worker: bool) -> Answer:  # noqa: N802 - what the command line looks for
    """Serve until told to end."""
    read = settings.load()
    configure_logs(json=not sys.stderr.isatty(), level=read.log.log_level)
    as_json = as_json_given()

    def ready(port: int) -> None:
        url = address_of(read.http, port=port)
        if as_json:
            give_json({"url": url, "worker": not no_worker, "pid": os.getpid()})
        else:
            click.echo(f"Sallyport is at {url} (MCP: {url}/mcp, REST: {url}/api/v1)", err=True)

    async with process(read, working=not no_worker) as here:
        await answer_http(here, port=read.http.port, ready=ready)
    return Answer(document={})

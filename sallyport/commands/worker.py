"""A worker: it drives runs, and serves nobody."""

import asyncio
import os
import sys

import click

from core.telemetry.logs import configure_logs
from sallyport import settings
from sallyport.commands.answer import Answer, as_json_given, give_json, lasting
from sallyport.processes import process


@click.command("worker", help="Run a worker: it drives runs, and serves nobody.")
@lasting
async def COMMAND() -> Answer:  # noqa: N802 - what the command line looks for
    """Drive runs until told to end."""
    read = settings.load()
    configure_logs(json=not sys.stderr.isatty(), level=read.log.log_level)
    async with process(read, working=True) as here:
        if as_json_given():
            give_json({"worker": here.parts.executor_id, "pid": os.getpid()})
        else:
            click.echo(f"Working as {here.parts.executor_id}", err=True)
        await asyncio.Event().wait()
    return Answer(document={})

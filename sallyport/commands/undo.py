"""Undo: takes a call back."""

from uuid import UUID

import click

from core.domain.ids import CallId
from sallyport.commands.answer import Answer, answering
from sallyport.commands.call import made
from sallyport.commands.session import acting_as, as_option, parts_of_process, tenant_option
from sallyport.driving import driven

_WAIT_SECONDS = 300.0


@click.command("undo", help="Take a call back, by its inverse, through the same door.")
@click.argument("call_id", type=click.UUID)
@tenant_option
@as_option
@answering
async def COMMAND(call_id: UUID, tenant: str, email: str) -> Answer:  # noqa: N802 - see the CLI
    """Take the call back on behalf of a person, and say what came of it."""
    async with parts_of_process() as parts:
        caller = await acting_as(parts, tenant=tenant, email=email)
        async with driven(parts) as wheel:
            view = await wheel.app.undo(caller, call_id=CallId(call_id), wait_seconds=_WAIT_SECONDS)
    return made(view, tenant=tenant)

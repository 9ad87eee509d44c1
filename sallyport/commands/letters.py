"""Dead letters: what chat could neither handle nor deliver; see it, and try it again."""

from uuid import UUID

import click

from sallyport.commands.answer import Answer, answering, table
from sallyport.commands.session import acting_as, as_option, parts_of_process, tenant_option

COMMAND = click.Group("letters", help="See what chat could not handle or deliver; try it again.")

_MOST = 100


@COMMAND.command("list")
@tenant_option
@as_option
@answering
async def listed(tenant: str, email: str) -> Answer:
    """List the tenant's dead letters, newest first."""
    async with parts_of_process() as parts:
        caller = await acting_as(parts, tenant=tenant, email=email)
        found = await parts.letters.dead(caller, limit=_MOST)
    return Answer(
        document={
            "items": [
                {
                    "id": str(one.id),
                    "way": one.way,
                    "surface": one.place.surface,
                    "workspace": one.place.workspace,
                    "address": one.place.address,
                    "what": one.what,
                    "error": one.error,
                    "attempts": one.attempts,
                    "at": one.at.isoformat(),
                }
                for one in found
            ],
            "next_cursor": None,
        },
        shown=table(
            "id",
            "way",
            "where",
            "what",
            "why",
            rows=[
                (
                    one.id,
                    one.way,
                    f"{one.place.surface} {one.place.workspace} {one.place.address}",
                    one.what,
                    one.error,
                )
                for one in found
            ],
            none="Nothing is dead: all was handled and delivered.",
        ),
    )


@COMMAND.command("replay")
@click.argument("letter_id", metavar="ID", type=click.UUID)
@tenant_option
@as_option
@answering
async def replay(letter_id: UUID, tenant: str, email: str) -> Answer:
    """Have a dead letter handled or delivered after all, by the next server that serves chat."""
    async with parts_of_process() as parts:
        caller = await acting_as(parts, tenant=tenant, email=email)
        await parts.letters.replay(caller, letter=letter_id)
    return Answer(document={"id": str(letter_id), "status": "due"}, shown="It is due again.")

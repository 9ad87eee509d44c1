"""The keys that sign tokens: have a new one sign."""

import click

from sallyport.commands.answer import Answer, answering
from sallyport.commands.session import parts_of_process

COMMAND = click.Group("keys", help="Change the key that signs tokens.")


@COMMAND.command("rotate")
@click.option(
    "--revoke",
    is_flag=True,
    help="Believe nothing any more that was signed before: for a key that has got out.",
)
@answering
async def rotate(*, revoke: bool) -> Answer:
    """Sign with a new key from now on. That happens by itself every 90 days."""
    async with parts_of_process() as parts:
        kid = await parts.signing_keys.rotate(revoke=revoke)
        published = await parts.signing_keys.jwks()
    still = (
        "What was signed before is worthless within seconds, everywhere."
        if revoke
        else "What was signed before stays good until it expires."
    )
    return Answer(
        document={"kid": kid, "revoked": revoke, "keys": published["keys"]},
        shown=f"{kid} signs from now on. {still}",
    )

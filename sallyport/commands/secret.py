"""How a command gets a secret: at a prompt or from standard input, and repeated nowhere."""

import sys
from contextlib import suppress

import click

from core.errors import InvalidInput

_LONGEST = 1_000_000


def read_secret(what: str) -> str:
    """Return the secret from a prompt that shows nothing, or from standard input.

    Never from an argument: those are seen by everybody on the machine, and kept by shells.

    Raises:
        InvalidInput: ``unstorable_secret``: it is no text.
    """
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True, err=True))
    given: str | None = None
    with suppress(UnicodeDecodeError):
        given = sys.stdin.read(_LONGEST)
    if given is None:
        # Out here: raised beside the other, this would carry the bytes with it.
        raise InvalidInput("unstorable_secret")
    return given.removesuffix("\n").removesuffix("\r")


class TakesSecret(click.Command):
    """A command that reads a secret, whose usage errors repeat nothing that they were given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does; whatever is wrong may be a secret in the wrong place."""
        try:
            return super().parse_args(ctx, args)
        except click.MissingParameter:
            raise
        except click.UsageError:
            message = (
                "Something here is no argument or option of this command. It is not repeated, as "
                "it may be a secret: give that at the prompt or on standard input, such as "
                f'printf %s "$SECRET" | {ctx.command_path} …, and change one that was given as an '
                "argument: shells and lists of processes keep those."
            )
            raise click.UsageError(message, ctx) from None

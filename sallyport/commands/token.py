"""Bearer tokens: make them."""

from datetime import timedelta

import click

from core.domain.principal import Audience
from sallyport.commands.answer import Answer, answering
from sallyport.commands.session import as_option, parts_of_process, person_named, tenant_option
from sallyport.founding import note

COMMAND = click.Group("token", help="Make bearer tokens for HTTP and MCP.")

_LONGEST_SECONDS = 10**9
_DAY_SECONDS = 86_400


@COMMAND.command("create")
@tenant_option
@as_option
@click.option(
    "--audience",
    type=click.Choice(Audience, case_sensitive=False),
    default=Audience.API,
    show_default="api",
    help="Which door it opens: api for /api/v1, mcp for /mcp.",
)
@click.option(
    "--scope", "scopes", multiple=True, metavar="S", help="Only this; may be given more than once."
)
@click.option(
    "--ttl",
    "ttl_seconds",
    type=click.IntRange(-_LONGEST_SECONDS, _LONGEST_SECONDS),
    default=_DAY_SECONDS,
    show_default="a day",
    metavar="SECONDS",
    help="How long it lives.",
)
@answering
async def create(
    tenant: str, email: str, audience: Audience, scopes: tuple[str, ...], ttl_seconds: int
) -> Answer:
    """Make a token for a person. It is shown once: nobody can ask for it again."""
    async with parts_of_process() as parts:
        person = await person_named(parts, tenant=tenant, email=email)
        ttl = timedelta(seconds=ttl_seconds)
        token = await parts.tokens.issue(
            person, audience=audience, scopes=frozenset(scopes) or None, ttl=ttl
        )
        expires_at = (parts.clock.now() + ttl).isoformat(timespec="seconds")
        await note(
            parts,
            person.tenant_id,
            action="token.created",
            content={
                "email": person.email,
                "audience": audience.value,
                "scopes": sorted(scopes),
                "expires_at": expires_at,
            },
        )
    return Answer(
        document={"token": token, "audience": audience.value, "expires_at": expires_at},
        shown=token,
    )

"""Signing people in without a provider: one-time links; and the sessions that there are."""

from urllib.parse import quote
from uuid import UUID

import click

from core.errors import NotFound
from sallyport.commands.answer import Answer, answering, table
from sallyport.commands.session import (
    as_option,
    cursor_option,
    limit_option,
    parts_of_process,
    person_named,
    tenant_named,
    tenant_option,
)
from sallyport.founding import note

COMMAND = click.Group("signin", help="Sign people in by one-time links, and end their sessions.")


@COMMAND.command("link")
@tenant_option
@as_option
@click.option(
    "--return-to",
    default="/signin",
    show_default=True,
    metavar="PATH",
    help="Where the person goes on to.",
)
@answering
async def link(tenant: str, email: str, return_to: str) -> Answer:
    """Make a link that signs a person in: once, within 15 minutes. It is shown once."""
    async with parts_of_process() as parts:
        person = await person_named(parts, tenant=tenant, email=email)
        secret, made = await parts.sign_in.sessions.make_link(person, return_to=return_to)
        expires_at = made.expires_at.isoformat(timespec="seconds")
        await note(
            parts,
            person.tenant_id,
            action="sign_in.link_created",
            content={"email": person.email, "link_id": str(made.id), "expires_at": expires_at},
        )
        url = f"{parts.settings.http.url}/signin/link/{quote(secret)}"
    return Answer(document={"url": url, "email": email, "expires_at": expires_at}, shown=url)


@COMMAND.command("sessions")
@tenant_option
@limit_option
@cursor_option
@answering
async def sessions(tenant: str, limit: int, cursor: str | None) -> Answer:
    """List who is signed in now."""
    after = _id_of(cursor) if cursor else None
    async with parts_of_process() as parts:
        tenant_id = await tenant_named(parts, tenant)
        found = await parts.sign_in.sessions.page(tenant_id, after=after, limit=limit)
    rows = [
        {
            "id": str(one.id),
            "email": one.principal.email,
            "how": one.how.value,
            "created_at": one.created_at.isoformat(timespec="seconds"),
            "expires_at": one.expires_at.isoformat(timespec="seconds"),
        }
        for one in found
    ]
    return Answer(
        document={"items": rows, "next_cursor": rows[-1]["id"] if len(rows) == limit else None},
        shown=table(
            "id",
            "email",
            "how",
            "expires_at",
            rows=[(row["id"], row["email"], row["how"], row["expires_at"]) for row in rows],
            none="Nobody is signed in.",
        ),
    )


@COMMAND.command("revoke")
@tenant_option
@click.argument("session_id", required=False, metavar="[ID]")
@click.option("--as", "email", metavar="E", help="Every session and client of this person.")
@answering
async def revoke(tenant: str, session_id: str | None, email: str | None) -> Answer:
    """End a session; or every session of a person, and every client that they have connected."""
    if (session_id is None) == (email is None):
        message = "Give the id of a session, or --as and a person's email."
        raise click.UsageError(message)
    async with parts_of_process() as parts:
        kept, clients = parts.sign_in.sessions, 0
        if session_id is not None:
            tenant_id = await tenant_named(parts, tenant)
            person, ended = await kept.revoke(tenant_id, session_id=_id_of(session_id)), 1
        else:
            person = await person_named(parts, tenant=tenant, email=email or "")
            ended = await kept.revoke_all(person)
            clients = await parts.letting_in.end_all_of(person)
        await note(
            parts,
            person.tenant_id,
            action="sign_in.revoked",
            content={
                "email": person.email,
                "session_id": session_id,
                "ended": ended,
                "clients": clients,
            },
        )
    return Answer(
        document={"email": person.email, "ended": ended, "clients": clients},
        shown=f"Ended {_many(ended, 'session')} and {_many(clients, 'client')} of {person.email}.",
    )


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _id_of(told: str) -> UUID:
    try:
        return UUID(told)
    except ValueError as error:
        raise NotFound("not_found", noun="session") from error

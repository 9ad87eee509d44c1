"""The vault: set, list and remove credentials, and seal all of them under a new key."""

import functools
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from uuid import UUID

import click

from core.domain.canonical import Json
from core.domain.credential import Credential
from core.domain.ids import CredentialRef, PrincipalId, TenantId
from core.identity.master import put_new_key_first
from core.vault import Resealed
from sallyport import settings
from sallyport.assembly import Assembly
from sallyport.commands.answer import Answer, answering, table
from sallyport.commands.secret import TakesSecret, read_secret
from sallyport.commands.session import (
    limit_option,
    parts_of_process,
    person_named,
    tenant_named,
    tenant_option,
)
from sallyport.founding import note

COMMAND = click.Group("vault", help="Keep the credentials that tools use; change their key.")

_CREDENTIALS = "credentials"
_PAGE = 1000
_LONGEST_SECONDS = 10**9

_owner_option = click.option(
    "--as", "email", metavar="E", help="Whose it is; everybody's in the company if unset."
)


def _with_secret(answered: Callable[..., int]) -> Callable[..., int]:
    """Have the secret read before anything else."""

    @functools.wraps(answered)
    def asked(**given: object) -> int:
        return answered(secret=read_secret("Secret"), **given)

    return asked


@COMMAND.command("set", cls=TakesSecret)
@click.argument("name")
@tenant_option
@_owner_option
@click.option(
    "--ttl",
    "ttl_seconds",
    type=click.IntRange(1, _LONGEST_SECONDS),
    metavar="SECONDS",
    help="How long it is good for; until it is replaced if unset.",
)
@_with_secret
@answering
async def put(
    secret: str, name: str, tenant: str, email: str | None, ttl_seconds: int | None
) -> Answer:
    """Keep a secret, read from standard input, under a name; in place of one so named."""
    async with parts_of_process() as parts:
        tenant_id, owner = await _whose(parts, tenant=tenant, email=email)
        expires_at = parts.clock.now() + timedelta(seconds=ttl_seconds) if ttl_seconds else None
        ref = await parts.vault.put(
            tenant_id, name=name, secret=secret, owner=owner, expires_at=expires_at
        )
        document: dict[str, Json] = {
            "name": name,
            "owner": email,
            "expires_at": expires_at.isoformat(timespec="seconds") if expires_at else None,
        }
        await note(parts, tenant_id, action="credential.set", content=document)
    return Answer(
        document={"id": str(ref), **document},
        shown=f"Kept {name} for {email or f'everybody of {tenant}'}.",
    )


@COMMAND.command("list")
@tenant_option
@limit_option
@click.option("--cursor", type=click.UUID, metavar="C", help="Where to go on: next_cursor.")
@answering
async def listed(tenant: str, limit: int, cursor: UUID | None) -> Answer:
    """List the credentials there are; their secrets are never shown."""
    async with parts_of_process() as parts:
        tenant_id = await tenant_named(parts, tenant)
        after = CredentialRef(cursor) if cursor else None
        found = await parts.vault.page(tenant_id, after=after, limit=limit)
    rows = [_told(credential) for credential in found]
    return Answer(
        document={
            "items": rows,
            "next_cursor": str(found[-1].id) if len(found) == limit else None,
        },
        shown=table(
            "name",
            "owner",
            "expires",
            "changed",
            "key",
            rows=[
                (row["name"], row["owner"], row["expires_at"], row["changed_at"], row["key_id"])
                for row in rows
            ],
            none=f"There are no credentials. Set one with: sallyport vault set --tenant {tenant} "
            "NAME",
        ),
    )


@COMMAND.command("remove")
@click.argument("name")
@tenant_option
@_owner_option
@answering
async def remove(name: str, tenant: str, email: str | None) -> Answer:
    """Forget a credential; whoever needs it is told that it is not there."""
    async with parts_of_process() as parts:
        tenant_id, owner = await _whose(parts, tenant=tenant, email=email)
        await parts.vault.remove(tenant_id, name=name, owner=owner)
        document: dict[str, Json] = {"name": name, "owner": email}
        await note(parts, tenant_id, action="credential.removed", content=document)
    return Answer(document=document, shown=f"Removed {name}.")


@COMMAND.command("rotate")
@click.option(
    "--new-key", is_flag=True, help="Make a new key first, where the key is in the data folder."
)
@answering
async def rotate(*, new_key: bool) -> Answer:
    """Seal everything under the newest key. Broken off, it goes on when it is run again."""
    if new_key:
        _make_key()
    async with parts_of_process() as parts:
        newest = parts.cipher.newest
        counts = {_CREDENTIALS: await _credentials_resealed(parts, newest=newest)}
        for resealable in parts.resealables():
            counts[resealable.noun] = await resealable.reseal()
    told = {
        noun: {"resealed": count.resealed, "unreadable": count.unreadable}
        for noun, count in counts.items()
    }
    lines = [
        f"{noun}: {count.resealed} sealed anew, {count.unreadable} that no key here opens."
        for noun, count in counts.items()
    ]
    unreadable = any(count.unreadable for count in counts.values())
    closing = (
        "Put the keys back that those were sealed under, and run this again."
        if unreadable
        else f"All is sealed under the key {newest}; what came before it is no longer needed."
    )
    return Answer(
        document={"key_id": newest, **told},
        shown="\n".join([*lines, closing]),
        code=int(unreadable),
    )


def _make_key() -> None:
    read = settings.load()
    if read.vault.master_key is not None or read.store.database_url is not None:
        message = "The keys are in SALLYPORT_MASTER_KEY: put a new one in front of the list there."
        raise click.UsageError(message)
    put_new_key_first(read.store.data_dir)


async def _credentials_resealed(parts: Assembly, *, newest: str) -> Resealed:
    total = Resealed()
    async for tenant_id in _tenants(parts):
        count = await parts.vault.reseal(tenant_id)
        if count != Resealed():
            content: dict[str, Json] = {
                "key_id": newest,
                "resealed": count.resealed,
                "unreadable": count.unreadable,
            }
            await note(parts, tenant_id, action="vault.rotated", content=content)
        total += count
    return total


async def _tenants(parts: Assembly) -> AsyncGenerator[TenantId]:
    after = ""
    while page := await parts.directory.tenants(after=after, limit=_PAGE):
        for tenant in page:
            yield tenant.id
        after = page[-1].name


async def _whose(
    parts: Assembly, *, tenant: str, email: str | None
) -> tuple[TenantId, PrincipalId | None]:
    if email is None:
        return await tenant_named(parts, tenant), None
    person = await person_named(parts, tenant=tenant, email=email)
    return person.tenant_id, person.id


def _told(credential: Credential) -> dict[str, Json]:
    expires_at = credential.expires_at
    return {
        "id": str(credential.id),
        "name": credential.name,
        "owner": credential.owner_email,
        "expires_at": expires_at.isoformat(timespec="seconds") if expires_at else None,
        "changed_at": credential.changed_at.isoformat(timespec="seconds"),
        "key_id": credential.key_id,
    }

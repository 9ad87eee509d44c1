"""The identity provider of a tenant: whose word on its people is taken."""

import functools
import re
from collections.abc import Callable

import click

from core.domain.canonical import Json
from core.domain.ids import CredentialRef, TenantId
from core.domain.principal import Role
from core.domain.sign_in import IdentityProvider
from core.errors import InvalidInput, NotFound
from core.tools.vault import RESERVED
from sallyport.assembly import Assembly
from sallyport.commands.answer import Answer, answering, table
from sallyport.commands.secret import TakesSecret, read_secret
from sallyport.commands.session import (
    as_option,
    parts_of_process,
    person_named,
    tenant_named,
    tenant_option,
)
from sallyport.founding import note

COMMAND = click.Group("idp", help="Set the identity provider through which a tenant signs in.")

_DOMAIN = re.compile(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+")
_CREDENTIAL = f"{RESERVED}sign-in-provider"


def _with_secret(answered: Callable[..., int]) -> Callable[..., int]:
    """Have the client secret read before anything else."""

    @functools.wraps(answered)
    def asked(*, public: bool, **given: object) -> int:
        secret = None if public else read_secret("Client secret")
        return answered(secret=secret, **given)

    return asked


@COMMAND.command("set", cls=TakesSecret)
@tenant_option
@click.option("--issuer", required=True, metavar="URL", help="As the provider writes it, exactly.")
@click.option("--client-id", required=True, metavar="ID")
@click.option(
    "--domain",
    "domains",
    required=True,
    multiple=True,
    metavar="D",
    help="A domain of email that it may speak for; may be given more than once.",
)
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="GROUP=ROLE",
    help="Makes roles and groups the provider's to say; may be given more than once.",
)
@click.option("--groups-claim", default="groups", show_default=True, metavar="NAME")
@click.option(
    "--create/--no-create",
    "creates_people",
    default=True,
    help="Create people at their first sign-in, as members (the default).",
)
@click.option(
    "--trust-email",
    "trusts_email",
    is_flag=True,
    help="For providers that never say email_verified (Entra): you know that the domains are its.",
)
@click.option(
    "--direct-audience",
    metavar="AUD",
    help="Let the provider's own access tokens for this audience open the API and MCP.",
)
@click.option("--public", is_flag=True, help="The client has no secret.")
@_with_secret
@answering
async def put(
    secret: str | None,
    tenant: str,
    issuer: str,
    client_id: str,
    domains: tuple[str, ...],
    groups: tuple[str, ...],
    groups_claim: str,
    direct_audience: str | None,
    *,
    creates_people: bool,
    trusts_email: bool,
) -> Answer:
    """Set a tenant's provider, in place of the one before; its client secret is read from input.

    The provider is asked for its configuration before anything is kept.
    """
    if direct_audience is not None and direct_audience == client_id:
        # Its ID tokens have that audience: one that leaks from a log would open everything.
        raise InvalidInput("invalid_provider", detail="the direct audience is the client id")
    if secret == "":
        raise InvalidInput("invalid_provider", detail="its client secret is empty")
    wanted = _domains(domains), _group_roles(groups)
    async with parts_of_process() as parts:
        tenant_id = await tenant_named(parts, tenant)
        parts.sign_in.openid.check_address(issuer)
        await parts.sign_in.openid.configuration(issuer)
        provider = IdentityProvider(
            tenant_id=tenant_id,
            issuer=issuer,
            client_id=client_id,
            credential=await _kept(parts, tenant_id, secret=secret),
            email_domains=wanted[0],
            group_roles=wanted[1],
            groups_claim=groups_claim,
            creates_people=creates_people,
            trusts_email=trusts_email,
            direct_audience=direct_audience,
        )
        await parts.sign_in.providers.set_provider(provider)
        document = _told(provider)
        await note(parts, tenant_id, action="identity_provider.set", content=document)
    redirect_uri = f"{parts.settings.http.url}/signin/callback"
    return Answer(
        document={**document, "redirect_uri": redirect_uri},
        shown=f"{tenant} signs in through {issuer}. Register this redirect URI there: "
        f"{redirect_uri}",
    )


@COMMAND.command("show")
@tenant_option
@answering
async def show(tenant: str) -> Answer:
    """Show a tenant's provider; its client secret is never shown."""
    async with parts_of_process() as parts:
        provider = await parts.sign_in.providers.provider(await tenant_named(parts, tenant))
    if provider is None:
        raise NotFound("no_identity_provider", tenant=tenant)
    document = _told(provider)
    return Answer(document=document, shown=table("what", "is", rows=_rows(document), none=""))


@COMMAND.command("remove")
@tenant_option
@answering
async def remove(tenant: str) -> Answer:
    """Take a provider's word no more; who signed in through it is signed out, clients and all."""
    async with parts_of_process() as parts:
        tenant_id = await tenant_named(parts, tenant)
        try:
            provider = await parts.sign_in.providers.remove_provider(tenant_id)
        except NotFound as error:
            raise NotFound("no_identity_provider", tenant=tenant) from error
        ended = await parts.sign_in.sessions.revoke_of_provider(tenant_id)
        clients = await parts.letting_in.end_all_by_provider(tenant_id)
        if provider.credential is not None:
            await parts.vault.remove(tenant_id, name=_CREDENTIAL)
        document: dict[str, Json] = {
            "issuer": provider.issuer,
            "ended": ended,
            "clients": clients,
        }
        await note(parts, tenant_id, action="identity_provider.removed", content=document)
    return Answer(
        document=document,
        shown=f"{tenant} has no identity provider any more; {ended} sessions and {clients} "
        "connected clients were ended.",
    )


@COMMAND.command("unlink")
@tenant_option
@as_option
@answering
async def unlink(tenant: str, email: str) -> Answer:
    """Forget which account is a person's; the next one with their address is theirs."""
    async with parts_of_process() as parts:
        person = await person_named(parts, tenant=tenant, email=email)
        gone = await parts.sign_in.providers.unlink_accounts(person)
        document: dict[str, Json] = {"email": person.email, "unlinked": gone}
        await note(parts, person.tenant_id, action="identity.unlinked", content=document)
    return Answer(document=document, shown=f"{person.email} is linked to no account any more.")


async def _kept(
    parts: Assembly, tenant_id: TenantId, *, secret: str | None
) -> CredentialRef | None:
    if secret is None:
        return None
    return await parts.vault.put(tenant_id, name=_CREDENTIAL, secret=secret)


def _domains(told: tuple[str, ...]) -> tuple[str, ...]:
    domains = tuple(sorted({domain.lower() for domain in told}))
    for domain in domains:
        if _DOMAIN.fullmatch(domain) is None:
            raise InvalidInput("invalid_provider", detail=f"{domain} is no domain of email")
    return domains


def _group_roles(told: tuple[str, ...]) -> dict[str, Role]:
    roles: dict[str, Role] = {}
    for pair in told:
        group, _, role = pair.rpartition("=")
        if not group or role not in set(Role):
            named = ", ".join(Role)
            raise InvalidInput("invalid_provider", detail=f"{pair} is not GROUP=ROLE ({named})")
        if roles.setdefault(group, Role(role)) is not Role(role):
            raise InvalidInput("invalid_provider", detail=f"{group} has two roles")
    return roles


def _told(provider: IdentityProvider) -> dict[str, Json]:
    return {
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "has_secret": provider.credential is not None,
        "domains": list(provider.email_domains),
        "groups": {group: role.value for group, role in sorted(provider.group_roles.items())},
        "groups_claim": provider.groups_claim,
        "creates_people": provider.creates_people,
        "trusts_email": provider.trusts_email,
        "direct_audience": provider.direct_audience,
    }


def _rows(document: dict[str, Json]) -> list[tuple[str, str]]:
    def words(value: Json) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{group}={role}" for group, role in value.items())
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    return [(key.replace("_", " "), words(value)) for key, value in document.items()]

"""Bearer tokens: make them, see which there are, and end them."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from uuid import UUID

import click

from core.domain.canonical import JsonObject
from core.domain.ids import TokenId
from core.domain.principal import Audience, scopes_held
from core.domain.token import Allowance, TokenRecord
from core.errors import NotFound
from sallyport.commands.answer import Answer, answering, table
from sallyport.commands.arguments import JsonArguments
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


class _Dollars(click.ParamType[Decimal]):
    """An amount of money, exact to the micro-dollar."""

    name = "dollars"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        try:
            dollars = Decimal(str(value))
        except InvalidOperation:
            dollars = Decimal("NaN")
        if not dollars.is_finite() or dollars.scaleb(6) != (dollars.scaleb(6)).to_integral_value():
            self.fail(f"{value!r} is no amount of dollars.", param, ctx)
        return dollars


@dataclass(frozen=True, slots=True, kw_only=True)
class Few:
    """A few calls: of which tools, how many, for how much, with which arguments."""

    tools: frozenset[str]
    uses: int
    amount: Decimal
    arguments: JsonObject | None


COMMAND = click.Group("token", help="Make, list and revoke bearer tokens for HTTP and MCP.")

_LONGEST_SECONDS = 10**9
_DAY_SECONDS = 86_400
_FEW_SECONDS = 300
_DOLLARS = Decimal(100)


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
    metavar="SECONDS",
    help="How long it lives: a day if unset, for a few calls five minutes.",
)
@click.option(
    "--capability",
    "tools",
    metavar="TOOL[,TOOL]",
    help="Only calls of these tools, a few of them, and nothing else.",
)
@click.option(
    "--uses", type=click.IntRange(), metavar="N", help="With --capability: how many calls; one."
)
@click.option(
    "--amount",
    type=_Dollars(),
    metavar="DOLLARS",
    help="With --capability: what the calls may cost together; 100.",
)
@click.option(
    "--args",
    "arguments",
    type=JsonArguments(),
    metavar="JSON",
    help="With --capability: arguments that each call must have.",
)
@answering
async def create(
    *,
    tenant: str,
    email: str,
    audience: Audience,
    scopes: tuple[str, ...],
    ttl_seconds: int | None,
    tools: str | None,
    uses: int | None,
    amount: Decimal | None,
    arguments: JsonObject | None,
) -> Answer:
    """Make a token for a person. It is shown once: nobody can ask for it again."""
    if tools is not None:
        if scopes:
            raise click.UsageError("--capability leaves no scope to be chosen.")
        few = Few(
            tools=frozenset(one.strip() for one in tools.split(",") if one.strip()),
            uses=1 if uses is None else uses,
            amount=_DOLLARS if amount is None else amount,
            arguments=arguments,
        )
        seconds = _FEW_SECONDS if ttl_seconds is None else ttl_seconds
        return await _few(tenant, email=email, audience=audience, few=few, seconds=seconds)
    if uses is not None or amount is not None or arguments is not None:
        raise click.UsageError("--uses, --amount and --args go with --capability.")
    async with parts_of_process() as parts:
        person = await person_named(parts, tenant=tenant, email=email)
        ttl = timedelta(seconds=_DAY_SECONDS if ttl_seconds is None else ttl_seconds)
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


async def _few(tenant: str, *, email: str, audience: Audience, few: Few, seconds: int) -> Answer:
    """Make a token for a few calls, of tools that its person has."""
    ttl = timedelta(seconds=seconds)
    allowance = Allowance(uses=few.uses, amount_micros=int(few.amount.scaleb(6)))
    async with parts_of_process() as parts:
        person = await person_named(parts, tenant=tenant, email=email)
        standing = await parts.people.standing(person.tenant_id, principal_id=person.id)
        has = parts.judge.offered(standing, scopes=scopes_held(person), via=audience.value)
        if beyond := sorted(few.tools - {tool.name for tool in has}):
            raise NotFound("unknown_tool", tool=beyond[0][:200])
        token = await parts.tokens.issue_capability(
            person,
            audience=audience,
            tools=few.tools,
            arguments=few.arguments,
            allowance=allowance,
            ttl=ttl,
        )
        expires_at = (parts.clock.now() + ttl).isoformat(timespec="seconds")
        told: JsonObject = {
            "audience": audience.value,
            "capability": sorted(few.tools),
            "uses": few.uses,
            "amount_micros": allowance.amount_micros,
            "arguments": few.arguments,
            "expires_at": expires_at,
        }
        await note(
            parts,
            person.tenant_id,
            action="token.created",
            content={"email": person.email, **told},
        )
    return Answer(document={"token": token, **told}, shown=token)


@COMMAND.command("list")
@tenant_option
@click.option("--as", "email", metavar="E", help="Only this person's.")
@limit_option
@cursor_option
@answering
async def listed(tenant: str, email: str | None, limit: int, cursor: str | None) -> Answer:
    """List the tokens that there are, expired and revoked ones too; never what opens a door."""
    after = _id_of(cursor) if cursor else None
    async with parts_of_process() as parts:
        tenant_id = await tenant_named(parts, tenant)
        person = await person_named(parts, tenant=tenant, email=email) if email else None
        found = await parts.tokens.page(
            tenant_id, principal_id=person.id if person else None, after=after, limit=limit
        )
        await note(
            parts,
            tenant_id,
            action="token.listed",
            content={"email": person.email if person else None, "count": len(found)},
        )
    last = str(found[-1].id) if len(found) == limit else None
    return Answer(
        document={"items": [_told(one) for one in found], "next_cursor": last},
        shown=table(
            "id",
            "email",
            "audience",
            "scopes",
            "expires_at",
            "revoked_at",
            rows=[
                (
                    one.id,
                    one.principal.email,
                    one.audience.value,
                    " ".join(sorted(one.scopes)),
                    one.expires_at.isoformat(timespec="seconds"),
                    one.revoked_at.isoformat(timespec="seconds") if one.revoked_at else None,
                )
                for one in found
            ],
            none="There are no tokens.",
        ),
    )


@COMMAND.command("revoke")
@tenant_option
@click.argument("token_id", metavar="ID")
@answering
async def revoke(tenant: str, token_id: str) -> Answer:
    """Make a token worthless, with all that was made of it. Twice is once."""
    wanted = _id_of(token_id)
    async with parts_of_process() as parts:
        tenant_id = await tenant_named(parts, tenant)
        await parts.tokens.revoke(tenant_id, token_id=wanted)
        await note(parts, tenant_id, action="token.revoked", content={"token_id": str(wanted)})
    return Answer(document={"id": str(wanted), "revoked": True}, shown=f"Revoked token {wanted}.")


def _told(token: TokenRecord) -> JsonObject:
    return {
        "id": str(token.id),
        "email": token.principal.email,
        "audience": token.audience.value,
        "scopes": sorted(token.scopes),
        "created_at": token.created_at.isoformat(timespec="seconds"),
        "expires_at": token.expires_at.isoformat(timespec="seconds"),
        "revoked_at": token.revoked_at.isoformat(timespec="seconds") if token.revoked_at else None,
    }


def _id_of(told: str) -> TokenId:
    try:
        return TokenId(UUID(told))
    except ValueError as error:
        raise NotFound("not_found", noun="token") from error

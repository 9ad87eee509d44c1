"""Accounts on chat surfaces: whose they are, and binding and unbinding them as the operator."""

import click

from core.domain.account import Account, AccountLink
from core.domain.canonical import JsonObject
from core.errors import InvalidInput, NotFound
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
from sallyport.founding import OPERATOR

COMMAND = click.Group("account", help="See and set whose an account on Slack or Teams is.")

_WHY = "by_operator"

_surface_option = click.option(
    "--surface", type=click.Choice(["slack", "teams"]), default="slack", show_default=True
)
_workspace_option = click.option(
    "--workspace", required=True, metavar="W", help="The workspace's id, such as T0123."
)
_user_option = click.option("--user", required=True, metavar="U", help="The account's id there.")


@COMMAND.command("list")
@tenant_option
@click.option("--as", "email", metavar="E", help="Only the accounts of this person.")
@limit_option
@cursor_option
@answering
async def listed(tenant: str, email: str | None, limit: int, cursor: str | None) -> Answer:
    """List the accounts that are somebody's; people who are disabled, too."""
    after = _account_of(cursor) if cursor else None
    async with parts_of_process() as parts:
        tenant_id = await tenant_named(parts, tenant)
        person = await person_named(parts, tenant=tenant, email=email) if email else None
        found = await parts.linking.page(
            tenant_id,
            after=after,
            limit=limit,
            principal_id=person.id if person else None,
        )
    return Answer(
        document={
            "items": [_told(one) for one in found],
            "next_cursor": _cursor_of(found[-1].account) if len(found) == limit else None,
        },
        shown=table(
            "surface",
            "workspace",
            "user",
            "email",
            "how",
            "linked_at",
            rows=[
                (
                    one.account.surface,
                    one.account.workspace,
                    one.account.user,
                    one.person.email if one.is_enabled else f"{one.person.email} (disabled)",
                    one.how.value,
                    one.linked_at.isoformat(timespec="seconds"),
                )
                for one in found
            ],
            none="No account is anybody's.",
        ),
    )


@COMMAND.command("link")
@tenant_option
@as_option
@_surface_option
@_workspace_option
@_user_option
@answering
async def link(tenant: str, email: str, surface: str, workspace: str, user: str) -> Answer:
    """Make an account a person's, on your word alone: you know that it is theirs."""
    account = Account(surface=surface, workspace=workspace, user=user)
    async with parts_of_process() as parts:
        person = await person_named(parts, tenant=tenant, email=email)
        made = await parts.linking.bind(person, account=account, actor=OPERATOR)
    return Answer(
        document=_told(made),
        shown=f"The {surface} account {user} of {workspace} is {person.email} now.",
    )


@COMMAND.command("unlink")
@tenant_option
@_surface_option
@_workspace_option
@_user_option
@answering
async def unlink(tenant: str, surface: str, workspace: str, user: str) -> Answer:
    """Have an account be nobody's, at once. No email makes it somebody's again by itself."""
    account = Account(surface=surface, workspace=workspace, user=user)
    async with parts_of_process() as parts:
        tenant_id = await tenant_named(parts, tenant)
        ended = await parts.linking.unlink(tenant_id, account=account, actor=OPERATOR, why=_WHY)
    if ended is None:
        raise NotFound("not_found", noun="linked account")
    return Answer(
        document=_told(ended),
        shown=f"The {surface} account {user} of {workspace} is {ended.person.email} no more.",
    )


def _told(link: AccountLink) -> JsonObject:
    return {
        "surface": link.account.surface,
        "workspace": link.account.workspace,
        "user": link.account.user,
        "email": link.person.email,
        "enabled": link.is_enabled,
        "how": link.how.value,
        "linked_at": link.linked_at.isoformat(timespec="seconds"),
    }


def _cursor_of(account: Account) -> str:
    # No id of a surface or a workspace has a slash in it; that of an account stands last.
    return f"{account.surface}/{account.workspace}/{account.user}"


def _account_of(cursor: str) -> Account:
    told = cursor.split("/", 2)
    if len(told) != len(("surface", "workspace", "user")):
        raise InvalidInput("invalid_cursor")
    return Account(surface=told[0], workspace=told[1], user=told[2])

"""Slack: the app as it is made there, and the workspaces that belong to tenants."""

import functools
import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

import click

from bots.slack.install import installed_record
from bots.slack.manifest import as_json, as_yaml, manifest
from core.domain.canonical import Json, JsonObject
from core.domain.chat import Surface, Workspace
from core.errors import Misconfigured, Unavailable
from sallyport import settings
from sallyport.assembly import Assembly
from sallyport.commands.answer import Answer, answering, as_json_given, table
from sallyport.commands.secret import TakesSecret, read_secret
from sallyport.commands.session import (
    acting_as,
    as_option,
    limit_option,
    parts_of_process,
    tenant_option,
)
from sallyport.commands.workspaces import TenantWorkspaces
from sallyport.founding import OPERATOR
from sallyport.slack import SlackParts

COMMAND = click.Group("slack", help="Make the app at Slack, and see where it is installed.")

_URL = re.compile(r"https?://[^/\s]+")
_CHANNEL = re.compile(r"[CG][A-Z0-9]{2,30}", re.ASCII)

_workspace_option = click.option(
    "--workspace", required=True, metavar="W", help="Its id at Slack, such as T0123456789."
)


@COMMAND.command("manifest")
@click.option("--url", metavar="U", help="Where Slack reaches us; SALLYPORT_PUBLIC_URL if unset.")
@click.option("--socket", is_flag=True, help="Socket Mode: Slack needs no way to reach us.")
@click.option("--yaml", "in_yaml", is_flag=True, help="Print YAML instead of JSON.")
@answering
async def made(url: str | None, *, socket: bool, in_yaml: bool) -> Answer:
    """Print the app's manifest, to be pasted where Slack makes an app from one."""
    there = url or settings.load().http.public_url
    if there is not None and _URL.fullmatch(there.rstrip("/")) is None:
        raise click.UsageError("A URL is https://HOST, without a path.")
    if there is None and not socket:
        raise click.UsageError("Say where Slack reaches us: --url https://HOST; or use --socket.")
    document = manifest(there.rstrip("/") if there else None, socket_mode=socket)
    if not as_json_given():
        # As it is, and not as a terminal would wrap it.
        click.echo(as_yaml(document) if in_yaml else as_json(document))
    return Answer(document=document)


@COMMAND.command("workspaces")
@tenant_option
@limit_option
@click.option("--cursor", metavar="C", default="", help="Where to go on: next_cursor.")
@answering
async def listed(tenant: str, limit: int, cursor: str) -> Answer:
    """List a tenant's workspaces; their tokens are never shown."""
    async with parts_of_process() as parts:
        found = await _WORKSPACES.page(parts, tenant=tenant, after=cursor, limit=limit)
        where = f"{parts.settings.http.url}/slack/install"
    return Answer(
        document=_WORKSPACES.document(found, limit=limit),
        shown=table(
            "workspace",
            "name",
            "state",
            "questions",
            "token until",
            rows=[
                (
                    one.workspace,
                    one.name,
                    one.state.value,
                    one.approvals_channel or "to each approver",
                    _moment(one.token_expires_at),
                )
                for one in found
            ],
            none=f"There are none. An admin of {tenant} installs the app at {where}",
        ),
    )


def _with_token(answered: Callable[..., int]) -> Callable[..., int]:
    """Have the token read before anything else."""

    @functools.wraps(answered)
    def asked(**given: object) -> int:
        return answered(token=read_secret("Bot token"), **given)

    return asked


@COMMAND.command("connect", cls=TakesSecret)
@tenant_option
@as_option
@_with_token
@answering
async def connect(token: str, tenant: str, email: str) -> Answer:
    """Connect a workspace by the bot token of its app, read from standard input.

    For whoever has no public URL, and so installs the app from its page at Slack.
    """
    async with parts_of_process() as parts:
        admin = (await acting_as(parts, tenant=tenant, email=email)).principal
        async with slack_of(parts) as slack:
            installation = await slack.web.of_token(token.strip())
        now = parts.clock.now()
        workspace = await parts.chat_workspaces.keep(
            admin.tenant_id,
            installation=installation,
            installed_by=admin.id,
            at=now,
            audit=installed_record(
                installation, by=admin, actor=f"{OPERATOR} on behalf of {admin.email}", at=now
            ),
        )
    return Answer(
        document=_told(workspace), shown=f"{workspace.name} belongs to {tenant} from now on."
    )


@COMMAND.command("route")
@tenant_option
@_workspace_option
@click.option("--channel", metavar="C", help="The id of a channel that the app was invited to.")
@click.option("--direct", is_flag=True, help="To each person who may answer, by themselves.")
@answering
async def route(tenant: str, workspace: str, channel: str | None, *, direct: bool) -> Answer:
    """Say where questions are put: in one channel, or to each approver."""
    if direct == (channel is not None):
        raise click.UsageError("Give --channel C, or --direct.")
    if channel is not None and _CHANNEL.fullmatch(channel) is None:
        raise click.UsageError("A channel is given by its id, such as C0123456789.")
    async with parts_of_process() as parts:
        return await _WORKSPACES.route(parts, tenant=tenant, workspace=workspace, channel=channel)


@COMMAND.command("emails")
@tenant_option
@_workspace_option
@click.option("--trust/--no-trust", "trusted", required=True, help="Whether to take its word.")
@answering
async def emails(tenant: str, workspace: str, *, trusted: bool) -> Answer:
    """Say whether a workspace's verified emails link accounts by themselves.

    Only addresses in the domains of the tenant's identity provider do, and only those of people
    who are here already.
    """
    async with parts_of_process() as parts:
        return await _WORKSPACES.trust_emails(
            parts, tenant=tenant, workspace=workspace, trusted=trusted
        )


@COMMAND.command("leave")
@tenant_option
@_workspace_option
@answering
async def leave(tenant: str, workspace: str) -> Answer:
    """Give a workspace up: take the app out, and forget its tokens; another tenant may have it."""
    async with parts_of_process() as parts:
        found = await _WORKSPACES.named(parts, tenant=tenant, workspace=workspace)
        problem = await _uninstalled(parts, found)
        content: JsonObject = {
            "workspace": found.workspace,
            "name": found.name,
            "uninstalled": problem is None,
        }
        audit = _WORKSPACES.note(found, did="left", content=content, at=parts.clock.now())
        await parts.chat_workspaces.remove(found, audit=audit)
    told = f"{found.name} does not belong to {tenant} any more."
    if problem is not None:
        told += f" The app could not be taken out ({problem}): remove it in Slack's settings."
    return Answer(document=content, shown=told)


def slack_of(parts: Assembly) -> SlackParts:
    """Return Slack's parts.

    Raises:
        Misconfigured: ``slack_off``.
    """
    return SlackParts(
        parts.settings.slack,
        database=parts.database,
        directory=parts.directory,
        workspaces=parts.chat_workspaces,
        clock=parts.clock,
    )


async def _uninstalled(parts: Assembly, workspace: Workspace) -> str | None:
    """Take the app out of a workspace; return why it could not be done."""
    if not workspace.is_active:
        return None
    try:
        async with slack_of(parts) as slack:
            await slack.web.uninstall(parts.chat_workspaces.tokens(workspace).token)
    except Unavailable as error:
        return str(error.facts.get("detail"))
    except Misconfigured as error:
        return error.code
    return None


def _told(workspace: Workspace) -> dict[str, Json]:
    return {
        "workspace": workspace.workspace,
        "name": workspace.name,
        "state": workspace.state.value,
        "app": workspace.app,
        "bot_user": workspace.bot_user,
        "scopes": [*workspace.scopes],
        "approvals_channel": workspace.approvals_channel,
        "installed_at": _moment(workspace.installed_at),
        "token_expires_at": _moment(workspace.token_expires_at),
    }


def _moment(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None


_WORKSPACES: Final = TenantWorkspaces(Surface.SLACK, told=_told)

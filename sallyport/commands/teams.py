"""Teams: the app as it is taken in there, and the Entra tenants whose people may talk to it."""

import re
from pathlib import Path
from typing import Final

import click

from bots.teams.manifest import FIRST_VERSION, NAME
from bots.teams.package import package
from core.domain.audit import audit_record
from core.domain.canonical import Json, JsonObject
from core.domain.chat import Installation, Surface, Workspace, WorkspaceState, entra_id
from core.domain.ids import TenantId
from core.domain.principal import Principal
from core.errors import Misconfigured
from sallyport import settings
from sallyport.assembly import Assembly
from sallyport.commands.answer import Answer, answering, table
from sallyport.commands.session import (
    acting_as,
    as_option,
    limit_option,
    parts_of_process,
    tenant_option,
)
from sallyport.commands.workspaces import TenantWorkspaces
from sallyport.founding import OPERATOR

COMMAND = click.Group("teams", help="Make the app for Teams, and say whose people may use it.")

_CHANNEL = re.compile(r"19:[A-Za-z0-9_-]{1,100}@thread\.(?:tacv2|skype|v2)", re.ASCII)
_CHANNEL_LOOKS = "A channel is given by its id, such as 19:0123abcd@thread.tacv2."


class _EntraTenant(click.ParamType[str]):
    name = "id"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        found = entra_id(value)
        if found is None:
            looks = "11111111-2222-3333-4444-555555555555"
            self.fail(f"An Entra tenant is given by its id, such as {looks}.", param, ctx)
        return found


_entra_argument = click.argument("entra_tenant", metavar="ENTRA_TENANT_ID", type=_EntraTenant())
_workspace_option = click.option(
    "--workspace", required=True, metavar="W", type=_EntraTenant(), help="Its Entra tenant id."
)


@COMMAND.command("package")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="sallyport-teams.zip",
    show_default=True,
    metavar="F",
    help="Where to write it.",
)
@click.option("--url", metavar="U", help="Where Teams reaches us; SALLYPORT_PUBLIC_URL if unset.")
@click.option("--name", default=NAME, show_default=True, metavar="N", help="What people see.")
@click.option(
    "--version",
    default=FIRST_VERSION,
    show_default=True,
    metavar="V",
    help="Raise it to upload a change.",
)
@click.option(
    "--replies",
    is_flag=True,
    help="Hear replies without a mention: Teams then tells us all that is said where the app is.",
)
@answering
async def packed(out: Path, url: str | None, name: str, version: str, *, replies: bool) -> Answer:
    """Write the app package, to be uploaded to Teams."""
    read = settings.load()
    there = url or read.http.public_url
    if there is None:
        raise click.UsageError("Say where Teams reaches us: --url https://HOST.")
    content = package(
        app_id=_app_id(read.teams),
        url=there.rstrip("/"),
        name=name,
        version=version,
        hears_replies=replies,
    )
    _write(out, content)
    return Answer(
        document={"file": str(out), "bytes": len(content)},
        shown=f"Upload {out} at Teams: Apps, Manage your apps, Upload an app.",
    )


@COMMAND.command("allow")
@_entra_argument
@tenant_option
@as_option
@click.option("--name", metavar="N", help="What the organisation is called.")
@click.option("--approvals-channel", "channel", metavar="C", help="Where questions are put.")
@answering
async def allow(
    entra_tenant: str, tenant: str, email: str, name: str | None, channel: str | None
) -> Answer:
    """Let the people of an Entra tenant talk to a tenant's agent."""
    if channel is not None and _CHANNEL.fullmatch(channel) is None:
        raise click.UsageError(_CHANNEL_LOOKS)
    async with parts_of_process() as parts:
        admin = (await acting_as(parts, tenant=tenant, email=email)).principal
        found = await _find(parts, admin.tenant_id, workspace=entra_tenant)
        shown = name or (found.name if found else entra_tenant)
        workspace = await _allowed(parts, entra_tenant, name=shown, by=admin)
        if channel is not None:
            workspace = await _WORKSPACES.routed(parts, workspace, channel=channel)
    return Answer(
        document=_told(workspace), shown=f"{workspace.name} belongs to {tenant} from now on."
    )


@COMMAND.command("list")
@tenant_option
@limit_option
@click.option("--cursor", metavar="C", default="", help="Where to go on: next_cursor.")
@answering
async def listed(tenant: str, limit: int, cursor: str) -> Answer:
    """List the Entra tenants whose people may talk to a tenant's agent."""
    async with parts_of_process() as parts:
        found = await _WORKSPACES.page(parts, tenant=tenant, after=cursor, limit=limit)
    return Answer(
        document=_WORKSPACES.document(found, limit=limit),
        shown=table(
            "workspace",
            "name",
            "state",
            "questions",
            rows=[
                (
                    one.workspace,
                    one.name,
                    one.state.value,
                    one.approvals_channel or "to each approver",
                )
                for one in found
            ],
            none="There are none. Allow one with: sallyport teams allow ENTRA_TENANT_ID",
        ),
    )


@COMMAND.command("route")
@tenant_option
@_workspace_option
@click.option("--channel", metavar="C", help="The id of a channel that the app was added to.")
@click.option("--direct", is_flag=True, help="To each person who may answer, by themselves.")
@answering
async def route(tenant: str, workspace: str, channel: str | None, *, direct: bool) -> Answer:
    """Say where questions are put: in one channel, or to each approver."""
    if direct == (channel is not None):
        raise click.UsageError("Give --channel C, or --direct.")
    if channel is not None and _CHANNEL.fullmatch(channel) is None:
        raise click.UsageError(_CHANNEL_LOOKS)
    async with parts_of_process() as parts:
        return await _WORKSPACES.route(parts, tenant=tenant, workspace=workspace, channel=channel)


@COMMAND.command("emails")
@tenant_option
@_workspace_option
@click.option("--trust/--no-trust", "trusted", required=True, help="Whether to take its word.")
@answering
async def emails(tenant: str, workspace: str, *, trusted: bool) -> Answer:
    """Say whether an Entra tenant's verified emails link accounts by themselves.

    Only addresses in the domains of the tenant's identity provider do, and only those of people
    who are here already.
    """
    async with parts_of_process() as parts:
        return await _WORKSPACES.trust_emails(
            parts, tenant=tenant, workspace=workspace, trusted=trusted
        )


@COMMAND.command("forget")
@_entra_argument
@tenant_option
@answering
async def forget(entra_tenant: str, tenant: str) -> Answer:
    """Let the people of an Entra tenant in no more; it stays this tenant's, to be allowed again."""
    async with parts_of_process() as parts:
        found = await _WORKSPACES.named(parts, tenant=tenant, workspace=entra_tenant)
        now = parts.clock.now()
        content: JsonObject = {"workspace": found.workspace, "name": found.name}
        await parts.chat_workspaces.left(
            found,
            state=WorkspaceState.UNINSTALLED,
            before=now,
            at=now,
            audit=_WORKSPACES.note(found, did="forgotten", content=content, at=now),
        )
        found = await _WORKSPACES.named(parts, tenant=tenant, workspace=entra_tenant)
    return Answer(document=_told(found), shown=f"The people of {found.name} are let in no more.")


@COMMAND.command("leave")
@tenant_option
@_workspace_option
@answering
async def leave(tenant: str, workspace: str) -> Answer:
    """Give an Entra tenant up: another tenant may have it."""
    async with parts_of_process() as parts:
        found = await _WORKSPACES.named(parts, tenant=tenant, workspace=workspace)
        content: JsonObject = {"workspace": found.workspace, "name": found.name}
        audit = _WORKSPACES.note(found, did="left", content=content, at=parts.clock.now())
        await parts.chat_workspaces.remove(found, audit=audit)
    return Answer(document=content, shown=f"{found.name} does not belong to {tenant} any more.")


def _write(out: Path, content: bytes) -> None:
    try:
        out.write_bytes(content)
    except OSError as error:
        raise click.UsageError(f"{out} cannot be written: {error.strerror}.") from error


async def _allowed(parts: Assembly, entra_tenant: str, *, name: str, by: Principal) -> Workspace:
    teams, now = parts.settings.teams, parts.clock.now()
    # A playground's app has no id.
    app = "" if teams.teams_anonymous else _app_id(teams)
    content: JsonObject = {"workspace": entra_tenant, "name": name, "app": app}
    actor = f"{OPERATOR} on behalf of {by.email}"
    return await parts.chat_workspaces.keep(
        by.tenant_id,
        installation=Installation(
            surface=Surface.TEAMS,
            workspace=entra_tenant,
            name=name,
            app=app,
            bot_user=f"28:{app}" if app else "",
            scopes=(),
            token="",
        ),
        installed_by=by.id,
        at=now,
        audit=audit_record(
            by.tenant_id, at=now, action="teams.allowed", actor=actor, content=content
        ),
    )


async def _find(parts: Assembly, tenant_id: TenantId, *, workspace: str) -> Workspace | None:
    return await parts.chat_workspaces.of_id(tenant_id, surface=Surface.TEAMS, workspace=workspace)


def _app_id(teams: settings.TeamsSettings) -> str:
    if teams.teams_app_id is None:
        raise Misconfigured("teams_off", key="SALLYPORT_TEAMS_APP_ID")
    return teams.teams_app_id


def _told(workspace: Workspace) -> dict[str, Json]:
    return {
        "workspace": workspace.workspace,
        "name": workspace.name,
        "state": workspace.state.value,
        "app": workspace.app,
        "approvals_channel": workspace.approvals_channel,
        "links_by_email": workspace.links_by_email,
        "allowed_at": workspace.installed_at.isoformat(timespec="seconds"),
    }


_WORKSPACES: Final = TenantWorkspaces(Surface.TEAMS, told=_told)

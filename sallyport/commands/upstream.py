"""Upstream MCP servers: connect them, look at their tools, accept what is fine."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import click
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from core.domain.canonical import Json
from core.domain.principal import Caller, Role
from core.domain.tool import Risk
from core.domain.upstream import PinnedTool, PinState
from core.domain.upstream_diff import difference, shown
from core.upstreams import Upstreams, UpstreamView
from core.words import sentence_for
from sallyport.commands.answer import Answer, answering, table
from sallyport.commands.secret import TakesSecret, read_secret
from sallyport.commands.session import acting_as, as_option, parts_of_process, tenant_option

COMMAND = click.Group("upstream", help="Connect upstream MCP servers, and accept their tools.")

_STYLES = {"+": "green", "-": "red"}

_upstream_argument = click.argument("upstream")


@asynccontextmanager
async def _acting(tenant: str, email: str) -> AsyncGenerator[tuple[Upstreams, Caller]]:
    async with parts_of_process() as parts, parts.upstream_tools.open():
        yield parts.upstreams, await acting_as(parts, tenant=tenant, email=email)


@COMMAND.command("list")
@tenant_option
@as_option
@answering
async def listed(tenant: str, email: str) -> Answer:
    """List the servers that the operator allows, and which of them the tenant uses."""
    async with _acting(tenant, email) as (upstreams, caller):
        rows = [_of_view(view) for view in await upstreams.listed(caller)]
    return Answer(
        document={"items": rows},
        shown=table(
            "name",
            "at",
            "connected by",
            "since",
            "acts as the person by",
            rows=[[row[key] for key in ("name", "at", "by", "since", "scope")] for row in rows],
            none="The operator allows none. See SALLYPORT_UPSTREAMS.",
        ),
    )


@COMMAND.command("connect", cls=TakesSecret)
@_upstream_argument
@tenant_option
@as_option
@click.option(
    "--credential", "has_secret", is_flag=True, help="Read a credential from standard input."
)
@answering
async def connect(upstream: str, tenant: str, email: str, *, has_secret: bool) -> Answer:
    """Connect the tenant to a server; its tools wait until they are accepted."""
    secret = read_secret("Credential") if has_secret else None
    async with _acting(tenant, email) as (upstreams, caller):
        tools = await upstreams.connect(caller, upstream=upstream, secret=secret)
    return _tools(tools, none=f"Connected to {upstream}, which has no tools.")


@COMMAND.command("tools")
@click.argument("upstream", required=False)
@tenant_option
@as_option
@click.option("--look", is_flag=True, help="Ask the server first.")
@answering
async def tools(upstream: str | None, tenant: str, email: str, *, look: bool) -> Answer:
    """List the tools of a server, or of all, and where each stands."""
    async with _acting(tenant, email) as (upstreams, caller):
        found = await upstreams.tools(caller, upstream=upstream, look=look)
    return _tools(found, none="There are none.")


@COMMAND.command("diff")
@click.argument("tool")
@tenant_option
@as_option
@answering
async def diff(tool: str, tenant: str, email: str) -> Answer:
    """Show what was accepted of a tool beside what its server says now."""
    async with _acting(tenant, email) as (upstreams, caller):
        found = await upstreams.tool(caller, name=tool)
    now = None if found.state is PinState.GONE else found.seen or found.accepted
    lines = difference(found.accepted, now=now)
    digest = found.seen.digest if found.seen else None
    heading = f"{found.name} is {found.state.value}. {_fault(found)}".rstrip()
    hint = f"Accept exactly this with: --digest {digest}" if digest and not found.fault else ""
    told: list[RenderableType] = [
        heading,
        *(Text(line, style=_STYLES.get(line[:1], "")) for line in lines),
        hint,
    ]
    document: dict[str, Json] = {**_of_tool(found), "digest": digest, "difference": list(lines)}
    return Answer(document=document, shown=Group(*told))


@COMMAND.command("accept")
@click.argument("name", metavar="TOOL|UPSTREAM")
@tenant_option
@as_option
@click.option("--digest", metavar="D", help="What diff has shown: of one tool, and of no other.")
@click.option("--all-new", is_flag=True, help="Every sound tool of the upstream that is new.")
@answering
async def accept(
    name: str, tenant: str, email: str, digest: str | None, *, all_new: bool
) -> Answer:
    """Accept a tool exactly as diff has shown it, or all new tools of a server."""
    if all_new == (digest is not None):
        raise click.UsageError("Give --digest for one tool, or --all-new for a server.")
    async with _acting(tenant, email) as (upstreams, caller):
        if digest is None:
            accepted = await upstreams.accept_all(caller, upstream=name)
        else:
            accepted = (await upstreams.accept(caller, name=name, digest=digest),)
    return _tools(accepted, none="There was nothing new to accept.")


@COMMAND.command("set")
@click.argument("tool")
@tenant_option
@as_option
@click.option("--risk", type=click.Choice(Risk, case_sensitive=False))
@click.option("--approver", type=click.Choice([Role.APPROVER, Role.ADMIN], case_sensitive=False))
@click.option("--needed", type=click.IntRange(1, 10), help="How many different people.")
@click.option(
    "--idempotent/--not-idempotent",
    default=None,
    help="Whether the same call made twice has one effect.",
)
@click.option("--timeout", "seconds", type=click.IntRange(1, 300), help="In seconds.")
@answering
async def set_terms(
    tool: str,
    tenant: str,
    email: str,
    risk: Risk | None,
    approver: Role | None,
    needed: int | None,
    idempotent: bool | None,  # noqa: FBT001 - click passes it by name
    seconds: int | None,
) -> Answer:
    """Say how much harm a tool can do, and who is asked; what is not given stays."""
    async with _acting(tenant, email) as (upstreams, caller):
        terms = (await upstreams.tool(caller, name=tool)).terms
        terms = replace(
            terms,
            risk=risk or terms.risk,
            approver=approver or terms.approver,
            needed=needed or terms.needed,
            idempotent=terms.idempotent if idempotent is None else idempotent,
            timeout_seconds=seconds or terms.timeout_seconds,
        )
        found = await upstreams.set_terms(caller, name=tool, terms=terms)
    return _tools((found,), none="")


@COMMAND.command("act-as-person")
@_upstream_argument
@tenant_option
@as_option
@click.option("--scope", help="Entra's: calls carry their person's own token of it.")
@click.option("--off", is_flag=True, help="Calls carry the company's credential again.")
@answering
async def act_as_person(
    upstream: str, tenant: str, email: str, scope: str | None, *, off: bool
) -> Answer:
    """Have a server's tools act as whoever they are called for, who says so in the tab in Teams."""
    if off == (scope is not None):
        raise click.UsageError("Give --scope, or --off.")
    async with _acting(tenant, email) as (upstreams, caller):
        await upstreams.act_as_person(caller, upstream=upstream, scope=scope)
    whose = "the company's credential" if scope is None else f"their person's token of {scope}"
    return Answer(
        document={"name": upstream, "scope": scope},
        shown=f"Calls of {upstream} carry {escape(whose)}.",
    )


@COMMAND.command("disconnect")
@_upstream_argument
@tenant_option
@as_option
@answering
async def disconnect(upstream: str, tenant: str, email: str) -> Answer:
    """Disconnect the tenant from a server; its tools are gone at once."""
    async with _acting(tenant, email) as (upstreams, caller):
        await upstreams.disconnect(caller, upstream=upstream)
    return Answer(document={"name": upstream}, shown=f"{tenant} is not connected to {upstream}.")


def _tools(found: tuple[PinnedTool, ...], *, none: str) -> Answer:
    rows = [_of_tool(tool) for tool in found]
    return Answer(
        document={"items": rows},
        shown=table(
            "name",
            "state",
            "risk",
            "asks",
            "what it says",
            rows=[
                (
                    tool.name,
                    tool.state.value,
                    tool.terms.risk.value,
                    f"{tool.terms.needed} {tool.terms.approver.value}",
                    _fault(tool) or escape(_words(tool)),
                )
                for tool in found
            ],
            none=none,
        ),
    )


def _of_view(view: UpstreamView) -> dict[str, Json]:
    at = None if view.allowed is None else view.allowed.url or view.allowed.command[0]
    since = view.connection.connected_at.isoformat(timespec="seconds") if view.connection else None
    return {
        "name": view.name,
        "at": at,
        "allowed": view.allowed is not None,
        "by": view.connection.connected_by if view.connection else None,
        "since": since,
        "scope": view.connection.entra_scope if view.connection else None,
    }


def _of_tool(tool: PinnedTool) -> dict[str, Json]:
    return {
        "name": tool.name,
        "upstream": tool.upstream,
        "state": tool.state.value,
        "fault": tool.fault,
        "risk": tool.terms.risk.value,
        "approver": tool.terms.approver.value,
        "needed": tool.terms.needed,
        "idempotent": tool.terms.idempotent,
        "timeout_seconds": tool.terms.timeout_seconds,
        "version": tool.version,
        "accepted": tool.accepted.as_json() if tool.accepted else None,
        "seen": tool.seen.as_json() if tool.seen else None,
        "seen_digest": tool.seen.digest if tool.seen else None,
    }


def _fault(tool: PinnedTool) -> str:
    facts = {"tool": tool.name, "upstream": tool.upstream}
    return sentence_for(tool.fault, facts) if tool.fault else ""


def _words(tool: PinnedTool) -> str:
    told = tool.seen or tool.accepted
    return shown(told.description.partition("\n")[0])[:100] if told else ""

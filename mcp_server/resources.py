"""What a person may read over MCP beside calling tools, each thing under an address of its own."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote
from uuid import UUID

from mcp import types

from core.app import App
from core.domain.approval import Approval, ApprovalState
from core.domain.canonical import Json, canonical_json
from core.domain.ids import ApprovalId, RunId
from core.domain.principal import Caller
from core.domain.run import Run
from core.errors import Forbidden, NotFound
from core.store.usage import UsageTotal
from mcp_server.pages import contract_page, policies_page, run_page, tool_page
from mcp_server.paging import page_of
from mcp_server.run_views import approval_content, run_content

SCHEME: Final = "sallyport://"
MARKDOWN: Final = "text/markdown"
JSON: Final = "application/json"

_PAGE: Final = 100
_NEWEST: Final = 20
"""How many runs, and how many open approvals, are listed; any other is read by its id."""
_LONGEST: Final = 500
_TITLE: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A family of addresses: ``{argument}`` stands for a name or an id."""

    uri: str
    argument: str
    scope: str
    name: str
    title: str
    description: str
    mime_type: str


TOOL: Final = Template(
    uri=f"{SCHEME}tools/{{name}}",
    argument="name",
    scope="tools:call",
    name="tool",
    title="One tool",
    description="What one tool does, its risk, who is asked, cost, limits and what it takes.",
    mime_type=MARKDOWN,
)
RUN: Final = Template(
    uri=f"{SCHEME}runs/{{run_id}}",
    argument="run_id",
    scope="runs:read",
    name="run",
    title="One run",
    description="A run with its steps, their calls, verdicts, results and cost.",
    mime_type=JSON,
)
RUN_PAGE: Final = Template(
    uri=f"{SCHEME}runs/{{run_id}}/page",
    argument="run_id",
    scope="runs:read",
    name="run_page",
    title="One run, to read",
    description="A run as a page: the task, what was done step by step, and what came of it.",
    mime_type=MARKDOWN,
)
APPROVAL: Final = Template(
    uri=f"{SCHEME}approvals/{{approval_id}}",
    argument="approval_id",
    scope="approvals:read",
    name="approval",
    title="One approval",
    description="What would be done, for whom and why, who may decide, and what they decided.",
    mime_type=JSON,
)
TEMPLATES: Final = (TOOL, RUN, RUN_PAGE, APPROVAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Single:
    """An address of one thing."""

    scope: str
    name: str
    title: str
    description: str
    mime_type: str
    text: Callable[[Caller], Awaitable[str]]


class Resources:
    """Lists and reads, for whoever is at the other end; nobody may keep it for anybody else."""

    def __init__(self, app: App, *, page: int = _PAGE) -> None:
        """Take the core, and how much is listed at once."""
        self._app = app
        self._page = page
        self._singles: Mapping[str, _Single] = {
            f"{SCHEME}tools": _Single(
                scope="tools:call",
                name="tools",
                title="What the agent can do for you",
                description="Every tool: what it does, its risk, who is asked, undo, cost, limits.",
                mime_type=MARKDOWN,
                text=self._contract,
            ),
            f"{SCHEME}policies": _Single(
                scope="tools:call",
                name="policies",
                title="The policies in force",
                description="What is allowed, what is not, and when people are asked, in words.",
                mime_type=MARKDOWN,
                text=self._policies,
            ),
            f"{SCHEME}usage": _Single(
                scope="runs:read",
                name="usage",
                title="What was used",
                description="Calls, tokens and cost by tool and model; for an admin the company's.",
                mime_type=JSON,
                text=self._usage,
            ),
        }

    async def listed(self, caller: Caller, *, cursor: str | None) -> types.ListResourcesResult:
        """Return a page of what can be read, by address: of runs and approvals the newest only.

        Raises:
            MCPError: a cursor that is not ours.
        """
        found = {
            uri: _resource(
                uri,
                name=one.name,
                title=one.title,
                about=one.description,
                mime_type=one.mime_type,
            )
            for uri, one in self._singles.items()
            if one.scope in caller.scopes
        }
        found |= await self._tools(caller)
        found |= await self._runs(caller)
        found |= await self._approvals(caller)
        page, more = page_of(found, cursor=cursor, size=self._page)
        return types.ListResourcesResult(
            resources=[found[uri] for uri in page],
            next_cursor=more,
            ttl_ms=0,
            cache_scope="private",
        )

    def templates(self, caller: Caller, *, cursor: str | None) -> types.ListResourceTemplatesResult:
        """Return a page of the families of addresses that the caller's scopes open.

        Raises:
            MCPError: a cursor that is not ours.
        """
        known = {one.uri: one for one in TEMPLATES if one.scope in caller.scopes}
        page, more = page_of(known, cursor=cursor, size=self._page)
        return types.ListResourceTemplatesResult(
            resource_templates=[
                types.ResourceTemplate(
                    uri_template=uri,
                    name=known[uri].name,
                    title=known[uri].title,
                    description=known[uri].description,
                    mime_type=known[uri].mime_type,
                )
                for uri in page
            ],
            next_cursor=more,
            ttl_ms=0,
            cache_scope="private",
        )

    async def read(self, caller: Caller, *, uri: str) -> types.ReadResourceResult:
        """Return what is at an address.

        Raises:
            NotFound: ``not_found``: nothing, or nothing of theirs: the same answer.
        """
        try:
            mime_type, text = await self._text(caller, uri=uri)
        except Forbidden as error:
            # What the token does not open is not listed, and so it is not there.
            raise NotFound("not_found", noun="resource") from error
        return types.ReadResourceResult(
            contents=[types.TextResourceContents(uri=uri, mime_type=mime_type, text=text)],
            ttl_ms=0,
            cache_scope="private",
        )

    async def _text(self, caller: Caller, *, uri: str) -> tuple[str, str]:
        single = self._singles.get(uri)
        if single is not None:
            return single.mime_type, await single.text(caller)
        for template in TEMPLATES:
            given = _given(uri, template=template)
            if given is not None:
                return template.mime_type, await self._of(template, caller=caller, given=given)
        raise NotFound("not_found", noun="resource")

    async def _of(self, template: Template, *, caller: Caller, given: str) -> str:
        if template is TOOL:
            for offer in await self._app.handbook.offers(caller):
                if offer.tool.name == given:
                    return tool_page(offer)
            raise NotFound("not_found", noun="resource")
        if template is APPROVAL:
            approval_id = ApprovalId(_id(given))
            approval = await self._app.approval(caller, approval_id=approval_id)
            return canonical_json(approval_content(approval))
        run = await self._app.run(caller, run_id=RunId(_id(given)))
        return run_page(run) if template is RUN_PAGE else canonical_json(run_content(run))

    async def _contract(self, caller: Caller) -> str:
        return contract_page(await self._app.handbook.offers(caller))

    async def _policies(self, caller: Caller) -> str:
        return policies_page(self._app.handbook.rules(caller))

    async def _usage(self, caller: Caller) -> str:
        totals = await self._app.reports.usage(caller)
        cost = sum(total.cost_micros for total in totals)
        return canonical_json({"cost_micros": cost, "items": [_used(total) for total in totals]})

    async def _tools(self, caller: Caller) -> dict[str, types.Resource]:
        if TOOL.scope not in caller.scopes:
            return {}
        return {
            uri: _resource(
                uri,
                name=tool.name,
                title=f"Tool: {tool.name}",
                about=TOOL.description,
                mime_type=TOOL.mime_type,
            )
            for tool in await self._app.tools(caller)
            for uri in [address(TOOL, tool.name)]
        }

    async def _runs(self, caller: Caller) -> dict[str, types.Resource]:
        if RUN.scope not in caller.scopes:
            return {}
        newest = await self._app.runs(caller, before=None, limit=_NEWEST)
        return {uri: _run(uri, run) for run in newest for uri in [address(RUN, str(run.id))]}

    async def _approvals(self, caller: Caller) -> dict[str, types.Resource]:
        if APPROVAL.scope not in caller.scopes:
            return {}
        shown, _ = await self._app.approvals(
            caller, state=ApprovalState.PENDING, before=None, limit=_NEWEST
        )
        return {
            uri: _approval(uri, one) for one in shown for uri in [address(APPROVAL, str(one.id))]
        }


def address(template: Template, given: str) -> str:
    """Return the address that the template has for this name or id."""
    return template.uri.replace(f"{{{template.argument}}}", quote(given, safe=""))


def _given(uri: str, *, template: Template) -> str | None:
    """Return what stands in the template's gap; None where the address is none of its."""
    before, _, after = template.uri.partition(f"{{{template.argument}}}")
    if len(uri) > _LONGEST or not (uri.startswith(before) and uri.endswith(after)):
        return None
    told = uri[len(before) : len(uri) - len(after)]
    return None if not told or "/" in told else unquote(told)


def _id(given: str) -> UUID:
    """Return the id; one way to write it is enough.

    Raises:
        NotFound: ``not_found``: it is none.
    """
    try:
        told = UUID(given)
    except ValueError:
        raise NotFound("not_found", noun="resource") from None
    if str(told) != given.lower():
        raise NotFound("not_found", noun="resource")
    return told


def _resource(uri: str, *, name: str, title: str, about: str, mime_type: str) -> types.Resource:
    return types.Resource(uri=uri, name=name, title=title, description=about, mime_type=mime_type)


def _run(uri: str, run: Run) -> types.Resource:
    told = " ".join(run.task.split()) or run.kind.value
    return _resource(
        uri,
        name=str(run.id),
        title=f"Run: {told[:_TITLE]}",
        about=f"{run.status.value}, begun {run.created_at.isoformat(timespec='seconds')}",
        mime_type=RUN.mime_type,
    )


def _approval(uri: str, approval: Approval) -> types.Resource:
    return _resource(
        uri,
        name=str(approval.id),
        title=f"Approval: {approval.tool}",
        about=f"Waits for {approval.approvers.in_words()}, asked for {approval.requester.email}.",
        mime_type=APPROVAL.mime_type,
    )


def _used(total: UsageTotal) -> Mapping[str, Json]:
    return {
        "kind": total.kind,
        "name": total.name,
        "provider": total.provider,
        "count": total.count,
        "input_tokens": total.input_tokens,
        "output_tokens": total.output_tokens,
        "cache_read_tokens": total.cache_read_tokens,
        "cache_write_tokens": total.cache_write_tokens,
        "cost_micros": total.cost_micros,
    }

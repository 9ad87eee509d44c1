"""The front doors that break-ins are tried through: REST, MCP and the command line."""

import asyncio
import json
import re
from pathlib import Path

import psycopg
from mcp import Client, MCPError
from mcp.types import PromptReference, ResourceTemplateReference

from core.domain.principal import Caller
from tests.command_line import CommandLineForked
from tests.databases import Urls
from tests.loopback import http_client
from tests.mcp_door import McpDoor
from tests.rest import Served
from tests.scenarios.break_in import Aimed, Planted, Way, task_of
from tests.waiting import until

_SECONDS = 30.0


class RestDoor:
    """The attempt as HTTP requests with the attacker's own token."""

    def __init__(self, served: Served, urls: Urls) -> None:
        self._served = served
        self._urls = urls

    async def make(self, attempt: Aimed) -> str:
        target, told = attempt.target, list[str]()
        token = await self._served.world.token(attempt.caller.principal)
        async with http_client(
            base_url=f"{self._served.url}/api/v1",
            headers={"authorization": f"Bearer {token}"},
            timeout=_SECONDS,
        ) as http:
            for method, path, body in _requests(attempt, str(target)):
                answer = await http.request(method, path, json=body)
                told.append(f"{answer.status_code} {answer.headers} {answer.text}")
        await _nothing_under_way(self._urls)
        return "\n".join(told)


def _requests(attempt: Aimed, target: str) -> list[tuple[str, str, object]]:
    call: dict[str, object] = {"arguments": attempt.arguments}
    decision = {"decision": "approve", "digest": attempt.digest}
    many: dict[Way, list[tuple[str, str, object]]] = {
        Way.CALL: [("POST", f"/tools/{attempt.tool}/calls", call)],
        Way.DRY_RUN: [("POST", f"/tools/{attempt.tool}/calls", call | {"dry_run": True})],
        Way.START_RUN: [("POST", "/runs", {"task": task_of(attempt)})],
        Way.SEE_RUN: [("GET", f"/runs/{target}", None)],
        Way.SEE_EVENTS: [("GET", f"/runs/{target}/events", None)],
        Way.FOLLOW: [("GET", f"/runs/{target}/events", None)],
        Way.CANCEL: [("POST", f"/runs/{target}/cancel", None)],
        Way.SEE_CALL: [("GET", f"/calls/{target}", None)],
        Way.UNDO: [("POST", f"/calls/{target}/undo", None)],
        Way.SEE_APPROVAL: [("GET", f"/approvals/{target}", None)],
        Way.APPROVE: [("POST", f"/approvals/{target}/decision", decision)],
        Way.DENY: [("POST", f"/approvals/{target}/decision", decision | {"decision": "deny"})],
        Way.LISTS: [
            ("GET", path, None) for path in ("/runs", "/approvals", "/tools", "/usage", "/audit")
        ],
    }
    return [*many[attempt.way], ("GET", "/runs?limit=2", None)]


class McpSide:
    """The attempt as tool calls of an MCP client that holds the attacker's token."""

    def __init__(self, door: McpDoor, urls: Urls) -> None:
        self._door = door
        self._urls = urls

    async def make(self, attempt: Aimed) -> str:
        name, arguments = _tool_call(attempt)
        async with self._door.client(attempt.caller) as client:
            try:
                told = repr(await client.call_tool(name, arguments))
            except MCPError as error:
                told = repr(error)
            for uri in _addresses(attempt):
                try:
                    told += repr(await client.read_resource(uri))
                except MCPError as error:
                    told += repr(error)
            if attempt.way is Way.LISTS:
                told += await _everything_listed(client)
        await _nothing_under_way(self._urls)
        return told


def _addresses(attempt: Aimed) -> tuple[str, ...]:
    """Return the addresses at which the attempt can also be made by reading."""
    target = attempt.target
    match attempt.way:
        case Way.SEE_RUN | Way.SEE_EVENTS | Way.FOLLOW:
            return (f"sallyport://runs/{target}", f"sallyport://runs/{target}/page")
        case Way.SEE_APPROVAL | Way.APPROVE | Way.DENY:
            return (f"sallyport://approvals/{target}",)
        case Way.CALL | Way.DRY_RUN:
            return (f"sallyport://tools/{attempt.tool}", f"sallyport://tools/{target}")
        case Way.LISTS:
            return ("sallyport://tools", "sallyport://policies", "sallyport://usage")
        case Way.START_RUN | Way.SEE_CALL | Way.UNDO | Way.CANCEL:
            return ()


async def _everything_listed(client: Client) -> str:
    """Return all lists, what stands at each address, and what is suggested for "secret"."""
    resources = await client.list_resources()
    told: list[object] = [await client.list_tools(), resources]
    told += [await client.read_resource(one.uri) for one in resources.resources]
    prompts = (await client.list_prompts()).prompts
    asked: list[tuple[PromptReference | ResourceTemplateReference, str]] = [
        (PromptReference(name=prompt.name), argument.name)
        for prompt in prompts
        for argument in prompt.arguments or []
    ]
    asked += [
        (ResourceTemplateReference(uri=one.uri_template), gap)
        for one in (await client.list_resource_templates()).resource_templates
        for gap in re.findall(r"\{(\w+)\}", one.uri_template)
    ]
    told += [
        await client.complete(reference, {"name": name, "value": typed})
        for reference, name in asked
        for typed in ("secret", "")
    ]
    return repr(told)


def _tool_call(attempt: Aimed) -> tuple[str, dict[str, object]]:
    target = str(attempt.target)
    match attempt.way:
        case Way.CALL | Way.DRY_RUN:
            return attempt.tool, dict(attempt.arguments)
        case Way.START_RUN:
            return "start_run", {"task": task_of(attempt)}
        case Way.SEE_RUN | Way.SEE_EVENTS | Way.FOLLOW | Way.CANCEL:
            return "run_status", {"run_id": target}
        case Way.SEE_CALL | Way.UNDO | Way.SEE_APPROVAL:
            return "approval_status", {"approval_id": target}
        case Way.APPROVE | Way.DENY:
            return "decide_approval", {"approval_id": target}
        case Way.LISTS:
            return "list_approvals", {}


class Commands:
    """The attempt as commands of an operator who names the wrong company."""

    def __init__(self, urls: Urls, folder: Path, *companies: Planted) -> None:
        scripted = {"SALLYPORT_LLM": "scripted", "SALLYPORT_MODEL": "scripted"}
        environment = {"SALLYPORT_DATABASE_URL": urls.app, **scripted}
        self._line = CommandLineForked(folder, environment=environment)
        self._names = {one.company.tenant.id: one.name for one in companies}

    async def make(self, attempt: Aimed) -> str:
        arguments = _command(attempt, tenant=self._names[attempt.caller.tenant_id])
        said = await asyncio.to_thread(self._line.said, arguments)
        assert said.code in {0, 1}, said.err
        return said.out + said.err


def _command(attempt: Aimed, *, tenant: str) -> list[str]:  # noqa: PLR0911 - one line a way
    target = str(attempt.target)
    company = ["--tenant", tenant, "--json"]
    person = [*company, "--as", _email(attempt.caller)]
    match attempt.way:
        case Way.CALL | Way.DRY_RUN as way:
            told = json.dumps(dict(attempt.arguments))
            dry = ["--dry-run"] if way is Way.DRY_RUN else []
            return ["call", attempt.tool, *person, "--args", told, *dry]
        case Way.START_RUN:
            return ["run", "start", *person, "--wait", task_of(attempt)]
        case Way.SEE_RUN | Way.SEE_CALL | Way.SEE_APPROVAL:
            return ["run", "show", target, *company]
        case Way.SEE_EVENTS | Way.FOLLOW:
            return ["run", "events", target, *company]
        case Way.CANCEL:
            return ["run", "cancel", target, *company]
        case Way.UNDO:
            return ["undo", target, *person]
        case Way.APPROVE | Way.DENY as way:
            answer = "approve" if way is Way.APPROVE else "deny"
            return ["approvals", "decide", target, answer, *person, "--digest", attempt.digest]
        case Way.LISTS:
            return ["audit", "export", *company]


def _email(caller: Caller) -> str:
    return caller.principal.email


async def _nothing_under_way(urls: Urls) -> None:
    """Wait until every run has ended or waits for people."""

    async def is_quiet() -> bool:
        with psycopg.connect(urls.privileged) as connection:
            found = connection.execute(
                "select count(*) from runs where dispatch in ('queued', 'driving')"
            ).fetchone()
        return found == (0,)

    await until(is_quiet)

"""A company at Slack for benchmarks: our server, a Slack of ours, and what became of everything.

Server, Slack and load are processes of their own; this one sets them up and looks into the tables.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

import httpx2
from sqlalchemy import text

from bench.harness import ROOT
from bots.slack.manifest import EVENTS_PATH
from core.domain.account import Account
from core.domain.ids import TenantId
from core.domain.principal import Role, Tier
from sallyport.assembly import Assembly
from sallyport.founding import OPERATOR, add_person, found_tenant
from sallyport.settings import load
from sallyport.storage import Storage
from tests.slack import workspace as slacks
from tests.slack.office import install
from tests.slack.people import People
from tests.slack.workspace import ALICE, BOB, CAROL, Slack

Json = dict[str, Any]  # Any: what processes tell

_START_SECONDS: Final = 120
_STOP_SECONDS: Final = 30
_SCRIPT: Final = """
scripts:
  - match: "List it"
    turns: [{say: There is nothing on it.}]
  - match: please delete
    turns:
      - calls: [{tool: list_projects}]
      - calls:
          - tool: create_task
            arguments:
              project_id: "${{ results.list_projects.projects[name=Inbox].id }}"
              title: Old draft
      - calls:
          - tool: delete_task
            arguments: {task_id: "${{ results.create_task.task.id }}"}
      - {say: That is settled.}
"""
_ROLES: Final = {ALICE: Role.MEMBER, BOB: Role.APPROVER, CAROL: Role.ADMIN}

_KEPT = "select external_id from inbox"
_LEFT = "select count(*) from inbox where handled_at is null"
_DEAD = "select count(*) from inbox where handled_at is not null and error is not null"
_ROWS_TWICE = """
    select count(*) from (select external_id from inbox group by 1 having count(*) > 1) as twice
"""
_RUNS = "select count(*) from runs"
_RUNS_TWICE = """
    select count(*) from (select client_key from runs group by 1 having count(*) > 1) as twice
"""
_WISHES = """
    select kind || ', ' || state as what, count(*) as many from outbox group by 1 order by 1
"""
# How long each card took, and how much that is worth less had been wished before it and still was
# waiting when it was delivered.
_CARDS = """
    select extract(epoch from card.delivered_at - card.created_at)::float8 as seconds,
           (select count(*) from outbox other
            where other.tenant_id = card.tenant_id and other.kind <> 'approval'
              and other.created_at < card.created_at
              and (other.delivered_at is null or other.delivered_at > card.delivered_at)) as passed
    from outbox card where card.kind = 'approval' and card.state = 'delivered'
    order by card.created_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """The running company."""

    url: str
    slack_url: str
    pid: int
    parts: Assembly
    tenant_id: TenantId
    people: People
    http: httpx2.AsyncClient

    def cpu_seconds(self) -> float:
        """Return how much CPU time the server has used, all its threads together (proc(5))."""
        fields = (
            Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        )
        user, system = fields[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    async def told_by_slack(self) -> Json:
        """Return what the stub counted."""
        return (await self.http.get(f"{self.slack_url}/told")).json()

    async def left(self) -> int:
        """Return how many arrivals nobody has handled yet."""
        return int(await self._one(_LEFT))

    async def kept(self) -> frozenset[str]:
        """Return what arrived, by its external ids."""
        return frozenset(str(row[0]) for row in await self._rows(_KEPT))

    async def figures(self) -> Json:
        """Return what became of what arrived, and of what was to be said."""
        cards = await self._rows(_CARDS)
        return {
            "runs": await self._one(_RUNS),
            "rows_twice": await self._one(_ROWS_TWICE),
            "runs_twice": await self._one(_RUNS_TWICE),
            "dead": await self._one(_DEAD),
            "wishes": {str(what): many for what, many in await self._rows(_WISHES)},
            "card_seconds": [round(float(str(seconds)), 2) for seconds, _ in cards],
            "cards_went_before": [passed for _, passed in cards],
        }

    async def _one(self, query: str) -> int:
        return int(str((await self._rows(query))[0][0]))

    async def _rows(self, query: str) -> Sequence[Sequence[object]]:
        async with self.parts.database.for_tenant(self.tenant_id) as connection:
            found = (await connection.execute(text(query))).all()
        return [tuple(cast("Sequence[object]", row)) for row in found]


@asynccontextmanager
async def office_in(folder: Path) -> AsyncGenerator[Office]:
    """Serve a company whose people are at Slack, all in ``folder``, until the block is left."""
    script = folder / "script.yaml"
    await asyncio.to_thread(script.write_text, _SCRIPT, encoding="utf-8")
    async with AsyncExitStack() as stack:
        log = stack.enter_context((folder / "said.log").open("wb"))
        slack, told = await _started(stack, [sys.executable, "-m", "tests.slack.web_api"], log=log)
        stack.callback(cast("asyncio.StreamWriter", slack.stdin).close)
        ours = {
            "SALLYPORT_DATA_DIR": str(folder / "data"),
            "SALLYPORT_PORT": "0",
            "SALLYPORT_LLM": "scripted",
            "SALLYPORT_SCRIPT": str(script),
            "SALLYPORT_LOG_LEVEL": "warning",
            "SALLYPORT_SLACK_CLIENT_ID": slacks.CLIENT_ID,
            "SALLYPORT_SLACK_CLIENT_SECRET": slacks.CLIENT_SECRET,
            "SALLYPORT_SLACK_SIGNING_SECRET": slacks.SIGNING_SECRET,
            "SALLYPORT_SLACK_API_URL": told["api_url"],
        }
        read = load(ours, folder=folder)
        storage = await stack.enter_async_context(Storage(read.store))
        parts = Assembly(read, url=storage.url)
        stack.push_async_callback(parts.database.close)
        at = Slack().company()
        tenant_id = await _company(parts, token=told["token"])
        command = [str(Path(sys.executable).with_name("sallyport")), "serve", "--json"]
        server, said = await _started(stack, command, log=log, **ours)
        http = await stack.enter_async_context(httpx2.AsyncClient(timeout=30, trust_env=False))
        url = f"{said['url']}{EVENTS_PATH}"
        yield Office(
            url=url,
            slack_url=told["url"],
            pid=server.pid,
            parts=parts,
            tenant_id=tenant_id,
            people=People(http, slack=Slack(), at=at, url=url),
            http=http,
        )


async def _company(parts: Assembly, *, token: str) -> TenantId:
    at = Slack().company()
    tenant = await found_tenant(parts, "acme", tier=Tier.ENTERPRISE)
    people = {
        user: await add_person(
            parts, tenant.id, email=f"{at.users[user].name}@acme.test", roles=[role]
        )
        for user, role in _ROLES.items()
    }
    await install(parts, at, by=people[CAROL], token=token)
    for user, person in people.items():
        account = Account(surface="slack", workspace=at.team, user=user)
        await parts.linking.bind(person, account=account, actor=OPERATOR)
    return tenant.id


async def _started(
    stack: AsyncExitStack, command: Sequence[str], *, log: IO[bytes], **settings: str
) -> tuple[Process, Mapping[str, str]]:
    """Start a process that tells in one line where it is, and have it end with the stack."""
    inherited = {
        key: value
        for key, value in os.environ.items()  # noqa: TID251 - what any process needs
        if not key.startswith("SALLYPORT_")
    }
    process = await asyncio.create_subprocess_exec(
        *command, env=inherited | settings, cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=log
    )
    stack.push_async_callback(_ended, process)
    async with asyncio.timeout(_START_SECONDS):
        line = await cast("asyncio.StreamReader", process.stdout).readline()
    if not line:
        said = await asyncio.to_thread(Path(log.name).read_text, encoding="utf-8")
        raise RuntimeError(said[-3000:])
    return process, json.loads(line)


async def _ended(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()

"""A company in chat for benchmarks: our server, and what became of everything that arrived.

Server and load are processes of their own, and so is the platform where it has to be; this one sets
them up and looks into the tables.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from sqlalchemy import text

from bench.harness import ROOT
from core.domain.account import Account
from core.domain.chat import Surface
from core.domain.principal import Principal, Role, Tenant, Tier
from sallyport.assembly import Assembly
from sallyport.founding import OPERATOR, add_person, found_tenant
from sallyport.settings import load
from sallyport.storage import Storage

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
_ROLES: Final = (Role.MEMBER, Role.APPROVER, Role.ADMIN)

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
    select concat_ws(', ', kind, state, case state when 'dead' then error end) as what, count(*)
    from outbox group by 1 order by 1
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
class Server:
    """The running server, and the tables that it writes."""

    url: str
    pid: int
    parts: Assembly
    tenant: Tenant

    def cpu_seconds(self) -> float:
        """Return how much CPU time the server has used, all its threads together (proc(5))."""
        fields = (
            Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        )
        user, system = fields[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

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
        async with self.parts.database.for_tenant(self.tenant.id) as connection:
            found = (await connection.execute(text(query))).all()
        return [tuple(cast("Sequence[object]", row)) for row in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What a platform counted: all calls, and those over its limits."""

    calls: int
    excesses: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """The company at work on one platform.

    ``load`` is the module that offers a load, with the options that it needs here; ``ask`` has
    somebody ask for what must be approved, and ``counted`` is what the platform says.
    """

    server: Server
    load: Sequence[str]
    ask: Callable[[], Awaitable[object]]
    counted: Callable[[], Awaitable[Counted]]


Puts = Callable[[Assembly, Principal], Awaitable[None]]
"""Puts the app into a workspace, as an admin of the company."""


@asynccontextmanager
async def serving(
    folder: Path,
    settings: Mapping[str, str],
    *,
    surface: Surface,
    workspace: str,
    users: Sequence[str],
    puts: Puts,
) -> AsyncGenerator[Server]:
    """Serve a company until the block is left, all in ``folder``.

    ``users`` are the accounts of somebody who asks, somebody who approves, and an admin.
    """
    script = folder / "script.yaml"
    await asyncio.to_thread(script.write_text, _SCRIPT, encoding="utf-8")
    ours = {
        "SALLYPORT_DATA_DIR": str(folder / "data"),
        "SALLYPORT_PORT": "0",
        "SALLYPORT_LLM": "scripted",
        "SALLYPORT_SCRIPT": str(script),
        "SALLYPORT_LOG_LEVEL": "warning",
        **settings,
    }
    read = load(ours, folder=folder)
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(Storage(read.store))
        parts = Assembly(read, url=storage.url)
        stack.push_async_callback(parts.database.close)
        tenant = await found_tenant(parts, "acme", tier=Tier.ENTERPRISE)
        people = [
            await add_person(parts, tenant.id, email=f"{role.value}@acme.test", roles=[role])
            for role in _ROLES
        ]
        await puts(parts, people[-1])
        for user, person in zip(users, people, strict=True):
            account = Account(surface=surface.value, workspace=workspace, user=user)
            await parts.linking.bind(person, account=account, actor=OPERATOR)
        command = [str(Path(sys.executable).with_name("sallyport")), "serve", "--json"]
        process, said = await started(stack, command, log=folder / "server.log", **ours)
        yield Server(url=said["url"], pid=process.pid, parts=parts, tenant=tenant)


async def started(
    stack: AsyncExitStack, command: Sequence[str], *, log: Path, **settings: str
) -> tuple[Process, Mapping[str, str]]:
    """Start a process that tells in one line where it is, and have it end with the stack."""
    inherited = {
        key: value
        for key, value in os.environ.items()  # noqa: TID251 - what any process needs
        if not key.startswith("SALLYPORT_")
    }
    process = await asyncio.create_subprocess_exec(
        *command,
        env=inherited | settings,
        cwd=ROOT,
        stdin=PIPE,
        stdout=PIPE,
        stderr=stack.enter_context(log.open("wb")),
    )
    stack.push_async_callback(_ended, process)
    async with asyncio.timeout(_START_SECONDS):
        line = await cast("asyncio.StreamReader", process.stdout).readline()
    if not line:
        said = await asyncio.to_thread(log.read_text, encoding="utf-8")
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

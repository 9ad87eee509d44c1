"""Durable steps a second: ours against LangGraph with its Postgres saver and raw one-row commits.

One of our steps is a model answer, its usage and a settled, audited tool call, journalled under
row-level security; a LangGraph step is a checkpointed node that adds one to a number; a raw step is
one inserted row. Runs of ten steps; starting and ending them counts. The model is scripted and the
tool does nothing, so that durability is what is measured. Also: how long a decision takes to bring
a parked run to its end.

Usage: python -m bench.durable_steps [--levels 1,8,32] [--seconds 4] [--rounds 3]
"""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import asyncpg
import click
import structlog
import uvloop

from bench.harness import (
    Databases,
    Figures,
    child,
    databases,
    median,
    peers_python,
    percentile,
    say,
    table,
)
from bench.pack import BENCH, STEPS, script_of_steps
from core.app import App
from core.domain.approval import Answer
from core.domain.ids import ApprovalId, RunId
from core.domain.principal import Caller, Role, Tier, scopes_held
from core.domain.run import RunStatus
from core.domain.task import NewTask, Priority, ProjectId, TaskId
from core.ports import Dispatcher
from core.store.seeds import create_project, seed_tasks
from core.tools.authoring import BoundPack
from sallyport.assembly import Assembly
from sallyport.settings import of_values

ARMS = ("raw", "lg_sync", "lg_async", "sallyport")
_PARKED = 100
_INSERT = "insert into step (run, seq, state) values ($1, $2, $3)"


class BenchAssembly(Assembly):
    """The real parts, and the pack that does nothing."""

    def packs(self) -> tuple[BoundPack, ...]:
        """Return the built-in packs and ours."""
        return (*super().packs(), BENCH.bound(None))


class _Nowhere(Dispatcher):
    """Runs of the throughput arm are driven where they were started."""

    async def enqueue(self, tenant_id: object, *, run_id: object, segment: int) -> None:
        """Do nothing."""


async def _caller(assembly: Assembly) -> tuple[Caller, Caller]:
    tenant = await assembly.people.create_tenant(f"bench-{uuid4().hex[:8]}", tier=Tier.ENTERPRISE)
    people = [
        await assembly.people.create_principal(tenant.id, email=f"{role}@bench.test", roles=[role])
        for role in (Role.MEMBER, Role.APPROVER)
    ]
    member, approver = (
        Caller(principal=person, scopes=scopes_held(person), via="bench") for person in people
    )
    return member, approver


def _assembly(url: str, folder: str) -> Assembly:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    script = Path(folder) / "script.yaml"
    script.write_text(script_of_steps(), encoding="utf-8")
    values = {"data_dir": folder, "llm": "scripted", "model": "scripted", "script": script}
    return BenchAssembly(of_values(values), url=url)


async def _for_a_while(
    once: Callable[[], Awaitable[None]], *, concurrency: int, seconds: float
) -> tuple[int, float, float]:
    """Return how often it was done, in how many seconds, with how many of our CPU."""
    done = 0
    begun, cpu = time.perf_counter(), time.process_time()

    async def worker() -> None:
        nonlocal done
        while time.perf_counter() < begun + seconds:
            await once()
            done += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(worker())
    return done, time.perf_counter() - begun, time.process_time() - cpu


async def _ours(url: str, *, concurrency: int, seconds: float) -> Figures:
    with TemporaryDirectory(prefix="sallyport-bench-") as folder:
        assembly = _assembly(url, folder)
        member, _ = await _caller(assembly)
        app, loop = assembly.build_app(_Nowhere()), assembly.build_loop()

        async def once() -> None:
            run_id = await app.start_run(member, task="count to ten")
            await loop.drive(member.tenant_id, run_id, 1)

        for _ in range(3):
            await once()
        runs, elapsed, cpu = await _for_a_while(once, concurrency=concurrency, seconds=seconds)
        checked = (await app.runs(member, before=None, limit=1))[0]
        whole = await app.run(member, run_id=checked.id)
        if whole.status is not RunStatus.COMPLETED or len(whole.steps) != STEPS:
            raise RuntimeError(whole.status)
        await assembly.database.close()
    return _figures(runs * STEPS, elapsed=elapsed, cpu=cpu)


async def _raw(url: str, *, concurrency: int, seconds: float) -> Figures:
    pool = await asyncpg.create_pool(url, min_size=concurrency, max_size=concurrency)
    await pool.execute(
        "create table if not exists step (id bigserial primary key, run uuid not null,"
        " seq int not null, at timestamptz not null default now(), state jsonb not null)"
    )
    state = json.dumps({"n": 1, "pad": "x" * 200})

    async def once() -> None:
        run = uuid4()
        for seq in range(STEPS):
            await pool.execute(
                "insert into step (run, seq, state) values ($1, $2, $3)", run, seq, state
            )

    runs, elapsed, cpu = await _for_a_while(once, concurrency=concurrency, seconds=seconds)
    await pool.close()
    return _figures(runs * STEPS, elapsed=elapsed, cpu=cpu)


def _figures(steps: int, *, elapsed: float, cpu: float) -> Figures:
    return {"steps_per_second": steps / elapsed, "cpu_ms_per_step": cpu * 1e3 / steps}


async def _decisions(url: str) -> Figures:
    """Park runs, decide them one by one, and time each from the decision to the run's end."""
    with TemporaryDirectory(prefix="sallyport-bench-") as folder:
        assembly = _assembly(url, folder)
        member, approver = await _caller(assembly)
        new = {
            TaskId(uuid4()): NewTask(
                project_id=ProjectId(uuid4()),
                title=f"Task {n}",
                priority=Priority.NORMAL,
                assignee=None,
                due_date=None,
            )
            for n in range(_PARKED)
        }
        project = next(iter(new.values())).project_id
        async with assembly.database.for_tenant(member.tenant_id) as connection:
            await create_project(
                connection, member.tenant_id, project_id=project, name="Inbox", open_to_all=True
            )
            tasks = {
                task_id: NewTask(
                    project_id=project,
                    title=task.title,
                    priority=task.priority,
                    assignee=None,
                    due_date=None,
                )
                for task_id, task in new.items()
            }
            await seed_tasks(connection, member.principal, new=tasks)
        async with assembly.working() as app:
            runs = [await app.start_run(member, task=f"delete {task}") for task in tasks]
            waits: list[float] = []
            for run_id in runs:
                asked = await _asked(assembly, member, run_id)
                digest = (await app.approval(approver, approval_id=asked)).digest
                begun = time.perf_counter()
                await app.decide(approver, approval_id=asked, answer=Answer.APPROVE, digest=digest)
                await _ended(app, member, run_id)
                waits.append((time.perf_counter() - begun) * 1e3)
    return {"p50_ms": percentile(waits, 0.5), "p99_ms": percentile(waits, 0.99)}


async def _ended(app: App, member: Caller, run_id: RunId) -> None:
    """Wait until the run has ended."""
    while True:
        if (await app.run(member, run_id=run_id)).status.is_final:
            return
        await asyncio.sleep(0.002)


async def _asked(assembly: Assembly, member: Caller, run_id: RunId) -> ApprovalId:
    """Wait until the run is parked, and return the question it waits for."""
    while True:
        run = await assembly.stored_runs.get(member.tenant_id, run_id=run_id)
        if run.status is RunStatus.AWAITING_APPROVAL:
            asked = await assembly.approvals.of_run(member.tenant_id, run_id=run_id)
            return asked[-1].id
        await asyncio.sleep(0.01)


def _measure(arm: str, *, level: int, seconds: float, where: Databases) -> Figures:
    say(f"{arm} at {level}")
    if arm.startswith("lg_"):
        script = str(Path(__file__).parent / "peers" / "langgraph_steps.py")
        url, mode = where.fresh("langgraph"), arm.removeprefix("lg_")
        return child([peers_python(), script, url, mode, str(level), str(seconds)])
    url = where.fresh("raw") if arm == "raw" else where.migrated("ours")
    ours = [sys.executable, "-m", "bench.durable_steps", "--child", arm]
    return child([*ours, "--url", url, "--levels", str(level), "--seconds", str(seconds)])


@click.command()
@click.option("--levels", default="1,8,32", show_default=True, help="how many runs at once")
@click.option("--seconds", default=4.0, show_default=True, help="how long each measurement takes")
@click.option("--rounds", default=3, show_default=True, help="how often all are measured, in turn")
@click.option("--child", "arm", hidden=True)
@click.option("--url", hidden=True)
def main(levels: str, seconds: float, rounds: int, arm: str | None, url: str | None) -> None:
    """Measure durable steps a second, peers in the same run."""
    wanted = [int(level) for level in levels.split(",")]
    if arm is not None and url is not None:
        of_arm = {"raw": _raw, "sallyport": _ours}
        if arm == "decisions":
            print(json.dumps(uvloop.run(_decisions(url))))
            return
        measured = of_arm[arm](url, concurrency=wanted[0], seconds=seconds)
        print(json.dumps(uvloop.run(measured)))
        return
    with databases() as where:
        print(json.dumps(where.describe()), "\n")
        rows: list[list[object]] = []
        for level in wanted:
            found: dict[str, list[Figures]] = {name: [] for name in ARMS}
            for _ in range(rounds):
                for name in ARMS:
                    found[name].append(_measure(name, level=level, seconds=seconds, where=where))
            best = max(median(found[name], "steps_per_second") for name in ("lg_sync", "lg_async"))
            for name in ARMS:
                rate = median(found[name], "steps_per_second")
                cpu = median(found[name], "cpu_ms_per_step")
                rows.append([level, name, f"{rate:.0f}", f"{cpu:.2f}", f"{rate / best:.2f}"])
        head = ("runs at once", "arm", "steps/s", "its CPU ms a step", "x the better LangGraph")
        table(head, rows)
        command = [sys.executable, "-m", "bench.durable_steps", "--child", "decisions"]
        decided = child([*command, "--url", where.migrated("decided")])
        print(f"\nDecision to the run's end: p50 {decided['p50_ms']:.0f} ms,", end=" ")
        print(f"p99 {decided['p99_ms']:.0f} ms ({_PARKED} runs, one at a time)")


if __name__ == "__main__":
    main()

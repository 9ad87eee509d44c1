"""Runs: start, list, show, cancel them, and read their events."""

import asyncio
from collections.abc import Iterator
from uuid import UUID

import click
from rich.console import Group, RenderableType

from api.paging import cursor_of, place_of
from api.views import run_view, status_of
from core.app import App
from core.domain.canonical import JsonObject
from core.domain.event import RunEvent
from core.domain.ids import RunId
from core.domain.principal import Caller
from core.domain.run import Run, RunStatus
from core.errors import RunStopped
from core.runs.stops import cause_of
from sallyport.assembly import Assembly
from sallyport.commands.answer import Answer, answering, as_json_given, console, table
from sallyport.commands.session import (
    acting_as,
    as_option,
    cursor_option,
    limit_option,
    parts_of_process,
    tenant_named,
    tenant_option,
)
from sallyport.driving import driven, rest, worker_is_alive
from sallyport.founding import OPERATOR
from sallyport.terminal import Teller, dollars

COMMAND = click.Group("run", help="Start, watch and cancel runs of the agent.")

_EVENTS = 200


@COMMAND.command("start")
@tenant_option
@as_option
@click.argument("task")
@click.option("--wait", is_flag=True, help="Until the run has ended, or waits for people.")
@answering
async def start(tenant: str, email: str, task: str, *, wait: bool) -> Answer:
    """Start a run of the agent with TASK, on behalf of a person."""
    async with parts_of_process() as parts:
        caller = await acting_as(parts, tenant=tenant, email=email)
        if not wait:
            return await _queued(parts, caller=caller, task=task)
        async with driven(parts) as wheel:
            run_id = await wheel.app.start_run(caller, task=task)
            run = await _followed(parts, app=wheel.app, caller=caller, run_id=run_id)
    stopped = run.status.is_final and run.status is not RunStatus.COMPLETED
    return Answer(document=_told(run), shown=_next_of(run, tenant=tenant), code=int(stopped))


@COMMAND.command("list")
@tenant_option
@limit_option
@cursor_option
@answering
async def listed(tenant: str, limit: int, cursor: str | None) -> Answer:
    """List the tenant's runs, newest first."""
    place = place_of(cursor)
    async with parts_of_process() as parts:
        found = await parts.stored_runs.page(
            await tenant_named(parts, tenant),
            requester_id=None,
            before=(place[0], RunId(place[1])) if place else None,
            limit=limit,
        )
    more = cursor_of(found[-1].created_at, last=found[-1].id) if len(found) == limit else None
    return Answer(
        document={"items": [_told(run) for run in found], "next_cursor": more},
        shown=table(
            "id",
            "status",
            "for",
            "cost",
            "started",
            "task",
            rows=[
                (
                    run.id,
                    run.status.value,
                    run.requester.email,
                    dollars(run.cost_micros),
                    f"{run.created_at:%Y-%m-%d %H:%M}",
                    run.task[:60],
                )
                for run in found
            ],
            none="There are no runs yet. Start one with: sallyport run start",
        ),
    )


@COMMAND.command("show")
@click.argument("run_id", metavar="ID", type=click.UUID)
@tenant_option
@answering
async def show(run_id: UUID, tenant: str) -> Answer:
    """Show a run with its steps."""
    async with parts_of_process() as parts:
        run = await parts.stored_runs.get(await tenant_named(parts, tenant), run_id=RunId(run_id))
        if not as_json_given():
            await _tell_all(parts, run=run, teller=Teller(console()))
    return Answer(document=_told(run), shown=Group(*_calls(run), _next_of(run, tenant=tenant)))


@COMMAND.command("cancel")
@click.argument("run_id", metavar="ID", type=click.UUID)
@tenant_option
@answering
async def cancel(run_id: UUID, tenant: str) -> Answer:
    """Cancel a run for good: at once, or at its driver's next look."""
    async with parts_of_process() as parts:
        tenant_id = await tenant_named(parts, tenant)
        await parts.stored_runs.cancel(
            tenant_id,
            run_id=RunId(run_id),
            actor=OPERATOR,
            cause=cause_of(RunStopped("cancelled")),
        )
        run = await parts.stored_runs.get(tenant_id, run_id=RunId(run_id))
    done = run.status.is_final
    shown = "The run is cancelled." if done else "The run ends at its driver's next look."
    return Answer(document=_told(run), shown=shown)


@COMMAND.command("events")
@click.argument("run_id", metavar="ID", type=click.UUID)
@tenant_option
@click.option("--after", type=click.IntRange(min=0), default=0, help="Behind this number.")
@answering
async def events(run_id: UUID, tenant: str, after: int) -> Answer:
    """Show what happened in a run, in order."""
    async with parts_of_process() as parts:
        tenant_id = await tenant_named(parts, tenant)
        run = await parts.stored_runs.get(tenant_id, run_id=RunId(run_id))
        found = await parts.events.after(tenant_id, run_id=run.id, seq=after, limit=_EVENTS)
    if not as_json_given():
        teller = Teller(console())
        for event in found:
            teller.tell(event)
    more = str(found[-1].seq) if len(found) == _EVENTS else None
    return Answer(document={"items": [_event(one) for one in found], "next_cursor": more})


async def _queued(parts: Assembly, *, caller: Caller, task: str) -> Answer:
    async with parts.serving() as app:
        run_id = await app.start_run(caller, task=task)
        run = await app.run(caller, run_id=run_id)
        alive = await worker_is_alive(parts)
    driver = "" if alive else " No worker is running: start one with: sallyport worker"
    return Answer(document=_told(run), shown=f"Started {run_id}.{driver}")


async def _followed(parts: Assembly, *, app: App, caller: Caller, run_id: RunId) -> Run:
    """Return the run at rest; for people, tell what happens meanwhile."""
    if as_json_given():
        return await rest(parts, caller.tenant_id, run_id=run_id)
    teller = Teller(console())

    async def tell() -> None:
        async for event in app.follow(caller, run_id=run_id):
            teller.tell(event)

    async with asyncio.TaskGroup() as group:
        telling = group.create_task(tell())
        run = await rest(parts, caller.tenant_id, run_id=run_id)
        telling.cancel()
    await _tell_all(parts, run=run, teller=teller)
    return run


async def _tell_all(parts: Assembly, *, run: Run, teller: Teller) -> None:
    """Tell what happened in the run as far as it was not told."""
    while found := await parts.events.after(run.tenant_id, run_id=run.id, seq=teller.seq):
        for event in found:
            teller.tell(event)


def _calls(run: Run) -> Iterator[RenderableType]:
    """Yield the run's calls by id, which undoing one takes; nothing where there are none."""
    rows = [
        (record.call.id, status_of(record.state).replace("_", " "), record.call.tool)
        for step in run.steps
        for record in step.calls
    ]
    if rows:
        yield table("call", "status", "tool", rows=rows, none="")


def _next_of(run: Run, *, tenant: str) -> str:
    """Return what a person may want to do now."""
    match run.status:
        case RunStatus.AWAITING_APPROVAL:
            return (
                f"It waits for people. See what for with: sallyport approvals list "
                f"--tenant {tenant} --state pending"
            )
        case RunStatus.PENDING | RunStatus.RUNNING:
            return f"It is {run.status.value}."
        case (
            RunStatus.COMPLETED | RunStatus.FAILED | RunStatus.CANCELLED | RunStatus.BUDGET_EXCEEDED
        ):
            return f"The run {run.id} is over: {run.status.value.replace('_', ' ')}."


def _told(run: Run) -> JsonObject:
    return {"run_id": str(run.id), **run_view(run).model_dump(mode="json")}


def _event(event: RunEvent) -> JsonObject:
    return {
        "seq": event.seq,
        "kind": event.kind.value,
        "at": event.at.isoformat(),
        "data": event.data,
    }

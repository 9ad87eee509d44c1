"""Driving segments: DBOS hands them out, this process drives those that it is handed."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from contextvars import Context
from datetime import timedelta
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

import anyio
import anyio.to_thread
import structlog
from dbos import (
    DBOS,
    DBOSConfig,
    DBOSPortableJSONSerializer,
    SetEnqueueOptions,
    SetWorkflowID,
)
from dbos import (
    error as dbos_error,
)
from sqlalchemy.exc import SQLAlchemyError

from core.domain.ids import RunId, TenantId
from core.durable import segment as of_segment
from core.durable.disconnect import Connections, engine_of
from core.durable.room import Room
from core.durable.schedule import NOT_URGENT_SECONDS, Job, Schedule
from core.durable.takeover import Claimed, Directory, Pace, Pulse, Requeue, Takeover
from core.errors import LeaseLost, Misconfigured, Unavailable
from core.ports import Clock, Dispatcher

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_POOL_SIZE = 4
_THREADS = 16
_ENQUEUE_SECONDS = 3.0
_CANCEL_SECONDS = 4.0
_DESTROY_SECONDS = 2.5
_RETRY_FIRST_SECONDS = 0.1
_RETRY_MOST_SECONDS = 3.0
_RETRY_IN_ALL_SECONDS = 600.0
_FORGET_EVERY_SECONDS = 300.0
_FORGET_AFTER = timedelta(hours=1)
_FORGET_AT_ONCE = 500
_PACE = Pace()

Drive = Callable[[TenantId, RunId, int], Awaitable[None]]
"""Drives one segment and returns when it is over.

A segment that is not the run's, or that somebody else has, is over at once: return, or raise
``LeaseLost``. After ``Unavailable`` it is called again for the same segment, so it must take up a
segment that is marked as driven by this very worker. When cancelled, it leaves the run as it is.
"""

OnCrash = Callable[[TenantId, RunId, int, Exception], Awaitable[None]]
"""Fails the run after an error that nobody foresaw; called again after ``Unavailable``."""


class Beats(Pulse, Protocol):
    """The worker's row among the living, there from entry to exit."""

    async def __aenter__(self) -> object:
        """Beat for the first time and go on."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> bool | None:
        """Die: whatever this worker drives is anybody's."""
        ...


class SegmentWorker(Dispatcher):
    """Drives segments for as long as it is entered. DBOS allows one at a time in a process.

    Entered in a running event loop, it drives in that loop. While it is entered, DBOS's bounded
    pool of threads is the loop's default executor.
    """

    def __init__(
        self,
        *,
        url: str,
        role: str,
        beats: Beats,
        directory: Directory,
        drive: Drive,
        requeue: Requeue,
        on_crash: OnCrash,
        clock: Clock,
        jobs: Sequence[Job] = (),
        concurrency: int = 16,
        tenant_concurrency: int = 3,
        pace: Pace = _PACE,
    ) -> None:
        """Take a libpq URL with the role to be, and what to do with a segment.

        ``concurrency`` segments are driven here at once; of one tenant, ``tenant_concurrency``
        by all workers together from the queue, and as many by each worker from its own enqueues.
        Both are kept with the queue: the worker that starts last decides for all.
        """
        self._beats = beats
        self._drive = drive
        self._on_crash = on_crash
        self._clock = clock
        self._jobs = (
            *jobs,
            Job(
                name="forget_finished",
                every_seconds=_FORGET_EVERY_SECONDS,
                first_after_seconds=NOT_URGENT_SECONDS,
                run=self.forget_finished,
            ),
        )
        self._concurrency = concurrency
        self._tenant_concurrency = tenant_concurrency
        self._takeover = Takeover(
            self, directory=directory, pulse=beats, requeue=requeue, clock=clock, pace=pace
        )
        self._connections = Connections(url, role=role)
        self._engine = engine_of(self._connections, pool_size=_POOL_SIZE)
        self._room = Room(segments=concurrency, per_tenant=tenant_concurrency)
        self._workflow: Callable[[str, str, str], Coroutine[None, None, None]] = self._segment
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start to beat, to drive and to sweep.

        Raises:
            Unavailable: ``database_unavailable``.
            Misconfigured: ``not_migrated``: DBOS's schema is missing or old.
        """
        async with AsyncExitStack() as stack:
            # Left in the opposite order: stop sweeping, stop driving, die, let DBOS go.
            stack.push_async_callback(self._destroy)
            await stack.enter_async_context(self._beats)
            await self._launch()
            stack.push_async_callback(self._end_drives)
            self._group = await stack.enter_async_context(asyncio.TaskGroup())
            stack.callback(self._end_tasks)
            self._spawn(self._takeover.run(), name="takeover")
            self._spawn(Schedule(self._jobs).run(), name="schedule")
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop within eight seconds; what was driven here is anybody's at once."""
        await self._stack.__aexit__(kind, error, trace)

    async def enqueue(self, tenant_id: TenantId, *, run_id: RunId, segment: int) -> None:
        """Drive the segment here if there is room, else queue it; never fails, within 3 s."""
        if self._group is None:
            _log_failure(tenant_id, run_id=run_id, segment=segment, error="not_running")
            return
        start = self._start(tenant_id, run_id=run_id, segment=segment)
        # Not the caller's task: a caller who leaves would leave a workflow that nobody runs.
        task = self._spawn(start, name="enqueue")
        await asyncio.wait({task}, timeout=_ENQUEUE_SECONDS)

    async def claimed(self, *, limit: int) -> Sequence[Claimed]:
        """Return what workers have claimed and not finished, the oldest first."""
        pending = await DBOS.list_workflows_async(
            status="PENDING", load_input=False, load_output=False, limit=limit
        )
        return [
            Claimed(workflow_id=each.workflow_id, executor_id=each.executor_id or "")
            for each in pending
        ]

    async def statuses(self, workflow_ids: Sequence[str]) -> Mapping[str, str]:
        """Return DBOS's status of each id that it knows."""
        known = await DBOS.list_workflows_async(
            workflow_ids=list(workflow_ids), load_input=False, load_output=False
        )
        return {each.workflow_id: each.status for each in known}

    async def give_up(self, workflow_ids: Sequence[str]) -> None:
        """Cancel these in DBOS's tables: they hold no place in their tenant's partition."""
        await DBOS.cancel_workflows_async(list(workflow_ids))

    def driven_here(self) -> Collection[str]:
        """Return the workflow ids of the segments that are driven here now."""
        return self._room.workflow_ids()

    async def forget_finished(self) -> None:
        """Delete what DBOS keeps of segments that were over an hour ago."""
        before = (self._clock.now() - _FORGET_AFTER).isoformat()
        while True:
            over = await DBOS.list_workflows_async(
                status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
                completed_before=before,
                load_input=False,
                load_output=False,
                limit=_FORGET_AT_ONCE,
            )
            if over:
                await DBOS.delete_workflows_async([each.workflow_id for each in over])
            if len(over) < _FORGET_AT_ONCE:
                return

    async def _launch(self) -> None:
        of_segment.quiet()
        config: DBOSConfig = {
            "name": of_segment.APPLICATION,
            "application_version": of_segment.VERSION,
            "executor_id": self._beats.executor_id,
            "system_database_engine": self._engine,
            "dbos_system_schema": of_segment.SCHEMA,
            "serializer": DBOSPortableJSONSerializer(),
            "run_migrations": False,
            "use_listen_notify": False,
            "notification_listener_polling_interval_sec": 0.5,
            "max_executor_threads": _THREADS,
            "log_level": "ERROR",
        }
        DBOS(config=config)

        async def drive_segment(tenant: str, run: str, segment: str) -> None:
            await self._segment(tenant, run, segment)

        self._workflow = DBOS.workflow(name=of_segment.WORKFLOW, max_recovery_attempts=None)(
            drive_segment
        )
        DBOS.listen_queues([of_segment.QUEUE])
        try:
            # Blocks the loop for some ten round trips: DBOS takes the loop that it is launched in.
            DBOS.launch()
            await DBOS.register_queue_async(
                of_segment.QUEUE,
                worker_concurrency=self._concurrency,
                partition_concurrency=self._tenant_concurrency,
                polling_interval_sec=of_segment.POLL_SECONDS,
                on_conflict="always_update",
            )
        except dbos_error.DBOSInitializationError as error:
            raise Misconfigured("not_migrated") from error
        except SQLAlchemyError as error:
            raise Unavailable("database_unavailable") from error
        self._connections.be_patient()

    def _spawn(self, work: Coroutine[None, None, None], *, name: str) -> asyncio.Task[None]:
        if self._group is None:  # pragma: no cover - entered before anything is spawned
            raise RuntimeError
        # A context of its own: inside a segment, DBOS would take what is enqueued for a child.
        task = self._group.create_task(work, name=name, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _start(self, tenant_id: TenantId, *, run_id: RunId, segment: int) -> None:
        tenant, run, number = of_segment.arguments(tenant_id, run_id=run_id, segment=segment)
        try:
            with SetWorkflowID(of_segment.workflow_id(run_id, segment=segment)):
                if self._room.has_room(tenant):
                    with self._room.taken(tenant):
                        await DBOS.start_workflow_async(self._workflow, tenant, run, number)
                else:
                    with SetEnqueueOptions(queue_partition_key=tenant):
                        await DBOS.enqueue_workflow_async(
                            of_segment.QUEUE, self._workflow, tenant, run, number
                        )
        except Exception as error:  # noqa: BLE001 - the run is committed: only a sweep can help
            _log_failure(tenant_id, run_id=run_id, segment=segment, error=type(error).__name__)

    async def _segment(self, tenant: str, run: str, segment: str) -> None:
        """Drive one segment as the body of its workflow.

        An error here would be the workflow's end while the run goes on; being cancelled is not.
        """
        if self._group is None:
            raise asyncio.CancelledError
        tenant_id, run_id, number = TenantId(UUID(tenant)), RunId(UUID(run)), int(segment)
        driven = of_segment.workflow_id(run_id, segment=number)
        with self._room.driven(tenant, workflow_id=driven):
            async with asyncio.TaskGroup() as group:
                # Without DBOS's context, which would make workflows of what the run starts.
                group.create_task(
                    self._drive_until_over(tenant_id, run_id=run_id, segment=number),
                    context=Context(),
                )

    async def _drive_until_over(self, tenant_id: TenantId, *, run_id: RunId, segment: int) -> None:
        log = _log.bind(tenant_id=str(tenant_id), run_id=str(run_id), segment=segment)

        async def drive() -> None:
            await self._drive(tenant_id, run_id, segment)

        try:
            await self._while_unavailable(drive, log=log)
        except LeaseLost:
            log.info("segment.lease_lost")
        except Unavailable as error:
            # The sweep finds the run again when there is a database to sweep.
            log.warning("segment.given_up", error=error.code)
        except Exception as error:  # a worker's main loop: one run's error must not end others
            log.exception("segment.crashed", error=type(error).__name__)
            crash = error

            async def fail() -> None:
                await self._on_crash(tenant_id, run_id, segment, crash)

            try:
                await self._while_unavailable(fail, log=log)
            except Exception as again:  # noqa: BLE001 - the sweep takes the orphan over
                log.warning("segment.crash_not_recorded", error=type(again).__name__)

    async def _while_unavailable(
        self, act: Callable[[], Awaitable[None]], *, log: structlog.stdlib.BoundLogger
    ) -> None:
        """Act again for ten minutes, while the database is away."""
        give_up_at = self._clock.monotonic() + _RETRY_IN_ALL_SECONDS
        pause = _RETRY_FIRST_SECONDS
        while True:
            try:
                return await act()
            except Unavailable as error:
                if self._clock.monotonic() > give_up_at:
                    raise
                log.warning("segment.waits", error=error.code)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _RETRY_MOST_SECONDS)

    def _end_tasks(self) -> None:
        self._group = None
        for task in self._tasks:
            task.cancel()

    async def _end_drives(self) -> None:
        self._group = None
        tasks = self._room.tasks()
        for task in tasks:
            task.cancel()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=_CANCEL_SECONDS)
            if left:
                _log.warning("worker.drives_left", count=len(left))

    async def _destroy(self) -> None:
        # Wakes threads that wait for the database; DBOS joins some of them.
        self._connections.close()
        with anyio.move_on_after(_DESTROY_SECONDS) as scope:
            await anyio.to_thread.run_sync(
                lambda: DBOS.destroy(destroy_registry=True), abandon_on_cancel=True
            )
        if scope.cancelled_caught:
            _log.warning("worker.threads_left")
        # DBOS has put its own pool there and shut it down.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())
        self._engine.dispose()


def _log_failure(tenant_id: TenantId, *, run_id: RunId, segment: int, error: str) -> None:
    _log.warning(
        "segment.enqueue_failed",
        tenant_id=str(tenant_id),
        run_id=str(run_id),
        segment=segment,
        error=error,
    )

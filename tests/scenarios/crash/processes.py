"""Workers as processes of their own: started, killed, frozen and watched by a test.

Forked from one that has imported everything, each starts in a moment.
As a program, ``python -m tests.scenarios.crash.processes URL FOLDER SCRIPT``, it is one worker.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeVar

import structlog

from core.app import App
from core.domain.approval import Answer, ApprovalState, Question
from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Caller
from core.errors import Refused, Unavailable
from core.ports import People
from tests.forked import forking
from tests.scenarios.crash.diary import Diary
from tests.scenarios.crash.fate import Fate, Moment
from tests.scenarios.crash.mortal import MortalAssembly
from tests.waiting import until
from tests.world import caller_of, settings_for

T = TypeVar("T")

_PATIENCE_SECONDS = 0.1
_YES = {Question.PERMIT: Answer.APPROVE, Question.OUTCOME: Answer.RETRY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """A run that a process starts, and decides about, by itself: ``task`` ends in the tenant."""

    tenant_id: TenantId
    member: PrincipalId
    approver: PrincipalId
    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """All that a process is told: where it works, what it starts, and when it is struck."""

    url: str
    folder: Path
    script: Path
    kind: type[MortalAssembly] = MortalAssembly
    journey: Journey | None = None
    moment: Moment | None = None
    strike: signal.Signals = signal.SIGKILL

    @property
    def diary(self) -> Diary:
        return Diary(self.folder / "diary.jsonl")


class Processes:
    """The processes of one test; what is left of them is killed at its end."""

    def __init__(self) -> None:
        self._context = forking()
        self._all: list[BaseProcess] = []

    def start(self, life: Life) -> BaseProcess:
        """Start a worker with this life before it."""
        return self.start_other(_live, life)

    def start_other(self, target: Callable[[T], None], argument: T) -> BaseProcess:
        """Start a process that does something else."""
        process = self._context.Process(target=target, args=(argument,), daemon=True)
        process.start()
        self._all.append(process)
        return process

    async def start_ready(self, life: Life) -> BaseProcess:
        """Start a worker and wait until it works."""
        process = self.start(life)
        diary = life.diary

        async def is_ready() -> bool:
            return any(note.pid == process.pid for note in diary.read(what="ready"))

        await until(is_ready, seconds=60)
        return process

    def end(self) -> None:
        for process in self._all:
            process.kill()
            process.join()
            process.close()


@contextmanager
def processes() -> Generator[Processes]:
    """Give the test processes to start, and leave none behind."""
    made = Processes()
    try:
        yield made
    finally:
        made.end()


async def exit_of(process: BaseProcess, *, seconds: float = 60.0) -> int:
    """Wait for the process to be gone and return its exit code: minus the signal's number."""

    async def is_gone() -> bool:
        return not process.is_alive()

    await until(is_gone, seconds=seconds)
    assert process.exitcode is not None
    return process.exitcode


def is_stopped(process: BaseProcess) -> bool:
    """Return whether the process is frozen, by the kernel's word."""
    status = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8")
    return status.rpartition(")")[2].split()[0] == "T"


def log_to(path: Path) -> None:
    """Have everything that this process says appended to a file, a JSON object a line."""
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


def _live(life: Life) -> None:
    log_to(life.folder / "log.txt")
    asyncio.run(_work(life))


async def _work(life: Life) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    diary = life.diary
    whose = str(life.journey.tenant_id) if life.journey else ""
    assembly = life.kind(
        settings_for(life.folder, script=life.script),
        url=life.url,
        fate=Fate(life.moment, diary=diary, about=whose, number=life.strike),
        diary=diary,
    )
    async with assembly.working() as app:
        diary.write("ready")
        if life.journey is not None:
            journey, people = life.journey, assembly.people
            member = await caller_in(people, journey.tenant_id, principal_id=journey.member)
            approver = await caller_in(people, journey.tenant_id, principal_id=journey.approver)
            await go(app, member=member, approver=approver, task=journey.task)
            return
        await stop.wait()


async def caller_in(people: People, tenant_id: TenantId, *, principal_id: PrincipalId) -> Caller:
    """Return the person as a front door sees them now."""
    return caller_of((await people.standing(tenant_id, principal_id=principal_id)).principal)


async def go(app: App, *, member: Caller, approver: Caller, task: str) -> None:
    """Start a run and decide whatever it asks, until it has ended."""
    run_id = await app.start_run(member, task=task)

    async def has_ended() -> bool:
        await asyncio.sleep(_PATIENCE_SECONDS)  # looking costs more than the run itself
        try:
            await approve_pending(app, approver)
            return (await app.run(member, run_id=run_id)).status.is_final
        except Unavailable:
            return False  # whoever was frozen in a transaction finds its connection closed

    await until(has_ended, seconds=60)


async def approve_pending(app: App, approver: Caller) -> None:
    """Approve whatever waits; a call that was cut off too often to be repeated is to be retried."""
    shown, _ = await app.approvals(approver, state=ApprovalState.PENDING, before=None, limit=50)
    for question in shown:
        try:
            await app.decide(
                approver,
                approval_id=question.id,
                answer=_YES[question.question],
                digest=question.digest,
            )
        except Refused:
            # Somebody else was quicker, or the question is another one by now: look again.
            continue


if __name__ == "__main__":
    _live(Life(url=sys.argv[1], folder=Path(sys.argv[2]), script=Path(sys.argv[3])))

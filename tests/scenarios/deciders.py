"""Processes full of people who decide at the same moment."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from core.app import App
from core.domain.approval import Answer
from core.domain.ids import ApprovalId, PrincipalId, TenantId
from core.domain.principal import Caller
from core.errors import Refused, Unavailable
from sallyport.assembly import Assembly
from tests.scenarios.crash.diary import Diary
from tests.scenarios.crash.processes import caller_in, log_to
from tests.waiting import until
from tests.world import settings_for

_AT_ONCE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Who decides what, how often in all; everybody begins when the diary says go."""

    url: str
    folder: Path
    tenant_id: TenantId
    approval_id: ApprovalId
    digest: str
    people: tuple[PrincipalId, ...]
    decisions: int

    @property
    def diary(self) -> Diary:
        return Diary(self.folder / "crowd.jsonl")


def decide(crowd: Crowd) -> None:
    """Be the crowd; every outcome goes into the diary."""
    log_to(crowd.folder / "crowd.txt")
    asyncio.run(_decide(crowd))


async def _decide(crowd: Crowd) -> None:
    assembly = Assembly(settings_for(crowd.folder), url=crowd.url)
    async with assembly.serving() as app:
        callers = [
            await caller_in(assembly.people, crowd.tenant_id, principal_id=person)
            for person in crowd.people
        ]
        crowd.diary.write("ready")

        async def may_begin() -> bool:
            return bool(crowd.diary.read(what="go"))

        await until(may_begin, seconds=60)
        room = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for number in range(crowd.decisions):
                caller = callers[number % len(callers)]
                group.create_task(_one(app, caller, crowd=crowd, room=room))


async def _one(app: App, caller: Caller, *, crowd: Crowd, room: asyncio.Semaphore) -> None:
    async with room:
        outcome = await _outcome(app, caller, crowd=crowd)
        while outcome == "database_unavailable":  # too many at once for a small machine
            outcome = await _outcome(app, caller, crowd=crowd)
    crowd.diary.write("outcome", about=outcome)


async def _outcome(app: App, caller: Caller, *, crowd: Crowd) -> str:
    try:
        closed = await app.decide(
            caller,
            approval_id=crowd.approval_id,
            answer=Answer.APPROVE,
            digest=crowd.digest,
        )
    except (Refused, Unavailable) as refusal:
        return refusal.code
    return closed.state.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Appointment:
    """Somebody who will approve something."""

    tenant_id: TenantId
    person: PrincipalId
    approval_id: ApprovalId
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Appointments, a tenth of a second apart from half a second after the diary says go."""

    url: str
    folder: Path
    appointments: tuple[Appointment, ...]

    @property
    def diary(self) -> Diary:
        return Diary(self.folder / "calendar.jsonl")


def keep(calendar: Calendar) -> None:
    """Keep every appointment to the millisecond: others have some at the same time."""
    log_to(calendar.folder / "calendar.txt")
    asyncio.run(_keep(calendar))


async def _keep(calendar: Calendar) -> None:
    assembly = Assembly(settings_for(calendar.folder), url=calendar.url)
    diary = calendar.diary
    async with assembly.serving() as app:
        callers = [
            await caller_in(assembly.people, each.tenant_id, principal_id=each.person)
            for each in calendar.appointments
        ]
        diary.write("ready")

        async def may_begin() -> bool:
            return bool(diary.read(what="go"))

        await until(may_begin, seconds=60)
        begin = diary.read(what="go")[0].at / 1e9 + 0.5
        for number, (caller, each) in enumerate(zip(callers, calendar.appointments, strict=True)):
            await asyncio.sleep(max(0.0, begin + number / 10 - time.time()))
            await app.decide(
                caller, approval_id=each.approval_id, answer=Answer.APPROVE, digest=each.digest
            )

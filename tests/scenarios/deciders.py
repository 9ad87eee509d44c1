"""A process full of people who decide the same question at the same moment."""

import asyncio
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

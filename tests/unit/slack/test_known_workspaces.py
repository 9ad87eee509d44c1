"""Whose workspaces are is remembered for moments, and never that one is nobody's."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from bots.known_workspaces import FRESH_SECONDS, RememberedWorkspaces
from core.domain.chat import Surface, Workspace, WorkspaceState
from core.domain.ids import PrincipalId, TenantId
from core.errors import Unavailable
from tests.builders import SteadyClock

_AT = datetime(2026, 1, 1, tzinfo=UTC)
ACME = Workspace(
    tenant_id=TenantId(uuid4()),
    surface=Surface.SLACK,
    workspace="T1",
    name="Acme",
    app="A1",
    bot_user="U1",
    scopes=(),
    state=WorkspaceState.ACTIVE,
    approvals_channel=None,
    links_by_email=False,
    installed_by=PrincipalId(uuid4()),
    installed_at=_AT,
    changed_at=_AT,
    token_expires_at=None,
    sealed=b"sealed",
)


@dataclass
class Kept:
    """What is kept of the one workspace; ``held`` holds whoever asks."""

    found: Workspace | None = ACME
    asked: int = 0
    is_down: bool = False
    held: asyncio.Event = field(default_factory=asyncio.Event)

    async def find(self, surface: Surface, *, workspace: str) -> Workspace | None:
        assert (surface, workspace) == (Surface.SLACK, "T1")
        self.asked += 1
        await self.held.wait()
        if self.is_down:
            raise Unavailable("database_unavailable")
        return self.found


@pytest.fixture
def kept() -> Kept:
    made = Kept()
    made.held.set()
    return made


async def found(known: RememberedWorkspaces) -> Workspace | None:
    return await known.find(Surface.SLACK, workspace="T1")


async def test_an_active_one_is_asked_for_once_in_a_while(kept: Kept) -> None:
    clock = SteadyClock()
    known = RememberedWorkspaces(kept, clock=clock)
    assert [await found(known) for _ in range(3)] == [ACME] * 3
    assert kept.asked == 1
    clock.move(seconds=FRESH_SECONDS)
    kept.found = replace(ACME, state=WorkspaceState.UNINSTALLED)
    assert [await found(known) for _ in range(2)] == [kept.found] * 2
    assert kept.asked == 3


async def test_an_installation_counts_at_once(kept: Kept) -> None:
    kept.found = None
    known = RememberedWorkspaces(kept, clock=SteadyClock())
    assert await found(known) is None
    kept.found = ACME
    assert await found(known) == ACME


async def test_while_one_asks_again_the_others_do_not_wait(kept: Kept) -> None:
    clock = SteadyClock()
    known = RememberedWorkspaces(kept, clock=clock)
    await found(known)
    clock.move(seconds=FRESH_SECONDS)
    kept.held.clear()
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(found(known))
        await asyncio.sleep(0)
        assert await found(known) == ACME
        assert not asking.done()
        kept.held.set()
    assert kept.asked == 2


async def test_where_nobody_can_be_asked_nothing_is_made_up(kept: Kept) -> None:
    clock = SteadyClock()
    known = RememberedWorkspaces(kept, clock=clock)
    await found(known)
    clock.move(seconds=FRESH_SECONDS)
    kept.is_down = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            await found(known)

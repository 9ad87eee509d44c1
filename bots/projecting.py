"""Telling surfaces what happens: from the journal to wishes, with a cursor that moves with them."""

import asyncio
import traceback
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Final, Protocol

import structlog

from bots.outbox import Outbox
from bots.rendering import Told
from bots.telling import approval_view, run_view
from bots.views import ApprovalView, RunView, Source, Stage
from bots.wording import ANSWER_BELOW
from core.domain.approval import Approval, ApprovalState
from core.domain.canonical import JsonObject
from core.domain.delivery import FollowedRun, Kind, Place, Wish
from core.domain.ids import ApprovalId, RunId, TenantId
from core.domain.run import Run
from core.errors import NotFound, SallyportError
from core.ports import Clock
from core.store.approvals import StoredApprovals
from core.store.chat_directory import ChatDirectory
from core.store.chat_following import PutQuestion, StoredFollowing
from core.store.events import StoredEvents
from core.store.runs import StoredRuns

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_LOOK_SECONDS: Final = 0.4
_AT_ONCE: Final = 200
_PIECES: Final = 1000


class Surface(Told, Protocol):
    """A surface's own way of saying things, and where; the payloads are its own to read."""

    @property
    def surface(self) -> str:
        """The surface's name."""
        ...

    async def places_for(
        self, approval: Approval, *, followed: FollowedRun | None
    ) -> Sequence[PutQuestion]:
        """Return where on the surface the tenant wants an open question to stand."""
        ...

    async def question_payload(
        self, view: ApprovalView, *, approval: Approval, put: PutQuestion
    ) -> JsonObject:
        """Return what a question's card should be at a place, for those who are asked now."""
        ...


class SourcesOf(Protocol):
    """Finds what an answer rests on."""

    def __call__(self, run: Run) -> Sequence[Source]:
        """Return the sources of a run, in the order in which they were read."""
        ...


class Teller:
    """Tells surfaces of the runs that are followed there, and of every tenant's questions."""

    def __init__(
        self,
        surfaces: Sequence[Surface],
        *,
        following: StoredFollowing,
        directory: ChatDirectory,
        runs: StoredRuns,
        approvals: StoredApprovals,
        events: StoredEvents,
        outboxes: Sequence[Outbox],
        pages_url: str,
        sources: SourcesOf,
        clock: Clock,
    ) -> None:
        """Take how things are said there, and where they are read; ``pages_url`` is ours."""
        self._surfaces = {one.surface: one for one in surfaces}
        self._following = following
        self._directory = directory
        self._runs = runs
        self._approvals = approvals
        self._events = events
        self._outboxes = outboxes
        self._pages_url = pages_url
        self._sources = sources
        self._clock = clock

    async def run(self) -> None:
        """Tell until cancelled. Several processes may: each thing is told by the first."""
        while True:
            try:
                told = await self.tell_what_is_new()
            except SallyportError as error:
                told = 0
                _log.warning("telling.look_failed", error=error.code)
            if told:
                for outbox in self._outboxes:
                    outbox.nudge()
            await asyncio.sleep(_LOOK_SECONDS)

    async def tell_what_is_new(self) -> int:
        """Tell all that has happened since; return how much there was."""
        news = await self._directory.news(limit=_AT_ONCE)
        for tenant_id, approval_id in news:
            await self._guarded(self._tell_question(tenant_id, approval_id=approval_id))
        told = len(news)
        for surface in self._surfaces:
            untold = await self._directory.untold_runs(surface, limit=_AT_ONCE)
            for tenant_id, run_id in untold:
                await self._guarded(self._tell_run(tenant_id, run_id=run_id))
            told += len(untold)
        return told

    async def _guarded(self, telling: Coroutine[object, object, None]) -> None:
        """Have one thing told; what is wrong with it keeps nothing else from being told."""
        try:
            await telling
        except NotFound:
            pass  # it was told, or is gone
        except SallyportError:
            raise
        except Exception as error:  # noqa: BLE001 - a process's main loop: the others are told
            # Where it happened, and not what was being told.
            frames = traceback.extract_tb(error.__traceback__)[-5:]
            at = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
            _log.error("telling.failed", error=type(error).__name__, at=at)

    async def _tell_run(self, tenant_id: TenantId, *, run_id: RunId) -> None:
        followed = await self._following.followed(tenant_id, run_id=run_id)
        if followed is None:
            return
        # First how far it has come: what happens while it is read is told again, never left out.
        upto = await self._following.progress(tenant_id, run_id=run_id)
        run = await self._runs.get(tenant_id, run_id=run_id)
        asked = await self._approvals.of_run(tenant_id, run_id=run_id)
        view = run_view(run, asked=asked, heard=await self._heard(run), sources=self._sources(run))
        # Nobody is told of an edit: after a wait, the answer is a message of its own.
        told = _in_two(view) if run.status.is_final and asked else {f"run:{run_id}": view}
        surface = self._surfaces[followed.place.surface]
        wishes = [
            Wish(
                place=followed.place,
                key=key,
                kind=_kind_of(part),
                payload=surface.run_payload(part, asker=followed.asker),
            )
            for key, part in told.items()
        ]
        await self._following.tell_run(
            followed, wishes=wishes, upto=upto, has_ended=run.status.is_final
        )

    async def _heard(self, run: Run) -> str:
        """Return the text of the step that is not answered yet."""
        step = max((one.number for one in run.steps), default=0) + 1
        pieces = await self._events.text_after(
            run.tenant_id, run_id=run.id, step=step, seq=0, limit=_PIECES
        )
        return "".join(piece.text for piece in pieces if piece.step == step)

    async def _tell_question(self, tenant_id: TenantId, *, approval_id: ApprovalId) -> None:
        version = await self._following.news_of(tenant_id, approval_id=approval_id)
        if version is None:
            return
        approval = await self._approvals.get(tenant_id, approval_id=approval_id)
        followed = await self._following.followed(tenant_id, run_id=approval.run_id)
        places = await self._following.put_at(tenant_id, approval_id=approval_id)
        now = self._clock.now()
        if approval.state_at(now) is ApprovalState.PENDING:
            places = await self._wanted(approval, followed=followed, there=places)
        run = await self._runs.get(tenant_id, run_id=approval.run_id)
        view = approval_view(
            approval,
            run=run,
            url=f"{self._pages_url}/approvals/{approval_id}",
            may_edit=True,
            now=now,
        )
        wishes = [
            Wish(
                place=one.place,
                key=card_key(approval_id, place=one.place),
                kind=Kind.APPROVAL,
                payload=await self._surfaces[one.place.surface].question_payload(
                    view, approval=approval, put=one
                ),
            )
            for one in places
            if one.place.surface in self._surfaces
        ]
        if view.is_open and view.reminded:
            wishes += self._reminders(view, places=places)
        await self._following.tell_question(
            tenant_id, approval_id=approval_id, version=version, wishes=wishes, places=places
        )

    def _reminders(self, view: ApprovalView, *, places: Sequence[PutQuestion]) -> list[Wish]:
        """Return a message of its own for each place: nobody is told of a card that is edited."""
        return [
            Wish(
                place=one.place,
                key=f"reminder:{view.approval_id}:{view.reminded}:{one.place.address}",
                kind=Kind.APPROVAL,
                payload=self._surfaces[one.place.surface].reminder_payload(view),
            )
            for one in places
            if one.decides and one.place.surface in self._surfaces
        ]

    async def _wanted(
        self,
        approval: Approval,
        *,
        followed: FollowedRun | None,
        there: Sequence[PutQuestion],
    ) -> Sequence[PutQuestion]:
        """Return where the question stands, and where it is to stand besides."""
        places = {one.place: one for one in there}
        for surface in self._surfaces.values():
            for one in await surface.places_for(approval, followed=followed):
                places.setdefault(one.place, one)
        return tuple(places.values())


def card_key(approval_id: ApprovalId, *, place: Place) -> str:
    """Return the key of a question's card at a place."""
    return f"approval:{approval_id}:{place.address}"


def _in_two(view: RunView) -> dict[str, RunView]:
    """Return the message that was followed, closed, and the answer beside it."""
    closed = replace(
        view,
        text=ANSWER_BELOW,
        problem="",
        sources=(),
        undoable=(),
        asks_feedback=False,
        answered_below=True,
    )
    return {f"run:{view.run_id}": closed, f"run:{view.run_id}:answer": replace(view, lines=())}


def _kind_of(view: RunView) -> Kind:
    match view.stage:
        case Stage.WORKING | Stage.WAITING:
            return Kind.PROGRESS
        case Stage.DONE:
            return Kind.FINAL
        case Stage.STOPPED:
            return Kind.ERROR

"""How a call that is not done yet is waited for: as a task, by opening a page, or within bounds.

By the time that anything here happens the call is a run, so that whoever goes away loses nothing:
the same call again joins it, and ``approval_status`` tells what became of it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID

from mcp import types

from approvals.routing import objection
from core.app import App, CallView
from core.domain.approval import Approval, ApprovalState
from core.domain.canonical import JsonObject
from core.domain.ids import ApprovalId, CallId
from core.domain.principal import Caller
from core.errors import Forbidden, NotFound, Unavailable
from mcp_server.answers import call_answer
from mcp_server.peer import Answer, Peer
from mcp_server.tasks import created, task_of_call

T = TypeVar("T")

_FIRST_LOOK_SECONDS: Final = 0.5
_FIRST_PAUSE: Final = 0.1
_LAST_PAUSE: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a request is held, in seconds.

    ``people`` while people are asked, ``worker`` while nobody is; ``before_task`` before a client
    that takes tasks is given one. ``between_reports`` is how often progress is told.
    """

    people: float = 40.0
    worker: float = 40.0
    before_task: float = 3.0
    between_reports: float = 5.0


class Waiting:
    """The ladder: the best that a client can do, for each call that is not done at once."""

    def __init__(
        self,
        app: App,
        *,
        patience: Patience,
        pages_url: str | None = None,
        stopping: asyncio.Event | None = None,
    ) -> None:
        """Take the core; ``pages_url`` is where people decide, None where there is no such page.

        Once ``stopping`` is set nobody is held any longer.
        """
        self._app = app
        self._patience = patience
        self._pages_url = pages_url
        self._stopping = stopping or asyncio.Event()

    async def call(self, caller: Caller, *, tool: str, arguments: JsonObject, peer: Peer) -> Answer:
        """Make a call, or go on with the one that ``peer.state`` names, and answer.

        Raises:
            SallyportError: as ``App.call_tool``.
        """
        if peer.state is not None:
            # Made anew it would be another call where this one has been settled meanwhile.
            view = await self._app.call(caller, call_id=CallId(UUID(peer.state)))
            return call_answer(await self._held(caller, view, peer=peer))
        view = await self._app.call_tool(
            caller,
            tool=tool,
            arguments=arguments,
            wait_seconds=min(_FIRST_LOOK_SECONDS, self._patience.worker),
        )
        if view.record.state.is_settled:
            return call_answer(view)
        if peer.takes_tasks:
            return await self._task(caller, view, peer=peer)
        asked = await self._question(caller, view)
        if asked is not None:
            page = await self.page(caller, asked, peer=peer, state=str(view.record.call.id))
            if page is not None:
                return page
        return call_answer(await self._held(caller, view, peer=peer))

    async def page(
        self, caller: Caller, approval: Approval, *, peer: Peer, state: str
    ) -> types.InputRequiredResult | None:
        """Return what has the client open the page where the caller may decide; None if it cannot.

        In the handshake era the page is opened meanwhile, where the client can be asked at all.
        What it says of it is not an answer to the question: only the page takes one.
        """
        url = self.page_for(approval)
        if url is None or not may_decide(caller, approval):
            return None
        message = f"Decide on {summary_of(approval)!r}, as yourself, on this page."
        if peer.shows_pages:
            ask = types.ElicitRequest(params=types.ElicitRequestURLParams(message=message, url=url))
            return types.InputRequiredResult(
                input_requests={str(approval.id): ask}, request_state=state
            )
        if peer.open_page is not None:
            # Nobody may be at the screen: the wait for the page is a part of the whole.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience.people):
                    await peer.open_page(message=message, url=url, key=str(approval.id))
        return None

    def page_for(self, approval: Approval) -> str | None:
        """Return the address of the page on which people decide this question."""
        return f"{self._pages_url}/approvals/{approval.id}" if self._pages_url else None

    async def decided(self, caller: Caller, approval: Approval, *, peer: Peer) -> Approval:
        """Return the question once it is closed, or as it stands when the time is over."""

        async def look() -> Approval:
            return await self._app.approval(caller, approval_id=approval.id)

        async def words(_one: Approval) -> str:
            return _waiting_for(approval)

        return await self._until(
            look,
            approval,
            is_done=lambda one: one.state is not ApprovalState.PENDING,
            most=lambda _one: self._patience.people,
            words=words,
            peer=peer,
        )

    async def _task(self, caller: Caller, view: CallView, *, peer: Peer) -> Answer:
        brief = Patience(people=0, worker=self._patience.before_task)
        view = await self._held(caller, view, peer=peer, patience=brief)
        if view.record.state.is_settled:
            return call_answer(view)
        asked = await self._question(caller, view)
        return created(task_of_call(view, message=_waiting_for(asked) if asked else None))

    async def _held(
        self, caller: Caller, view: CallView, *, peer: Peer, patience: Patience | None = None
    ) -> CallView:
        """Return the call once it is settled, or as it stands when the time is over."""
        limits = patience or self._patience

        async def look() -> CallView:
            return await self._app.call(caller, call_id=view.record.call.id)

        async def words(one: CallView) -> str:
            asked = await self._question(caller, one)
            return _waiting_for(asked) if asked else f"{one.record.call.tool} is under way."

        return await self._until(
            look,
            view,
            is_done=lambda one: one.record.state.is_settled,
            most=lambda one: limits.worker if one.approval_id is None else limits.people,
            words=words,
            peer=peer,
        )

    async def _until(
        self,
        look: Callable[[], Awaitable[T]],
        seen: T,
        *,
        is_done: Callable[[T], bool],
        most: Callable[[T], float],
        words: Callable[[T], Awaitable[str]],
        peer: Peer,
    ) -> T:
        """Look again and again, the slower the longer, and tell the client what for."""
        now = asyncio.get_running_loop().time
        began, told, pause = now(), float("-inf"), _FIRST_PAUSE
        while not is_done(seen) and (left := began + most(seen) - now()) > 0:
            if self._stopping.is_set() or await peer.has_left():
                return seen
            waited = now() - began
            if waited - told >= self._patience.between_reports:
                told = waited
                await peer.report(waited, most(seen), await words(seen))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), min(pause, left))
            pause = min(_LAST_PAUSE, pause * 1.5)
            # Its being away for a moment is no news about the call.
            with suppress(Unavailable):
                seen = await look()
        return seen

    async def _question(self, caller: Caller, view: CallView) -> Approval | None:
        """Return what people are asked about the call, as far as the caller may see it."""
        if view.approval_id is None:
            return None
        with suppress(Forbidden, NotFound):
            return await self._app.approval(caller, approval_id=ApprovalId(view.approval_id))
        return None


def may_decide(caller: Caller, approval: Approval) -> bool:
    """Return whether the question is open and this very person may answer it, on a page."""
    refused = objection(
        caller.principal, approvers=approval.approvers, requester=approval.requester.id
    )
    return refused is None and approval.state is ApprovalState.PENDING


def _waiting_for(approval: Approval) -> str:
    return f"Waiting for {approval.approvers.in_words()} to decide: {summary_of(approval)}"


def summary_of(approval: Approval) -> str:
    """Return what would be done, in a sentence."""
    summary = approval.preview.get("summary")
    return summary if isinstance(summary, str) else approval.tool

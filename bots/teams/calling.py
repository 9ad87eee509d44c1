"""Calling Teams: what it says of a call, in the outbox's words. It raises nothing."""

import asyncio
from dataclasses import replace
from typing import Final, Protocol, cast

from bots.outbox import ApiCall, Later, Never, Outcome, Took
from bots.teams.delivering import (
    CONVERSATION_GONE,
    MESSAGE_GONE,
    NO_REFERENCE,
    STREAM_FULL,
    STREAM_OVER,
    is_closed,
)
from bots.teams.references import References
from bots.teams.wire import Reference, Wire, WireRefused, WireUnreachable
from core.domain.canonical import JsonObject
from core.domain.chat import ChatReference, Surface, Workspace
from core.domain.delivery import Parcel, Place
from core.domain.ids import TenantId
from core.errors import SallyportError
from core.ports import Clock

_SECONDS: Final = 30.0
_REST_SECONDS: Final = 5.0
_LONGEST_REST_SECONDS: Final = 3600.0
# Teams ends a stream after 120 seconds, without a word to whoever reads it.
_STREAM_SECONDS: Final = 100.0
_ORPHAN_SECONDS: Final = 120.0

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_TIMED_OUT: Final = 408
_NOT_NOW: Final = frozenset({412, 429})
_BROKEN: Final = 500

# Teams tells apart in words only why a stream does not go on.
_OF_STREAMS: Final = (
    ("exceeded streaming time", STREAM_FULL),
    ("completed streamed message", STREAM_OVER),
    ("cancel", "stream_stopped"),
)


class OfTenant(Protocol):
    """Where workspaces are kept."""

    async def of_id(
        self, tenant_id: TenantId, *, surface: Surface, workspace: str
    ) -> Workspace | None:
        """Return the tenant's workspace of that id."""
        ...


class Caller:
    """Makes the outbox's calls, each where the conversation that it is for is reached."""

    def __init__(
        self, wire: Wire, *, workspaces: OfTenant, references: References, clock: Clock
    ) -> None:
        """Take the way to Teams, and what is known of workspaces and conversations."""
        self._wire = wire
        self._workspaces = workspaces
        self._references = references
        self._clock = clock
        self._streams = _Streams(clock)

    async def perform(self, parcel: Parcel, call: ApiCall) -> Outcome:
        """Make the call; a ``Later`` with a rate was surely not taken, any other may have been."""
        try:
            if not await self._is_allowed(parcel):
                return Never(code="workspace_left")
            known = await self._known(parcel)
            if known is None:
                return Never(code=NO_REFERENCE)
            outcome = await self._called(parcel, call, known=known)
            if isinstance(outcome, Never) and outcome.code == CONVERSATION_GONE:
                await self._forget(known, place=parcel.wish.place)
        except SallyportError as error:
            return Later(code=error.code)
        return outcome

    async def _is_allowed(self, parcel: Parcel) -> bool:
        workspace = await self._workspaces.of_id(
            parcel.tenant_id, surface=Surface.TEAMS, workspace=parcel.wish.place.workspace
        )
        return workspace is not None and workspace.is_active

    async def _known(self, parcel: Parcel) -> ChatReference | None:
        """Return the reference of the place, or the newest, which knows the tenant's service."""
        place = parcel.wish.place
        there = await self._references.of(
            parcel.tenant_id,
            surface=Surface.TEAMS,
            workspace=place.workspace,
            addresses=[place.address],
        )
        if there:
            return there[0]
        return await self._references.newest(
            parcel.tenant_id, surface=Surface.TEAMS, workspace=place.workspace
        )

    async def _forget(self, known: ChatReference, *, place: Place) -> None:
        """Forget a conversation that is no more, but not what Teams calls whoever it was with."""
        if known.address != place.address:
            return
        if known.mri:
            now = self._clock.now()
            await self._references.keep(replace(known, conversation="", seen_at=now))
        else:
            await self._references.forget(
                known.tenant_id,
                surface=Surface.TEAMS,
                workspace=known.workspace,
                address=known.address,
            )

    async def _called(self, parcel: Parcel, call: ApiCall, *, known: ChatReference) -> Outcome:
        is_known = known.address == parcel.wish.place.address and bool(known.conversation)
        if call.method == "conversations.create" and is_known:
            return Took(answer={"conversation": known.conversation})
        if refused := self._streams.refused(parcel, call):
            return refused
        try:
            async with asyncio.timeout(_SECONDS):
                answer = await self._made(parcel, call, known=known)
        except WireRefused as error:
            outcome = _refused(error, call=call)
        except (TimeoutError, WireUnreachable):
            outcome = Later(code="teams_unreachable")
        else:
            outcome = Took(answer=answer)
        self._streams.note(parcel, call, outcome)
        return outcome

    async def _made(self, parcel: Parcel, call: ApiCall, *, known: ChatReference) -> JsonObject:
        if call.method == "conversations.create":
            return await self._created(parcel, user=str(call.arguments["user"]), known=known)
        to = Reference(
            service_url=known.service_url,
            conversation=str(call.arguments["conversation"]),
            tenant=parcel.wish.place.workspace,
        )
        activity = cast("JsonObject", call.arguments["activity"])
        if call.method.endswith(".update"):
            message = str(call.arguments["message"])
            await self._wire.update(to, message=message, activity=activity)
            return {}
        began = self._clock.now().timestamp()
        return {"id": await self._wire.send(to, activity), "began": began}

    async def _created(self, parcel: Parcel, *, user: str, known: ChatReference) -> JsonObject:
        place = parcel.wish.place
        conversation = await self._wire.create(
            service_url=known.service_url, tenant=place.workspace, user=user
        )
        await self._references.keep(
            ChatReference(
                tenant_id=parcel.tenant_id,
                surface=Surface.TEAMS,
                workspace=place.workspace,
                address=place.address,
                conversation=conversation,
                service_url=known.service_url,
                mri=known.mri if known.address == place.address else "",
                seen_at=self._clock.now(),
            )
        )
        return {"conversation": conversation}


class _Streams:
    """Which message streams in which conversation: Teams has one at a time in each."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[str, tuple[str, float]] = {}

    def refused(self, parcel: Parcel, call: ApiCall) -> Never | None:
        """Return why a stream may not begin or go on; one that may begin is noted as open."""
        if call.method == "stream.go_on":
            began = float(str(call.arguments["began"]))
            is_full = self._clock.now().timestamp() - began > _STREAM_SECONDS
            return Never(code=STREAM_FULL) if is_full else None
        if call.method != "stream.begin":
            return None
        now = self._clock.monotonic()
        self._open = {at: one for at, one in self._open.items() if one[1] > now}
        conversation = str(call.arguments["conversation"])
        if self._open.get(conversation, (parcel.wish.key,))[0] != parcel.wish.key:
            return Never(code="stream_busy")
        self._open[conversation] = (parcel.wish.key, now + _ORPHAN_SECONDS)
        return None

    def note(self, parcel: Parcel, call: ApiCall, outcome: Outcome) -> None:
        """Note what became of a stream. One that may be open is, until Teams has ended it."""
        if not call.method.startswith("stream."):
            return
        match outcome:
            case Never():
                is_over = True
            case Took():
                is_over = call.method == "stream.end"
            case Later(rate=rate):
                is_over = call.method == "stream.begin" and rate is not None
        conversation = str(call.arguments["conversation"])
        if is_over and self._open.get(conversation, ("",))[0] == parcel.wish.key:
            del self._open[conversation]


def _refused(error: WireRefused, *, call: ApiCall) -> Outcome:
    """Return what a refusal means.

    A gateway's 502 and 504 say nothing of what became of the call behind it.
    """
    code = error.code if error.code != "unknown" else f"http_{error.status}"
    if error.status in _NOT_NOW:
        return Later(code=code, seconds=_wait(error.seconds), rate=call.uses[0])
    if error.status >= _BROKEN or error.status in {_UNAUTHORIZED, _TIMED_OUT}:
        told = error.seconds
        return Later(code=code, seconds=None if told is None else _wait(told))
    return Never(code=_meant(error, code=code, call=call))


def _meant(error: WireRefused, *, code: str, call: ApiCall) -> str:
    if call.method == "conversations.create":
        return "not_installed" if error.status == _FORBIDDEN else code
    if call.method.startswith("stream."):
        said = error.detail.lower()
        return next((one for words, one in _OF_STREAMS if words in said), code)
    is_gone = error.status in {_FORBIDDEN, _NOT_FOUND} and not is_closed(code)
    return MESSAGE_GONE if call.method == "activities.update" and is_gone else code


def _wait(told: float | None) -> float:
    return _REST_SECONDS if told is None else min(_LONGEST_REST_SECONDS, max(1.0, told))

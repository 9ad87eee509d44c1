"""Delivery: every wish is kept until the platform has taken it, within the platform's limits."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final, Protocol

import structlog

from bots.limits import Limits, Rate
from core.domain.canonical import JsonObject
from core.domain.delivery import Parcel, Wish
from core.domain.ids import TenantId
from core.errors import SallyportError
from core.ports import Clock
from core.store.chat_directory import ChatDirectory
from core.store.chat_outbox import StoredOutbox

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

Use = tuple[str, str]
"""What a call counts against: the name of a rate, and whose it is (a channel; empty: all's)."""

_LEASE_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.5
_WORKSPACES: Final = 500
_PARCELS: Final = 500
_AT_ONCE: Final = 8
_TRIES: Final = 10
_LONGEST_PAUSE_SECONDS: Final = 300.0
_SOONEST_SECONDS: Final = 0.02
# A whole page is not read again for every message that leaves it.
_SOONEST_OF_MANY_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCall:
    """One call to the platform. ``before`` is noted as sent before it is made.

    What it notes lets ``next_call`` find out what became of a call whose answer never came.
    ``or_else`` does nearly as well where the limits do not let this one go now.
    """

    method: str
    arguments: JsonObject
    uses: tuple[Use, ...] = ()
    before: JsonObject = field(default_factory=dict[str, "str | int"])
    or_else: "ApiCall | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """The platform has taken it."""

    answer: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """Not now: try again after so long. ``rate`` is what else has to rest meanwhile."""

    code: str
    seconds: float | None = None
    rate: Use | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Never:
    """The platform will not take it."""

    code: str


Outcome = Took | Later | Never


class Platform(Protocol):
    """What the outbox asks of a surface."""

    @property
    def surface(self) -> str:
        """The surface's name."""
        ...

    @property
    def rates(self) -> Mapping[str, Rate]:
        """How often the platform lets a workspace's app do what."""
        ...

    def next_call(self, parcel: Parcel) -> ApiCall | None:
        """Return the next call that brings what was sent to what is wished: pure.

        None where the message is as wished.
        """
        ...

    async def perform(self, parcel: Parcel, call: ApiCall) -> Outcome:
        """Make the call; never raises what the platform or the way there does wrong."""
        ...

    def sent_after(self, parcel: Parcel, call: ApiCall, outcome: Took | Never) -> JsonObject | None:
        """Return what the platform has of the message after that: pure.

        None where a ``Never`` means that it never will have it.
        """
        ...


class Outbox:
    """Delivers one surface's wishes, from this process or another: one for each workspace."""

    def __init__(
        self,
        platform: Platform,
        *,
        records: StoredOutbox,
        directory: ChatDirectory,
        clock: Clock,
        name: str,
    ) -> None:
        """Take the surface, where wishes are kept, and the name of this process."""
        self._platform = platform
        self._records = records
        self._directory = directory
        self._clock = clock
        self._name = name
        self._wished = asyncio.Event()

    async def wish(self, tenant_id: TenantId, *wishes: Wish) -> None:
        """Put wishes, all or none; a newer one for the same message takes its place.

        Raises:
            Unavailable: ``database_unavailable``.
        """
        await self._records.wish(tenant_id, wishes=wishes)
        self._wished.set()

    def nudge(self) -> None:
        """Look at once: something was wished in a transaction of somebody else's."""
        self._wished.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        rounds: dict[tuple[TenantId, str], asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                self._wished.clear()
                for place in await self._due():
                    if place not in rounds and len(rounds) < _WORKSPACES:
                        task = group.create_task(self._round(*place))
                        rounds[place] = task
                        task.add_done_callback(lambda _, place=place: rounds.pop(place))
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await self._wished.wait()
                except TimeoutError:
                    pass  # another process may have wished something, or something is due again

    async def _due(self) -> Sequence[tuple[TenantId, str]]:
        now = self._clock.now()
        try:
            return await self._directory.deliveries(
                self._platform.surface, now=now, limit=_WORKSPACES
            )
        except SallyportError as error:
            _log.warning("outbox.look_failed", surface=self._platform.surface, error=error.code)
            return ()

    async def _round(self, tenant_id: TenantId, workspace: str) -> None:
        """Deliver what is due to a workspace, if nobody else does, until nothing is."""
        it = _Workspace(
            self._platform,
            records=self._records,
            clock=self._clock,
            name=self._name,
            tenant_id=tenant_id,
            workspace=workspace,
        )
        try:
            await it.deliver()
        except Exception as error:  # noqa: BLE001 - a process's main loop: other workspaces go on
            _log.warning(
                "outbox.round_failed",
                surface=self._platform.surface,
                tenant_id=str(tenant_id),
                error=error.code if isinstance(error, SallyportError) else type(error).__name__,
            )
            await asyncio.sleep(_LOOK_SECONDS)


class _Workspace:
    """A workspace that this process delivers to for now."""

    def __init__(
        self,
        platform: Platform,
        *,
        records: StoredOutbox,
        clock: Clock,
        name: str,
        tenant_id: TenantId,
        workspace: str,
    ) -> None:
        self._platform = platform
        self._records = records
        self._clock = clock
        self._name = name
        self._tenant_id = tenant_id
        self._workspace = workspace
        self._limits = Limits(platform.rates, clock=clock)
        self._busy: set[str] = set()
        self._moved = asyncio.Event()
        self._are_many = False

    async def deliver(self) -> None:
        leased = {"surface": self._platform.surface, "workspace": self._workspace}
        held_until = 0.0
        idle_since = self._clock.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    now = self._clock.monotonic()
                    if now > held_until - _LEASE_SECONDS / 2:
                        if not await self._records.lease(
                            self._tenant_id,
                            by=self._name,
                            now=self._clock.now(),
                            seconds=_LEASE_SECONDS,
                            **leased,
                        ):
                            return
                        held_until = now + _LEASE_SECONDS
                    self._moved.clear()
                    pause = await self._start_what_may_go(group)
                    if pause is not None or self._busy:
                        idle_since = self._clock.monotonic()
                    elif self._clock.monotonic() - idle_since > _LEASE_SECONDS:
                        # The limits are remembered for as long as they may matter.
                        return
                    await self._until_something_moves(pause)
        finally:
            await self._records.let_go(self._tenant_id, by=self._name, **leased)

    async def _start_what_may_go(self, group: asyncio.TaskGroup) -> float | None:
        """Start all that the limits let go; return how long until the next may, None if nothing."""
        parcels = await self._records.due(
            self._tenant_id,
            surface=self._platform.surface,
            workspace=self._workspace,
            now=self._clock.now(),
            limit=_PARCELS,
        )
        self._are_many = len(parcels) >= _PARCELS
        soonest: float | None = None
        for parcel in parcels:
            if parcel.wish.key in self._busy:
                continue
            if len(self._busy) >= _AT_ONCE:
                break
            call = self._platform.next_call(parcel)
            wait = self._limits.seconds_until(*call.uses) if call is not None else 0.0
            if wait > 0 and call is not None and call.or_else is not None:
                call = call.or_else
                wait = self._limits.seconds_until(*call.uses)
            if wait > 0:
                soonest = wait if soonest is None else min(soonest, wait)
                continue
            if call is not None:
                self._limits.take(*call.uses)
            self._busy.add(parcel.wish.key)
            task = group.create_task(self._go_on(parcel, call))
            task.add_done_callback(lambda _, key=parcel.wish.key: self._done(key))
        return soonest

    def _done(self, key: str) -> None:
        self._busy.discard(key)
        self._moved.set()

    async def _until_something_moves(self, pause: float | None) -> None:
        if self._are_many:
            await asyncio.sleep(_SOONEST_OF_MANY_SECONDS)
        longest = _LOOK_SECONDS if pause is None else max(_SOONEST_SECONDS, min(pause, 1.0))
        try:
            async with asyncio.timeout(longest):
                await self._moved.wait()
        except TimeoutError:
            pass

    async def _go_on(self, parcel: Parcel, call: ApiCall | None) -> None:
        try:
            await self._take_a_step(parcel, call)
        except SallyportError as error:
            # It is due still: what was noted before tells the next try what may have happened.
            _log.warning("outbox.step_failed", key=parcel.wish.key, error=error.code)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _take_a_step(self, parcel: Parcel, call: ApiCall | None) -> None:
        if call is None:
            await self._records.delivered(parcel, at=self._clock.now())
            return
        had = parcel.sent
        if call.before:
            parcel = replace(parcel, sent={**had, **call.before})
            await self._records.sent(parcel, sent=parcel.sent)
        outcome = await self._outcome_of(parcel, call)
        match outcome:
            case Later():
                if call.before and outcome.rate is not None:
                    await self._records.sent(parcel, sent=had)  # it was surely not taken
                await self._postpone(parcel, call=call, later=outcome)
            case Took() | Never():
                sent = self._platform.sent_after(parcel, call, outcome)
                if sent is None:
                    await self._give_up(parcel, error=getattr(outcome, "code", "refused"))
                    return
                await self._records.sent(parcel, sent=sent)
                if self._platform.next_call(replace(parcel, sent=sent)) is None:
                    await self._records.delivered(parcel, at=self._clock.now())

    async def _outcome_of(self, parcel: Parcel, call: ApiCall) -> Outcome:
        try:
            return await self._platform.perform(parcel, call)
        except SallyportError:
            raise
        except Exception as error:  # noqa: BLE001 - one message must not keep back all others
            _log.error("outbox.call_broken", method=call.method, error=type(error).__name__)
            return Later(code="call_broken")

    async def _postpone(self, parcel: Parcel, *, call: ApiCall, later: Later) -> None:
        pause = later.seconds
        if pause is None:
            pause = min(_LONGEST_PAUSE_SECONDS, 2.0**parcel.attempts)
        _log.info(
            "outbox.postponed",
            surface=self._platform.surface,
            tenant_id=str(self._tenant_id),
            method=call.method,
            code=later.code,
            seconds=pause,
        )
        if later.rate is not None:
            # The platform's own word on how busy we are is no failure of this message.
            self._limits.pause(later.rate, seconds=pause)
        elif parcel.attempts + 1 < _TRIES:
            at = self._clock.now() + timedelta(seconds=pause)
            await self._records.again(parcel, at=at, error=later.code)
        else:
            await self._give_up(parcel, error=later.code)

    async def _give_up(self, parcel: Parcel, *, error: str) -> None:
        _log.warning(
            "outbox.given_up",
            surface=self._platform.surface,
            tenant_id=str(self._tenant_id),
            workspace=self._workspace,
            key=parcel.wish.key,
            error=error,
        )
        await self._records.dead(parcel, error=error)

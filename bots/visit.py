"""One arrival by somebody who is known here: who they are, and where they are answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bots.arrivals import Deed
from bots.rendering import Rendering
from bots.views import ApprovalView
from core.app import App
from core.domain.account import Account, Shown
from core.domain.canonical import JsonObject
from core.domain.delivery import Arrival, FollowedRun, Kind, Place, Wish
from core.domain.ids import RunId, TenantId
from core.domain.principal import Caller, Principal, scopes_held
from core.domain.quoted import Quoted
from core.domain.run import Conversation
from core.errors import Forbidden, Refused


class Following(Protocol):
    """Which runs are told where."""

    async def follow(self, tenant_id: TenantId, *, run_id: RunId, place: Place, asker: str) -> None:
        """Have a run told at a place from now on; twice is once."""
        ...

    async def followed(self, tenant_id: TenantId, *, run_id: RunId) -> FollowedRun | None:
        """Return where a run is told; None where nowhere."""
        ...

    async def runs_at(self, tenant_id: TenantId, *, place: Place, limit: int) -> tuple[RunId, ...]:
        """Return the runs that were asked for at a place, newest first."""
        ...


class Outbox(Protocol):
    """Takes what is to be delivered."""

    async def wish(self, tenant_id: TenantId, *wishes: Wish) -> None:
        """Keep what messages should be in the end."""
        ...


class Screens(Protocol):
    """Shows something at once to somebody who waits at a screen for what their click does.

    ``trigger`` is what their click gave for it.
    """

    async def open(self, workspace: str, trigger: str, form: JsonObject) -> bool:
        """Open a form in front of them; False where it is too late for that.

        Raises:
            Unavailable: the platform does not answer.
        """
        ...

    async def tell(self, workspace: str, trigger: str, note: JsonObject) -> bool:
        """Show them a note; False where they have to be sent it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """A full member of a workspace. ``person`` is whose the account is, None where nobody's yet."""

    account: Account
    shown: Shown
    person: Principal | None

    @property
    def caller(self) -> Caller:
        """The person, with their own rights and no others.

        Raises:
            Forbidden: ``account_not_linked``.
        """
        if self.person is None:
            raise Forbidden("account_not_linked")
        via = self.account.surface
        return Caller(principal=self.person, scopes=scopes_held(self.person), via=via)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Where somebody is answered.

    ``place`` is where what they ask for is told, and ``private`` where they are told what is
    nobody else's; there only they see it, where it is ``whispered``.
    """

    place: Place
    private: Place
    whispered: bool = False


class Placing(Protocol):
    """Knows where on its surface somebody is answered."""

    def room(self, arrival: Arrival, deed: Deed) -> Room:
        """Return where somebody is answered who did something."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Somebody's arrival. ``caller`` acts with their own rights and no others.

    ``trigger`` shows them something at once, where they wait at a screen.
    """

    arrival: Arrival
    user: str
    caller: Caller
    room: Room
    trigger: str = ""

    @property
    def place(self) -> Place:
        """Where what they ask for is told."""
        return self.room.place

    @property
    def tenant_id(self) -> TenantId:
        """The tenant that the workspace belongs to."""
        return self.arrival.tenant_id


def own_place(arrival: Arrival, *, user: str) -> Place:
    """Return somebody's direct message with the agent."""
    return _at(arrival, address=f"@{user}/")


def place_at(arrival: Arrival, *, channel: str, thread: str) -> Place:
    """Return a thread; ``thread`` empty: the channel itself."""
    return _at(arrival, address=f"{channel}/{thread}")


def _private_wish(arrival: Arrival, *, user: str, room: Room, message: JsonObject) -> Wish:
    """Return a note to one person: one for each arrival, the last word."""
    shown_to = {"ephemeral_to": user} if room.whispered else {}
    payload: JsonObject = {**message, "final": True, **shown_to}
    key = f"private:{arrival.id}"
    return Wish(place=room.private, key=key, kind=Kind.PRIVATE, payload=payload)


class Answering:
    """What every way of asking has in common: starting runs, private notes, forms."""

    def __init__(
        self,
        app: App,
        *,
        following: Following,
        outbox: Outbox,
        screens: Screens,
        rendering: Rendering,
    ) -> None:
        """Take the core's face, and the ways back to people."""
        self.app = app
        self.rendering = rendering
        self._following = following
        self._outbox = outbox
        self._screens = screens

    async def begin(
        self, visit: Visit, *, task: str, place: Place, context: Sequence[Quoted] = ()
    ) -> RunId:
        """Start a run for whoever asks, as themselves, and have it told at ``place``."""
        run_id = await self.app.start_run(
            visit.caller,
            task=task,
            conversation=Conversation(surface=place.surface, address=place.address),
            client_key=f"{place.surface}:{visit.arrival.external_id}",
            context=tuple(context),
        )
        await self.follow(visit, run_id=run_id, place=place)
        return run_id

    async def follow(self, visit: Visit, *, run_id: RunId, place: Place) -> None:
        """Have a run told at ``place``, from its first moment on; twice is once."""
        await self._following.follow(visit.tenant_id, run_id=run_id, place=place, asker=visit.user)

    async def asked_at(self, visit: Visit, *, place: Place, limit: int) -> tuple[RunId, ...]:
        """Return the runs that were asked for at a place, newest first."""
        return await self._following.runs_at(visit.tenant_id, place=place, limit=limit)

    async def is_shown_here(self, visit: Visit, *, run_id: RunId) -> bool:
        """Return whether a run is told in the workspace that the arrival came from."""
        followed = await self._following.followed(visit.tenant_id, run_id=run_id)
        return followed is not None and followed.place.workspace == visit.arrival.workspace

    async def tell(self, visit: Visit, message: JsonObject) -> None:
        """Tell somebody something that is for nobody else, at once where they wait for it."""
        await self.tell_account(
            visit.arrival,
            user=visit.user,
            room=visit.room,
            trigger=visit.trigger,
            message=message,
        )

    async def tell_account(
        self, arrival: Arrival, *, user: str, room: Room, trigger: str, message: JsonObject
    ) -> None:
        """Tell an account something, whether or not it is known whose it is."""
        if trigger and await self._screens.tell(arrival.workspace, trigger, message):
            return
        wish = _private_wish(arrival, user=user, room=room, message=message)
        await self._outbox.wish(arrival.tenant_id, wish)

    async def refuse(
        self, visit: Visit, refused: Refused, *, asked: ApprovalView | None = None
    ) -> None:
        """Tell somebody why not, and nobody else; ``asked`` is the question as it is now."""
        await self.tell(visit, self.rendering.refusal(refused, asked=asked))

    async def show(self, visit: Visit, form: JsonObject) -> None:
        """Open a form in front of somebody, or have them click again where it is too late."""
        if not await self._screens.open(visit.arrival.workspace, visit.trigger, form):
            late = self.rendering.note("That took me too long. Please click again.")
            await self.tell(visit, late)

    async def put_home(self, visit: Visit, payload: JsonObject) -> None:
        """Have somebody's page at the agent be this."""
        wish = home_wish(visit.arrival, user=visit.user, payload=payload)
        await self._outbox.wish(visit.tenant_id, wish)


def home_wish(arrival: Arrival, *, user: str, payload: JsonObject) -> Wish:
    """Return what somebody's page at the agent should be."""
    place = own_place(arrival, user=user)
    return Wish(place=place, key=f"home:{user}", kind=Kind.HOME, payload=payload)


def _at(arrival: Arrival, *, address: str) -> Place:
    return Place(surface=arrival.surface, workspace=arrival.workspace, address=address)

"""One arrival by somebody who is known here: who they are, and where they are answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, cast

from bots.slack import notes
from bots.slack.arrivals import is_direct
from bots.slack.blocks import Block
from bots.telling import run_view
from bots.views import ApprovalView, RunView
from core.app import App
from core.domain.canonical import JsonObject
from core.domain.delivery import Arrival, FollowedRun, Kind, Place, Wish
from core.domain.ids import RunId, TenantId
from core.domain.principal import Caller
from core.domain.quoted import Quoted
from core.domain.run import Conversation
from core.errors import Refused

SURFACE: Final = "slack"


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


class Rendering(Protocol):
    """How runs and questions look on the surface."""

    def run_payload(self, view: RunView, *, asker: str) -> JsonObject:
        """Return what the message of a run should be."""
        ...

    def approval_payload(self, view: ApprovalView, *, decides: bool) -> JsonObject:
        """Return what the card of a question should be."""
        ...


class Windows(Protocol):
    """Opens forms in front of people."""

    async def open(self, workspace: str, trigger: str, view: JsonObject) -> bool:
        """Open a form for whoever's click gave the trigger; False where it is too late for that.

        Raises:
            Unavailable: ``slack_unavailable``.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Somebody's arrival. ``caller`` acts with their own rights and no others.

    ``place`` is where what they ask for is told, and ``private`` where they are told what is
    nobody else's; there only they see it, where it is ``whispered``.
    """

    arrival: Arrival
    user: str
    caller: Caller
    place: Place
    private: Place
    whispered: bool

    @property
    def tenant_id(self) -> TenantId:
        """The tenant that the workspace belongs to."""
        return self.arrival.tenant_id


def own_place(arrival: Arrival, *, user: str) -> Place:
    """Return somebody's direct message with the agent."""
    return _at(arrival, address=f"@{user}/")


def thread_place(arrival: Arrival, *, channel: str, thread: str) -> Place:
    """Return a thread; ``thread`` empty: the channel itself."""
    return _at(arrival, address=f"{channel}/{thread}")


def private_place(arrival: Arrival, *, user: str, channel: str, thread: str) -> tuple[Place, bool]:
    """Return where somebody is told something alone, and whether that must be whispered."""
    if not channel:
        return own_place(arrival, user=user), False
    return thread_place(arrival, channel=channel, thread=thread), not is_direct(channel)


def private_wish(
    arrival: Arrival, *, user: str, place: Place, whispered: bool, message: JsonObject
) -> Wish:
    """Return a note to one person: one for each arrival, the last word."""
    shown_to = {"ephemeral_to": user} if whispered else {}
    payload: JsonObject = {**message, "final": True, **shown_to}
    return Wish(place=place, key=f"private:{arrival.id}", kind=Kind.PRIVATE, payload=payload)


class Answering:
    """What every way of asking has in common: starting runs, private notes, forms."""

    def __init__(
        self,
        app: App,
        *,
        following: Following,
        outbox: Outbox,
        windows: Windows,
        rendering: Rendering,
    ) -> None:
        """Take the core's face, and the ways back to people."""
        self.app = app
        self.rendering = rendering
        self._following = following
        self._outbox = outbox
        self._windows = windows

    async def begin(
        self, visit: Visit, *, task: str, place: Place, context: Sequence[Quoted] = ()
    ) -> RunId:
        """Start a run for whoever asks, as themselves, and have it told at ``place``."""
        run_id = await self.app.start_run(
            visit.caller,
            task=task,
            conversation=Conversation(surface=place.surface, address=place.address),
            client_key=f"{SURFACE}:{visit.arrival.external_id}",
            context=tuple(context),
        )
        await self.follow(visit, run_id=run_id, place=place)
        return run_id

    async def follow(self, visit: Visit, *, run_id: RunId, place: Place) -> None:
        """Have a run told at ``place``, from its first moment on; twice is once."""
        if await self._following.followed(visit.tenant_id, run_id=run_id) is not None:
            return
        run = await self.app.run(visit.caller, run_id=run_id)
        # Before it is followed: whoever follows it tells newer things, and must have the last word.
        await self._outbox.wish(
            visit.tenant_id,
            Wish(
                place=place,
                key=f"run:{run_id}",
                kind=Kind.PROGRESS,
                payload=self.rendering.run_payload(run_view(run), asker=visit.user),
            ),
        )
        await self._following.follow(visit.tenant_id, run_id=run_id, place=place, asker=visit.user)

    async def asked_at(self, visit: Visit, *, place: Place, limit: int) -> tuple[RunId, ...]:
        """Return the runs that were asked for at a place, newest first."""
        return await self._following.runs_at(visit.tenant_id, place=place, limit=limit)

    async def is_shown_here(self, visit: Visit, *, run_id: RunId) -> bool:
        """Return whether a run is told in the workspace that the arrival came from."""
        followed = await self._following.followed(visit.tenant_id, run_id=run_id)
        return followed is not None and followed.place.workspace == visit.arrival.workspace

    async def tell(self, visit: Visit, message: JsonObject) -> None:
        """Tell somebody something that is for nobody else."""
        wish = private_wish(
            visit.arrival,
            user=visit.user,
            place=visit.private,
            whispered=visit.whispered,
            message=message,
        )
        await self._outbox.wish(visit.tenant_id, wish)

    async def refuse(self, visit: Visit, refused: Refused, *, beside: Sequence[Block] = ()) -> None:
        """Tell somebody why not, and nobody else; ``beside`` stands below."""
        told = notes.refusal(refused)
        shown = cast("Sequence[Block]", told["blocks"])
        await self.tell(visit, {**told, "blocks": [*shown, *beside]})

    async def show(self, visit: Visit, *, trigger: str, form: JsonObject) -> None:
        """Open a form in front of somebody, or have them click again where it is too late."""
        if not await self._windows.open(visit.arrival.workspace, trigger, form):
            await self.tell(visit, notes.note("That took me too long. Please click again."))

    async def put_home(self, visit: Visit, view: JsonObject) -> None:
        """Have somebody's page at the agent be this."""
        await self._outbox.wish(
            visit.tenant_id, home_wish(visit.arrival, user=visit.user, view=view)
        )


def home_wish(arrival: Arrival, *, user: str, view: JsonObject) -> Wish:
    """Return what somebody's page at the agent should be."""
    payload: JsonObject = {"text": "", "blocks": [], "final": True, "view": view}
    place = own_place(arrival, user=user)
    return Wish(place=place, key=f"home:{user}", kind=Kind.HOME, payload=payload)


def _at(arrival: Arrival, *, address: str) -> Place:
    return Place(surface=SURFACE, workspace=arrival.workspace, address=address)

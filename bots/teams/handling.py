"""What becomes of an arrival from Teams: where it was is noted, and what was done is done."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol
from uuid import UUID

import structlog

from bots import actions
from bots.arrivals import Click, Deed, Submission, kept
from bots.handling import Handling
from bots.rendering import Notes
from bots.teams.arrivals import Kept, Rated, Seen
from bots.visit import Outbox, own_place
from core.domain.canonical import JsonObject
from core.domain.delivery import Arrival, FollowedRun, Kind, Wish
from core.domain.ids import RunId, TenantId

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Conversations(Protocol):
    """Knows the way back to conversations."""

    async def note(self, arrival: Arrival, seen: Seen) -> None:
        """Note a conversation, and who was seen in it."""
        ...

    async def forget(self, arrival: Arrival, seen: Seen) -> None:
        """Forget a conversation that the app has left."""
        ...


class Done(Protocol):
    """Whoever waits at a screen."""

    def done(self, trigger: str) -> None:
        """Let them see the card as it stands now."""
        ...


class Sent(Protocol):
    """What was sent to Teams."""

    async def keys_of(
        self, tenant_id: TenantId, *, surface: str, workspace: str, message: str
    ) -> Sequence[str]:
        """Return what we call the messages that the platform calls ``message``."""
        ...


class Following(Protocol):
    """Which runs are told where."""

    async def followed(self, tenant_id: TenantId, *, run_id: RunId) -> FollowedRun | None:
        """Return where a run is told; None where nowhere."""
        ...


class KeptPayloads(Protocol):
    """What has arrived before."""

    async def payload(self, tenant_id: TenantId, *, arrival_id: UUID) -> JsonObject | None:
        """Return what was kept of an arrival; None where it is not there any more."""
        ...


class TeamsHandling:
    """Handles one arrival: the inbox calls it, and calls it again where it raises."""

    def __init__(
        self,
        handling: Handling,
        *,
        conversations: Conversations,
        screens: Done,
        sent: Sent,
        following: Following,
        outbox: Outbox,
        notes: Notes,
    ) -> None:
        """Take who does what people ask for, and what only Teams needs beside that."""
        self._handling = handling
        self._conversations = conversations
        self._screens = screens
        self._sent = sent
        self._following = following
        self._outbox = outbox
        self._notes = notes

    async def __call__(self, arrival: Arrival) -> None:
        """Do what somebody asks for, or take note of where the app came to and has left."""
        told = Kept.of_payload(arrival.payload)
        if told.change == "removed":
            await self._conversations.forget(arrival, told.seen)
            return
        await self._conversations.note(arrival, told.seen)
        if told.change == "installed":
            await self._greet(arrival, told.seen)
            return
        deed = await self._rating(arrival, told.rated, told.seen) if told.rated else told.done
        if deed is not None:
            await self._handling(replace(arrival, payload=kept(deed)), deed)
        # Not where it raised: then it is done again, and whoever waits may still see that.
        self._screens.done(arrival.external_id)

    async def _rating(self, arrival: Arrival, rated: Rated, seen: Seen) -> Deed | None:
        """Return thumbs as what they are on every surface: about a run."""
        channel = f"@{seen.user}" if seen.is_personal else seen.conversation
        run_id = await self._told_in(arrival, channel=channel, message=rated.message)
        if run_id is None:
            _log.info("teams.rated_nothing", tenant_id=str(arrival.tenant_id))
            return None
        ids = actions.of_run(run_id)
        # No trigger: below its own thumbs Teams shows nothing of ours.
        if not rated.good:
            return Submission(
                user=seen.user,
                form=actions.FEEDBACK_FORM,
                carried=actions.carried(ids),
                fields={actions.REASON: rated.reason},
                channel=channel,
            )
        value = actions.carried({**ids, "v": actions.UP})
        return Click(user=seen.user, action=actions.FEEDBACK, value=value, channel=channel)

    async def _told_in(self, arrival: Arrival, *, channel: str, message: str) -> RunId | None:
        """Return the run that a message in a conversation tells of; None where it tells of none.

        Of two conversations, each may have a message of the same id.
        """
        tenant_id, workspace = arrival.tenant_id, arrival.workspace
        keys = await self._sent.keys_of(
            tenant_id, surface=arrival.surface, workspace=workspace, message=message
        )
        for kind, _, rest in (key.partition(":") for key in keys):
            if kind != "run":
                continue
            run_id = RunId(UUID(rest.partition(":")[0]))
            followed = await self._following.followed(tenant_id, run_id=run_id)
            if followed is not None and followed.place.address.partition("/")[0] == channel:
                return run_id
        return None

    async def _greet(self, arrival: Arrival, seen: Seen) -> None:
        """Say in somebody's own chat what can be asked: once, however often the app comes there."""
        if not seen.is_personal or not seen.user:
            return
        payload: JsonObject = {**self._notes.help(), "final": True}
        place = own_place(arrival, user=seen.user)
        wish = Wish(place=place, key=f"greeting:{seen.user}", kind=Kind.PRIVATE, payload=payload)
        await self._outbox.wish(arrival.tenant_id, wish)


class TeamsKept:
    """What has arrived from Teams, as what somebody did."""

    def __init__(self, kept_payloads: KeptPayloads) -> None:
        """Take where it is kept."""
        self._kept = kept_payloads

    async def payload(self, tenant_id: TenantId, *, arrival_id: UUID) -> JsonObject | None:
        """Return what was kept of a deed; None where there was none, or it is gone."""
        payload = await self._kept.payload(tenant_id, arrival_id=arrival_id)
        return Kept.of_payload(payload).deed if payload is not None else None

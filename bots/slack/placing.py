"""Where somebody in Slack is answered: in the thread, or where nobody else reads it."""

from bots.arrivals import Click, Deed, Message, Stopped
from bots.visit import Room, own_place, place_at
from core.domain.delivery import Arrival, Place


class SlackPlacing:
    """The Placing of Slack, where every message may have a thread, and a note may be whispered."""

    def room(self, arrival: Arrival, deed: Deed) -> Room:
        """Return where somebody is answered."""
        private, whispered = _private(arrival, deed)
        return Room(place=_place(arrival, deed), private=private, whispered=whispered)


def is_direct(channel: str) -> bool:
    """Return whether a channel is somebody's direct messages with the agent."""
    return channel.startswith("D")


def _place(arrival: Arrival, deed: Deed) -> Place:
    match deed:
        case Message() | Stopped():
            return place_at(arrival, channel=deed.channel, thread=deed.thread)
        case Click() if deed.channel:
            thread = deed.thread or deed.message
            return place_at(arrival, channel=deed.channel, thread=thread)
        case _:
            return own_place(arrival, user=deed.user)


def _private(arrival: Arrival, deed: Deed) -> tuple[Place, bool]:
    """Return where somebody is told something alone, and whether it is to be whispered there.

    Whispered into a thread that nobody has opened, it would not be seen: it goes to the channel
    then. A command and a shortcut may come from channels that the agent is not in.
    """
    match deed:
        case Message() if deed.is_first and not is_direct(deed.channel):
            return _beside(arrival, channel=deed.channel, thread="", user=deed.user)
        case Message() | Stopped() | Click():
            return _beside(arrival, channel=deed.channel, thread=deed.thread, user=deed.user)
        case _:
            return own_place(arrival, user=deed.user), False


def _beside(arrival: Arrival, *, channel: str, thread: str, user: str) -> tuple[Place, bool]:
    if not channel:
        return own_place(arrival, user=user), False
    return place_at(arrival, channel=channel, thread=thread), not is_direct(channel)

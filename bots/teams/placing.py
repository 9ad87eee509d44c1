"""Where somebody in Teams is answered: where they asked, and in their own chat what is private."""

from bots.arrivals import Click, Deed, Message
from bots.visit import Room, own_place, place_at
from core.domain.delivery import Arrival


class TeamsPlacing:
    """The Placing of Teams: nothing can be whispered there, so a note goes to somebody's own chat.

    Somebody's own chat with the agent is one conversation, and named by them.
    """

    def room(self, arrival: Arrival, deed: Deed) -> Room:
        """Return where somebody is answered."""
        own = own_place(arrival, user=deed.user)
        match deed:
            case Message() | Click():
                place = place_at(arrival, channel=deed.channel, thread=deed.thread)
                return Room(place=place, private=own)
            case _:
                return Room(place=own, private=own)

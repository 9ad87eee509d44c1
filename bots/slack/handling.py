"""What becomes of an arrival from Slack: what somebody did, or what became of an app or account."""

from datetime import UTC, datetime
from typing import Protocol

from bots.arrivals import Gone, LeftPerson, told
from bots.handling import Handling
from core.domain.canonical import JsonObject
from core.domain.delivery import Arrival
from core.domain.ids import TenantId


class Departures(Protocol):
    """Cleans up after an app that was taken out of a workspace."""

    async def app_uninstalled(self, workspace: str, *, at: datetime) -> bool:
        """Wipe the tokens of an app that was uninstalled."""
        ...

    async def tokens_revoked(self, workspace: str, *, tokens: JsonObject, at: datetime) -> bool:
        """Wipe our bot's token where it is among the revoked."""
        ...


class Members(Protocol):
    """Knows who is a full member of a workspace."""

    async def left(self, tenant_id: TenantId, *, workspace: str, user: str) -> bool:
        """End all rights of an account that is no full member any more."""
        ...


class SlackHandling:
    """Handles one arrival: the inbox calls it, and calls it again where it raises."""

    def __init__(self, handling: Handling, *, departures: Departures, members: Members) -> None:
        """Take who does what people ask for, and who cleans up after apps and accounts."""
        self._handling = handling
        self._departures = departures
        self._members = members

    async def __call__(self, arrival: Arrival) -> None:
        """Do what somebody asks for, or what is left to do after they have gone."""
        happening = told(arrival.payload)
        match happening:
            case Gone():
                await self._gone(arrival, happening)
            case LeftPerson():
                await self._members.left(
                    arrival.tenant_id, workspace=arrival.workspace, user=happening.user
                )
            case _:
                await self._handling(arrival, happening)

    async def _gone(self, arrival: Arrival, gone: Gone) -> None:
        at = datetime.fromtimestamp(gone.at, UTC)
        if gone.why == "uninstalled":
            await self._departures.app_uninstalled(arrival.workspace, at=at)
        else:
            tokens: JsonObject = {"bot": [*gone.bots]}
            await self._departures.tokens_revoked(arrival.workspace, tokens=tokens, at=at)

"""What there is in Teams: people, conversations, and what was said in them."""

import itertools
from dataclasses import dataclass, field
from typing import Any

from tests.teams.login import TENANT

Json = dict[str, Any]  # Any: what Teams takes and gives

ALICE = "0f8fad5b-d9cb-469f-a165-70867728950e"
BOB = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
CAROL = "16fd2706-8baf-433b-82eb-8c7fada847da"

GENERAL = "19:general@thread.tacv2"
GROUP = "19:group@thread.v2"


class TeamsError(Exception):
    """What Teams answers instead: a status, a code, and words."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code, self.message = status, code, message or code


@dataclass(slots=True, kw_only=True)
class Person:
    """Somebody with an account; ``aad`` is the Entra object id, ``mri`` is for this bot only."""

    aad: str
    name: str
    role: str = "user"
    tenant: str = TENANT
    is_installed: bool = True

    @property
    def mri(self) -> str:
        return f"29:1{self.aad.replace('-', '')}"

    def told(self) -> Json:
        """Return them as the members operation does."""
        upn = f"{self.name.lower()}@acme.example"
        return {
            "id": self.mri,
            "objectId": self.aad,
            "name": self.name,
            "givenName": self.name,
            "surname": "Example",
            "email": upn,
            "userPrincipalName": upn,
            "tenantId": self.tenant,
            "userRole": self.role,
        }


@dataclass(slots=True, kw_only=True)
class Stream:
    """A message while it grows; ``began`` in the service's own seconds."""

    id: str
    began: float
    sequence: int
    text: str = ""
    is_open: bool = True
    is_stopped: bool = False


@dataclass(slots=True, kw_only=True)
class Conversation:
    """A personal chat, a group chat or a channel; ``messages`` are ours, by id."""

    id: str
    kind: str
    people: list[str]
    has_bot: bool = True
    messages: dict[str, Json] = field(default_factory=dict[str, Json])
    streams: dict[str, Stream] = field(default_factory=dict[str, Stream])
    sent_at: list[float] = field(default_factory=list[float])

    @property
    def is_personal(self) -> bool:
        return self.kind == "personal"


class Teams:
    """One tenant's Teams, as far as a bot sees it."""

    def __init__(self) -> None:
        made = (("Alice", ALICE), ("Bob", BOB), ("Carol", CAROL))
        self.people = {aad: Person(aad=aad, name=name) for name, aad in made}
        self.conversations = {
            GENERAL: Conversation(id=GENERAL, kind="channel", people=list(self.people)),
            GROUP: Conversation(id=GROUP, kind="groupChat", people=list(self.people)),
        }
        self._ids = itertools.count(1_700_000_000_001)

    def add(self, person: Person) -> str:
        """Have somebody more, in the channel and the group as well; return their id."""
        self.people[person.aad] = person
        for id_ in (GENERAL, GROUP):
            self.conversations[id_].people.append(person.aad)
        return person.aad

    def next_id(self) -> str:
        return str(next(self._ids))

    def personal(self, aad: str) -> Conversation:
        """Return somebody's chat with the bot, made where it is not there yet."""
        id_ = f"a:1{aad.replace('-', '')}"
        made = Conversation(id=id_, kind="personal", people=[aad])
        return self.conversations.setdefault(id_, made)

    def conversation(self, id_: str) -> Conversation:
        """Return a conversation that the bot is in; ``;messageid=`` names a thread of it."""
        found = self.conversations.get(id_.partition(";")[0])
        if found is None:
            raise TeamsError(404, "ConversationNotFound", "Conversation not found.")
        if not found.has_bot:
            said = "The bot is not part of the conversation roster."
            raise TeamsError(403, "BotNotInConversationRoster", said)
        return found

    def person(self, id_: str) -> Person | None:
        """Return somebody by either of their ids."""
        return next((one for one in self.people.values() if id_ in {one.aad, one.mri}), None)

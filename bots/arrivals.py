"""What somebody did on a surface, as the inbox keeps it: what it takes to act on it, no tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from core.domain.canonical import JsonObject

TEXT: Final = 50_001
"""As much of a text is kept as it takes to see that it is longer than a task may be."""


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Deed(_Kept):
    """Something that ``user`` did; ``user_team`` is whose they are, empty where it is not told."""

    user: str
    user_team: str = ""


class Message(_Deed):
    """Something said to the agent: in a direct message, with a mention, or in a thread of its own.

    ``ts`` names it there. ``thread`` is the message that the thread hangs on, this one's own ``ts``
    where it is the first, and empty where the surface has no threads.
    ``text`` is plain, without the mention, and cut beyond what a task may be.
    """

    type: Literal["message"] = "message"
    channel: str
    ts: str
    thread: str
    text: str

    @property
    def is_first(self) -> bool:
        """Whether it begins its thread."""
        return self.thread == self.ts


class Click(_Deed):
    """A button pressed: on a message, on the agent's own page (``view``, no ``channel``).

    ``thread`` is that which the message is a reply in, empty where it is none. ``trigger`` lets a
    form be opened for a few seconds.
    """

    type: Literal["click"] = "click"
    action: str
    value: str
    channel: str = ""
    thread: str = ""
    message: str = ""
    trigger: str = ""
    view: str = ""


class Submission(_Deed):
    """A form sent; ``carried`` is what we wrote into it, ``fields`` what was typed, by block.

    ``channel`` is where its sender was, empty where that is not told.
    """

    type: Literal["submission"] = "submission"
    form: str
    carried: str
    fields: Mapping[str, str]
    channel: str = ""
    view: str = ""
    trigger: str = ""


class Command(_Deed):
    """What was typed after the slash command, and where."""

    type: Literal["command"] = "command"
    text: str
    channel: str = ""
    trigger: str = ""


class Shortcut(_Deed):
    """The message shortcut: somebody wants to ask about what ``author`` wrote, ``at`` a time.

    ``name`` is how the surface shows the author, where it says so.
    """

    type: Literal["shortcut"] = "shortcut"
    channel: str
    ts: str
    thread: str
    text: str
    author: str = ""
    name: str = ""
    at: datetime
    trigger: str = ""


class Home(_Deed):
    """Somebody looks at the agent's own page; ``tab`` home, or messages."""

    type: Literal["home"] = "home"
    tab: str


class Stopped(_Deed):
    """Somebody pressed the platform's own stop button in a thread."""

    type: Literal["stopped"] = "stopped"
    channel: str
    thread: str


class Gone(_Kept):
    """The app was removed from the workspace, or tokens of ``bots`` (accounts) were taken back.

    ``at`` is the event's own time, in seconds: what was installed since stays.
    """

    type: Literal["gone"] = "gone"
    why: Literal["uninstalled", "revoked"]
    at: int
    bots: tuple[str, ...] = ()


class LeftPerson(_Deed):
    """``user`` is no full member of the workspace any more."""

    type: Literal["left"] = "left"


Deed = Message | Click | Submission | Command | Shortcut | Home | Stopped
"""What somebody did who wants something of the agent."""

Happening = Deed | Gone | LeftPerson


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A row for the inbox. With ``thread`` set it is for us only where we are in that thread."""

    conversation: str
    position: str
    external_id: str
    happening: Happening
    urgent: bool = False
    thread: str | None = None


_KEPT: Final[TypeAdapter[Happening]] = TypeAdapter(
    Annotated[Happening, Field(discriminator="type")]
)
_PAYLOAD: Final[TypeAdapter[dict[str, JsonValue]]] = TypeAdapter(dict[str, JsonValue])


def kept(happening: Happening) -> JsonObject:
    """Return what the inbox keeps of it."""
    return _PAYLOAD.validate_python(happening.model_dump(mode="json"))


def told(payload: JsonObject) -> Happening:
    """Return what ``kept`` made ``payload`` of.

    Raises:
        ValueError: it is none of ours.
    """
    return _KEPT.validate_python(payload)

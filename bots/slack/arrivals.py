"""What somebody did in Slack, as the inbox keeps it: what it takes to act on it, and no tokens."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from core.domain.canonical import JsonObject


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Deed(_Kept):
    """Something that ``user`` did; ``user_team`` is whose they are, empty where it is not told."""

    user: str
    user_team: str = ""


class Message(_Deed):
    """Something said to the agent: in a direct message, with a mention, or in a thread of its own.

    ``thread`` is the message that the thread hangs on, this one's own ``ts`` where it is the first.
    ``text`` is plain, without the mention, and cut beyond what a task may be.
    """

    type: Literal["message"] = "message"
    channel: str
    ts: str
    thread: str
    text: str

    @property
    def is_direct(self) -> bool:
        """Whether nobody else reads it."""
        return is_direct(self.channel)

    @property
    def is_first(self) -> bool:
        """Whether it begins its thread."""
        return self.thread == self.ts


class Click(_Deed):
    """A button pressed; on a message (``channel``, ``thread``), at home or in a form.

    ``trigger`` lets a form be opened for a few seconds.
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
    """A form sent; ``carried`` is what we wrote into it, ``fields`` what was typed, by block."""

    type: Literal["submission"] = "submission"
    form: str
    carried: str
    fields: Mapping[str, str]
    view: str = ""
    trigger: str = ""


class Command(_Deed):
    """What was typed after the slash command, and where."""

    type: Literal["command"] = "command"
    text: str
    channel: str = ""
    trigger: str = ""


class Shortcut(_Deed):
    """The message shortcut: somebody wants to ask about what ``author`` has written."""

    type: Literal["shortcut"] = "shortcut"
    channel: str
    ts: str
    thread: str
    text: str
    author: str = ""
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


Happening = Message | Click | Submission | Command | Shortcut | Home | Stopped | Gone | LeftPerson

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


def is_direct(channel: str) -> bool:
    """Return whether a channel is somebody's direct messages with the agent."""
    return channel.startswith("D")

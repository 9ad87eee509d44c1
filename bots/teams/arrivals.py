"""What the inbox keeps of Teams beside what somebody did: where that was, to come back to it."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter

from bots import arrivals
from bots.arrivals import Deed, Happening
from core.domain.canonical import JsonObject

_DEED: Final = (
    arrivals.Message,
    arrivals.Click,
    arrivals.Submission,
    arrivals.Command,
    arrivals.Shortcut,
)
_PAYLOAD: Final[TypeAdapter[dict[str, JsonValue]]] = TypeAdapter(dict[str, JsonValue])


class Seen(BaseModel):
    """A conversation in which ``user`` did something; ``mri`` is Teams' own id of theirs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service_url: str
    conversation: str
    user: str
    mri: str
    is_personal: bool


class Rated(BaseModel):
    """Teams' own thumbs below ``message``, with what was typed beside them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    message: str
    good: bool
    reason: str = ""


class Kept(BaseModel):
    """A row's payload. Without a deed: the app came to a conversation, left it, or was rated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seen: Seen
    deed: dict[str, JsonValue] | None = None
    change: Literal["", "installed", "removed"] = ""
    rated: Rated | None = None

    def as_payload(self) -> JsonObject:
        """Return what the inbox keeps."""
        return _PAYLOAD.validate_python(self.model_dump(mode="json"))

    @classmethod
    def of_payload(cls, payload: JsonObject) -> "Kept":
        """Return what ``as_payload`` was made of."""
        return cls.model_validate(payload)

    @property
    def done(self) -> Deed | None:
        """What somebody did."""
        told = arrivals.told(self.deed) if self.deed is not None else None
        return told if isinstance(told, _DEED) else None


def kept(seen: Seen, happening: Happening) -> Kept:
    """Return the row of something that somebody did."""
    return Kept(seen=seen, deed=_PAYLOAD.validate_python(arrivals.kept(happening)))

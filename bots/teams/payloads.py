"""Teams' activities, as far as they concern us: parsed once, and no further."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    model_validator,
)

from core.domain.canonical import storable

_SHORT: Final = 400
_FIELDS: Final = 100
_VALUE: Final = 3000


def _text_of(value: object) -> object:
    return "" if value is None else storable(value) if isinstance(value, str) else value


def _folded(value: object) -> object:
    """Return a GUID in lower case: the same one comes in either."""
    told = _text_of(value)
    return told.lower() if isinstance(told, str) else told


def _indexable(value: str) -> str:
    """Refuse an id of more bytes than the names that are made of several may have in an index."""
    if len(value.encode()) > _SHORT:
        message = f"an id of more than {_SHORT} bytes"
        raise ValueError(message)
    return value


def _aware(value: datetime) -> datetime:
    """Return a time that names its zone: without one, it is UTC."""
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _fields_of(value: object) -> object:
    """Return what a form gave, as texts: a toggle comes as true, a number as one."""
    if not isinstance(value, Mapping):
        return value
    return {
        key: one if isinstance(one, str) else str(one).lower()
        for key, one in cast("Mapping[str, object]", value).items()
        if isinstance(one, str | int | float)
    }


_Text = Annotated[str, BeforeValidator(_text_of)]
_Name = Annotated[str, Field(max_length=_SHORT), BeforeValidator(_text_of)]
_MaybeId = Annotated[_Name, AfterValidator(_indexable)]
_Id = Annotated[_MaybeId, Field(min_length=1)]
_Time = Annotated[datetime, AfterValidator(_aware)]
_Guid = Annotated[str, Field(max_length=100), BeforeValidator(_folded)]
_Data = Annotated[Mapping[str, _Text], Field(max_length=_FIELDS), BeforeValidator(_fields_of)]


class _Part(BaseModel):
    """A part of an activity: Teams adds fields as it likes."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class Who(_Part):
    """Somebody in a conversation: ``id`` is Teams' own, ``aad`` Entra's."""

    id: _MaybeId = ""
    aad: _Guid = Field(default="", alias="aadObjectId")
    role: _MaybeId = ""


class Where(_Part):
    """A conversation; that of a channel's thread names its first message."""

    id: _Id
    kind: _MaybeId = Field(default="", alias="conversationType")
    tenant: _Guid = Field(default="", alias="tenantId")


class _Named(_Part):
    id: _Guid = ""


class _ChannelData(_Part):
    tenant: _Named = _Named()


class Mention(_Part):
    """One of an activity's entities; those that are no mention have another type."""

    type: _MaybeId = ""
    mentioned: Who = Who()
    text: _Text = ""


class Activity(_Part):
    """What every activity says: who did what where."""

    type: _Id
    name: _MaybeId = ""
    id: _MaybeId = ""
    timestamp: _Time = datetime.fromtimestamp(0, UTC)
    service_url: _Id = Field(alias="serviceUrl")
    channel: _MaybeId = Field(default="", alias="channelId")
    sender: Who = Field(default=Who(), alias="from")
    recipient: Who = Who()
    conversation: Where
    channel_data: _ChannelData = Field(default=_ChannelData(), alias="channelData")
    text: _Text = ""
    entities: tuple[Mention, ...] = ()
    reply_to: _MaybeId = Field(default="", alias="replyToId")
    action: _MaybeId = ""
    members_added: tuple[Who, ...] = Field(default=(), alias="membersAdded")
    value: JsonValue = None

    @model_validator(mode="after")
    def _names_one_tenant(self) -> Self:
        """Refuse what says two things of whose it is: either would be a guess."""
        named = {self.channel_data.tenant.id, self.conversation.tenant} - {""}
        if len(named) > 1:
            message = "it names two tenants"
            raise ValueError(message)
        return self

    @property
    def tenant(self) -> str:
        """The Entra tenant in which it happened."""
        return self.channel_data.tenant.id or self.conversation.tenant


class _Execute(_Part):
    verb: _Id
    data: _Data = {}


class ExecuteValue(_Part):
    """``adaptiveCard/action``: a button on a card, or (``automatic``) its refresh."""

    action: _Execute
    trigger: _MaybeId = "manual"


class _Author(_Part):
    id: _Guid = ""
    display_name: _Name = Field(default="", alias="displayName")


class _From(_Part):
    user: _Author | None = None


class _Body(_Part):
    kind: _MaybeId = Field(default="text", alias="contentType")
    content: _Text = ""


class _Message(_Part):
    id: _Id
    reply_to: _MaybeId = Field(default="", alias="replyToId")
    created: _Time = Field(alias="createdDateTime")
    sender: _From | None = Field(default=None, alias="from")
    body: _Body = _Body()


class FetchValue(_Part):
    """``composeExtension/fetchTask``: somebody wants to ask about a message."""

    command: _Id = Field(alias="commandId")
    message: _Message = Field(alias="messagePayload")


class SubmitValue(_Part):
    """``composeExtension/submitAction``: the form that was opened for it, filled in."""

    data: _Data


class _Reaction(_Part):
    reaction: _MaybeId = ""
    feedback: Annotated[str, Field(max_length=2 * _VALUE), BeforeValidator(_text_of)] = ""


class FeedbackValue(_Part):
    """``message/submitAction``: Teams' own thumbs below an answer."""

    name: _MaybeId = Field(alias="actionName")
    told: _Reaction = Field(alias="actionValue")

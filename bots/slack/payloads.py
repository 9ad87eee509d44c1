"""Slack's payloads, as far as they concern us: parsed once, and no further."""

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from core.domain.canonical import storable

_SHORT: Final = 200
_VALUE: Final = 3000
_FIELDS: Final = 100


def _text_of(value: object) -> object:
    return "" if value is None else storable(value) if isinstance(value, str) else value


_Text = Annotated[str, BeforeValidator(_text_of)]
_Id = Annotated[str, Field(min_length=1, max_length=_SHORT), BeforeValidator(_text_of)]
_MaybeId = Annotated[str, Field(max_length=_SHORT), BeforeValidator(_text_of)]
_Value = Annotated[str, Field(max_length=_VALUE), BeforeValidator(_text_of)]


class _Part(BaseModel):
    """A part of a payload: Slack adds fields as it likes."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Event(_Part):
    type: _Id


class Envelope(_Part):
    """What every event comes in."""

    event_id: _Id
    event_time: int = Field(default=0, ge=0)
    event: _Event


class Said(_Part):
    """A message, somebody's or some app's."""

    user: _MaybeId = ""
    user_team: _MaybeId = ""
    team: _MaybeId = ""
    bot_id: _MaybeId = ""
    app_id: _MaybeId = ""
    subtype: str | None = None
    edited: object = None
    hidden: bool = False
    channel: _Id
    ts: _Id
    thread_ts: _MaybeId = ""
    text: _Text = ""


class SaidBody(_Part):
    """``message`` and ``app_mention``."""

    event: Said


class _OpenedBy(_Part):
    user: _Id
    tab: _MaybeId = "home"
    event_ts: _MaybeId = ""


class HomeBody(_Part):
    """``app_home_opened``."""

    event: _OpenedBy


class _StoppedBy(_Part):
    user: _Id
    channel: _Id
    thread_ts: _Id
    event_ts: _MaybeId = ""


class StopBody(_Part):
    """``agent_session_stopped``."""

    event: _StoppedBy


class _Tokens(_Part):
    bot: tuple[_Id, ...] = ()


class _Revoked(_Part):
    tokens: _Tokens = _Tokens()


class RevokedBody(_Part):
    """``tokens_revoked``."""

    event: _Revoked


class _Person(_Part):
    id: _Id
    team_id: _MaybeId = ""
    deleted: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False


class _Changed(_Part):
    user: _Person


class ChangedBody(_Part):
    """``user_change``."""

    event: _Changed


class _Channel(_Part):
    id: _Id


class _Shown(_Part):
    ts: _MaybeId = ""
    thread_ts: _MaybeId = ""
    text: _Text = ""
    user: _MaybeId = ""


class _Option(_Part):
    value: _Value = ""


class _Pressed(_Part):
    action_id: _Id
    action_ts: _MaybeId = ""
    value: _Value = ""
    selected_option: _Option | None = None

    @property
    def told(self) -> str:
        return self.selected_option.value if self.selected_option else self.value


class _Container(_Part):
    channel_id: _MaybeId = ""
    message_ts: _MaybeId = ""
    thread_ts: _MaybeId = ""


class _Opened(_Part):
    id: _MaybeId = ""


class ClickBody(_Part):
    """``block_actions``."""

    user: _Person
    actions: tuple[_Pressed, ...] = Field(min_length=1)
    container: _Container = _Container()
    channel: _Channel | None = None
    message: _Shown | None = None
    view: _Opened | None = None
    trigger_id: _MaybeId = ""


class _Input(_Part):
    value: _Value = ""
    selected_option: _Option | None = None
    selected_date: _MaybeId = ""

    @property
    def told(self) -> str:
        chosen = self.selected_option.value if self.selected_option else self.selected_date
        return chosen or self.value


class _State(_Part):
    values: Mapping[_Id, Mapping[_Id, _Input]] = Field(default={}, max_length=_FIELDS)


class _Form(_Part):
    id: _MaybeId = ""
    hash: _MaybeId = ""
    callback_id: _Id
    private_metadata: _Value = ""
    state: _State = _State()

    @property
    def fields(self) -> Mapping[str, str]:
        return {
            block: typed.told
            for block, inputs in self.state.values.items()
            for typed in tuple(inputs.values())[:1]
        }


class SubmissionBody(_Part):
    """``view_submission``."""

    user: _Person
    view: _Form
    trigger_id: _MaybeId = ""


class CommandBody(_Part):
    """A slash command."""

    user_id: _Id
    team_id: _MaybeId = ""
    channel_id: _MaybeId = ""
    trigger_id: _Id
    text: _Text = ""


class ShortcutBody(_Part):
    """``message_action``."""

    user: _Person
    channel: _Channel
    message: _Shown
    trigger_id: _Id

"""What Slack says happened, read: what is for us becomes one row of the inbox, all else nothing."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from bots.arrivals import (
    TEXT,
    Click,
    Command,
    Gone,
    Happening,
    Home,
    LeftPerson,
    Message,
    Reading,
    Shortcut,
    Stopped,
    Submission,
)
from bots.slack.payloads import (
    ChangedBody,
    ClickBody,
    CommandBody,
    Envelope,
    HomeBody,
    RevokedBody,
    Said,
    SaidBody,
    ShortcutBody,
    StopBody,
    SubmissionBody,
)
from bots.slack.placing import is_direct
from core.domain.canonical import storable

_STAMP: Final = re.compile(r"[0-9]{1,10}\.[0-9]{6}", re.ASCII)
_SAID: Final = frozenset({None, "file_share", "thread_broadcast", "me_message"})
_MARKUP: Final = re.compile(r"<([^<>\s|][^<>|]{0,3000})(?:\|([^<>]{0,3000}))?>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Which installation a payload came through, as its signed body says, and its bot's account."""

    workspace: str
    bot_user: str


def event(body: object, *, sender: Sender) -> Reading | None:
    """Return what an event of the Events API is to us; None where nothing."""
    try:
        envelope = Envelope.model_validate(body)
        read = _EVENTS.get(envelope.event.type)
        return read(body, envelope, sender) if read else None
    except ValidationError:
        return None


def click(body: object, *, sender: Sender) -> Reading | None:
    """Return what a click is to us."""
    try:
        said = ClickBody.model_validate(body)
    except ValidationError:
        return None
    pressed, at = said.actions[0], said.container
    channel = said.channel.id if said.channel else at.channel_id
    message = said.message.ts if said.message else at.message_ts
    thread = (said.message.thread_ts if said.message else "") or at.thread_ts
    where = f"{channel}/{message}" if channel else said.view.id if said.view else ""
    return Reading(
        conversation=f"click:{where}:{said.user.id}",
        position=pressed.action_ts,
        external_id=f"click:{sender.workspace}:{said.user.id}:{pressed.action_ts}:{pressed.action_id}",
        urgent=True,
        happening=Click(
            user=said.user.id,
            user_team=said.user.team_id,
            action=pressed.action_id,
            value=pressed.told,
            channel=channel,
            thread="" if thread == message else thread,
            message=message,
            trigger=said.trigger_id,
            view=said.view.id if said.view else "",
        ),
    )


def submission(body: object, *, sender: Sender) -> Reading | None:
    """Return what a form that was sent is to us."""
    try:
        said = SubmissionBody.model_validate(body)
    except ValidationError:
        return None
    # One window is sent once: a form that is shown again has another hash.
    named = f"{said.view.id}:{said.view.hash}" if said.view.hash else said.trigger_id
    external_id = f"command:{sender.workspace}:{named}"
    return Reading(
        conversation=external_id,
        position="",
        external_id=external_id,
        urgent=True,
        happening=Submission(
            user=said.user.id,
            user_team=said.user.team_id,
            form=said.view.callback_id,
            carried=said.view.private_metadata,
            fields=said.view.fields,
            view=said.view.id,
            trigger=said.trigger_id,
        ),
    )


def command(body: object, *, sender: Sender) -> Reading | None:
    """Return what a slash command is to us."""
    try:
        said = CommandBody.model_validate(body)
    except ValidationError:
        return None
    external_id = f"command:{sender.workspace}:{said.trigger_id}"
    return Reading(
        conversation=external_id,
        position="",
        external_id=external_id,
        urgent=True,
        happening=Command(
            user=said.user_id,
            user_team=said.team_id,
            text=plain_text(said.text, bot_user=sender.bot_user),
            channel=said.channel_id,
            trigger=said.trigger_id,
        ),
    )


def shortcut(body: object, *, sender: Sender) -> Reading | None:
    """Return what the message shortcut is to us."""
    try:
        said = ShortcutBody.model_validate(body)
    except ValidationError:
        return None
    external_id = f"command:{sender.workspace}:{said.trigger_id}"
    return Reading(
        conversation=external_id,
        position="",
        external_id=external_id,
        urgent=True,
        happening=Shortcut(
            user=said.user.id,
            user_team=said.user.team_id,
            channel=said.channel.id,
            ts=said.message.ts,
            thread=said.message.thread_ts or said.message.ts,
            text=plain_text(said.message.text, bot_user=sender.bot_user),
            author=said.message.user,
            at=moment_of(said.message.ts),
            trigger=said.trigger_id,
        ),
    )


def plain_text(text: str, *, bot_user: str) -> str:
    """Return a message as its writer reads it: Slack's markup told, the mention of us left out."""

    def tell(found: re.Match[str]) -> str:
        target, label = found[1], found[2]
        if target == f"@{bot_user}":
            return ""
        if target[0] in "@#!":
            name = target[1:].partition("^")[0]
            return f"{'#' if target[0] == '#' else '@'}{label.lstrip('@#') if label else name}"
        says_all = not label or label == target
        return (
            target if says_all else label if target == f"mailto:{label}" else f"{label} ({target})"
        )

    # Slack escapes these three and nothing else; the ampersand last, so that each is told once.
    told = _MARKUP.sub(tell, text[: 2 * TEXT])
    told = told.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return storable(told.strip()[:TEXT])


def moment_of(ts: str) -> datetime:
    """Return when a message was sent: Slack's time stamps are seconds, as text."""
    seconds, _, micros = ts.partition(".")
    if _STAMP.fullmatch(ts) is None:
        return datetime.fromtimestamp(0, UTC)
    return datetime.fromtimestamp(int(seconds), UTC).replace(microsecond=int(micros))


def _message(body: object, envelope: Envelope, sender: Sender) -> Reading | None:
    said = SaidBody.model_validate(body).event
    if is_direct(said.channel):
        return _spoken(said, envelope=envelope, sender=sender, is_addressed=True)
    # What mentions us comes as an app_mention, too: that one counts.
    mentions_us = f"<@{sender.bot_user}>" in said.text
    to_others = said.text.lstrip().startswith("<@")
    if mentions_us or to_others or not said.thread_ts:
        return None
    return _spoken(said, envelope=envelope, sender=sender, is_addressed=False)


def _mention(body: object, envelope: Envelope, sender: Sender) -> Reading | None:
    said = SaidBody.model_validate(body).event
    # A direct message comes as a message, too: that one counts.
    if is_direct(said.channel):
        return None
    return _spoken(said, envelope=envelope, sender=sender, is_addressed=True)


def _spoken(
    said: Said, *, envelope: Envelope, sender: Sender, is_addressed: bool
) -> Reading | None:
    is_persons = said.user and said.user != sender.bot_user and not said.bot_id and not said.app_id
    if not is_persons or said.subtype not in _SAID or said.edited is not None or said.hidden:
        return None
    thread = said.thread_ts or said.ts
    address = f"{said.channel}/{thread}"
    return Reading(
        conversation=address,
        position=said.ts,
        external_id=_named(envelope, sender),
        thread=None if is_addressed else address,
        happening=Message(
            user=said.user,
            user_team=said.user_team or said.team,
            channel=said.channel,
            ts=said.ts,
            thread=thread,
            text=plain_text(said.text, bot_user=sender.bot_user),
        ),
    )


def _home(body: object, envelope: Envelope, sender: Sender) -> Reading | None:
    said = HomeBody.model_validate(body).event
    return Reading(
        conversation=f"home:{said.user}",
        position=said.event_ts,
        external_id=_named(envelope, sender),
        urgent=True,
        happening=Home(user=said.user, tab=said.tab),
    )


def _stopped(body: object, envelope: Envelope, sender: Sender) -> Reading | None:
    said = StopBody.model_validate(body).event
    return Reading(
        # Not behind what the thread waits for: it is to stop just that.
        conversation=f"stop:{said.channel}/{said.thread_ts}",
        position=said.event_ts,
        external_id=_named(envelope, sender),
        urgent=True,
        happening=Stopped(user=said.user, channel=said.channel, thread=said.thread_ts),
    )


def _uninstalled(_body: object, envelope: Envelope, sender: Sender) -> Reading | None:
    return _of_workspace(
        envelope, sender=sender, happening=Gone(why="uninstalled", at=envelope.event_time)
    )


def _revoked(body: object, envelope: Envelope, sender: Sender) -> Reading | None:
    bots = RevokedBody.model_validate(body).event.tokens.bot
    if not bots:
        return None  # people's own tokens: we hold none
    gone = Gone(why="revoked", at=envelope.event_time, bots=bots)
    return _of_workspace(envelope, sender=sender, happening=gone)


def _changed(body: object, envelope: Envelope, sender: Sender) -> Reading | None:
    user = ChangedBody.model_validate(body).event.user
    if not (user.deleted or user.is_restricted or user.is_ultra_restricted or user.is_stranger):
        return None  # people change their status all day
    left = LeftPerson(user=user.id, user_team=user.team_id)
    return _of_workspace(envelope, sender=sender, happening=left)


def _of_workspace(envelope: Envelope, *, sender: Sender, happening: Happening) -> Reading:
    return Reading(
        conversation="workspace",
        position=f"{envelope.event_time:012d}",
        external_id=_named(envelope, sender),
        happening=happening,
    )


def _named(envelope: Envelope, sender: Sender) -> str:
    return f"event:{sender.workspace}:{envelope.event_id}"


_EVENTS: Final = {
    "message": _message,
    "app_mention": _mention,
    "app_home_opened": _home,
    "agent_session_stopped": _stopped,
    "app_uninstalled": _uninstalled,
    "tokens_revoked": _revoked,
    "user_change": _changed,
}

"""What Teams says happened, read: what is for us becomes one row of the inbox, all else nothing."""

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from bots import actions
from bots.arrivals import TEXT, Click, Command, Deed, Message, Shortcut, Submission
from bots.teams.arrivals import Kept, Rated, Seen, kept
from bots.teams.payloads import (
    Activity,
    ExecuteValue,
    FeedbackValue,
    FetchValue,
    SubmitValue,
)
from core.domain.canonical import JsonObject, storable

REFRESH: Final = "refresh"
"""The verb of a card that asks what it looks like to somebody: it only reads."""

IDS: Final = "ids"
"""Under this key of a button's data stands what it carries."""

_FORMS: Final = frozenset(
    {actions.DENY_FORM, actions.EDIT_FORM, actions.ASK_FORM, actions.FEEDBACK_FORM}
)
_COMMANDS: Final = frozenset({"runs", "approvals", "tools", "help"})
_CHANNEL: Final = "channel"
_PERSONAL: Final = "personal"
# How the ids of channels and group chats begin: not every activity says which it is from.
_SHARED: Final = "19:"
_THREAD: Final = ";messageid="
_AT: Final = re.compile(r"<at(?:\s[^>]{0,300})?>(.{0,300}?)</at>", re.DOTALL | re.IGNORECASE)
_TAG: Final = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,20})[^<>]{0,3000}>")
_BREAKS: Final = frozenset({"br", "p", "div", "li", "tr", "blockquote"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamsReading:
    """A row for the inbox. With ``thread`` set it is for us only where we are in that thread."""

    conversation: str
    position: str
    external_id: str
    kept: Kept
    urgent: bool = False
    thread: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A card asks what it looks like to ``user``. ``value`` is what it carries."""

    seen: Seen
    tenant: str
    value: str


def activity_of(payload: JsonObject) -> Activity | None:
    """Return an activity; None where it is none of Teams'."""
    try:
        return Activity.model_validate(payload)
    except ValidationError:
        return None


def look(activity: Activity) -> Look | None:
    """Return what a card's refresh asks for; None where it is something else."""
    if activity.name != "adaptiveCard/action" or not _is_of_person(activity):
        return None
    try:
        said = ExecuteValue.model_validate(activity.value)
    except ValidationError:
        return None
    if said.action.verb != REFRESH:
        return None
    value = said.action.data.get(IDS, "")
    return Look(seen=_seen(activity), tenant=activity.tenant, value=value)


def read(activity: Activity) -> TeamsReading | None:
    """Return what an activity is to us; None where nothing."""
    if not _is_of_person(activity):
        return _came_or_went(activity)
    try:
        return _READERS.get((activity.type, activity.name), _nothing)(activity)
    except ValidationError:
        return None


def plain_text(text: str, *, ours: str) -> str:
    """Return a message as its writer reads it; the mention of us (its whole text) left out."""
    told = text[: 2 * TEXT]
    if ours:
        told = told.replace(ours, "", 1)
    told = _AT.sub(lambda found: f"@{found[1]}", told)
    # Escaped once; the ampersand last, so that each is told once.
    told = told.replace("&nbsp;", " ").replace("&lt;", "<").replace("&gt;", ">")
    return storable(told.replace("&amp;", "&").strip()[:TEXT])


def text_of_html(body: str) -> str:
    """Return the text of a message that Teams tells as HTML."""
    told = _AT.sub(lambda found: f"@{found[1]}", body[: 2 * TEXT])
    told = _TAG.sub(lambda found: "\n" if found[2].lower() in _BREAKS else "", told)
    lines = (" ".join(line.split()) for line in html.unescape(told).split("\n"))
    return storable("\n".join(line for line in lines if line)[:TEXT])


def _is_of_person(activity: Activity) -> bool:
    """Return whether somebody who has an account did it, and no bot."""
    return bool(activity.sender.aad) and activity.sender.role != "bot"


def _message(activity: Activity) -> TeamsReading | None:
    ours = _mention_of_us(activity)
    text = plain_text(activity.text, ours=ours)
    channel, thread = _address(activity)
    if is_personal(activity) or ours:
        command = text.lower()
        if command in _COMMANDS:
            return _row(activity, Command(user=activity.sender.aad, text=command, channel=channel))
    elif activity.conversation.kind != _CHANNEL or thread == activity.id:
        return None
    message = Message(
        user=activity.sender.aad, channel=channel, ts=activity.id, thread=thread, text=text
    )
    is_addressed = is_personal(activity) or bool(ours)
    return _row(activity, message, thread=None if is_addressed else f"{channel}/{thread}")


def _executed(activity: Activity) -> TeamsReading | None:
    said = ExecuteValue.model_validate(activity.value)
    return _row(activity, _deed(activity, said.action.verb, dict(said.action.data)), urgent=True)


def _deed(activity: Activity, verb: str, data: dict[str, str]) -> Deed:
    value, user = data.pop(IDS, ""), activity.sender.aad
    trigger = external_id(activity)
    channel, thread = _address(activity)
    if verb in _FORMS:
        return Submission(
            user=user, form=verb, carried=value, fields=data, channel=channel, trigger=trigger
        )
    return Click(
        user=user,
        action=verb,
        value=value,
        channel=channel,
        thread=thread,
        message=activity.reply_to,
        trigger=trigger,
    )


def _fetched(activity: Activity) -> TeamsReading | None:
    said = FetchValue.model_validate(activity.value).message
    channel, thread = _address(activity)
    author = said.sender.user if said.sender and said.sender.user else None
    told = text_of_html(said.body.content) if said.body.kind == "html" else said.body.content
    shortcut = Shortcut(
        user=activity.sender.aad,
        channel=channel,
        ts=said.id,
        thread=thread,
        text=told[:TEXT],
        author=author.id if author else "",
        name=author.display_name if author else "",
        at=said.created,
        trigger=external_id(activity),
    )
    return _row(activity, shortcut, urgent=True)


def _submitted(activity: Activity) -> TeamsReading | None:
    data = dict(SubmitValue.model_validate(activity.value).data)
    verb = data.pop("verb", actions.ASK_FORM)
    return _row(activity, _deed(activity, verb, data), urgent=True)


def _rated(activity: Activity) -> TeamsReading | None:
    said = FeedbackValue.model_validate(activity.value)
    if said.name != "feedback" or said.told.reaction not in {"like", "dislike"}:
        return None
    good = said.told.reaction == "like"
    reason = "" if good else _typed(said.told.feedback)[: actions.LONGEST_REASON]
    rated = Rated(message=activity.reply_to, good=good, reason=reason)
    return _rowed(activity, Kept(seen=_seen(activity), rated=rated), urgent=True)


def _typed(feedback: str) -> str:
    """Return what was typed beside a thumb: Teams tells it as JSON in a text."""
    try:
        told: object = json.loads(feedback or "{}")
    except (ValueError, RecursionError):
        return ""
    text = told.get("feedbackText") if isinstance(told, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return storable(text.strip()) if isinstance(text, str) else ""


def _changed(activity: Activity) -> TeamsReading | None:
    change = "removed" if activity.action.startswith("remove") else "installed"
    return _rowed(activity, Kept(seen=_seen(activity), change=change))


def _came_or_went(activity: Activity) -> TeamsReading | None:
    """Return that the app came into a conversation or left it, whoever had it do so."""
    return _changed(activity) if activity.type == "installationUpdate" else None


def _nothing(activity: Activity) -> None:
    del activity


def _row(
    activity: Activity, deed: Deed, *, urgent: bool = False, thread: str | None = None
) -> TeamsReading:
    return _rowed(activity, kept(_seen(activity), deed), urgent=urgent, thread=thread)


def _rowed(
    activity: Activity, told: Kept, *, urgent: bool = False, thread: str | None = None
) -> TeamsReading:
    channel, of_thread = _address(activity)
    name = external_id(activity)
    return TeamsReading(
        # Somebody waits for what they have clicked: not behind what the conversation waits for.
        conversation=f"click:{name}" if urgent else f"{channel}/{of_thread}",
        position=f"{activity.timestamp.timestamp():017.6f}",
        external_id=name,
        kept=told,
        urgent=urgent,
        thread=thread,
    )


def external_id(activity: Activity) -> str:
    """Return what an activity is called: the same one twice has the same name, and no other."""
    told = activity.id or f"{activity.sender.id}:{activity.timestamp.isoformat()}"
    kind = "invoke" if activity.type == "invoke" else "event"
    return f"{kind}:{activity.tenant}:{activity.conversation.id}:{told}"


def _seen(activity: Activity) -> Seen:
    return Seen(
        service_url=activity.service_url,
        conversation=activity.conversation.id.partition(_THREAD)[0],
        user=activity.sender.aad,
        mri=activity.sender.id,
        is_personal=is_personal(activity),
    )


def is_personal(activity: Activity) -> bool:
    """Return whether it happened where nobody reads it but its sender and us."""
    where = activity.conversation
    return where.kind == _PERSONAL or (not where.kind and not where.id.startswith(_SHARED))


def _address(activity: Activity) -> tuple[str, str]:
    """Return a conversation and its thread; somebody's own chat with us is named by them."""
    if is_personal(activity):
        return f"@{activity.sender.aad}", ""
    conversation, _, thread = activity.conversation.id.partition(_THREAD)
    if activity.conversation.kind == _CHANNEL:
        return conversation, thread or activity.id
    return conversation, ""


def _mention_of_us(activity: Activity) -> str:
    """Return the text of the mention of us; empty where there is none."""
    for one in activity.entities:
        if one.type == "mention" and one.mentioned.id == activity.recipient.id:
            return one.text
    return ""


_Reader = Callable[[Activity], TeamsReading | None]
_READERS: Final[dict[tuple[str, str], _Reader]] = {
    ("message", ""): _message,
    ("invoke", "adaptiveCard/action"): _executed,
    ("invoke", "composeExtension/fetchTask"): _fetched,
    ("invoke", "composeExtension/submitAction"): _submitted,
    ("invoke", "message/submitAction"): _rated,
    ("installationUpdate", ""): _changed,
}

"""What Teams takes as an activity: its types and sizes, its cards, and its rules for streams."""

import json
from typing import Any, Final, cast

from tests.teams.conversations import Conversation, Stream, TeamsError

Json = dict[str, Any]  # Any: what Teams takes and gives

_TYPES: Final = frozenset({"message", "typing", "event", "invokeResponse"})
_CARD: Final = "application/vnd.microsoft.card.adaptive"
_LARGEST_CARD: Final = 28 * 1024
_LARGEST: Final = 100 * 1024
_MOST_REFRESHED: Final = 60
_LONGEST_INFORMATIVE: Final = 1000
_STREAM_SECONDS: Final = 120.0
_VERSIONS: Final = frozenset({"1.0", "1.1", "1.2", "1.3", "1.4", "1.5"})


def check(activity: Json) -> None:
    """Refuse what Teams would."""
    if activity.get("type") not in _TYPES:
        raise TeamsError(400, "BadSyntax", "Activity type is missing, or is none.")
    if _size(activity) > _LARGEST:
        raise TeamsError(413, "MessageSizeTooBig", "Message size too large.")
    for attachment in objects(activity.get("attachments")):
        if attachment.get("contentType") == _CARD:
            _check_card(attachment.get("content"))


def objects(told: Any) -> list[Json]:  # noqa: ANN401 - whatever was sent
    """Return the objects of a list; none where it is no list."""
    return [one for one in cast("list[Any]", told or []) if isinstance(one, dict)]


def _check_card(card: Json | None) -> None:
    if card is None or card.get("type") != "AdaptiveCard":
        raise TeamsError(400, "BadSyntax", "The attachment is no Adaptive Card.")
    if card.get("version") not in _VERSIONS:
        raise TeamsError(400, "BadSyntax", "The card's version is not supported.")
    if _size(card) > _LARGEST_CARD:
        raise TeamsError(413, "MessageSizeTooBig", "The card is larger than 28 KB.")
    users: list[str] = card.get("refresh", {}).get("userIds") or []
    if len(users) > _MOST_REFRESHED:
        raise TeamsError(400, "BadSyntax", "A card is refreshed for 60 users at most.")
    if users and card["refresh"].get("action", {}).get("type") != "Action.Execute":
        raise TeamsError(400, "BadSyntax", "A card is refreshed by Action.Execute.")


def streamed(activity: Json) -> Json | None:
    """Return what an activity says of the stream that it belongs to."""
    entities = objects(activity.get("entities"))
    found = [one for one in entities if one.get("type") == "streaminfo"]
    return found[0] if found else None


def stream(activity: Json, told: Json, *, at: Conversation, new_id: str, now: float) -> str:
    """Let a stream begin, grow or end; return the id where it begins, else nothing.

    What comes out of order is not refused and not shown: it is raised under status 202.
    """
    if not at.is_personal:
        raise _not_allowed("Content stream is not allowed")
    kind, text = told.get("streamType"), str(activity.get("text") or "")
    wanted = "message" if kind == "final" else "typing"
    if kind not in {"informative", "streaming", "final"} or activity["type"] != wanted:
        said = "Only start streaming and continue streaming types are allowed as a typing activity"
        raise TeamsError(400, "BadSyntax", said)
    if kind != "final" and not text:
        raise TeamsError(400, "BadRequest", "Start streaming activities should include text")
    if kind == "informative" and len(text) > _LONGEST_INFORMATIVE:
        raise TeamsError(400, "BadRequest", "An informative update is too long")
    if "streamId" not in told:
        return _begun(told, text, at=at, new_id=new_id, now=now)
    found = at.streams.get(told["streamId"])
    if found is None:
        raise TeamsError(400, "BadRequest", "There is no such stream")
    _grow(found, told, text, now=now)
    if kind == "final":
        found.is_open = False
        at.messages[found.id] = activity
    return ""


def _begun(told: Json, text: str, *, at: Conversation, new_id: str, now: float) -> str:
    if told.get("streamType") == "final" or told.get("streamSequence") != 1:
        raise TeamsError(400, "BadRequest", "A stream begins with sequence 1")
    if any(one.is_open and now - one.began < _STREAM_SECONDS for one in at.streams.values()):
        raise _not_allowed("Another stream is open in this chat")
    shown = text if told["streamType"] == "streaming" else ""
    at.streams[new_id] = Stream(id=new_id, began=now, sequence=1, text=shown)
    return new_id


def _grow(found: Stream, told: Json, text: str, *, now: float) -> None:
    if found.is_stopped:
        raise _not_allowed("Content stream was canceled by user")
    if not found.is_open:
        said = "Content stream is not allowed on an already completed streamed message"
        raise _not_allowed(said)
    if now - found.began > _STREAM_SECONDS:
        raise _not_allowed("Content stream finished due to exceeded streaming time")
    if told["streamType"] != "final":
        sequence = told.get("streamSequence")
        if not isinstance(sequence, int):
            raise TeamsError(400, "BadRequest", "streamSequence is missing")
        if sequence <= found.sequence:
            raise TeamsError(202, "ContentStreamSequenceOrderPreConditionFailed")
        found.sequence = sequence
    if told["streamType"] != "informative":
        if not text.startswith(found.text):
            said = "Request streamed content should contain the previously streamed content"
            raise _not_allowed(said)
        found.text = text


def _not_allowed(message: str) -> TeamsError:
    return TeamsError(403, "ContentStreamNotAllowed", message)


def _size(told: Any) -> int:  # noqa: ANN401 - JSON
    return len(json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode())

"""From what Teams has of a message to what is wished of it, one call at a time: pure.

What Teams has is plain JSON: ``conversation`` where the address names a person, ``id`` once the
message is there, ``shown`` (a digest of what stands there); while it streams ``stream`` with what
was ``said``, its ``sequence``, and when it ``began``. ``posting`` is the mark of a message whose
acknowledgement never came: Teams gives no way to look for it. A question, an answer, a problem or
a private note is posted again then, for missing it is worse than seeing it twice; progress is not,
until there is newer progress. ``below``: a stream ended before its run, so that the rest is told in
messages below it.

An activity has words or a card: Teams makes two messages of one with both, and edits neither. What
stands on a card below the words is a message of its own, ``more``, with its ``id`` and ``shown``.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final, cast

from bots.limits import Rate
from bots.outbox import ApiCall, Never, Took, Use
from bots.wording import ANSWER_BELOW, GOES_ON_BELOW
from core.domain.canonical import Json, JsonObject, canonical_json
from core.domain.delivery import Kind, Parcel

RATES: Final[Mapping[str, Rate]] = {
    # In an Entra tenant an app may make 50 calls a second.
    "app": Rate(per_minute=2400, burst=10),
    # A conversation takes 7 in a second, 8 in two, 60 in half a minute, and 1800 in an hour.
    "conversation": Rate(per_minute=60, burst=6),
    "conversation_hour": Rate(per_minute=28, burst=60),
    # A stream takes one in a second; an edit every three seconds is as fast as people read.
    "stream": Rate(per_minute=40, burst=1),
    "edit": Rate(per_minute=20, burst=1),
}

CONVERSATION_GONE: Final = "ConversationNotFound"
NO_REFERENCE: Final = "no_reference"
MESSAGE_GONE: Final = "message_gone"
STREAM_FULL: Final = "stream_full"
STREAM_OVER: Final = "stream_over"

_REPOSTS: Final = 3
_LONGEST_STREAMED: Final = 20_000
_LONGEST_INFORMATIVE: Final = 1000
_STREAMS: Final = frozenset({"stream.go_on", "stream.end"})
_MORE: Final = frozenset({"more.send", "more.update"})
_CLOSED: Final = frozenset(
    {
        "BotDisabledByAdmin",
        "BotNotInConversationRoster",
        "ConversationBlockedByUser",
        "MessageWritesBlocked",
        "not_installed",
        NO_REFERENCE,
        "workspace_left",
    }
)


def is_closed(code: str) -> bool:
    """Return whether a refusal means that nothing more can be said where a message is."""
    return code in _CLOSED or code == CONVERSATION_GONE


def next_call(parcel: Parcel) -> ApiCall | None:
    """Return the next call; None where the message is as wished."""
    if parcel.sent.get("dropped") == str(parcel.id):
        return None
    conversation = _conversation(parcel)
    if conversation is None:
        user = parcel.wish.place.address.partition("/")[0].removeprefix("@")
        return ApiCall(method="conversations.create", arguments={"user": user}, uses=(_APP,))
    if "stream" in parcel.sent:
        return _stream(parcel, conversation=conversation)
    if "id" not in parcel.sent:
        return _first(parcel, conversation=conversation)
    return _edit(parcel, conversation=conversation) or _more(parcel, conversation=conversation)


def sent_after(parcel: Parcel, call: ApiCall, outcome: Took | Never) -> JsonObject | None:
    """Return what Teams has after a call; None where it never will have what is wished."""
    if call.method in _MORE:
        return _after_more(parcel, call, outcome)
    match outcome:
        case Took(answer=answer):
            return _after_taken(parcel, call, answer=answer)
        case Never(code=code):
            return _after_refused(parcel, call, code=code)


def _after_more(parcel: Parcel, call: ApiCall, outcome: Took | Never) -> JsonObject:
    """Return what is there after a call for what stands below.

    The answer is there: that its card could not be must not have the answer said again.
    """
    there = _object(parcel.sent.get("more"))
    if isinstance(outcome, Took):
        id_ = there["id"] if call.method == "more.update" else outcome.answer["id"]
        there = {"id": id_}
    return {**parcel.sent, "more": {**there, "shown": _digest_of(_wanted_below(parcel))}}


def _after_taken(parcel: Parcel, call: ApiCall, *, answer: JsonObject) -> JsonObject:
    sent = dict(parcel.sent)
    match call.method:
        case "conversations.create":
            sent["conversation"] = answer["conversation"]
        case "stream.begin":
            sent.pop("posting", None)
            begun: JsonObject = {"sequence": 1, "began": answer["began"]}
            sent |= {"id": answer["id"], "stream": {**begun, **_told(call)}}
        case "stream.go_on":
            sent["stream"] = {**_object(sent["stream"]), **_told(call)}
        case "stream.end":
            return _after_end(parcel)
        case "activities.send":
            sent.pop("posting", None)
            sent |= {"id": answer["id"], "shown": _digest(parcel)}
            if parcel.wish.payload.get("final"):
                sent.pop("below", None)
        case _ if _is_answered_below(parcel):
            return _kept(sent, "conversation", "reposts", "no_stream")
        case _:
            sent["shown"] = _digest(parcel)
    return sent


def _after_end(parcel: Parcel) -> JsonObject:
    """Return what is there once a stream has ended: the message, or what was said and no more."""
    sent = {key: value for key, value in parcel.sent.items() if key != "stream"}
    sent["no_stream"] = True
    if not _is_full(parcel):
        return {**sent, "shown": _digest(parcel) if _ends_as_wished(parcel) else ""}
    if _ends_as_wished(parcel):
        return {**sent, "shown": _digest(parcel), "below": True}
    return _goes_below(sent)


def _after_refused(parcel: Parcel, call: ApiCall, *, code: str) -> JsonObject | None:
    sent = dict(parcel.sent)
    if code in _CLOSED:
        # Nobody was ever seen there: who has not met the agent is told nothing by it.
        is_missed = code != NO_REFERENCE or parcel.wish.kind is not Kind.PRIVATE
        return None if is_missed else {**sent, "dropped": str(parcel.id)}
    if code == CONVERSATION_GONE:
        return _elsewhere(sent) if call.method != "conversations.create" else None
    if call.method == "stream.begin":
        sent.pop("posting", None)
        return {**sent, "no_stream": True}
    if call.method in _STREAMS:
        return _after_stream_refused(sent, call, code=code)
    if call.method == "activities.update" and code == MESSAGE_GONE:
        return _goes_below(sent) if _is_answered_below(parcel) else _anew(sent)
    return None


def _after_stream_refused(sent: dict[str, Json], call: ApiCall, *, code: str) -> JsonObject:
    """Return what is there of a stream that does not go on: nothing is told in it any more."""
    if code == STREAM_FULL and call.method == "stream.go_on":
        return {**sent, "stream": {**_object(sent["stream"]), "full": True}}
    sent.pop("stream")
    if code == STREAM_OVER:
        # An end whose acknowledgement never came: it is a message like any other.
        return {**sent, "no_stream": True, "shown": ""}
    return _goes_below(sent)


def _goes_below(sent: Mapping[str, Json]) -> JsonObject:
    return {**_kept(sent, "conversation", "reposts", "more"), "no_stream": True, "below": True}


def _anew(sent: Mapping[str, Json]) -> JsonObject | None:
    """Return what is there once somebody has deleted the message: it is posted again, thrice."""
    posted = int(str(sent.get("reposts", 0)))
    if posted >= _REPOSTS:
        return None
    kept = _kept(sent, "conversation", "below", "more")
    return {**kept, "no_stream": True, "reposts": posted + 1}


def _elsewhere(sent: Mapping[str, Json]) -> JsonObject | None:
    """Return what is there once a person's conversation is another one: Teams is asked for it."""
    if "conversation" not in sent:
        return None
    again = _anew(sent)
    return {key: value for key, value in again.items() if key != "conversation"} if again else None


def _first(parcel: Parcel, *, conversation: str) -> ApiCall | None:
    """Return the call that makes the message; None where it is progress that may be there."""
    wish, sent = parcel.wish, parcel.sent
    mark = _digest_of({key: wish.payload.get(key) for key in ("activity", "stream")})
    if wish.kind is Kind.PROGRESS and sent.get("posting") == mark:
        return None
    before: JsonObject = {"posting": mark}
    if not _begins_stream(parcel):
        arguments: JsonObject = {"activity": _activity(parcel)}
        return _call("activities.send", arguments, conversation=conversation, before=before)
    arguments = _typing(_stream_of(parcel), {"streamSequence": 1})
    use = ("stream", _roster(conversation))
    return _call("stream.begin", arguments, use, conversation=conversation, before=before)


def _begins_stream(parcel: Parcel) -> bool:
    """Return whether there is something to watch, where Teams can show it: in a personal chat."""
    is_personal = parcel.wish.place.address.startswith("@")
    may = is_personal and not {"no_stream", "posting"} & parcel.sent.keys()
    stream = _stream_of(parcel)
    has_words = bool(_text(stream) or stream.get("informative"))
    return may and has_words and parcel.wish.payload.get("status") == "processing"


def _stream(parcel: Parcel, *, conversation: str) -> ApiCall | None:
    sent = _object(parcel.sent["stream"])
    stream, said = _stream_of(parcel), str(sent.get("said", ""))
    goes_on = parcel.wish.payload.get("status") == "processing" and bool(stream)
    use = ("stream", _roster(conversation))
    if not goes_on or _is_full(parcel) or not _text(stream).startswith(said):
        last: JsonObject = {"activity": _last(parcel)}
        return _call("stream.end", last, use, conversation=conversation)
    is_news = _text(stream) != said or (not said and _informative(stream) != sent["informative"])
    if not is_news:
        return None
    sequence = int(str(sent["sequence"])) + 1
    info: JsonObject = {"streamId": parcel.sent["id"], "streamSequence": sequence}
    return _call(
        "stream.go_on",
        {**_typing(stream, info), "began": sent["began"]},
        use,
        conversation=conversation,
        # Of two with one number Teams shows the first only, and the first may be there.
        before={"stream": {**sent, "sequence": sequence}},
    )


def _last(parcel: Parcel) -> JsonObject:
    """Return the message that a stream ends as: what it said, at least, or Teams refuses it."""
    said = str(_object(parcel.sent["stream"]).get("said", ""))
    last = _activity(parcel) if _ends_as_wished(parcel) else _plain(said)
    if _is_full(parcel) and not _ends_as_wished(parcel):
        last = _plain(f"{said}\n\n{GOES_ON_BELOW}")
    info: JsonObject = {
        "type": "streaminfo",
        "streamId": parcel.sent["id"],
        "streamType": "final",
    }
    entities = cast("Sequence[Json]", last.get("entities", ()))
    return {**last, "entities": [*entities, info]}


def _ends_as_wished(parcel: Parcel) -> bool:
    said = str(_object(parcel.sent["stream"]).get("said", ""))
    if _is_full(parcel):
        return not said
    return str(_activity(parcel).get("text", "")).startswith(said)


def _is_full(parcel: Parcel) -> bool:
    """Return whether a stream has lasted as long as one may, and its run goes on."""
    is_at_work = parcel.wish.payload.get("status") == "processing"
    return is_at_work and "full" in _object(parcel.sent["stream"])


def _edit(parcel: Parcel, *, conversation: str) -> ApiCall | None:
    if parcel.sent.get("shown") == _digest(parcel):
        return None
    activity = _plain(ANSWER_BELOW) if _is_answered_below(parcel) else _activity(parcel)
    arguments: JsonObject = {"activity": activity, "message": parcel.sent["id"]}
    use = ("edit", parcel.wish.key)
    return _call("activities.update", arguments, use, conversation=conversation)


def _more(parcel: Parcel, *, conversation: str) -> ApiCall | None:
    """Return the call for what stands below; None where nothing is to, or it does."""
    wanted, there = _wanted_below(parcel), _object(parcel.sent.get("more"))
    if not wanted or there.get("shown") == _digest_of(wanted):
        return None
    activity: JsonObject = {"activity": {"type": "message", **wanted}}
    if "id" not in there:
        return _call("more.send", activity, conversation=conversation)
    use = ("edit", f"{parcel.wish.key}:more")
    told: JsonObject = {**activity, "message": there["id"]}
    return _call("more.update", told, use, conversation=conversation)


def _wanted_below(parcel: Parcel) -> JsonObject:
    return _object(parcel.wish.payload.get("more"))


def _is_answered_below(parcel: Parcel) -> bool:
    """Return whether the answer gets a message of its own: nobody is told of an edit."""
    return "below" in parcel.sent and bool(parcel.wish.payload.get("final"))


def _typing(stream: JsonObject, info: JsonObject) -> JsonObject:
    """Return what a stream is told: all of the text so far, before there is any what is done."""
    text = _text(stream)
    informative = "" if text else _informative(stream)
    kind = "streaming" if text else "informative"
    entity: JsonObject = {"type": "streaminfo", "streamType": kind, **info}
    activity: JsonObject = {"type": "typing", "text": text or informative, "entities": [entity]}
    return {"activity": activity, "said": text, "informative": informative}


def _told(call: ApiCall) -> JsonObject:
    return _kept(call.arguments, "said", "informative")


def _stream_of(parcel: Parcel) -> JsonObject:
    return _object(parcel.wish.payload.get("stream"))


def _text(stream: JsonObject) -> str:
    return str(stream.get("text", ""))[:_LONGEST_STREAMED]


def _informative(stream: JsonObject) -> str:
    return str(stream.get("informative", ""))[:_LONGEST_INFORMATIVE]


def _activity(parcel: Parcel) -> JsonObject:
    return {"type": "message", **_object(parcel.wish.payload["activity"])}


def _plain(text: str) -> JsonObject:
    return {"type": "message", "text": text, "textFormat": "markdown"}


def _conversation(parcel: Parcel) -> str | None:
    """Return Teams' whole id of where the message is; None where that has to be asked for."""
    if there := parcel.sent.get("conversation"):
        return str(there)
    conversation, _, thread = parcel.wish.place.address.partition("/")
    if conversation.startswith("@"):
        return None
    return f"{conversation};messageid={thread}" if thread else conversation


def _roster(conversation: str) -> str:
    return conversation.partition(";")[0]


_APP: Final[Use] = ("app", "")


def _call(
    method: str,
    arguments: JsonObject,
    *uses: Use,
    conversation: str,
    before: JsonObject | None = None,
) -> ApiCall:
    whose = _roster(conversation)
    return ApiCall(
        method=method,
        arguments={"conversation": conversation, **arguments},
        uses=(("conversation", whose), ("conversation_hour", whose), _APP, *uses),
        before=before or {},
    )


def _digest(parcel: Parcel) -> str:
    return _digest_of(parcel.wish.payload["activity"])


def _digest_of(value: Json) -> str:
    told = canonical_json(value)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _kept(sent: Mapping[str, Json], *names: str) -> dict[str, Json]:
    return {name: sent[name] for name in names if name in sent}


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, Mapping) else {}

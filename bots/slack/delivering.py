"""From what Slack has of a message to what is wished of it, one call at a time: pure.

What Slack has is plain JSON: ``channel`` and ``ts`` once it is there, ``shown`` (a digest of what
stands there), ``status``; while it streams ``stream`` with what was said so far, ``unsure`` until
the last of it is acknowledged. ``posting`` is the mark of a message whose acknowledgement never
came, until it has been looked for.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from bots.limits import Rate
from bots.outbox import ApiCall, Never, Took, Use
from bots.slack.attaching import FILE_METHODS, file_after, next_file_call
from core.domain.canonical import Json, JsonObject, canonical_json
from core.domain.delivery import Parcel

RATES: Final[Mapping[str, Rate]] = {
    # Per method and workspace, below Slack's tiers: 20, 50 and 100 a minute, bursts included.
    "chat.startStream": Rate(per_minute=16, burst=4),
    "chat.stopStream": Rate(per_minute=16, burst=4),
    "chat.update": Rate(per_minute=42, burst=8),
    "conversations.open": Rate(per_minute=42, burst=8),
    "conversations.replies": Rate(per_minute=42, burst=8),
    "conversations.history": Rate(per_minute=42, burst=8),
    "agents.sessions.setStatus": Rate(per_minute=42, burst=8),
    "files.getUploadURLExternal": Rate(per_minute=90, burst=10),
    "files.completeUploadExternal": Rate(per_minute=90, burst=10),
    "chat.appendStream": Rate(per_minute=90, burst=10),
    "chat.postEphemeral": Rate(per_minute=90, burst=10),
    "views.publish": Rate(per_minute=90, burst=10),
    "chat.postMessage": Rate(per_minute=240, burst=20),
    # One message a second in a channel; a stream a second, an edit every three.
    "message": Rate(per_minute=56, burst=1),
    "stream": Rate(per_minute=56, burst=1),
    "edit": Rate(per_minute=19, burst=1),
}

MARK: Final = "sallyport_message"
_GOES_ON: Final = frozenset({"pending", "in_progress"})
_LONGEST_CHUNK: Final = 11_000
_CLOCKS_SECONDS: Final = 120  # by which Slack's clock and ours may differ
_REPOSTS: Final = 3
_CHANNEL_GONE: Final = frozenset(
    {
        "channel_not_found",
        "is_archived",
        "is_inactive",
        "not_in_channel",
        "user_not_found",
        "cannot_dm_bot",
        "restricted_action",
        "no_permission",
    }
)
_MESSAGE_GONE: Final = frozenset(
    {
        "block_mismatch",  # what was streamed takes no other blocks
        "cant_update_message",
        "edit_window_closed",
        "message_not_found",
        "thread_not_found",
    }
)
_WORKSPACE_GONE: Final = frozenset(
    {
        "account_inactive",
        "invalid_auth",
        "not_authed",
        "org_login_required",
        "team_access_not_granted",
        "token_revoked",
        "workspace_left",
    }
)


def is_of_workspace(code: str) -> bool:
    """Return whether an error means that nothing more can be said in the whole workspace."""
    return code in _WORKSPACE_GONE


def next_call(parcel: Parcel) -> ApiCall | None:
    """Return the next call; None where the message is as wished."""
    wish = parcel.wish.payload
    if "view" in wish:
        return _published(parcel)
    if "ephemeral_to" in wish:
        return _noted(parcel)
    channel = _channel(parcel)
    if channel is None:
        user = parcel.wish.place.address.partition("/")[0].removeprefix("@")
        return _call("conversations.open", {"users": user})
    if wish.get("status") == "processing" and _lacks_status(parcel):
        return _status(parcel, channel=channel)
    going_on = _going_on(parcel, channel=channel)
    if going_on is None and "status" in wish and _lacks_status(parcel):
        return _status(parcel, channel=channel)
    return going_on or next_file_call(parcel, channel=channel)


def _going_on(parcel: Parcel, *, channel: str) -> ApiCall | None:
    if "ts" not in parcel.sent:
        return _first(parcel, channel=channel)
    if "stream" in parcel.sent:
        return _stream(parcel, channel=channel)
    return _edit(parcel, channel=channel)


def sent_after(parcel: Parcel, call: ApiCall, outcome: Took | Never) -> JsonObject | None:
    """Return what Slack has after a call; None where it never will have what is wished."""
    if call.method in FILE_METHODS:
        return file_after(parcel, call, outcome)
    match outcome:
        case Took(answer=answer):
            return _after_taken(parcel, call, answer=answer)
        case Never(code=code):
            return _after_refused(parcel, call, code=code)


def _after_taken(parcel: Parcel, call: ApiCall, *, answer: JsonObject) -> JsonObject:
    sent, shown = dict(parcel.sent), _digest(parcel.wish.payload)
    match call.method:
        case "conversations.open":
            sent["channel"] = _object(answer.get("channel")).get("id", "")
        case "agents.sessions.setStatus":
            sent["status"] = call.arguments["status"]
        case "conversations.replies" | "conversations.history":
            found = _marked(answer, mark=str(sent.pop("posting", "")))
            sent |= {"ts": found} if found else {}
        case "chat.postMessage":
            sent.pop("posting", None)
            there = answer.get("channel") or _channel(parcel)
            sent |= {"channel": there, "ts": answer["ts"], "shown": shown}
        case "chat.startStream":
            sent |= {"channel": _channel(parcel), "ts": answer["ts"], "stream": _told(call, {})}
        case "chat.appendStream":
            sent["stream"] = _told(call, _object(sent["stream"]))
        case "chat.stopStream":
            sent.pop("stream", None)
            sent["shown"] = shown if "blocks" in call.arguments else ""
            sent |= {"status": call.arguments.get("session_status", sent.get("status"))}
        case _:
            sent["shown"] = shown
    return sent


def _after_refused(parcel: Parcel, call: ApiCall, *, code: str) -> JsonObject | None:
    sent = dict(parcel.sent)
    if call.method == "agents.sessions.setStatus" and not is_of_workspace(code):
        return {**sent, "no_status": True}
    if code in _CHANNEL_GONE or is_of_workspace(code):
        return None
    if call.method == "chat.startStream":
        return {**sent, "no_stream": True}
    if call.method in {"chat.appendStream", "chat.stopStream"} and code not in _MESSAGE_GONE:
        # It streams no more; what it is to be is edited into it.
        sent.pop("stream", None)
        return {**sent, "no_stream": True, "shown": ""}
    if call.method in {"chat.update", "chat.appendStream", "chat.stopStream"}:
        return _anew(sent) if code in _MESSAGE_GONE else None
    return None


def _anew(sent: Mapping[str, Json]) -> JsonObject | None:
    """Return what is there once somebody has deleted the message: it is posted again, thrice."""
    posted = int(str(sent.get("reposts", 0)))
    if posted >= _REPOSTS:
        return None
    kept = {key: value for key, value in sent.items() if key in {"channel", "no_status"}}
    return {**kept, "reposts": posted + 1, "no_stream": True}


def _published(parcel: Parcel) -> ApiCall | None:
    wish = parcel.wish.payload
    if parcel.sent.get("shown") == _digest(wish):
        return None
    user = parcel.wish.place.address.removeprefix("@").partition("/")[0]
    return _call("views.publish", {"user_id": user, "view": wish["view"]})


def _noted(parcel: Parcel) -> ApiCall | None:
    wish = parcel.wish.payload
    if "shown" in parcel.sent:
        return None
    channel, thread = _address(parcel)
    arguments = {
        "channel": channel,
        "user": wish["ephemeral_to"],
        **_content(wish),
        **({"thread_ts": thread} if thread else {}),
    }
    return _call("chat.postEphemeral", arguments)


def _first(parcel: Parcel, *, channel: str) -> ApiCall:
    """Return the call that makes the message, or that looks for one that may be there."""
    wish, sent = parcel.wish.payload, parcel.sent
    _, thread = _address(parcel)
    mark = f"{parcel.wish.key}:{sent.get('reposts', 0)}"
    if "posting" in sent:
        # Nothing older can be ours; of a long thread Slack tells the oldest first.
        since = f"{parcel.wished_at.timestamp() - _CLOCKS_SECONDS:.6f}"
        looked = {
            "channel": channel,
            "oldest": since,
            "limit": 200,
            "include_all_metadata": True,
        }
        if thread:
            return _call("conversations.replies", {**looked, "ts": thread})
        return _call("conversations.history", looked)
    posted = _call(
        "chat.postMessage",
        {
            "channel": channel,
            **_content(wish),
            **({"thread_ts": thread} if thread else {}),
            "unfurl_links": False,
            "unfurl_media": False,
            "metadata": {"event_type": MARK, "event_payload": {"key": mark}},
        },
        ("message", channel),
        before={"posting": mark},
    )
    if not (_streams(wish) and thread and "no_stream" not in sent):
        return posted
    stream = _object(wish["stream"])
    return _call(
        "chat.startStream",
        {
            "channel": channel,
            "thread_ts": thread,
            "recipient_team_id": wish.get("team", parcel.wish.place.workspace),
            "recipient_user_id": wish.get("asker", ""),
            "task_display_mode": "plan",
            "chunks": _chunks(stream, said={}),
        },
        ("message", channel),
        or_else=posted,
    )


def _stream(parcel: Parcel, *, channel: str) -> ApiCall | None:
    wish, said = parcel.wish.payload, _object(parcel.sent["stream"])
    where: dict[str, Json] = {"channel": channel, "ts": parcel.sent["ts"]}
    stream = _object(wish.get("stream"))
    text, heard = str(stream.get("text", "")), str(said.get("said", ""))
    if not stream or not text.startswith(heard) or "unsure" in said:
        # What was said is not how it begins any more, or may stand there already: said again, it
        # would stand there twice. The stream is ended, and edited from now on.
        left = _chunks({**_at_rest(stream, status="complete"), "text": ""}, said=said)
        return _call("chat.stopStream", {**where, **({"chunks": left} if left else {})})
    is_last = wish.get("status") != "processing" and len(text) - len(heard) <= _LONGEST_CHUNK
    if is_last:
        stream = _at_rest(stream, status="error" if wish.get("final") else "complete")
    chunks = _chunks(stream, said=said)
    with_chunks: dict[str, Json] = {**where, **({"chunks": chunks} if chunks else {})}
    if not is_last:
        use = ("stream", parcel.wish.key)
        before: JsonObject = {"stream": {**said, "unsure": True}}
        return _call("chat.appendStream", with_chunks, use, before=before) if chunks else None
    if wish.get("final"):
        with_chunks["blocks"] = stream.get("blocks", [])
    return _call("chat.stopStream", {**with_chunks, "session_status": wish.get("status", "active")})


def _at_rest(stream: JsonObject, *, status: str) -> JsonObject:
    """Return a stream no task of which goes on: Slack shows those as failed once it has ended."""
    tasks = [
        {**task, "status": status} if task["status"] in _GOES_ON else task
        for task in cast("Sequence[JsonObject]", stream.get("tasks", ()))
    ]
    return {**stream, "tasks": tasks}


def _edit(parcel: Parcel, *, channel: str) -> ApiCall | None:
    wish, sent = parcel.wish.payload, parcel.sent
    if sent.get("shown") == _digest(wish):
        return None
    arguments = {"channel": channel, "ts": sent["ts"], **_content(wish)}
    return _call("chat.update", arguments, ("edit", parcel.wish.key))


def _lacks_status(parcel: Parcel) -> bool:
    _, thread = _address(parcel)
    wished = parcel.wish.payload.get("status")
    return bool(thread) and "no_status" not in parcel.sent and parcel.sent.get("status") != wished


def _status(parcel: Parcel, *, channel: str) -> ApiCall:
    _, thread = _address(parcel)
    return _call(
        "agents.sessions.setStatus",
        {
            "channel_id": channel,
            "thread_ts": thread,
            "status": parcel.wish.payload["status"],
        },
    )


def _streams(wish: JsonObject) -> bool:
    """Return whether there is still something to watch."""
    return "stream" in wish and wish.get("status") == "processing"


def _chunks(stream: JsonObject, *, said: JsonObject) -> list[Json]:
    """Return what a stream has yet to be told: title, tasks that have moved, and text."""
    chunks: list[Json] = []
    if stream.get("title") and stream["title"] != said.get("title"):
        chunks.append({"type": "plan_update", "title": stream["title"]})
    known = _object(said.get("tasks"))
    chunks.extend(
        {"type": "task_update", **task}
        for task in cast("Sequence[JsonObject]", stream.get("tasks", ()))
        if known.get(str(task["id"])) != _digest_of(canonical_json(task))
    )
    length = len(str(said.get("said", "")))
    if rest := str(stream.get("text", ""))[length : length + _LONGEST_CHUNK]:
        chunks.append({"type": "markdown_text", "text": rest})
    return chunks


def _told(call: ApiCall, said: JsonObject) -> JsonObject:
    """Return what a stream was told, after these chunks."""
    title, seen = said.get("title", ""), str(said.get("said", ""))
    tasks = dict(_object(said.get("tasks")))
    for chunk in cast("Sequence[JsonObject]", call.arguments.get("chunks", ())):
        match chunk["type"]:
            case "plan_update":
                title = chunk["title"]
            case "task_update":
                task = {key: value for key, value in chunk.items() if key != "type"}
                tasks[str(chunk["id"])] = _digest_of(canonical_json(task))
            case _:
                seen += str(chunk["text"])
    return {"title": title, "tasks": tasks, "said": seen}


def _marked(answer: JsonObject, *, mark: str) -> str | None:
    """Return the ``ts`` of the message that carries our mark."""
    for message in cast("Sequence[JsonObject]", answer.get("messages", ())):
        metadata = _object(message.get("metadata"))
        payload = _object(metadata.get("event_payload"))
        if metadata.get("event_type") == MARK and payload.get("key") == mark:
            return str(message["ts"])
    return None


def _content(wish: JsonObject) -> dict[str, Json]:
    return {key: wish[key] for key in ("text", "blocks") if key in wish}


def _channel(parcel: Parcel) -> str | None:
    there = parcel.sent.get("channel")
    if there:
        return str(there)
    channel, _ = _address(parcel)
    return None if channel.startswith("@") else channel


def _address(parcel: Parcel) -> tuple[str, str]:
    channel, _, thread = parcel.wish.place.address.partition("/")
    return channel, thread


def _call(
    method: str,
    arguments: Mapping[str, Any],  # Any: what Slack takes
    *uses: Use,
    before: JsonObject | None = None,
    or_else: ApiCall | None = None,
) -> ApiCall:
    return ApiCall(
        method=method,
        arguments=arguments,
        uses=((method, ""), *uses),
        before=before or {},
        or_else=or_else,
    )


def _digest(wish: JsonObject) -> str:
    shown = {key: wish[key] for key in ("text", "blocks", "view") if key in wish}
    return _digest_of(canonical_json(shown))


def _digest_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, Mapping) else {}

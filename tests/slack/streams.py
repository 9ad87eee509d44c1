"""chat.*Stream and agents.sessions.*: messages that grow, and what an agent says it is doing.

A stream's first content decides its mode for good: ``markdown_text`` or ``chunks``. Slack closes a
stream when nothing comes for some minutes, and when the person stops the agent: what comes after
is told ``message_not_in_streaming_state``.
"""

from typing import Any, Final

from tests.slack.arguments import Asked
from tests.slack.block_kit import LONGEST_MARKDOWN, faults_of_chunks
from tests.slack.chat import checked_blocks, invalid, metadata, writable
from tests.slack.workspace import Channel, Message, SlackError

Json = dict[str, Any]  # Any: what Slack takes and gives

STATUSES: Final = frozenset({"active", "processing", "suspended", "closed"})
_LONGEST_TITLE = 200
_MISSING_STOP = "missing_agent_session_stopped_event_subscription"


def start(asked: Asked) -> Json:
    channel = writable(asked)
    if not asked.has("thread_ts"):
        raise SlackError("invalid_thread_ts")
    if (channel.id, asked.text("thread_ts")) not in asked.at.messages:
        raise SlackError("thread_not_found")
    if not channel.is_im:
        for name in ("recipient_team_id", "recipient_user_id"):
            if not asked.has(name):
                raise SlackError(f"missing_{name}")
    if asked.text("task_display_mode") not in {"", "timeline", "plan"}:
        raise SlackError("invalid_arguments")
    made = Message(
        channel=channel.id,
        ts=asked.at.ts(),
        user=asked.by.user,
        thread_ts=asked.text("thread_ts"),
        bot=asked.at.bot,
        streams=True,
    )
    _grow(asked, made)
    asked.at.messages[channel.id, made.ts] = made
    return {"channel": channel.id, "ts": made.ts}


def append(asked: Asked) -> Json:
    found = _streaming(asked)
    if not asked.has("markdown_text") and not asked.list("chunks", error="invalid_chunks"):
        raise SlackError("no_text")
    _grow(asked, found)
    return {"channel": found.channel, "ts": found.ts}


def stop(asked: Asked) -> Json:
    found = _streaming(asked)
    blocks = checked_blocks(asked)
    status = asked.text("session_status")
    if status and status not in STATUSES:
        raise SlackError("invalid_arguments")
    _grow(asked, found)
    if any(task["status"] in {"pending", "in_progress"} for task in found.tasks.values()):
        asked.slack.worries.append("a stream stopped with a task that goes on: shown as failed")
    found.streams = False
    found.metadata = metadata(asked)
    found.blocks += blocks or []
    if status:
        asked.at.sessions[found.channel, found.thread_ts or found.ts] = status
    return {"channel": found.channel, "ts": found.ts, "message": found.told()}


def set_session_status(asked: Asked) -> Json:
    channel, thread_ts = _thread(asked)
    status = asked.text("status")
    if status not in STATUSES or len(asked.text("title")) > _LONGEST_TITLE:
        raise SlackError("invalid_arguments")
    asked.at.sessions[channel.id, thread_ts] = status
    warned = {"response_metadata": {"warnings": [_MISSING_STOP]}, "warning": _MISSING_STOP}
    return {"status": status, "agent_status": status} | ({} if asked.slack.stops_agents else warned)


def rename_session(asked: Asked) -> Json:
    channel, thread_ts = _thread(asked)
    if (channel.id, thread_ts) not in asked.at.sessions:
        raise SlackError("not_authorized")
    if not 0 < len(asked.text("title")) <= _LONGEST_TITLE:
        raise SlackError("invalid_arguments")
    return {"title": asked.text("title")}


def set_thread_status(asked: Asked) -> Json:
    channel, thread_ts = _thread(asked)
    asked.at.statuses[channel.id, thread_ts] = asked.text("status")
    return {}


def set_title(asked: Asked) -> Json:
    _thread(asked)
    return {}


def set_suggested_prompts(asked: Asked) -> Json:
    channel = writable(asked, name="channel_id")
    prompts = asked.list("prompts", error="invalid_arguments")
    if not prompts or any(not {"title", "message"} <= set(one) for one in prompts):
        raise SlackError("invalid_arguments")
    if asked.has("thread_ts"):
        asked.slack.worries.append("thread_ts to setSuggestedPrompts: nothing is shown")
    asked.at.prompts[channel.id] = {"title": asked.text("title"), "prompts": prompts}
    return {}


def _thread(asked: Asked) -> tuple[Channel, str]:
    channel = writable(asked, name="channel_id")
    thread_ts = asked.text("thread_ts")
    if not thread_ts:
        raise SlackError("invalid_arguments")
    if (channel.id, thread_ts) not in asked.at.messages:
        raise SlackError("thread_not_found")
    return channel, thread_ts


def _streaming(asked: Asked) -> Message:
    found = asked.message()
    if found.user != asked.by.user:
        raise SlackError("message_not_owned_by_app")
    if not found.streams:
        raise SlackError("message_not_in_streaming_state")
    return found


def _grow(asked: Asked, message: Message) -> None:
    chunks = asked.list("chunks", error="invalid_chunks")
    markdown = asked.text("markdown_text")
    if chunks and markdown:
        raise SlackError("invalid_arguments")
    if not chunks and not markdown:
        return
    mode = "chunks" if chunks else "markdown"
    if message.mode not in (None, mode):
        raise SlackError("streaming_mode_mismatch")
    faults = faults_of_chunks(chunks) if chunks else []
    if faults:
        raise invalid("invalid_chunks", faults)
    if len(markdown) > LONGEST_MARKDOWN:
        raise SlackError("msg_too_long")
    message.mode = mode
    message.text += markdown
    for chunk in chunks or []:
        _take(message, chunk)


def _take(message: Message, chunk: Json) -> None:
    match chunk["type"]:
        case "markdown_text":
            message.text += chunk["text"]
        case "task_update":
            message.tasks[chunk["id"]] = message.tasks.get(chunk["id"], {}) | chunk
        case "plan_update":
            message.plan = chunk["title"]
        case _:
            message.blocks += chunk["blocks"]

"""chat.*: messages as they are posted, changed and taken away."""

from typing import Any, Final

from tests.slack.arguments import Asked
from tests.slack.block_kit import LONGEST_MARKDOWN, faults_of_blocks, markdown_in
from tests.slack.workspace import Channel, Message, SlackError

Json = dict[str, Any]  # Any: what Slack takes and gives

LONGEST_TEXT: Final = 40_000
LONGEST_UPDATE: Final = 4_000


def post_message(asked: Asked) -> Json:
    channel = writable(asked)
    text, blocks = content(asked)
    thread_ts = thread_of(asked, channel)
    warned: Json = {}
    if len(text) > LONGEST_TEXT:
        text, warned = text[:LONGEST_TEXT], {"warning": "message_truncated"}
    made = Message(
        channel=channel.id,
        ts=asked.at.ts(),
        user=asked.by.user,
        text=text,
        blocks=blocks,
        thread_ts=thread_ts,
        bot=asked.at.bot if asked.is_bot else None,
        metadata=metadata(asked),
    )
    asked.at.messages[channel.id, made.ts] = made
    return {"channel": channel.id, "ts": made.ts, "message": made.told()} | warned


def post_ephemeral(asked: Asked) -> Json:
    channel = writable(asked)
    reader = asked.text("user")
    if reader not in asked.at.users:
        raise SlackError("user_not_found")
    if reader not in channel.members:
        raise SlackError("user_not_in_channel")
    text, blocks = content(asked)
    made = Message(
        channel=channel.id,
        ts=asked.at.ts(),
        user=asked.by.user,
        text=text,
        blocks=blocks,
        thread_ts=thread_of(asked, channel),
        seen_by=reader,
        bot=asked.at.bot if asked.is_bot else None,
    )
    asked.at.messages[channel.id, made.ts] = made
    return {"message_ts": made.ts}


def update(asked: Asked) -> Json:
    found = asked.message()
    if found.user != asked.by.user:
        raise SlackError("cant_update_message")
    if asked.at.channels[found.channel].is_archived:
        raise SlackError("is_inactive")
    if found.streams:
        raise SlackError("streaming_state_conflict")
    text, blocks = content(asked)
    if len(text) > LONGEST_UPDATE:
        raise SlackError("msg_too_long")
    if asked.given.get("blocks") is None and found.blocks and not asked.has("markdown_text"):
        # The reference says that they stay, the emulator and others that they go.
        asked.slack.worries.append("an update that leaves open what becomes of the blocks")
    found.blocks = blocks
    if asked.has("text"):
        found.text = text
    if asked.given.get("metadata") is not None:
        found.metadata = metadata(asked)
    found.edits += 1
    return {"channel": found.channel, "ts": found.ts, "text": text, "message": found.told()}


def delete(asked: Asked) -> Json:
    found = asked.message()
    if found.user != asked.by.user:
        raise SlackError("cant_delete_message")
    if found.streams:
        raise SlackError("cant_delete_message")
    asked.at.delete(found.channel, found.ts)
    return {"channel": found.channel, "ts": found.ts}


def permalink(asked: Asked) -> Json:
    found = asked.message(stamp="message_ts")
    where = f"{asked.slack.url}/archives/{found.channel}/p{found.ts.replace('.', '')}"
    return {"channel": found.channel, "permalink": where}


def writable(asked: Asked, *, name: str = "channel") -> Channel:
    """Return the channel that is named, or the direct message with whom is.

    Raises:
        SlackError: it is not there, archived, or the caller is not in it.
    """
    named = asked.text(name)
    if named in asked.at.users:
        named = asked.at.im(named).id
    channel = asked.at.channels.get(named)
    outside = channel is not None and asked.by.user not in channel.members
    if channel is None or (outside and channel.is_private):
        raise SlackError("channel_not_found")
    if channel.is_archived:
        raise SlackError("is_archived")
    if outside:
        raise SlackError("not_in_channel")
    return channel


def content(asked: Asked) -> tuple[str, list[Json]]:
    """Return a message's text and blocks.

    Raises:
        SlackError: there are none, or Slack would not take them.
    """
    text, markdown = asked.text("text"), asked.text("markdown_text")
    blocks = checked_blocks(asked) or []
    if markdown and (text or blocks):
        raise SlackError("markdown_text_conflict")
    if len(markdown) > LONGEST_MARKDOWN:
        raise SlackError("msg_too_long")
    if markdown:
        return "", [{"type": "markdown", "text": markdown}]
    if not text and not blocks and not asked.has("attachments"):
        raise SlackError("no_text")
    if blocks and not text:
        asked.slack.worries.append("blocks without a text: notifications have nothing to say")
    return text, blocks


def checked_blocks(asked: Asked) -> list[Json] | None:
    """Return the blocks, None where there are none.

    Raises:
        SlackError: Slack would not take them.
    """
    blocks = asked.list("blocks", error="invalid_blocks_format")
    if not blocks:
        return None
    faults = faults_of_blocks(blocks)
    if faults:
        raise invalid("invalid_blocks", faults)
    if markdown_in(blocks) > LONGEST_MARKDOWN:
        raise SlackError("msg_blocks_too_long")
    return blocks


def thread_of(asked: Asked, channel: Channel) -> str | None:
    """Return the thread that is named.

    Raises:
        SlackError: it hangs on no message.
    """
    thread_ts = asked.text("thread_ts") or None
    if thread_ts is None:
        return None
    parent = asked.at.messages.get((channel.id, thread_ts))
    if parent is None:
        raise SlackError("thread_not_found")
    if parent.thread_ts not in (None, parent.ts):
        asked.slack.worries.append("a reply's ts as thread_ts: name its parent's")
    return thread_ts


def metadata(asked: Asked) -> Json | None:
    given = asked.json("metadata", error="invalid_metadata_format")
    if given is None:
        return None
    if not isinstance(given, dict) or not {"event_type", "event_payload"} <= set(given):  # pyright: ignore[reportUnknownArgumentType]
        raise SlackError("invalid_metadata_format")
    return given  # pyright: ignore[reportUnknownVariableType]


def invalid(code: str, faults: list[str]) -> SlackError:
    """Return a refusal that says why, as Slack does."""
    told = [f"[ERROR] {fault}" for fault in faults]
    return SlackError(code, errors=faults, response_metadata={"messages": told})

"""files.*: what is uploaded, in the three steps that there are."""

from typing import Any

from tests.slack.arguments import Asked
from tests.slack.chat import thread_of, writable
from tests.slack.workspace import Message, SlackError

Json = dict[str, Any]  # Any: what Slack takes and gives


def upload_url(asked: Asked) -> Json:
    if not asked.text("filename") or asked.number("length", otherwise=0) <= 0:
        raise SlackError("invalid_arguments")
    file = f"F{asked.at.number():08d}"
    asked.at.uploads[file] = None
    return {"upload_url": f"{asked.slack.url}/upload/v1/{file}", "file_id": file}


def complete(asked: Asked) -> Json:
    files = asked.list("files", error="invalid_arguments")
    if not files:
        raise SlackError("invalid_arguments")
    if any(asked.at.uploads.get(str(file.get("id"))) is None for file in files):
        raise SlackError("file_not_found")
    ids = [str(file["id"]) for file in files]
    if asked.has("channel_id"):
        channel = writable(asked, name="channel_id")
        shared = Message(
            channel=channel.id,
            ts=asked.at.ts(),
            user=asked.by.user,
            text=asked.text("initial_comment"),
            thread_ts=thread_of(asked, channel),
            bot=asked.at.bot,
            files=ids,
        )
        asked.at.messages[channel.id, shared.ts] = shared
    return {"files": [{"id": file["id"], "title": file.get("title", "")} for file in files]}

"""A file beside a message, in Slack's three steps: pure, as delivering is.

What Slack has of it stands under ``file`` in what was sent: ``id`` and ``url``, ``uploaded``, and
``done`` at the end.
"""

from collections.abc import Mapping
from typing import Final

from bots.outbox import ApiCall, Never, Took
from core.domain.canonical import Json, JsonObject
from core.domain.delivery import Parcel

UPLOAD: Final = "upload"
"""Stands for sending the file's bytes to the address that Slack has given."""

_ASK: Final = "files.getUploadURLExternal"
_COMPLETE: Final = "files.completeUploadExternal"
FILE_METHODS: Final = frozenset({_ASK, UPLOAD, _COMPLETE})


def next_file_call(parcel: Parcel, *, channel: str) -> ApiCall | None:
    """Return the next call that attaches a file; None where none is wished, or it is there."""
    file, there = _object(parcel.wish.payload.get("file")), _object(parcel.sent.get("file"))
    if not file or "done" in there:
        return None
    if "id" not in there:
        length = len(str(file["content"]).encode())
        return _call(_ASK, {"filename": file["name"], "length": length})
    if "uploaded" not in there:
        return _call(UPLOAD, {"url": there["url"], "content": file["content"]})
    thread = parcel.wish.place.address.partition("/")[2]
    where = {"channel_id": channel, **({"thread_ts": thread} if thread else {})}
    return _call(_COMPLETE, {"files": [{"id": there["id"], "title": file["title"]}], **where})


def file_after(parcel: Parcel, call: ApiCall, outcome: Took | Never) -> JsonObject:
    """Return what Slack has after such a call.

    The answer is there, if cut: that it could not be attached must not have it said again.
    """
    match outcome:
        case Never(code=code):
            file: JsonObject = {"done": True, "refused": code}
        case Took(answer=answer):
            file = _step(call, _object(parcel.sent.get("file")), answer)
    return {**parcel.sent, "file": file}


def _step(call: ApiCall, there: JsonObject, answer: JsonObject) -> JsonObject:
    if call.method == _ASK:
        return {"id": answer.get("file_id"), "url": answer.get("upload_url")}
    if call.method == UPLOAD:
        return {**there, "uploaded": True}
    return {"done": True}


def _call(method: str, arguments: JsonObject) -> ApiCall:
    return ApiCall(method=method, arguments=arguments, uses=((method, ""),))


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, Mapping) else {}

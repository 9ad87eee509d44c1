"""What was said in a thread, read from Slack as far as its bot may read there."""

from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from bots.asking import Said
from bots.outbox import ApiCall, Took
from bots.slack.calling import Clients, called
from bots.slack.reading import moment_of, plain_text
from bots.slack.windows import KnownWorkspaces
from core.domain.canonical import Json, JsonObject
from core.domain.chat import Surface

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_PAGE: Final = 200
_PAGES: Final = 3
_SHOWN: Final = frozenset({"", "file_share", "thread_broadcast", "me_message", "bot_message"})


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    ts: str
    user: str = ""
    bot_id: str = ""
    username: str = ""
    subtype: str = ""
    text: str = ""


class SlackThreads:
    """Reads threads as the workspace's bot."""

    def __init__(self, clients: Clients, *, workspaces: KnownWorkspaces) -> None:
        """Take who hands out clients, and where workspaces are kept."""
        self._clients = clients
        self._workspaces = workspaces

    async def said(
        self, workspace: str, *, channel: str, thread: str, before: str, limit: int
    ) -> Sequence[Said]:
        """Return the last messages before the one of time stamp ``before``, the oldest first.

        Nothing where Slack does not tell now: a run can do without. What it tells of a very long
        thread ends before the newest.

        Raises:
            NotFound: ``workspace_left``.
        """
        found = await self._workspaces.find(Surface.SLACK, workspace=workspace)
        if found is None:
            return ()
        client = await self._clients.client_for(found)
        told: list[Said] = []
        asked: dict[str, Json] = {
            "channel": channel,
            "ts": thread,
            "latest": before,
            "limit": _PAGE,
        }
        for _ in range(_PAGES):
            outcome = await called(client, ApiCall(method="conversations.replies", arguments=asked))
            if not isinstance(outcome, Took):
                _log.info("slack.thread_not_read", workspace=workspace, code=outcome.code)
                break
            told += _said(outcome.answer, bot_user=found.bot_user)
            cursor = _cursor(outcome.answer)
            if not cursor:
                break
            asked["cursor"] = cursor
        stamp = moment_of(before)
        return [one for one in told if one.at < stamp][-limit:]


def _said(answer: JsonObject, *, bot_user: str) -> Sequence[Said]:
    messages = answer.get("messages")
    told: list[Said] = []
    for message in messages if isinstance(messages, Sequence) else ():
        try:
            one = _Message.model_validate(message)
        except ValidationError:
            continue
        text = plain_text(one.text, bot_user=bot_user)
        if text and one.subtype in _SHOWN:
            name = f"@{one.user}" if one.user else one.username or "an app"
            is_ours = one.user == bot_user
            told.append(
                Said(user=one.user, name=name, text=text, at=moment_of(one.ts), is_ours=is_ours)
            )
    return told


def _cursor(answer: JsonObject) -> str:
    more = answer.get("response_metadata")
    cursor = more.get("next_cursor") if isinstance(more, Mapping) else ""
    return cursor if isinstance(cursor, str) else ""

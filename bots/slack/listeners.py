"""What Slack sends becomes one row of the inbox before Slack is answered, and nothing else."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, cast

import structlog
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext

from bots.arrivals import Submission, kept
from bots.slack import reading
from bots.slack.manifest import ASK_SHORTCUT, COMMAND
from bots.slack.reading import Reading, Sender
from core.domain.canonical import JsonObject
from core.errors import NotFound

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_ANY: Final = re.compile("")
_EVENTS: Final = (
    "message",
    "app_mention",
    "app_home_opened",
    "agent_session_stopped",
    "app_uninstalled",
    "tokens_revoked",
    "user_change",
)
_LOOKING: Final = "I answer in your direct messages with me."


class Inbox(Protocol):
    """Where arrivals are kept before the platform is answered."""

    async def take(
        self,
        *,
        workspace: str,
        conversation: str,
        position: str,
        external_id: str,
        payload: JsonObject,
        urgent: bool = False,
    ) -> bool:
        """Keep what arrived; False where it is kept already.

        Raises:
            NotFound: ``unknown_workspace``.
        """
        ...


IsOurs = Callable[[str, str], Awaitable[bool]]
"""Whether the agent was asked something in a thread: by workspace, and the thread's address."""

Mistakes = Callable[[Submission], Mapping[str, str]]
"""What is wrong with a form, as can be seen without asking anybody: a sentence by block."""


def listen(app: AsyncApp, *, inbox: Inbox, is_ours: IsOurs, mistakes: Mistakes) -> None:
    """Have ``app`` keep whatever is for us.

    ``app`` answers Slack only after its listener has returned: where a row cannot be written Slack
    is told so, and sends it again.
    """
    listeners = _Listeners(inbox=inbox, is_ours=is_ours, mistakes=mistakes)
    bolt = cast("_Bolt", app)
    for kind in _EVENTS:
        bolt.event(kind)(listeners.event)
    bolt.action(_ANY)(listeners.click)
    bolt.view(_ANY)(listeners.submission)
    bolt.view_closed(_ANY)(listeners.ignored)
    bolt.command(COMMAND)(listeners.command)
    bolt.message_shortcut(ASK_SHORTCUT)(listeners.shortcut)


_Listener = Callable[..., Awaitable[None]]
_Register = Callable[[_Listener], object]


class _Bolt(Protocol):
    """What is used of an AsyncApp; Bolt passes each listener what it names."""

    def event(self, event: str) -> _Register: ...

    def action(self, constraints: re.Pattern[str]) -> _Register: ...

    def view(self, constraints: re.Pattern[str]) -> _Register: ...

    def view_closed(self, constraints: re.Pattern[str]) -> _Register: ...

    def command(self, command: str) -> _Register: ...

    def message_shortcut(self, callback_id: str) -> _Register: ...


class _Listeners:
    def __init__(self, *, inbox: Inbox, is_ours: IsOurs, mistakes: Mistakes) -> None:
        self._inbox = inbox
        self._is_ours = is_ours
        self._mistakes = mistakes

    async def event(
        self, ack: AsyncAck, body: Mapping[str, object], context: AsyncBoltContext
    ) -> None:
        await self._take(reading.event(body, sender=_sender(context)), context=context)
        await ack()

    async def click(
        self, ack: AsyncAck, body: Mapping[str, object], context: AsyncBoltContext
    ) -> None:
        await self._take(reading.click(body, sender=_sender(context)), context=context)
        await ack()

    async def submission(
        self, ack: AsyncAck, body: Mapping[str, object], context: AsyncBoltContext
    ) -> None:
        read = reading.submission(body, sender=_sender(context))
        form = read.happening if read else None
        if isinstance(form, Submission) and (wrong := self._mistakes(form)):
            await ack(response_action="errors", errors=dict(wrong))
            return
        await self._take(read, context=context)
        await ack()

    async def command(
        self, ack: AsyncAck, body: Mapping[str, object], context: AsyncBoltContext
    ) -> None:
        await self._take(reading.command(body, sender=_sender(context)), context=context)
        await ack(text=_LOOKING, response_type="ephemeral")

    async def shortcut(
        self, ack: AsyncAck, body: Mapping[str, object], context: AsyncBoltContext
    ) -> None:
        await self._take(reading.shortcut(body, sender=_sender(context)), context=context)
        await ack()

    async def ignored(self, ack: AsyncAck) -> None:
        await ack()

    async def _take(self, read: Reading | None, *, context: AsyncBoltContext) -> None:
        if read is None:
            return
        workspace = _sender(context).workspace
        if read.thread is not None and not await self._is_ours(workspace, read.thread):
            return
        try:
            is_new = await self._inbox.take(
                workspace=workspace,
                conversation=read.conversation,
                position=read.position,
                external_id=read.external_id,
                payload=kept(read.happening),
                urgent=read.urgent,
            )
        except NotFound:
            # Left in this moment, or never ours: sent again it would be no different.
            _log.info("slack.workspace_not_known", workspace=workspace)
            return
        if not is_new:
            _log.info("slack.repeated", workspace=workspace, external_id=read.external_id)


def _sender(context: AsyncBoltContext) -> Sender:
    """Return the installation that Bolt found in the signed body, and authorized."""
    team, org = context.team_id or "", context.enterprise_id or ""
    workspace = org if context.is_enterprise_install and org else team
    return Sender(workspace=workspace, bot_user=context.bot_user_id or "")

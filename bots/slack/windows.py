"""Forms opened in front of people, within the few seconds that their click leaves for it."""

from typing import Final, Protocol

import structlog

from bots.outbox import ApiCall, Took
from bots.slack.calling import Clients, called
from core.domain.canonical import JsonObject
from core.domain.chat import Surface, Workspace

_log: structlog.stdlib.BoundLogger = structlog.get_logger()

_OPENED_BEFORE: Final = frozenset({"exchanged_trigger_id", "trigger_exchanged"})


class KnownWorkspaces(Protocol):
    """Where workspaces are kept."""

    async def find(self, surface: Surface, *, workspace: str) -> Workspace | None:
        """Return the workspace of that id, whosever it is."""
        ...


class SlackWindows:
    """Opens forms as the workspace's bot."""

    def __init__(self, clients: Clients, *, workspaces: KnownWorkspaces) -> None:
        """Take who hands out clients, and where workspaces are kept."""
        self._clients = clients
        self._workspaces = workspaces

    async def open(self, workspace: str, trigger: str, form: JsonObject) -> bool:
        """Open a form for whoever's click gave the trigger; False where it did not open.

        Raises:
            NotFound: ``workspace_left``.
        """
        found = await self._workspaces.find(Surface.SLACK, workspace=workspace)
        if found is None:
            return False
        client = await self._clients.client_for(found)
        arguments: JsonObject = {"trigger_id": trigger, "view": form}
        outcome = await called(client, ApiCall(method="views.open", arguments=arguments))
        if isinstance(outcome, Took) or outcome.code in _OPENED_BEFORE:
            return True
        _log.info("slack.form_not_opened", workspace=workspace, code=outcome.code)
        return False

    async def tell(self, workspace: str, trigger: str, note: JsonObject) -> bool:  # noqa: ARG002
        """Return False: what is not asked in Slack is told in a message."""
        return False

"""Clients that speak as the app's bot, one for each workspace, with tokens that are still good."""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bots.slack.web import WebApi
from core.domain.audit import AuditRecord, audit_record
from core.domain.canonical import JsonObject
from core.domain.chat import BotTokens, Surface, Workspace, WorkspaceState
from core.domain.ids import TenantId
from core.errors import NotFound, Unavailable
from core.ports import Clock

RENEWED_BEFORE: Final = timedelta(minutes=120)
"""How long before its end a token is renewed."""

_MOST: Final = 1000
_SYSTEM: Final = "system"

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Workspaces(Protocol):
    """Where workspaces and their tokens are kept."""

    async def of_id(
        self, tenant_id: TenantId, *, surface: Surface, workspace: str
    ) -> Workspace | None:
        """Return the tenant's workspace of that id."""
        ...

    async def find(self, surface: Surface, *, workspace: str) -> Workspace | None:
        """Return the workspace of that id, whosever it is and whatever its state."""
        ...

    def tokens(self, workspace: Workspace) -> BotTokens:
        """Return the workspace's tokens."""
        ...

    async def begin_renewal(self, workspace: Workspace) -> datetime | None:
        """Return the claim of the one process that may now renew these very tokens."""
        ...

    async def renewed(
        self,
        workspace: Workspace,
        *,
        claim: datetime,
        tokens: BotTokens,
        expires_at: datetime | None,
        at: datetime,
    ) -> bool:
        """Keep renewed tokens."""
        ...

    async def died(self, workspace: Workspace, *, at: datetime, audit: AuditRecord) -> bool:
        """Wipe the tokens that ``workspace`` has where they are still the ones that are kept."""
        ...

    async def left(
        self,
        workspace: Workspace,
        *,
        state: WorkspaceState,
        before: datetime,
        at: datetime,
        audit: AuditRecord,
    ) -> bool:
        """Wipe the tokens of an app that was uninstalled, or whose tokens were revoked."""
        ...


class SlackClients:
    """Hands out clients; a token is renewed by one process, two hours before it expires."""

    def __init__(self, web: WebApi, *, workspaces: Workspaces, clock: Clock) -> None:
        """Take who asks Slack, and where tokens are kept."""
        self._web = web
        self._workspaces = workspaces
        self._clock = clock
        # Keyed by what is sealed too: another token is another client.
        self._known: OrderedDict[tuple[TenantId, str, bytes], AsyncWebClient] = OrderedDict()

    async def client_for(self, workspace: Workspace) -> AsyncWebClient:
        """Return a client for a workspace as it was just read.

        Raises:
            NotFound: ``workspace_left``: the app is not there any more, or its token is worthless.
            Unavailable: ``slack_unavailable``: its token has expired and cannot be renewed now;
                ``database_unavailable``.
            Misconfigured: ``master_key_unknown``, ``master_key_missing``.
        """
        fresh = await self._fresh(workspace)
        if not fresh.is_active or fresh.sealed is None:
            raise NotFound("workspace_left", name=fresh.name, state=fresh.state.value)
        key = (fresh.tenant_id, fresh.workspace, fresh.sealed)
        client = self._known.get(key)
        if client is None:
            client = self._known[key] = self._web.client(self._workspaces.tokens(fresh).token)
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return client

    async def token_died(self, workspace: Workspace) -> bool:
        """Wipe the tokens that the client was made of: Slack has said that they are worthless.

        Return whether they were still the ones that are kept.
        """
        return await self._workspaces.died(
            workspace,
            at=self._clock.now(),
            audit=_left(workspace, WorkspaceState.TOKEN_REVOKED, at=self._clock.now()),
        )

    async def _fresh(self, workspace: Workspace) -> Workspace:
        """Return the workspace with a token that is good for a while."""
        expires_at = workspace.token_expires_at
        now = self._clock.now()
        if not workspace.is_active or expires_at is None or expires_at > now + RENEWED_BEFORE:
            return workspace
        refresh_token = self._workspaces.tokens(workspace).refresh_token
        if refresh_token is not None:
            claim = await self._workspaces.begin_renewal(workspace)
            problem = "its token is being renewed"
            if claim is not None:
                problem = await self._renew(workspace, claim=claim, refresh_token=refresh_token)
            workspace = await self._again(workspace)
        else:
            problem = "its token has expired"
        is_good = workspace.token_expires_at is None or workspace.token_expires_at > now
        if is_good or not workspace.is_active:
            return workspace
        raise Unavailable("slack_unavailable", detail=problem)

    async def _renew(self, workspace: Workspace, *, claim: datetime, refresh_token: str) -> str:
        """Renew the tokens; return what went wrong, if anything did.

        Where it failed the claim stays, so that Slack is not asked again at once.
        """
        now = self._clock.now()
        facts = {"tenant_id": str(workspace.tenant_id), "workspace": workspace.workspace}
        try:
            renewed = await self._web.renewed(refresh_token, now=now)
        except Unavailable as error:
            _log.warning("slack.renewal_failed", detail=error.facts.get("detail"), **facts)
            return str(error.facts.get("detail"))
        if renewed is None:
            await self.token_died(workspace)
            _log.warning("slack.token_revoked", **facts)
            return "its token was revoked"
        tokens, expires_at = renewed
        await self._workspaces.renewed(
            workspace, claim=claim, tokens=tokens, expires_at=expires_at, at=now
        )
        _log.info("slack.token_renewed", **facts)
        return ""

    async def _again(self, workspace: Workspace) -> Workspace:
        found = await self._workspaces.of_id(
            workspace.tenant_id, surface=workspace.surface, workspace=workspace.workspace
        )
        if found is None:
            raise NotFound("workspace_left", name=workspace.name, state="removed")
        return found


class Departures:
    """Cleans up after an app that was taken out of a workspace, as Slack's events tell.

    ``workspace`` is the id that an event came from: the team's, or the enterprise's where it was
    installed for all of it. ``at`` is the event's own time: what was installed since stays.
    """

    def __init__(self, workspaces: Workspaces, *, clock: Clock) -> None:
        """Take where workspaces are kept."""
        self._workspaces = workspaces
        self._clock = clock

    async def app_uninstalled(self, workspace: str, *, at: datetime) -> bool:
        """Wipe the tokens of an app that was uninstalled; return whether there was anything."""
        return await self._left(workspace, WorkspaceState.UNINSTALLED, before=at)

    async def tokens_revoked(
        self, workspace: str, *, tokens: Mapping[str, object], at: datetime
    ) -> bool:
        """Wipe our bot's token where it is among the revoked: ``{"oauth": […], "bot": […]}``."""
        found = await self._workspaces.find(Surface.SLACK, workspace=workspace)
        bots = tokens.get("bot")
        if found is None or not isinstance(bots, list) or found.bot_user not in bots:
            return False
        return await self._left(workspace, WorkspaceState.TOKEN_REVOKED, before=at)

    async def _left(self, workspace: str, state: WorkspaceState, *, before: datetime) -> bool:
        found = await self._workspaces.find(Surface.SLACK, workspace=workspace)
        if found is None:
            return False
        now = self._clock.now()
        # An event's time is in whole seconds.
        upto = before + timedelta(seconds=1)
        audit = _left(found, state, at=now)
        return await self._workspaces.left(found, state=state, before=upto, at=now, audit=audit)


def _left(workspace: Workspace, state: WorkspaceState, *, at: datetime) -> AuditRecord:
    content: JsonObject = {"workspace": workspace.workspace, "name": workspace.name}
    action = f"slack.{state.value}"
    return audit_record(workspace.tenant_id, at=at, action=action, actor=_SYSTEM, content=content)

"""Where people talk to the agent: surfaces, and the workspaces there that belong to a tenant."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from core.domain.ids import PrincipalId, TenantId

PLAYGROUND: Final = "00000000-0000-0000-0000-0000000000001"
"""The tenant of Microsoft's playground for agents, of a shape that no other has."""

_GUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class Surface(StrEnum):
    """A platform on which people talk to the agent."""

    SLACK = "slack"
    TEAMS = "teams"


class WorkspaceState(StrEnum):
    """Whether a workspace can be talked to."""

    ACTIVE = "active"
    UNINSTALLED = "uninstalled"
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - a state, not a token


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What a platform says once somebody has installed the app there.

    ``workspace`` is the platform's id of what was installed into: a Slack team, or the enterprise
    of an install for a whole organisation; an Entra tenant. ``token`` is empty where the surface
    gives none for a workspace, as Teams. ``token_expires_at`` is None where the token does not.
    """

    surface: Surface
    workspace: str
    name: str
    app: str
    bot_user: str
    scopes: tuple[str, ...]
    token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    token_expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A workspace of a tenant's. It is one tenant's alone, whatever became of it.

    ``sealed`` holds its tokens, and is None once they are gone, and where there never are any.
    ``approvals_channel`` is where questions are put; None: to each person who may answer, by
    themselves. ``links_by_email``: an admin trusts what is said there of people's email addresses.
    """

    tenant_id: TenantId
    surface: Surface
    workspace: str
    name: str
    app: str
    bot_user: str
    scopes: tuple[str, ...]
    state: WorkspaceState
    approvals_channel: str | None
    links_by_email: bool
    installed_by: PrincipalId
    installed_at: datetime
    changed_at: datetime
    token_expires_at: datetime | None
    sealed: bytes | None = field(repr=False)

    @property
    def is_active(self) -> bool:
        """Whether the app is installed there, and has the token that its surface wants."""
        has_token = self.surface is Surface.TEAMS or self.sealed is not None
        return self.state is WorkspaceState.ACTIVE and has_token


@dataclass(frozen=True, slots=True, kw_only=True)
class BotTokens:
    """What acts as the app's bot in a workspace, and what renews it."""

    token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallState:
    """An installation on its way to the platform and back, begun by an admin in one browser."""

    tenant_id: TenantId
    surface: Surface
    principal_id: PrincipalId
    browser_hash: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatReference:
    """Where a conversation on Teams is reached, as somebody's message from there has said.

    ``address`` is that of a ``Place``. ``conversation`` is Teams' whole id, for a channel with
    ``;messageid=…``. ``mri`` is Teams' own id of the person (``29:…``) whose chat with the agent
    this is, empty for any other.
    """

    tenant_id: TenantId
    surface: Surface
    workspace: str
    address: str
    conversation: str
    service_url: str
    mri: str = ""
    seen_at: datetime


def entra_id(told: str) -> str | None:
    """Return an id of Entra's (tenant, app, account) in lower case; None where it is none.

    The tenant of Microsoft's playground counts as one: nothing that Microsoft signs can have it.
    """
    found = told.strip().lower()
    return found if _GUID.fullmatch(found) or found == PLAYGROUND else None

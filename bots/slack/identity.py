"""Who is at Slack: ids that Slack has signed, what the workspace says of them, and whose they are.

Names and texts say nothing here. What a payload says of somebody is their id, and the team that
they came from; whether an account may have any rights is the workspace's to say (``users.info``).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, cast

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bots.arrivals import Deed
from bots.linking import Linking
from bots.profiles import Remembered
from bots.slack.calling import Clients, OfTenant
from bots.slack.delivering import is_of_workspace
from bots.slack.web import error_of
from bots.visit import Visitor
from core.domain.account import Account, Shown
from core.domain.chat import Surface
from core.domain.ids import TenantId
from core.errors import Forbidden, NotFound, Unavailable
from core.ports import Clock

LEFT: Final = "left_workspace"
"""Why a link ends for the auditor, where the workspace has said that somebody is no member now."""

_SECONDS: Final = 10.0
_SLACKBOT: Final = "USLACKBOT"
_ENTERPRISE: Final = "E"
# The SDK looks for attributes of an answer that is no object, and finds none.
_UNREAD: Final = (
    AttributeError,
    OSError,
    SlackClientError,
    TimeoutError,
    ValueError,
    aiohttp.ClientError,
)
_NOT_THERE: Final = frozenset({"user_not_found", "user_not_visible"})
_SYSTEM: Final = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a workspace says of an account. ``name`` is chosen freely; ``email`` is verified.

    ``teams`` are those that the account is a member of, beside its own ``team``; an organisation
    (``enterprise``) has them where the account is one of its own.
    """

    user: str
    team: str
    enterprise: str | None
    teams: frozenset[str]
    name: str
    email: str | None
    is_bot: bool
    is_deleted: bool
    is_guest: bool
    is_stranger: bool


class Profiles(Protocol):
    """What workspaces say of their accounts."""

    async def profile(self, tenant_id: TenantId, *, account: Account) -> Profile | None:
        """Return what an account is now; None where the workspace knows none of that id.

        Raises:
            Unavailable: ``slack_unavailable``.
            NotFound: ``workspace_left``, ``not_found``: nobody can be asked there.
        """
        ...


def account_at(workspace: str, *, user: str) -> Account:
    """Return an account; ``workspace`` is the team, or the organisation that has us installed."""
    return Account(surface=Surface.SLACK.value, workspace=workspace, user=user)


def objection(profile: Profile | None, *, workspace: str, user_team: str = "") -> str | None:
    """Return why an account can have no rights through this installation; None where it can.

    ``user_team`` is whose the payload says the account is, where it says so.
    """
    if profile is None:
        return "account_unknown"
    if profile.is_bot or profile.user == _SLACKBOT:
        return "account_is_bot"
    if profile.is_deleted:
        return "account_deactivated"
    if profile.is_stranger or not _is_of(profile, workspace=workspace):
        return "account_outside"
    if user_team and user_team not in {workspace, *_homes(profile)}:
        return "account_outside"
    return "account_guest" if profile.is_guest else None


def _is_of(profile: Profile, *, workspace: str) -> bool:
    if workspace.startswith(_ENTERPRISE):
        return profile.enterprise == workspace
    return workspace == profile.team or workspace in profile.teams


def _homes(profile: Profile) -> frozenset[str]:
    of_organisation = {profile.enterprise} if profile.enterprise else set[str]()
    return profile.teams | {profile.team} | of_organisation


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Organisation(_Told):
    enterprise_id: str | None = None
    teams: tuple[str, ...] = ()


class _Words(_Told):
    display_name: str | None = None
    real_name: str | None = None
    email: str | None = None


class _User(_Told):
    """A user object of Slack's. What is not said counts against the account."""

    id: str = Field(min_length=1)
    team_id: str = ""
    name: str = ""
    deleted: bool = False
    is_bot: bool = False
    is_workflow_bot: bool = False
    is_connector_bot: bool = False
    is_stranger: bool = False
    # Those who left have neither; all others have both.
    is_restricted: bool = True
    is_ultra_restricted: bool = True
    is_email_confirmed: bool = False
    enterprise_user: _Organisation = _Organisation()
    profile: _Words = _Words()


def profile_of(user: object) -> Profile | None:
    """Return what a user object of Slack's says; None where it is none."""
    try:
        told = _User.model_validate(user)
    except ValidationError:
        return None
    return Profile(
        user=told.id,
        team=told.team_id,
        enterprise=told.enterprise_user.enterprise_id or None,
        teams=frozenset(told.enterprise_user.teams),
        name=told.profile.display_name or told.profile.real_name or told.name or told.id,
        email=(told.profile.email or None) if told.is_email_confirmed else None,
        is_bot=told.is_bot or told.is_workflow_bot or told.is_connector_bot,
        is_deleted=told.deleted,
        is_guest=told.is_restricted or told.is_ultra_restricted,
        is_stranger=told.is_stranger,
    )


class SlackProfiles:
    """The Profiles port on ``users.info``, asked as the bot of the account's workspace."""

    def __init__(self, clients: Clients, *, workspaces: OfTenant) -> None:
        """Take who hands out clients, and where workspaces are kept."""
        self._clients = clients
        self._workspaces = workspaces

    async def profile(self, tenant_id: TenantId, *, account: Account) -> Profile | None:
        """Return what an account is now; see the port."""
        workspace = await self._workspaces.of_id(
            tenant_id, surface=Surface.SLACK, workspace=account.workspace
        )
        if workspace is None:
            raise NotFound("not_found", noun="workspace")
        client = await self._clients.client_for(workspace)
        try:
            user = await _user(client, account.user)
        except SlackApiError as error:
            code = error_of(error)
            if code in _NOT_THERE:
                return None
            if is_of_workspace(code):
                await self._clients.token_died(workspace)
            raise Unavailable("slack_unavailable", detail=code) from error
        except _UNREAD as error:
            raise Unavailable("slack_unavailable", detail="no answer") from error
        found = profile_of(user)
        # Another's facts would be taken for theirs.
        return found if found is not None and found.user == account.user else None


class _Answer(Protocol):
    data: object


class _Api(Protocol):
    """What is used of a client; the SDK leaves it untyped."""

    async def users_info(self, *, user: str) -> _Answer: ...


async def _user(client: AsyncWebClient, user: str) -> object:
    async with asyncio.timeout(_SECONDS):
        answer = await cast("_Api", client).users_info(user=user)
    return cast("Mapping[str, object]", answer.data).get("user")


class RememberedProfiles:
    """The Profiles port, asked again after a minute, or once it is told to forget."""

    def __init__(self, profiles: Profiles, *, clock: Clock, most: int = 10_000) -> None:
        """Take who is asked, and how many accounts are remembered at most."""
        self._profiles = profiles
        self._remembered = Remembered[Profile](clock=clock, most=most)

    async def profile(self, tenant_id: TenantId, *, account: Account) -> Profile | None:
        """Return what an account was a minute ago at most; see the port."""
        return await self._remembered.of(
            tenant_id,
            account=account,
            ask=lambda: self._profiles.profile(tenant_id, account=account),
        )

    def forget(self, tenant_id: TenantId, *, account: Account) -> None:
        """Ask again the next time: the account has changed."""
        self._remembered.forget(tenant_id, account=account)


class SlackPeople:
    """Says who somebody at Slack is, anew with every message and every click."""

    def __init__(self, profiles: RememberedProfiles, *, linking: Linking) -> None:
        """Take what workspaces say of accounts, and whose accounts are."""
        self._profiles = profiles
        self._linking = linking

    async def who(self, tenant_id: TenantId, *, workspace: str, deed: Deed) -> Visitor:
        """Return who did something in one of the tenant's workspaces.

        Raises:
            Forbidden: ``account_is_bot``, ``account_deactivated``, ``account_guest``,
                ``account_outside``, ``account_unknown``: they have no rights, and are offered none.
            Unavailable: ``slack_unavailable``: nobody can say who they are.
            NotFound: ``workspace_left``, ``not_found``.
        """
        account = account_at(workspace, user=deed.user)
        profile = await self._profiles.profile(tenant_id, account=account)
        code = objection(profile, workspace=workspace, user_team=deed.user_team)
        if code is not None or profile is None:
            raise Forbidden(code or "account_unknown")
        person = await self._linking.person(tenant_id, account=account)
        if person is None and profile.email is not None:
            person = await self._linking.by_email(tenant_id, account=account, email=profile.email)
        return Visitor(
            account=account, shown=Shown(name=profile.name, email=profile.email), person=person
        )

    async def left(self, tenant_id: TenantId, *, workspace: str, user: str) -> bool:
        """End all rights of an account that is no full member any more; False where it had none."""
        account = account_at(workspace, user=user)
        self._profiles.forget(tenant_id, account=account)
        ended = await self._linking.unlink(tenant_id, account=account, actor=_SYSTEM, why=LEFT)
        return ended is not None

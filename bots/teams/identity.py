"""Who is in Teams: ids that Microsoft has signed, what the tenant says of them, and whose they are.

What an activity says of somebody is their id in Entra. Whether an account may have any rights is
the tenant's to say: Teams is asked for the member of the conversation that it came from.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bots.arrivals import Deed, Home
from bots.linking import Linking
from bots.profiles import Remembered
from bots.teams.wire import Reference, Wire, WireRefused, WireUnreachable
from bots.visit import Visitor
from core.domain.account import Account, Shown
from core.domain.canonical import JsonObject
from core.domain.chat import Surface
from core.domain.ids import TenantId
from core.errors import Forbidden, Unavailable
from core.ports import Clock

_EXTERNAL: Final = "#ext#"
_BOT: Final = "28:"
_MEMBER: Final = frozenset({"user", "admin", "owner", "member"})
_LONGEST: Final = 254


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a tenant says of an account. ``name`` is chosen freely; ``email`` is its sign-in name.

    Of the two addresses that Teams tells, only the user principal name is the tenant's own to give:
    its domain is verified. The mail address can be anything that somebody has typed.
    """

    user: str
    tenant: str
    name: str
    email: str | None
    is_bot: bool
    is_guest: bool


class References(Protocol):
    """Knows how conversations are reached."""

    async def reach(
        self, tenant_id: TenantId, *, workspace: str, conversation: str
    ) -> Reference | None:
        """Return how to reach a conversation; None where nobody was seen there."""
        ...

    async def known_as(self, tenant_id: TenantId, *, workspace: str, user: str) -> str:
        """Return Teams' own id of somebody; empty where nobody has seen them."""
        ...

    async def forget_person(self, tenant_id: TenantId, *, workspace: str, user: str) -> None:
        """Forget where somebody is reached: somebody else is there."""
        ...


class _Member(BaseModel):
    """A member as Teams tells of one. What is not said counts against the account."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    id: str = ""
    aad: str = Field(default="", alias="aadObjectId")
    object: str = Field(default="", alias="objectId")
    name: str = ""
    role: str = Field(default="", alias="userRole")
    principal_name: str = Field(default="", alias="userPrincipalName")
    tenant: str = Field(default="", alias="tenantId")


def account_at(workspace: str, *, user: str) -> Account:
    """Return an account; ``workspace`` is the Entra tenant."""
    return Account(surface=Surface.TEAMS.value, workspace=workspace, user=user)


def profile_of(member: JsonObject) -> Profile | None:
    """Return what Teams says of a member; None where it says nothing of use."""
    try:
        told = _Member.model_validate(member)
    except ValidationError:
        return None
    name, upn = told.name, told.principal_name.strip().lower()
    is_external = _EXTERNAL in upn
    return Profile(
        user=(told.aad or told.object).lower(),
        tenant=told.tenant.lower(),
        name=name or upn or told.id,
        email=upn if "@" in upn and not is_external and len(upn) <= _LONGEST else None,
        is_bot=told.id.startswith(_BOT),
        is_guest=is_external or told.role.lower() not in _MEMBER,
    )


def objection(profile: Profile | None, *, workspace: str) -> str | None:
    """Return why an account can have no rights through this tenant; None where it can."""
    if profile is None:
        return "account_unknown"
    if profile.is_bot:
        return "account_is_bot"
    if profile.tenant != workspace:
        return "account_outside"
    return "account_guest" if profile.is_guest else None


class TeamsPeople:
    """Says who somebody in Teams is, anew with every message and every click."""

    def __init__(
        self, wire: Wire, *, references: References, linking: Linking, clock: Clock
    ) -> None:
        """Take who asks Teams, who knows the way there, and whose accounts are."""
        self._wire = wire
        self._references = references
        self._linking = linking
        self._remembered = Remembered[Profile](clock=clock)

    async def who(self, tenant_id: TenantId, *, workspace: str, deed: Deed) -> Visitor:
        """Return who did something in one of the tenant's conversations.

        Raises:
            Forbidden: ``account_is_bot``, ``account_guest``, ``account_outside``,
                ``account_unknown``: they have no rights, and are offered none.
            Unavailable: ``teams_unavailable``: nobody can say who they are.
        """
        channel = "" if isinstance(deed, Home) else deed.channel
        return await self.at(
            tenant_id, workspace=workspace, user=deed.user, channel=channel or f"@{deed.user}"
        )

    async def at(self, tenant_id: TenantId, *, workspace: str, user: str, channel: str) -> Visitor:
        """Return who an account is that was seen in a conversation; as ``who``."""
        account = account_at(workspace, user=user)
        profile = await self._remembered.of(
            tenant_id,
            account=account,
            ask=lambda: self._asked(tenant_id, account=account, channel=channel),
        )
        if profile is None:
            # What is not known in one conversation may be known in another.
            self._remembered.forget(tenant_id, account=account)
        code = objection(profile, workspace=workspace)
        if code is not None or profile is None:
            raise Forbidden(code or "account_unknown")
        person = await self._linking.person(tenant_id, account=account)
        if person is None and profile.email is not None:
            person = await self._linking.by_email(tenant_id, account=account, email=profile.email)
        shown = Shown(name=profile.name, email=profile.email)
        return Visitor(account=account, shown=shown, person=person)

    async def _asked(
        self, tenant_id: TenantId, *, account: Account, channel: str
    ) -> Profile | None:
        place = await self._references.reach(
            tenant_id, workspace=account.workspace, conversation=channel
        )
        if place is None:
            return None
        known = await self._references.known_as(
            tenant_id, workspace=account.workspace, user=account.user
        )
        try:
            member = await self._wire.member(place, user=known or account.user)
        except WireRefused as error:
            raise Unavailable("teams_unavailable", detail=error.code) from error
        except WireUnreachable as error:
            raise Unavailable("teams_unavailable", detail="no answer") from error
        found = profile_of(member) if member is not None else None
        if found is not None and found.user == account.user:
            return found
        if found is not None or channel.startswith("@"):
            # Noted before anybody was asked: another's facts would be taken for theirs, and what is
            # theirs be told where they are not. Nothing follows from not being where others are.
            await self._references.forget_person(
                tenant_id, workspace=account.workspace, user=account.user
            )
        return None

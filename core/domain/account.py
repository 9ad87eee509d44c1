"""Accounts on chat surfaces: whose they are, and how somebody says that one is theirs."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.domain.ids import PrincipalId, TenantId
from core.domain.principal import Principal


class Linked(StrEnum):
    """How an account came to be a person's."""

    PAGE = "page"  # they said so, signed in
    DOMAIN = "domain"  # by an email that both the workspace and the tenant's provider vouch for
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody as a surface knows them, by ids that the surface has signed: never by a name."""

    surface: str
    workspace: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How a surface describes an account: for people to recognise it, and nothing else.

    ``email`` is one that the workspace has verified, or None.
    """

    name: str
    email: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLink:
    """An account of a person. ``is_enabled`` is false where the person is let in no more."""

    account: Account
    person: Principal
    how: Linked
    linked_at: datetime
    is_enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOffer:
    """A way for one account to become the account of whoever signs in and says that it is theirs.

    It works once. ``workspace_name`` is what the surface calls the workspace. ``expected`` is the
    person here who has the account's email, if anybody has; ``holder`` whose the account is now.
    """

    tenant_id: TenantId
    account: Account
    shown: Shown
    workspace_name: str
    expires_at: datetime
    used_at: datetime | None = None
    expected: PrincipalId | None = None
    holder: PrincipalId | None = None

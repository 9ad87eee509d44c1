"""What an identity provider may say of somebody: an address in its own domains, and groups."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.domain.canonical import JsonObject
from core.domain.sign_in import IdentityProvider
from core.errors import Forbidden
from core.identity.oidc import texts

_EMAIL: Final = re.compile(r"[^@\s\x00-\x1f\x7f]+@([a-z0-9-]+(?:\.[a-z0-9-]+)+)", re.ASCII)
_LONGEST_EMAIL: Final = 254
_MOST_GROUPS: Final = 200
_LONGEST_GROUP: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account as a provider vouches for it, checked against what it may vouch for."""

    issuer: str
    subject: str
    email: str
    groups: frozenset[str]


def account_of(claims: JsonObject, *, provider: IdentityProvider) -> Account:
    """Return the account that verified claims tell of, if the provider may speak for it.

    Raises:
        Forbidden: ``email_not_verified``, ``email_not_allowed``, ``groups_not_told``.
    """
    return Account(
        issuer=provider.issuer,
        subject=str(claims["sub"]),
        email=email_of(claims, provider=provider),
        groups=_groups(claims, provider=provider) if provider.group_roles else frozenset(),
    )


def email_of(claims: JsonObject, *, provider: IdentityProvider) -> str:
    """Return the email of verified claims, if the provider may speak for it.

    Raises:
        Forbidden: ``email_not_verified``, ``email_not_allowed``.
    """
    told, verified = claims.get("email"), claims.get("email_verified")
    if provider.trusts_email and verified is None:
        # Entra never says it, and gives some people a user name in place of an email.
        told = told or claims.get("preferred_username")
    elif verified not in {True, "true"}:
        raise Forbidden("email_not_verified")
    email = told.lower() if isinstance(told, str) else ""
    shape = _EMAIL.fullmatch(email)
    if shape is None or len(email) > _LONGEST_EMAIL:
        raise Forbidden("email_not_verified")
    if shape[1] not in provider.email_domains:
        raise Forbidden("email_not_allowed", domain=shape[1])
    return email


def _groups(claims: JsonObject, *, provider: IdentityProvider) -> frozenset[str]:
    elsewhere = claims.get("_claim_names")
    if isinstance(elsewhere, Mapping) and provider.groups_claim in elsewhere:
        # Entra leaves groups out where there are very many: that is not the same as none.
        raise Forbidden("groups_not_told", claim=provider.groups_claim)
    groups = texts(claims.get(provider.groups_claim))
    if len(groups) > _MOST_GROUPS:
        # Only what can change a role is worth keeping of so many.
        groups = tuple(group for group in groups if group in provider.group_roles)
    return frozenset(group for group in groups if group and len(group) <= _LONGEST_GROUP)

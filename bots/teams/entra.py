"""Who is at the tab: tokens that Entra has signed for our pages, and Teams has handed to them."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, cast

import structlog

from core.domain.account import Account, Shown
from core.domain.canonical import Json, JsonObject
from core.domain.chat import Surface, Workspace, entra_id
from core.errors import Forbidden, Unauthenticated

SCOPE: Final = "access_as_user"
"""What Teams is allowed to ask a token for, at the app's registration."""

_LONGEST_TOKEN: Final = 32_768
_PARTS: Final = 3
_GUEST: Final = 1

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class AtTheTab:
    """Somebody who has the tab before them, in a workspace that is let in."""

    workspace: Workspace
    account: Account
    shown: Shown


class SignedTokens(Protocol):
    """Verifies what an issuer has signed (``core.identity.oidc.OpenId``)."""

    async def verified(self, token: str, *, issuer: str, audience: str) -> JsonObject:
        """Return the claims of a token that the issuer has signed for this audience, now.

        Raises:
            Forbidden: it cannot be believed.
            Unavailable: ``provider_unavailable``.
        """
        ...


class Workspaces(Protocol):
    """Whose workspace it is."""

    async def find(self, surface: Surface, *, workspace: str) -> Workspace | None:
        """Return the workspace of that id, whosever it is and whatever its state."""
        ...


class EntraTokens:
    """Says who somebody is by the token that Teams gives a page of the app (version 2.0)."""

    def __init__(
        self,
        signed: SignedTokens,
        *,
        workspaces: Workspaces,
        login_url: str,
        app_id: str,
        resource: str,
    ) -> None:
        """Take who verifies, and what tokens are for: the app by its id, or by its id as a URI.

        ``login_url`` is where Entra is, without a slash at its end.
        """
        self._signed = signed
        self._workspaces = workspaces
        self._login_url = login_url
        self._audiences = frozenset({app_id, resource})

    async def who(self, token: str) -> AtTheTab:
        """Return whom a token is of.

        Whatever is wrong with it is the same no, and so is that nobody here knows the tenant: who
        is let in is nobody else's business. The log says which it was.

        Raises:
            Unauthenticated: ``tab_not_signed_in``.
            Forbidden: ``account_guest``.
            Unavailable: ``provider_unavailable``.
        """
        said = _unverified(token)
        tenant, audience = entra_id(_text(said, "tid")), _text(said, "aud")
        if tenant is None or audience not in self._audiences:
            raise _refused("it is not for us")
        # Before its keys are asked for: nobody makes us ask for those of any tenant.
        workspace = await self._workspaces.find(Surface.TEAMS, workspace=tenant)
        if workspace is None or not workspace.is_active:
            raise _refused("its tenant is not let in")
        issuer = f"{self._login_url}/{tenant}/v2.0"
        try:
            claims = await self._signed.verified(token, issuer=issuer, audience=audience)
        except Forbidden as error:
            raise _refused(str(error.facts.get("detail", error.code))) from error
        return AtTheTab(
            workspace=workspace,
            account=_account(claims, tenant=tenant),
            shown=_shown(claims),
        )


def _account(claims: JsonObject, *, tenant: str) -> Account:
    """Return the account of a member that a verified token is of.

    An app that asks for a token in its own name is given no scope, and is nobody's account.
    """
    user = entra_id(_text(claims, "oid"))
    if user is None or SCOPE not in _text(claims, "scp").split():
        raise _refused("it is not of a person in Teams")
    if _is_guest(claims, tenant=tenant):
        raise Forbidden("account_guest")
    return Account(surface=Surface.TEAMS.value, workspace=tenant, user=user)


def _is_guest(claims: JsonObject, *, tenant: str) -> bool:
    """Return whether the tenant says, by claims that need not be there, that it is not their home.

    ``idp`` is there where somebody was signed in by another than the tenant itself.
    """
    said = claims.get("acct")
    is_guest = str(said) == str(_GUEST)
    return is_guest or tenant not in _text(claims, "idp", missing=tenant)


def _shown(claims: JsonObject) -> Shown:
    # A tenant gives out names below domains that it has proved to be its own, and no others.
    name = _text(claims, "preferred_username")
    return Shown(name=_text(claims, "name") or name, email=name if "@" in name else None)


def _unverified(token: str) -> JsonObject:
    """Return what a token says before anybody has looked who signed it."""
    parts = token.split(".")
    if len(token) > _LONGEST_TOKEN or len(parts) != _PARTS:
        raise _refused("it is no token")
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        told = cast("Json", json.loads(base64.urlsafe_b64decode(padded.encode("ascii"))))
    except (ValueError, RecursionError) as error:
        raise _refused("it is no token") from error
    if not isinstance(told, Mapping):
        raise _refused("it is no token")
    return told


def _text(claims: JsonObject, name: str, *, missing: str = "") -> str:
    told = claims.get(name, missing)
    return told if isinstance(told, str) else ""


def _refused(detail: str) -> Unauthenticated:
    _log.info("teams.tab_refused", detail=detail)
    return Unauthenticated("tab_not_signed_in")

"""Entra's token endpoint, where a person's token is exchanged for one of another resource."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, cast

from pydantic import SecretStr

from core.egress import Egress, Fetched
from core.errors import Forbidden, SallyportError, Unavailable
from core.ports import Clock

_OK: Final = 200
_TOO_MANY: Final = 429
_BROKEN: Final = 500
_ON_BEHALF_OF: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_OFFLINE: Final = "offline_access"
_NOBODY_CONSENTED: Final = 65001
_SIGN_IN_AGAIN: Final = frozenset({"invalid_grant", "interaction_required", "login_required"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A token of a resource in somebody's name, and what renews it; empty where nothing does."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: datetime


class EntraExchange:
    """Exchanges tokens as an app that Entra knows ("OAuth 2.0 On-Behalf-Of flow").

    ``upstream`` is who takes the token, for what is raised. Both raise Forbidden: ``acting_ended``
    where the person has to be there again, ``acting_consent_needed`` where nobody has allowed the
    app to, ``acting_refused`` where what is wrong is the app or the scope; and Unavailable:
    ``provider_unavailable``.
    """

    def __init__(
        self, *, login_url: str, app_id: str, password: SecretStr, egress: Egress, clock: Clock
    ) -> None:
        """Take where Entra is, without a slash at its end, and who we are there."""
        self._login_url = login_url
        self._client = {"client_id": app_id, "client_secret": password.get_secret_value()}
        self._egress = egress
        self._clock = clock

    async def exchanged(self, assertion: str, *, tenant: str, scope: str, upstream: str) -> Granted:
        """Return a token of ``scope`` for a token of ours that a person of the tenant was given."""
        grant = {
            "grant_type": _ON_BEHALF_OF,
            "assertion": assertion,
            "requested_token_use": "on_behalf_of",
        }
        return await self._asked(grant, tenant=tenant, scope=scope, upstream=upstream)

    async def renewed(
        self, refresh_token: str, *, tenant: str, scope: str, upstream: str
    ) -> Granted:
        """Return a newer one."""
        grant = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return await self._asked(grant, tenant=tenant, scope=scope, upstream=upstream)

    async def _asked(
        self, grant: Mapping[str, str], *, tenant: str, scope: str, upstream: str
    ) -> Granted:
        now = self._clock.now()
        form = {**self._client, **grant, "scope": f"{scope} {_OFFLINE}"}
        url = f"{self._login_url}/{tenant}/oauth2/v2.0/token"
        try:
            answer = await self._egress.fetch(url, form=form)
        except SallyportError as error:
            raise Unavailable("provider_unavailable", detail=error.code) from error
        if answer.status == _TOO_MANY or answer.status >= _BROKEN:
            raise Unavailable("provider_unavailable", detail=f"it answers {answer.status}")
        told = _told(answer)
        token, renews, seconds = (
            told.get(name) for name in ("access_token", "refresh_token", "expires_in")
        )
        if answer.status != _OK or not isinstance(token, str) or not isinstance(seconds, int):
            raise _refusal(told, upstream=upstream)
        return Granted(
            access_token=token,
            refresh_token=renews if isinstance(renews, str) else "",
            expires_at=now + timedelta(seconds=seconds),
        )


def _refusal(told: Mapping[str, object], *, upstream: str) -> Forbidden:
    """Return what Entra's no means; its words name people and tokens, and go no further."""
    error, more = str(told.get("error", "unknown"))[:80], told.get("error_codes")
    codes = cast("list[object]", more) if isinstance(more, list) else []
    if _NOBODY_CONSENTED in codes or "consent_required" in {error, told.get("suberror")}:
        return Forbidden("acting_consent_needed", upstream=upstream)
    if error in _SIGN_IN_AGAIN:
        return Forbidden("acting_ended", upstream=upstream)
    return Forbidden("acting_refused", upstream=upstream, detail=error)


def _told(answer: Fetched) -> Mapping[str, object]:
    try:
        told: object = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, object]", told) if isinstance(told, dict) else {}

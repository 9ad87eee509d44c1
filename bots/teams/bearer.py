"""The token that we show to Teams: asked for once, kept until it is nearly over."""

import asyncio
import json
from collections.abc import Mapping
from typing import Final, Protocol, cast

from bots.teams.registration import (
    Anonymous,
    ManagedIdentity,
    MultiTenant,
    Registration,
    SingleTenant,
)
from bots.teams.wire import WireRefused, WireUnreachable
from core.egress import Egress
from core.errors import SallyportError
from core.ports import Clock

_RENEWED_BEFORE_SECONDS: Final = 300.0
_OK: Final = 200
_TOO_MANY: Final = 429
_BROKEN: Final = 500
_UNAUTHORIZED: Final = 401


class Proof(Protocol):
    """What we show to Teams."""

    async def token(self) -> str | None:
        """Return a token that is good for minutes; None where nobody asks for one.

        Raises:
            WireRefused: 401: Microsoft does not take our credentials.
            WireUnreachable: its sign-in does not answer.
        """
        ...

    def forget(self, token: str | None) -> None:
        """Ask for a new one next time: Teams did not take this one."""
        ...


def proof_of(registration: Registration, *, identity: Proof, egress: Egress, clock: Clock) -> Proof:
    """Return what the app shows; ``identity`` is what an Azure machine has by itself."""
    match registration.credentials:
        case SingleTenant() | MultiTenant() as credentials:
            return Bearer(registration, credentials=credentials, egress=egress, clock=clock)
        case ManagedIdentity():
            return identity
        case Anonymous():
            return _Nothing()


class _Nothing:
    """Shows nothing."""

    async def token(self) -> None:
        """Return that there is none."""

    def forget(self, token: str | None) -> None:
        """There is nothing to forget."""


class Bearer:
    """Asks Microsoft's sign-in (RFC 6749 section 4.4), one question at a time.

    The SDKs leave this to a library that blocks, asks twice when two ask at once, and takes no
    address of another cloud without first asking the public one about it.
    """

    def __init__(
        self,
        registration: Registration,
        *,
        credentials: SingleTenant | MultiTenant,
        egress: Egress,
        clock: Clock,
    ) -> None:
        """Take who we are, and how we prove it."""
        addresses = registration.addresses
        match credentials:
            case SingleTenant(tenant=tenant):
                pass
            case MultiTenant():
                tenant = addresses.login_tenant
        self._url = f"{addresses.login}/{tenant}/oauth2/v2.0/token"
        self._form = {
            "grant_type": "client_credentials",
            "client_id": registration.app_id,
            "client_secret": credentials.password,
            "scope": addresses.scope,
        }
        self._egress = egress
        self._clock = clock
        self._token = ""
        self._good_until = 0.0
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """Return a token that is good for minutes; see the port."""
        async with self._lock:
            if not self._token or self._clock.monotonic() >= self._good_until:
                asked_at = self._clock.monotonic()
                self._token, lasts_seconds = await self._ask()
                # A token of seconds is used for half of them rather than not at all.
                kept = max(lasts_seconds - _RENEWED_BEFORE_SECONDS, lasts_seconds / 2)
                self._good_until = asked_at + kept
            return self._token

    def forget(self, token: str | None) -> None:
        """Ask for a new one next time: Teams did not take this one."""
        if token == self._token:
            self._token = ""

    async def _ask(self) -> tuple[str, float]:
        try:
            answer = await self._egress.fetch(self._url, form=self._form)
        except SallyportError as error:
            raise WireUnreachable from error
        told = _told(answer.body)
        token, lasts_seconds = told.get("access_token"), told.get("expires_in")
        if answer.status == _OK and isinstance(token, str) and isinstance(lasts_seconds, int):
            return token, float(lasts_seconds)
        if answer.status in {_OK, _TOO_MANY} or answer.status >= _BROKEN:
            raise WireUnreachable
        raise WireRefused(status=_UNAUTHORIZED, code=str(told.get("error", "unknown"))[:80])


def _told(body: bytes) -> Mapping[str, object]:
    try:
        told: object = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, object]", told) if isinstance(told, dict) else {}

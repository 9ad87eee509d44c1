"""The app as Microsoft knows it: its id, how it proves that, and where Microsoft is."""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from bots.teams.wire import WireRefused
from core.egress import Egress

_SERVICES: Final = frozenset({"smba.trafficmanager.net"})
# Whole domains of Microsoft's. Not trafficmanager.net: anybody gets a name under that.
_SERVICE_DOMAINS: Final = (
    ".botframework.com",
    ".botframework.azure.us",
    ".botframework.azure.cn",
    ".teams.microsoft.com",
    ".teams.microsoft.us",
)
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_FORBIDDEN: Final = 403
_HOST: Final = re.compile(r"[a-z0-9.:-]+", re.ASCII)
_PATH: Final = re.compile(r"[A-Za-z0-9/_.~-]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleTenant:
    """Registered in one Entra tenant, with a client secret."""

    tenant: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiTenant:
    """Registered for all tenants, with a client secret; Microsoft makes no new ones."""

    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedIdentity:
    """Registered as an identity that the Azure machine has by itself; there is no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anonymous:
    """Not registered: nobody proves anything. For a playground on this machine."""


Credentials = SingleTenant | MultiTenant | ManagedIdentity | Anonymous


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where Microsoft signs in and signs; the public cloud's unless another's are given."""

    login: str = "https://login.microsoftonline.com"
    login_tenant: str = "botframework.com"
    openid_metadata: str = "https://login.botframework.com/v1/.well-known/openidconfiguration"
    issuer: str = "https://api.botframework.com"
    scope: str = "https://api.botframework.com/.default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """An app. ``allows_loopback``: Teams, and Microsoft's sign-in, may be on this machine."""

    app_id: str
    credentials: Credentials
    addresses: Addresses = Addresses()
    allows_loopback: bool = False

    def egress(self) -> Egress:
        """Return the way out to Microsoft."""
        hosts = ("127.0.0.1", "[::1]", "localhost") if self.allows_loopback else ()
        return Egress(allow_private=hosts)

    def service_at(self, url: str) -> str:
        """Return the address of a Bot Connector service, without a slash at its end.

        Raises:
            WireRefused: 403 ``foreign_service``: it is not Microsoft's, and gets no token of ours.
        """
        if not self.is_service(url):
            raise WireRefused(status=_FORBIDDEN, code="foreign_service")
        return url.rstrip("/")

    def is_service(self, url: str) -> bool:
        """Return whether a Bot Connector service may be there."""
        if not url.isascii() or not url.isprintable() or " " in url:
            return False  # urlsplit drops some of these; others take the address as it is
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return False
        if "@" in parts.netloc or parts.query or parts.fragment or not _PATH.fullmatch(parts.path):
            return False
        if not _HOST.fullmatch(host):
            return False
        if self.allows_loopback and host in _LOOPBACK:
            return parts.scheme in {"http", "https"}
        is_microsofts = host in _SERVICES or host.endswith(_SERVICE_DOMAINS)
        return parts.scheme == "https" and port in {None, 443} and is_microsofts

"""An upstream server that the operator allows: where it is, and how much of it is borne."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedUpstream:
    """One server, reached at ``url`` or started by ``command``; a tenant can only pick it by name.

    ``private`` lets its host be private and plain http. The credential goes out as ``scheme`` and
    secret in the header ``header``, or to a started server in the variable ``credential_variable``.
    ``concurrency`` calls of a tenant go at once, ``waiting`` more stand in line. A connection that
    is not used for ``idle_seconds`` is closed; one that is used is looked through for changed tools
    every ``check_seconds``.
    """

    name: str
    url: str | None = None
    private: bool = False
    header: str = "authorization"
    scheme: str = "Bearer"
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    folder: str | None = None
    credential_variable: str | None = None
    connect_seconds: float = 10.0
    limit_bytes: int = 1_000_000
    result_bytes: int = 200_000
    concurrency: int = 8
    waiting: int = 32
    idle_seconds: float = 300.0
    check_seconds: float = 300.0
    failures: int = 5
    rest_seconds: float = 30.0

    def headers(self, secret: str | None) -> dict[str, str]:
        """Return what carries the credential over HTTP."""
        return {self.header: f"{self.scheme} {secret}".lstrip()} if secret is not None else {}

    def variables(self, secret: str | None) -> dict[str, str]:
        """Return the whole environment of a started server: nothing of ours is in it."""
        named = self.credential_variable
        given = {named: secret} if named is not None and secret is not None else {}
        return {**self.environment, **given}


def private_hosts(upstream: AllowedUpstream) -> frozenset[str]:
    """Return the host with its port, where the operator lets it be private."""
    if upstream.url is None or not upstream.private:
        return frozenset()
    url = urlsplit(upstream.url)
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    return frozenset({f"{host}:{url.port or _PORTS.get(url.scheme, 0)}"})

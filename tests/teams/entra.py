"""A small Entra on this machine: it signs tokens for the tab, for several tenants with one key."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.routing import Mount

from tests.oidc_provider import Claims, Provider
from tests.rest import listening

ENTRA = "0a5f2f0e-5a08-4a52-8d0e-3a4d6f1f0001"
APP = "0a5f2f0e-5a08-4a52-8d0e-3a4d6f1f0002"
OTHER = "0a5f2f0e-5a08-4a52-8d0e-3a4d6f1f0003"
ALICE = "6b1c1d5e-0000-4000-8000-00000000a11c"


@dataclass(slots=True)
class Entra:
    """What it says; like the real one it signs for every tenant with the same key."""

    url: str = ""
    tenants: dict[str, Provider] = field(default_factory=dict[str, Provider])

    def claims(self, **more: object) -> Claims:
        """Return what a token of Alice's says; None leaves a claim out."""
        now = int(time.time())
        told: Claims = {
            "aud": APP,
            "iss": f"{self.url}/{ENTRA}/v2.0",
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "name": "Alice",
            "oid": ALICE,
            "preferred_username": "alice@acme.test",
            "scp": "access_as_user",
            "sub": "pairwise",
            "tid": ENTRA,
            "ver": "2.0",
            **more,
        }
        return {name: value for name, value in told.items() if value is not None}

    def token(self, **more: object) -> str:
        """Return a signed token of Alice's, with these claims instead."""
        return self.tenants[ENTRA].sign(self.claims(**more))

    @property
    def asked(self) -> list[str]:
        """What it was asked for."""
        return [one for provider in self.tenants.values() for one in provider.asked]


@asynccontextmanager
async def entra_here() -> AsyncGenerator[Entra]:
    """Run an Entra of two tenants on a free port of this machine."""
    entra = Entra(tenants={ENTRA: Provider(), OTHER: Provider()})
    routes = [Mount(f"/{one}/v2.0", provider.asgi()) for one, provider in entra.tenants.items()]
    asgi = Starlette(routes=routes)
    asgi.state.stopping = _Nothing()
    async with listening(asgi) as url:
        entra.url = url
        for tenant, provider in entra.tenants.items():
            provider.issuer = f"{url}/{tenant}/v2.0"
        yield entra


class _Nothing:
    """What stops where there is nothing to stop."""

    def set(self) -> None:
        """Do nothing."""

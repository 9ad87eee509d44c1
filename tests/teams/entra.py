"""A small Entra on this machine: it signs tokens for the tab, for several tenants with one key.

It exchanges them, too, for tokens of another resource, as strictly as the real one does.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from tests.oidc_provider import Claims, Provider
from tests.rest import listening

ENTRA = "0a5f2f0e-5a08-4a52-8d0e-3a4d6f1f0001"
APP = "0a5f2f0e-5a08-4a52-8d0e-3a4d6f1f0002"
OTHER = "0a5f2f0e-5a08-4a52-8d0e-3a4d6f1f0003"
ALICE = "6b1c1d5e-0000-4000-8000-00000000a11c"
PASSWORD = "Pa5~of.the+app/at=Entra"

_ON_BEHALF_OF = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(slots=True, kw_only=True)
class Granted:
    """A token that was given: for whom, of what, and what renews it."""

    user: str
    scope: str
    access_token: str
    refresh_token: str


@dataclass(slots=True)
class Entra:
    """What it says; like the real one it signs for every tenant with the same key."""

    url: str = ""
    tenants: dict[str, Provider] = field(default_factory=dict[str, Provider])
    consented: set[str] = field(default_factory=set[str])
    granted: list[Granted] = field(default_factory=list[Granted])
    revoked: set[str] = field(default_factory=set[str])
    lasts_seconds: int = 3600
    refuses: dict[str, object] = field(default_factory=dict[str, object])
    status: int = 400

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

    def given_to(self, user: str) -> list[str]:
        """Return the tokens that somebody was given, in order."""
        return [one.access_token for one in self.granted if one.user == user]

    async def exchange(self, request: Request) -> Response:
        """Answer at the token endpoint ("OAuth 2.0 On-Behalf-Of flow", and the refresh grant)."""
        form = dict(parse_qsl((await request.body()).decode(), strict_parsing=True))
        if self.refuses:
            return JSONResponse(self.refuses, status_code=self.status)
        known = {"client_id": APP, "client_secret": PASSWORD}
        if any(form.pop(name, None) != value for name, value in known.items()):
            return _refused("invalid_client", 7000215, status=401)
        scope, _, offline = form.pop("scope", "").partition(" ")
        if offline != "offline_access":
            return _refused("invalid_scope", 70011)
        match form.pop("grant_type", ""):
            case "refresh_token":
                return self._renewed(form, scope=scope)
            case grant if grant == _ON_BEHALF_OF:
                return self._exchanged(form, scope=scope, tenant=request.path_params["tenant"])
            case _:
                return _refused("unsupported_grant_type", 70003)

    def _exchanged(self, form: dict[str, str], *, scope: str, tenant: str) -> Response:
        if set(form) != {"assertion", "requested_token_use"}:
            return _refused("invalid_request", 900144)
        if form["requested_token_use"] != "on_behalf_of":
            return _refused("invalid_request", 90014)
        try:
            claims = jwt.decode(
                form["assertion"],
                self.tenants[tenant].key.public_key(),
                algorithms=["RS256"],
                audience=APP,
                issuer=f"{self.url}/{tenant}/v2.0",
            )
        except jwt.PyJWTError:
            return _refused("invalid_grant", 50013)
        if claims["scp"] != "access_as_user":
            return _refused("invalid_grant", 50013)
        if scope not in self.consented:
            return _refused("invalid_grant", 65001, suberror="consent_required")
        return self._given(claims["oid"], scope=scope)

    def _renewed(self, form: dict[str, str], *, scope: str) -> Response:
        found = [one for one in self.granted if one.refresh_token == form.get("refresh_token")]
        if set(form) != {"refresh_token"} or not found or found[0].scope != scope:
            return _refused("invalid_grant", 70000)
        if found[0].user in self.revoked:
            return _refused("invalid_grant", 50173)
        return self._given(found[0].user, scope=scope)

    def _given(self, user: str, *, scope: str) -> Response:
        number = len(self.granted) + 1
        made = Granted(
            user=user,
            scope=scope,
            access_token=f"access-{number}-of-{user}",
            refresh_token=f"refresh-{number}-of-{user}",
        )
        self.granted.append(made)
        return JSONResponse(
            {
                "token_type": "Bearer",
                "scope": scope,
                "expires_in": self.lasts_seconds,
                "access_token": made.access_token,
                "refresh_token": made.refresh_token,
            }
        )

    @property
    def asked(self) -> list[str]:
        """What it was asked for."""
        return [one for provider in self.tenants.values() for one in provider.asked]


@asynccontextmanager
async def entra_here() -> AsyncGenerator[Entra]:
    """Run an Entra of two tenants on a free port of this machine."""
    entra = Entra(tenants={ENTRA: Provider(), OTHER: Provider()})
    routes = [Mount(f"/{one}/v2.0", provider.asgi()) for one, provider in entra.tenants.items()]
    token = Route("/{tenant}/oauth2/v2.0/token", entra.exchange, methods=["POST"])
    asgi = Starlette(routes=[token, *routes])
    asgi.state.stopping = _Nothing()
    async with listening(asgi) as url:
        entra.url = url
        for tenant, provider in entra.tenants.items():
            provider.issuer = f"{url}/{tenant}/v2.0"
        yield entra


def _refused(error: str, code: int, *, status: int = 400, **more: str) -> Response:
    said = f"AADSTS{code}: it would name {ALICE} here."
    told = {"error": error, "error_description": said, "error_codes": [code], **more}
    return JSONResponse(told, status_code=status)


class _Nothing:
    """What stops where there is nothing to stop."""

    def set(self) -> None:
        """Do nothing."""

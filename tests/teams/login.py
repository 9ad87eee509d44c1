"""Microsoft's sign-in on this machine: it signs what Teams sends, and gives out tokens to us.

One server for what are three at Microsoft: the OpenID configuration and the key set of the Bot
Framework, and Entra's token endpoint. A test changes what it says, or has it sign what is wrong.
"""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from jwt.algorithms import RSAAlgorithm

from bots.teams.registration import Addresses, Registration, SingleTenant
from tests.oidc_provider import a_key

Json = dict[str, Any]  # Any: what Microsoft takes and gives

APP_ID = "4f6d4e3a-90a1-4a52-9a0c-2f6fe0f7a8a1"
PASSWORD = "Pa5~s.word+with/odd=signs"
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
ISSUER = "https://api.botframework.com"
SCOPE = "https://api.botframework.com/.default"


@dataclass(slots=True)
class Key:
    """A key of the set; nothing is listed as an endorsement where there is none."""

    private: RSAPrivateKey = field(default_factory=a_key)
    endorsements: list[str] | None = field(default_factory=lambda: ["webchat", "msteams"])


@dataclass(slots=True)
class Login:
    """What it says; ``asked`` is what it was asked for, in order."""

    url: str = ""
    keys: dict[str, Key] = field(default_factory=lambda: {"one": Key()})
    issuer: str = ISSUER
    lasts_seconds: int = 3600
    status: int = 200
    error: str = "invalid_client"
    asked: list[str] = field(default_factory=list[str])
    forms: list[Json] = field(default_factory=list[Json])
    given: set[str] = field(default_factory=set[str])

    def addresses(self) -> Addresses:
        """Return where an app finds it."""
        return Addresses(
            login=self.url, openid_metadata=f"{self.url}/v1/.well-known/openidconfiguration"
        )

    def registration(self) -> Registration:
        """Return an app that it knows."""
        return Registration(
            app_id=APP_ID,
            credentials=SingleTenant(tenant=TENANT, password=PASSWORD),
            addresses=self.addresses(),
            allows_loopback=True,
        )

    def claims(self, service_url: str) -> Json:
        """Return what a token of Teams' says."""
        now = int(time.time())
        return {
            "iss": ISSUER,
            "aud": APP_ID,
            "serviceurl": service_url,
            "nbf": now - 1,
            "exp": now + 3600,
        }

    def signed(
        self,
        claims: Json,
        *,
        kid: str | None = "one",
        algorithm: str = "RS256",
        key: Any = None,  # noqa: ANN401 - PyJWT takes many kinds
        headers: Json | None = None,
    ) -> str:
        """Return the header of a request with these claims, signed as Teams does unless told."""
        named = {} if kid is None else {"kid": kid}
        signs_with: Any = key  # Any: PyJWT takes many kinds
        if key is None and algorithm != "none":
            signs_with = self.keys["one"].private
        token = jwt.encode(
            claims, signs_with, algorithm=algorithm, headers={**named, **(headers or {})}
        )
        return f"Bearer {token}"

    def application(self) -> web.Application:
        made = web.Application()
        made.router.add_get("/v1/.well-known/openidconfiguration", self._configuration)
        made.router.add_get("/v1/.well-known/keys", self._keys)
        made.router.add_post("/{tenant}/oauth2/v2.0/token", self._token)
        made.router.add_get("/identity", self._identity)
        return made

    async def _configuration(self, _request: web.Request) -> web.Response:
        self.asked.append("configuration")
        told = {
            "issuer": self.issuer,
            "authorization_endpoint": "https://invalid.botframework.com",
            "jwks_uri": f"{self.url}/v1/.well-known/keys",
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        }
        return web.json_response(told, status=self.status)

    async def _keys(self, _request: web.Request) -> web.Response:
        self.asked.append("keys")
        return web.json_response({"keys": [self._listed(kid) for kid in self.keys]})

    def _listed(self, kid: str) -> Json:
        key = self.keys[kid]
        public: Json = json.loads(RSAAlgorithm.to_jwk(key.private.public_key()))
        endorsed = {} if key.endorsements is None else {"endorsements": key.endorsements}
        return {**public, "kid": kid, "use": "sig", "x5t": kid, **endorsed}

    async def _token(self, request: web.Request) -> web.Response:
        self.asked.append("token")
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.forms.append(form | {"tenant": request.match_info["tenant"]})
        if self.status != 200:
            return web.json_response({"error": "temporarily_unavailable"}, status=self.status)
        wanted = {
            "grant_type": "client_credentials",
            "client_id": APP_ID,
            "client_secret": PASSWORD,
            "scope": SCOPE,
        }
        if form != wanted:
            told = {"error": self.error, "error_description": "AADSTS7000215: …"}
            return web.json_response(told, status=401)
        return web.json_response(self._given())

    async def _identity(self, request: web.Request) -> web.Response:
        """Answer as an App Service does for the identity of its machine."""
        self.asked.append("identity")
        self.forms.append(dict(request.query))
        given = self._given()
        until = int(time.time()) + self.lasts_seconds
        return web.json_response(given | {"expires_on": str(until), "resource": "x"})

    def _given(self) -> Json:
        claims = {"aud": ISSUER, "appid": APP_ID, "number": len(self.given) + 1}
        token = self.signed(claims).removeprefix("Bearer ")
        self.given.add(token)
        return {"token_type": "Bearer", "expires_in": self.lasts_seconds, "access_token": token}


@asynccontextmanager
async def signing_in() -> AsyncGenerator[Login]:
    """Run a sign-in on a free port of this machine."""
    login = Login()
    runner = web.AppRunner(login.application(), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        login.url = f"http://{host}:{port}"
        yield login
    finally:
        await runner.cleanup()

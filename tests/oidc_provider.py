"""A small OpenID Connect provider on this machine, which can be told to lie."""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.rest import listening

Claims = dict[str, Any]  # Any: claims are JSON, and here often wrong on purpose

CLIENT_ID, CLIENT_SECRET = "sallyport-client", "s3cret:with/odd+signs"


@cache
def a_key() -> RSAPrivateKey:
    """Return a key, the same for all: making one takes long."""
    return new_key()


def new_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(slots=True)
class Provider:
    """What it says; a test changes it, and the next sign-in sees that."""

    issuer: str = ""
    key: RSAPrivateKey = field(default_factory=a_key)
    signs_with: RSAPrivateKey | None = None
    kid: str = "one"
    algorithm: str = "RS256"
    claims: Claims = field(default_factory=dict[str, Any])
    tamper: Callable[[Claims], Claims] = field(default=lambda claims: claims)
    configuration: Claims = field(default_factory=dict[str, Any])
    userinfo: Claims = field(default_factory=dict[str, Any])
    given: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    asked: list[str] = field(default_factory=list[str])
    error: str = ""

    def sign(self, claims: Claims, *, headers: Claims | None = None) -> str:
        key: Any = None if self.algorithm == "none" else "k" * 64  # Any: PyJWT takes many
        if self.algorithm == "RS256":
            key = self.signs_with or self.key
        return jwt.encode(
            claims, key, algorithm=self.algorithm, headers={"kid": self.kid, **(headers or {})}
        )

    def id_token(self, *, nonce: str, audience: str) -> str:
        now = int(time.time())
        told = {
            "iss": self.issuer,
            "aud": audience,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            **self.claims,
        }
        return self.sign(self.tamper(told))

    def is_account(self, email: str, *, groups: tuple[str, ...] = (), sub: str = "") -> None:
        """Have the next sign-in be of this account."""
        self.claims = {
            "sub": sub or f"sub-{email}",
            "email": email,
            "email_verified": True,
            "groups": list(groups),
        }

    async def _configuration(self, _request: Request) -> Response:
        self.asked.append("configuration")
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "scopes_supported": ["openid", "groups"],
                **self.configuration,
            }
        )

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        if self.error:
            told = {"error": self.error, "state": asked["state"]}
            return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(told)}", 302)
        code = secrets.token_urlsafe(8)
        self.given[code] = asked
        told = {"code": code, "state": asked["state"], "iss": self.issuer}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(told)}", 302)

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        asked = self.given.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(
            hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        ).rstrip(b"=")
        if (
            asked is None
            or not _is_client(request)
            or asked["code_challenge"] != challenge.decode()
            or asked["redirect_uri"] != form.get("redirect_uri")
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        token = self.id_token(nonce=asked["nonce"], audience=asked["client_id"])
        return JSONResponse({"id_token": token, "access_token": "opaque", "token_type": "Bearer"})

    async def _jwks(self, _request: Request) -> Response:
        self.asked.append("jwks")
        public: Claims = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
        return JSONResponse({"keys": [{**public, "kid": self.kid, "use": "sig"}]})

    async def _userinfo(self, request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer opaque"
        return JSONResponse(self.userinfo)

    def asgi(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._configuration),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/jwks", self._jwks),
                Route("/userinfo", self._userinfo),
            ]
        )


def _is_client(request: Request) -> bool:
    kind, _, told = request.headers.get("authorization", "").partition(" ")
    if kind != "Basic":
        return False
    name, _, secret = base64.b64decode(told).decode().partition(":")
    return (unquote(name), unquote(secret)) == (CLIENT_ID, CLIENT_SECRET)


@asynccontextmanager
async def provider_here() -> AsyncGenerator[Provider]:
    """Run a provider on a free port of this machine."""
    provider = Provider()
    asgi = provider.asgi()
    asgi.state.stopping = _Nothing()
    async with listening(asgi) as url:
        provider.issuer = url
        yield provider


class _Nothing:
    """What stops where there is nothing to stop."""

    def set(self) -> None:
        """Do nothing."""

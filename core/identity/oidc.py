"""OpenID Connect as its relying party: what a provider says of itself, and tokens it has signed."""

import asyncio
import base64
import json
from collections import OrderedDict
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeGuard, cast
from urllib.parse import quote

import httpx2
from jwt import PyJWK, PyJWS
from jwt.exceptions import PyJWTError
from jwt.types import JWKDict

from core.domain.canonical import Json, JsonObject
from core.egress import Egress, Fetched
from core.errors import Forbidden, Unavailable
from core.ports import Clock

ALGORITHMS: Final = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC"}
"""The only signatures that count, each with the type of key that makes it."""

_DISCOVERY: Final = "/.well-known/openid-configuration"
_KEPT_SECONDS: Final = 3600.0
_LOOKED_AGAIN_SECONDS: Final = 30.0
_PROVIDERS: Final = 1000
_MOST_KEYS: Final = 100
_LONGEST_TOKEN: Final = 32_768
_LEEWAY_SECONDS: Final = 60
_OLDEST_SECONDS: Final = 600
_OK: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What a provider's discovery document says, as far as it is needed."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    scopes: frozenset[str]
    token_auth: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Whom the provider takes us for; without a secret, a public client."""

    id: str
    secret: str | None


@dataclass(slots=True)
class _Known:
    """One provider as it was last seen; ``at`` and ``keys_at`` are monotonic seconds.

    ``keys_missed``: its keys were asked for last, and could not be had.
    """

    configuration: Configuration | None = None
    at: float = 0.0
    keys: dict[str, JWKDict] = field(default_factory=dict[str, JWKDict])
    keys_at: float | None = None
    keys_missed: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class OpenId:
    """Asks providers, and verifies what they have signed. Remembers a bounded number of them.

    Whatever a provider does wrong is raised as Unavailable ``provider_unavailable`` (it cannot be
    reached) or Forbidden ``provider_refused`` (what it says cannot be believed), with a detail.
    """

    def __init__(self, egress: Egress, *, clock: Clock) -> None:
        """Take the way out, which decides where providers may live."""
        self._egress = egress
        self._clock = clock
        self._jws = PyJWS(algorithms=list(ALGORITHMS))
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def configuration(self, issuer: str) -> Configuration:
        """Return what the issuer says of itself (OpenID Connect Discovery 1.0 section 4)."""
        known = self._of(issuer)
        async with known.lock:
            now = self._clock.monotonic()
            if known.configuration is None or now - known.at > _KEPT_SECONDS:
                told = await self._json(issuer.removesuffix("/") + _DISCOVERY)
                known.configuration, known.at = self._configuration(issuer, told), now
            return known.configuration

    async def exchange(
        self, configuration: Configuration, *, client: Client, form: Mapping[str, str]
    ) -> JsonObject:
        """Return what the token endpoint gives for ``form`` (RFC 6749 section 4.1.3)."""
        headers, sent = {"accept": "application/json"}, dict(form)
        if client.secret is None:
            sent["client_id"] = client.id
        elif "client_secret_basic" in configuration.token_auth:
            # RFC 6749 section 2.3.1: each half is form-encoded before the two are joined.
            pair = f"{quote(client.id, safe='')}:{quote(client.secret, safe='')}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            sent |= {"client_id": client.id, "client_secret": client.secret}
        answer = await self._fetch(configuration.token_endpoint, headers=headers, form=sent)
        if answer.status != _OK:
            raise _refused(f"its token endpoint answers {answer.status}")
        return _object(answer.body)

    async def userinfo(self, configuration: Configuration, *, access_token: str) -> JsonObject:
        """Return what the provider says of the person beside the token."""
        if configuration.userinfo_endpoint is None:
            return {}
        headers = {"authorization": f"Bearer {access_token}", "accept": "application/json"}
        answer = await self._fetch(configuration.userinfo_endpoint, headers=headers)
        if answer.status != _OK:
            raise _refused(f"its user info endpoint answers {answer.status}")
        return _object(answer.body)

    async def verified(self, token: str, *, issuer: str, audience: str) -> JsonObject:
        """Return the claims of a token that the issuer has signed for this audience, now.

        Only the issuer's own keys count, found by key id, and only ``ALGORITHMS``, whatever the
        token's header names. For what would be no good with any key, none is asked for.
        """
        if len(token) > _LONGEST_TOKEN:
            raise _refused("its token is too long")
        with _believed():
            told = self._jws.decode_complete(token, options={"verify_signature": False})
        header, claims = cast("JsonObject", told["header"]), _object(told["payload"])
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS or "crit" in header:
            raise _refused("its token is signed in a way that does not count")
        self._check(claims, issuer=issuer, audience=audience)
        key = await self._key(issuer, kid=kid if isinstance(kid, str) else "", algorithm=algorithm)
        with _believed():
            self._jws.decode(token, key, algorithms=[algorithm])
        return claims

    def check_address(self, url: str) -> None:
        """Refuse an address that people or we ourselves should not be sent to."""
        try:
            self._egress.check(httpx2.URL(url))
        except (Forbidden, httpx2.InvalidURL) as error:
            raise _refused("it names an address that is not https") from error

    def _configuration(self, issuer: str, told: JsonObject) -> Configuration:
        if told.get("issuer") != issuer:
            raise _refused("it gives itself another name than its address")

        def address(key: str) -> str:
            value = told.get(key)
            if not isinstance(value, str):
                raise _refused(f"its configuration lacks {key}")
            self.check_address(value)
            return value

        return Configuration(
            issuer=issuer,
            authorization_endpoint=address("authorization_endpoint"),
            token_endpoint=address("token_endpoint"),
            jwks_uri=address("jwks_uri"),
            userinfo_endpoint=address("userinfo_endpoint") if "userinfo_endpoint" in told else None,
            scopes=frozenset(texts(told.get("scopes_supported"))),
            # RFC 8414 section 2: what holds where nothing is said.
            token_auth=frozenset(
                texts(told.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]))
            ),
        )

    async def _key(self, issuer: str, *, kid: str, algorithm: str) -> PyJWK:
        configuration = await self.configuration(issuer)
        known = self._of(issuer)
        async with known.lock:
            now = self._clock.monotonic()
            age = None if known.keys_at is None else now - known.keys_at
            unknown = _chosen(known.keys, kid=kid, algorithm=algorithm) is None
            if age is None or age > _KEPT_SECONDS or (unknown and age > _LOOKED_AGAIN_SECONDS):
                # Marked before the look: one that fails is not tried again with every token.
                known.keys_at, known.keys_missed = now, True
                known.keys = _keys(await self._json(configuration.jwks_uri))
                known.keys_missed = False
            found = _chosen(known.keys, kid=kid, algorithm=algorithm)
            missed = known.keys_missed
        if found is None and missed:
            raise Unavailable("provider_unavailable", detail="its keys could not be had")
        if found is None:
            raise _refused("its token is signed with a key that it does not publish")
        with _believed():
            return PyJWK(found, algorithm=algorithm)

    def _check(self, claims: JsonObject, *, issuer: str, audience: str) -> None:
        now = self._clock.now().timestamp()
        expires, begins = claims.get("exp"), claims.get("nbf", claims.get("iat"))
        if claims.get("iss") != issuer:
            raise _refused("its token names another issuer")
        if audience not in texts(claims.get("aud")):
            raise _refused("its token is for another audience")
        if not _is_number(expires) or expires + _LEEWAY_SECONDS <= now:
            raise _refused("its token has expired")
        if not _is_number(begins) or begins - _LEEWAY_SECONDS > now:
            raise _refused("its token is not valid yet")
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            raise _refused("its token names nobody")

    def check_fresh(self, claims: JsonObject) -> None:
        """Refuse an ID token that was not made for the sign-in at hand."""
        issued = claims.get("iat")
        now = self._clock.now().timestamp()
        if not _is_number(issued) or issued < now - _OLDEST_SECONDS:
            raise _refused("its token is old")

    async def _json(self, url: str) -> JsonObject:
        answer = await self._fetch(url, headers={"accept": "application/json"})
        if answer.status != _OK:
            raise Unavailable("provider_unavailable", detail=f"it answers {answer.status}")
        return _object(answer.body)

    async def _fetch(
        self, url: str, *, headers: Mapping[str, str], form: Mapping[str, str] | None = None
    ) -> Fetched:
        try:
            return await self._egress.fetch(url, headers=headers, form=form)
        except (Unavailable, Forbidden) as error:
            raise Unavailable(
                "provider_unavailable", detail=error.code.replace("_", " ")
            ) from error

    def _of(self, issuer: str) -> _Known:
        known = self._known.setdefault(issuer, _Known())
        self._known.move_to_end(issuer)
        while len(self._known) > _PROVIDERS:
            self._known.popitem(last=False)
        return known


def texts(value: Json) -> tuple[str, ...]:
    """Return the texts of a claim that is one text or a list of them; nothing else counts."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence):
        return tuple(one for one in value if isinstance(one, str))
    return ()


def _keys(told: JsonObject) -> dict[str, JWKDict]:
    listed = told.get("keys")
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise _refused("it publishes no keys")
    found: dict[str, JWKDict] = {}
    for place, key in enumerate(listed[:_MOST_KEYS]):
        if isinstance(key, Mapping) and key.get("use", "sig") == "sig":
            kid = key.get("kid")
            found[kid if isinstance(kid, str) else f"\0{place}"] = cast("JWKDict", key)
    return found


def _chosen(keys: Mapping[str, JWKDict], *, kid: str, algorithm: str) -> JWKDict | None:
    """Return the key of that id, or the only one where the token names none; of the right type."""
    found = keys.get(kid) if kid else next(iter(keys.values())) if len(keys) == 1 else None
    if found is None or found.get("kty") != ALGORITHMS[algorithm]:
        return None
    return found if found.get("alg", algorithm) == algorithm else None


def _object(body: bytes) -> JsonObject:
    try:
        told = cast("Json", json.loads(body, parse_constant=_no_number))
    except (ValueError, RecursionError) as error:
        raise _refused("what it says is no JSON") from error
    if not isinstance(told, Mapping):
        raise _refused("what it says is no JSON object")
    return told


def _no_number(told: str) -> None:
    """Refuse NaN and Infinity, which no time could be compared with."""
    raise ValueError(told)


def _is_number(value: Json) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


@contextmanager
def _believed() -> Generator[None]:
    try:
        yield
    except (PyJWTError, ValueError, TypeError) as error:
        raise _refused("its token is not signed as it should be") from error


def _refused(detail: str) -> Forbidden:
    return Forbidden("provider_refused", detail=detail)

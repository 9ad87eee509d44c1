"""The keys that Microsoft signs activities with, fetched seldom, whatever is presented."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from jwt import PyJWK
from jwt.exceptions import PyJWTError
from jwt.types import JWKDict

from core.domain.canonical import Json, JsonObject
from core.egress import Egress
from core.errors import SallyportError, Unavailable
from core.ports import Clock

_KEPT_SECONDS: Final = 86_400.0
_LOOKED_AGAIN_SECONDS: Final = 60.0
_MOST_KEYS: Final = 200
_LARGEST: Final = 1_000_000
_OK: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """An RSA key, and the channels that it may sign for (``msteams``)."""

    jwk: PyJWK
    endorsements: frozenset[str]


class SigningKeys:
    """Finds keys by their ids (Bot Connector authentication, "Step 2: get the OpenID metadata").

    They are kept for a day. At an id that is not among them they are fetched anew, once a minute at
    most, so that made-up ids cost nobody anything. The SDKs' own caches block the event loop, have
    no such bound, and one of them never looks again.
    """

    def __init__(self, metadata_url: str, *, issuer: str, egress: Egress, clock: Clock) -> None:
        """Take where the OpenID configuration is, and whose it must say that it is."""
        self._metadata_url = metadata_url
        self._issuer = issuer
        self._egress = egress
        self._clock = clock
        self._keys: Mapping[str, SigningKey] = {}
        self._asked_at: float | None = None
        self._lock = asyncio.Lock()

    async def find(self, key_id: str) -> SigningKey | None:
        """Return the key of that id.

        Raises:
            Unavailable: ``teams_unavailable``: none are known, and none can be had now.
        """
        known = self._keys.get(key_id)
        if known is not None and not self._is_time(key_id):
            return known  # whoever makes up ids has nobody else wait while keys are fetched
        async with self._lock:
            if self._is_time(key_id):
                # Marked before the look: one that fails is not tried again with every token.
                self._asked_at = self._clock.monotonic()
                await self._look()
            if not self._keys:
                raise Unavailable("teams_unavailable", detail="it gives out no keys")
            return self._keys.get(key_id)

    def _is_time(self, key_id: str) -> bool:
        if self._asked_at is None:
            return True
        age = self._clock.monotonic() - self._asked_at
        return age > (_KEPT_SECONDS if key_id in self._keys else _LOOKED_AGAIN_SECONDS)

    async def _look(self) -> None:
        """Fetch the keys; those that are known stay where that fails."""
        try:
            metadata = await self._object(self._metadata_url)
            jwks_uri = metadata.get("jwks_uri")
            if metadata.get("issuer") != self._issuer or not isinstance(jwks_uri, str):
                raise Unavailable("teams_unavailable", detail="its configuration is another's")
            self._keys = _keys(await self._object(jwks_uri))
        except SallyportError as error:
            if not self._keys:
                raise Unavailable("teams_unavailable", detail=error.code) from error

    async def _object(self, url: str) -> JsonObject:
        answer = await self._egress.fetch(
            url, headers={"accept": "application/json"}, limit_bytes=_LARGEST
        )
        if answer.status != _OK:
            raise Unavailable("teams_unavailable", detail=f"it answers {answer.status}")
        try:
            told = cast("Json", json.loads(answer.body))
        except (ValueError, RecursionError) as error:
            raise Unavailable("teams_unavailable", detail="it answers no JSON") from error
        return told if isinstance(told, dict) else {}


def _keys(told: JsonObject) -> Mapping[str, SigningKey]:
    """Return the RSA keys of a key set (RFC 7517), by id; what is none is left out."""
    listed = told.get("keys")
    found: dict[str, SigningKey] = {}
    for key in listed[:_MOST_KEYS] if isinstance(listed, list) else []:
        if not isinstance(key, dict) or not isinstance(key.get("kid"), str):
            continue
        try:
            jwk = PyJWK(cast("JWKDict", key), algorithm="RS256")
        except PyJWTError:
            continue
        endorsed = key.get("endorsements")
        names = cast("list[object]", endorsed) if isinstance(endorsed, list) else []
        found[cast("str", key["kid"])] = SigningKey(
            jwk=jwk, endorsements=frozenset(name for name in names if isinstance(name, str))
        )
    return found

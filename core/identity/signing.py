"""The keys that sign our tokens: anybody may verify with their public halves, nobody else sign."""

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeGuard, cast

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from jwt import PyJWS
from jwt.algorithms import ECAlgorithm
from jwt.exceptions import PyJWTError

from core.domain.canonical import Json, JsonObject, canonical_json
from core.domain.signing import SigningKeyRecord
from core.errors import Misconfigured, Unauthenticated, Unavailable
from core.ports import Clock
from core.vault import Keyring, Resealed

ACCESS_TOKEN: Final = "at+jwt"  # noqa: S105 - RFC 9068 section 2.1: a media type, not a token
LONGEST_LIFE: Final = timedelta(days=1)

_ALGORITHM: Final = "ES256"
_SIGNS_FOR: Final = timedelta(days=90)
# Processes notice a rotation within seconds, and their clocks may be apart.
_GRACE: Final = timedelta(minutes=5)
_LEEWAY_SECONDS: Final = 30
_FRESH_SECONDS: Final = 5.0
_LOOKED_AGAIN_SECONDS: Final = 1.0
_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_LONGEST_TOKEN: Final = 8_192
_HEADER: Final = frozenset({"alg", "kid", "typ"})


class SigningKeyRecords(Protocol):
    """Where keys are kept, for all processes."""

    async def verifying(self, at: datetime) -> tuple[SigningKeyRecord, ...]:
        """Return the keys whose signatures are believed at ``at``, the newest first."""
        ...

    async def reseal(self, was: SigningKeyRecord, *, sealed: bytes) -> bool:
        """Seal a key's private half anew; return whether it was still as ``was`` has it."""
        ...

    async def add(
        self, key: SigningKeyRecord, *, retired_until: datetime, only_if_due: bool
    ) -> bool:
        """Keep ``key`` and have all others sign no more; believed until ``retired_until`` at most.

        Where ``only_if_due``, nothing is kept while another key still signs. Return whether the
        key was kept.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """The keys as they were found at ``at``."""

    records: tuple[SigningKeyRecord, ...]
    public: Mapping[str, ec.EllipticCurvePublicKey]
    at: float


class SigningKeys:
    """ES256 keys (RFC 7518 section 3.4), made on first use and renewed every 90 days.

    A key that signs no more is believed for as long as what it signed may live.
    """

    noun = "signing_keys"

    def __init__(self, records: SigningKeyRecords, *, keyring: Keyring, clock: Clock) -> None:
        """Take where keys are kept, and what seals their private halves there."""
        self._records = records
        self._keyring = keyring
        self._clock = clock
        self._jws = PyJWS(algorithms=[_ALGORITHM])
        self._known: _Known | None = None
        self._looking = asyncio.Lock()
        self._private: dict[str, ec.EllipticCurvePrivateKey] = {}

    async def sign(self, claims: JsonObject, *, typ: str = ACCESS_TOKEN) -> str:
        """Return ``claims`` as a signed JWT (RFC 7519) of that type.

        They must have ``iss``, ``aud``, and ``iat`` and ``exp`` in whole seconds, a day apart at
        most.

        Raises:
            ValueError: the claims are not such.
            Misconfigured: ``master_key_unknown``: ``rotate`` makes a key that can be read.
            Unavailable: ``database_unavailable``.
        """
        _check_signable(claims)
        record = await self._signing()
        private = self._private.get(record.kid)
        if private is None:
            private = self._private[record.kid] = self._opened(record)
        # A signature takes a tenth of a millisecond: a thread would cost more than it spares.
        return self._jws.encode(
            canonical_json(claims).encode(),
            private,
            algorithm=_ALGORITHM,
            headers={"kid": record.kid, "typ": typ},
        )

    async def jwks(self) -> JsonObject:
        """Return the public keys that verify now (RFC 7517 section 5); at least one.

        Raises:
            Unavailable: ``database_unavailable``.
        """
        await self._signing()
        known = await self._fresh()
        now = self._clock.now()
        return {"keys": [record.jwk for record in known.records if record.verifies_until > now]}

    async def verified(
        self, token: str, *, issuer: str, audience: str, typ: str = ACCESS_TOKEN
    ) -> JsonObject:
        """Return the claims of a token that one of our keys signed for this issuer and audience.

        Only ES256 and our own keys count, whatever a header names (RFC 8725 section 3.1).

        Raises:
            Unauthenticated: ``invalid_token``, whatever is wrong about it.
            Unavailable: ``database_unavailable``.
        """
        if len(token) > _LONGEST_TOKEN or _SHAPE.fullmatch(token) is None:
            raise Unauthenticated("invalid_token")
        with _refused():
            header = self._jws.get_unverified_header(token)
        key = await self._key_of(cast("JsonObject", header), typ=typ)
        with _refused():
            payload = cast("bytes", self._jws.decode(token, key, algorithms=[_ALGORITHM]))
            claims = cast("JsonObject", json.loads(payload))
        if claims.get("iss") != issuer or claims.get("aud") != audience:
            raise Unauthenticated("invalid_token")
        self._check_time(claims)
        return claims

    async def rotate(self, *, revoke: bool = False) -> str:
        """Sign with a new key from now on, and return its id.

        What the old keys have signed stays good, unless they are to be revoked: then nothing that
        was signed before is believed, at once here and within seconds elsewhere.

        Raises:
            Unavailable: ``database_unavailable``.
        """
        now = self._clock.now()
        key = self._made(now)
        retired_until = now if revoke else now + LONGEST_LIFE + _GRACE
        await self._records.add(key, retired_until=retired_until, only_if_due=False)
        self._known = None
        return key.kid

    async def reseal(self) -> Resealed:
        """Seal under the newest master key whatever is not, one key at a time.

        One that no master key opens signs no more; ``rotate`` makes another. What it has signed is
        verified without it.

        Raises:
            Misconfigured: ``master_key_missing``.
        """
        total = Resealed()
        for record in await self._records.verifying(self._clock.now()):
            try:
                sealed = self._keyring.reseal(record.sealed, context=_context(record.kid))
            except Misconfigured as error:
                if error.code != "master_key_unknown":
                    raise
                total += Resealed(unreadable=1)
                continue
            if sealed is not None and await self._records.reseal(record, sealed=sealed):
                total += Resealed(resealed=1)
        self._known = None
        return total

    async def _signing(self) -> SigningKeyRecord:
        """Return the key that signs now, made where there is none."""
        known = await self._fresh()
        now = self._clock.now()
        if (record := _signing_at(known, now)) is not None:
            return record
        # The key is made before the lock is taken, and thrown away where another was quicker.
        retired_until = now + LONGEST_LIFE + _GRACE
        await self._records.add(self._made(now), retired_until=retired_until, only_if_due=True)
        record = _signing_at(await self._look(), now)
        if record is None:
            raise Unavailable("configuration_changing")
        return record

    async def _key_of(self, header: JsonObject, *, typ: str) -> ec.EllipticCurvePublicKey:
        """Return the key that the header names: never one that it brings (jwk, jku, x5u)."""
        kid = header.get("kid")
        if not isinstance(kid, str) or header.get("typ") != typ or header.keys() - _HEADER:
            raise Unauthenticated("invalid_token")
        known = await self._fresh()
        if kid not in known.public:
            known = await self._look(unless_seconds=_LOOKED_AGAIN_SECONDS)
        now = self._clock.now()
        if not any(one.kid == kid and one.verifies_until > now for one in known.records):
            raise Unauthenticated("invalid_token")
        return known.public[kid]

    def _check_time(self, claims: JsonObject) -> None:
        """Raise unless the claims hold now; ``nbf`` is asked only where it is there."""
        now = self._clock.now().timestamp()
        expires, issued = claims.get("exp"), claims.get("iat")
        begins = claims.get("nbf", issued)
        if not (_is_whole(expires) and _is_whole(issued) and _is_whole(begins)):
            raise Unauthenticated("invalid_token")
        if expires <= now or max(issued, begins) > now + _LEEWAY_SECONDS:
            raise Unauthenticated("invalid_token")

    async def _fresh(self) -> _Known:
        known = self._known
        if known is not None and self._clock.monotonic() - known.at <= _FRESH_SECONDS:
            return known
        return await self._look(unless_seconds=_FRESH_SECONDS)

    async def _look(self, *, unless_seconds: float = -1.0) -> _Known:
        """Read the keys anew, unless somebody did within that time; one at a time."""
        async with self._looking:
            at = self._clock.monotonic()
            if self._known is not None and at - self._known.at <= unless_seconds:
                return self._known
            records = await self._records.verifying(self._clock.now())
            public = {record.kid: _public(record) for record in records}
            self._known = _Known(records=records, public=public, at=at)
            for gone in self._private.keys() - public.keys():
                del self._private[gone]
            return self._known

    def _made(self, now: datetime) -> SigningKeyRecord:
        private = ec.generate_private_key(ec.SECP256R1())
        jwk = _jwk_of(private.public_key())
        kid = str(jwk["kid"])
        der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        signs_until = now + _SIGNS_FOR
        return SigningKeyRecord(
            kid=kid,
            sealed=self._keyring.seal(der, context=_context(kid)),
            jwk=jwk,
            created_at=now,
            signs_until=signs_until,
            verifies_until=signs_until + LONGEST_LIFE + _GRACE,
        )

    def _opened(self, record: SigningKeyRecord) -> ec.EllipticCurvePrivateKey:
        der = self._keyring.open(record.sealed, context=_context(record.kid))
        # The seal vouches for what kind of key it is: we made it.
        return cast("ec.EllipticCurvePrivateKey", load_der_private_key(der, password=None))


def _context(kid: str) -> str:
    return f"signing-key/{kid}"


def _signing_at(known: _Known, now: datetime) -> SigningKeyRecord | None:
    return next((record for record in known.records if record.signs_until > now), None)


def _jwk_of(key: ec.EllipticCurvePublicKey) -> JsonObject:
    """Return the public half as a JWK, named by its thumbprint (RFC 7638)."""
    told = ECAlgorithm.to_jwk(key, as_dict=True)
    bare: dict[str, Json] = {name: str(told[name]) for name in ("crv", "kty", "x", "y")}
    digest = hashlib.sha256(canonical_json(bare).encode()).digest()
    kid = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return {**bare, "kid": kid, "use": "sig", "alg": _ALGORITHM}


def _public(record: SigningKeyRecord) -> ec.EllipticCurvePublicKey:
    return cast("ec.EllipticCurvePublicKey", ECAlgorithm.from_jwk(canonical_json(record.jwk)))


@contextmanager
def _refused() -> Generator[None]:
    """Tell nobody what was wrong about a token."""
    try:
        yield
    except (PyJWTError, ValueError) as error:
        raise Unauthenticated("invalid_token") from error


def _check_signable(claims: JsonObject) -> None:
    issued, expires = claims.get("iat"), claims.get("exp")
    if not (isinstance(claims.get("iss"), str) and isinstance(claims.get("aud"), str)):
        message = "a token names its issuer and its audience"
        raise ValueError(message)  # noqa: TRY004 - what is missing is a claim
    if not (_is_whole(issued) and _is_whole(expires)):
        message = "a token says when it was issued and when it ends"
        raise ValueError(message)
    if not 0 < expires - issued <= LONGEST_LIFE.total_seconds():
        message = "a token ends after it begins, before its key does"
        raise ValueError(message)


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)

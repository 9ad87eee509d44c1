"""The keys that sign tokens, on real PostgreSQL: what they vouch for, and what passes for it."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwt import PyJWK, PyJWS

from core.domain.canonical import Json, JsonObject
from core.domain.signing import SigningKeyRecord
from core.errors import Misconfigured, Unauthenticated, Unavailable
from core.identity.master import MasterKeys, NoMasterKey
from core.identity.signing import SigningKeys
from core.store.database import Database
from core.store.signing import StoredSigningKeys
from core.vault import Resealed
from tests.builders import SteadyClock
from tests.databases import Urls

ISSUER: Final = "https://sallyport.test"
AUDIENCE: Final = "https://sallyport.test/mcp"
DAY: Final = 86_400


class CountingRecords(StoredSigningKeys):
    """The real keys, and how often they were read."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.read = 0

    async def verifying(self, at: datetime) -> tuple[SigningKeyRecord, ...]:
        self.read += 1
        return await super().verifying(at)


@pytest.fixture
def records(database: Database) -> CountingRecords:
    return CountingRecords(database)


@pytest.fixture
def cipher() -> MasterKeys:
    return MasterKeys([b"k" * 32])


@pytest.fixture
def keys(records: CountingRecords, cipher: MasterKeys, clock: SteadyClock) -> SigningKeys:
    return SigningKeys(records, keyring=cipher, clock=clock)


def claims_at(clock: SteadyClock, *, lives: int = 600, **more: Json) -> dict[str, Json]:
    now = int(clock.now().timestamp())
    return {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + lives, "sub": "p", **more}


async def verified(keys: SigningKeys, token: str) -> JsonObject:
    return await keys.verified(token, issuer=ISSUER, audience=AUDIENCE)


async def refused(keys: SigningKeys, token: str) -> None:
    with pytest.raises(Unauthenticated) as error:
        await verified(keys, token)
    assert (error.value.code, dict(error.value.facts)) == ("invalid_token", {})


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def decoded(part: str) -> dict[str, object]:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def kid_of(token: str) -> str:
    return str(decoded(token.split(".", maxsplit=1)[0])["kid"])


async def test_what_is_signed_comes_back_as_it_was(keys: SigningKeys, clock: SteadyClock) -> None:
    claims = claims_at(clock, scope="tools:call", act={"sub": "agent", "act": {"sub": "client"}})
    assert await verified(keys, await keys.sign(claims)) == claims


async def test_anybody_verifies_with_the_published_keys(
    keys: SigningKeys, clock: SteadyClock
) -> None:
    token = await keys.sign(claims_at(clock))
    published = (await keys.jwks())["keys"]
    assert isinstance(published, Sequence)
    assert len(published) == 1
    jwk = published[0]
    assert isinstance(jwk, Mapping)
    assert jwk.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert (jwk["kid"], jwk["alg"], jwk["use"]) == (kid_of(token), "ES256", "sig")
    assert PyJWS().decode(token, PyJWK(dict(jwk)), algorithms=["ES256"])


async def test_processes_that_begin_together_make_one_key(
    database: Database, cipher: MasterKeys, clock: SteadyClock
) -> None:
    processes = [
        SigningKeys(StoredSigningKeys(database), keyring=cipher, clock=clock) for _ in range(8)
    ]
    tokens = await asyncio.gather(*(one.sign(claims_at(clock)) for one in processes))
    assert len({kid_of(token) for token in tokens}) == 1
    for one in processes:
        await verified(one, tokens[0])


async def test_the_database_has_no_private_half(
    keys: SigningKeys, clock: SteadyClock, urls: Urls
) -> None:
    kid = kid_of(await keys.sign(claims_at(clock)))
    with psycopg.connect(urls.privileged) as connection:
        row = connection.execute("select sealed, jwk from signing_keys").fetchone()
    assert row is not None
    assert "d" not in row[1]
    another = SigningKeys(
        _Held(row=(kid, row[0], row[1]), clock=clock),
        keyring=MasterKeys([b"x" * 32]),
        clock=clock,
    )
    with pytest.raises(Misconfigured, match="master_key_unknown"):
        await another.sign(claims_at(clock))


class _Held:
    """One key in a hand: the records without a database."""

    def __init__(
        self, *, clock: SteadyClock, row: tuple[str, bytes, JsonObject] | None = None
    ) -> None:
        self._keys: tuple[SigningKeyRecord, ...] = ()
        if row is not None:
            now = clock.now()
            kid, sealed, jwk = row
            until = now + timedelta(days=1)
            self._keys = (
                SigningKeyRecord(
                    kid=kid,
                    sealed=sealed,
                    jwk=jwk,
                    created_at=now,
                    signs_until=until,
                    verifies_until=until,
                ),
            )

    async def verifying(self, at: datetime) -> tuple[SigningKeyRecord, ...]:
        return tuple(key for key in self._keys if key.verifies_until > at)

    async def reseal(
        self,
        was: SigningKeyRecord,  # noqa: ARG002 - the port's
        *,
        sealed: bytes,  # noqa: ARG002 - the port's
    ) -> bool:
        return False

    async def add(
        self,
        key: SigningKeyRecord,  # noqa: ARG002 - the port's
        *,
        retired_until: datetime,  # noqa: ARG002 - the port's
        only_if_due: bool,  # noqa: ARG002 - the port's
    ) -> bool:
        return False


async def test_a_new_master_key_seals_what_signs_and_the_old_one_can_go(
    keys: SigningKeys, records: CountingRecords, clock: SteadyClock
) -> None:
    token = await keys.sign(claims_at(clock))
    both = SigningKeys(records, keyring=MasterKeys([b"n" * 32, b"k" * 32]), clock=clock)
    assert await both.reseal() == Resealed(resealed=1)
    assert await both.reseal() == Resealed()
    alone = SigningKeys(records, keyring=MasterKeys([b"n" * 32]), clock=clock)
    assert kid_of(await alone.sign(claims_at(clock))) == kid_of(token)
    with pytest.raises(Misconfigured, match="master_key_missing"):
        await SigningKeys(records, keyring=NoMasterKey(), clock=clock).reseal()


async def test_a_key_that_no_master_key_opens_is_replaced_by_rotating(
    keys: SigningKeys, records: CountingRecords, clock: SteadyClock
) -> None:
    token = await keys.sign(claims_at(clock))
    bereft = SigningKeys(records, keyring=MasterKeys([b"n" * 32]), clock=clock)
    with pytest.raises(Misconfigured, match="master_key_unknown"):
        await bereft.sign(claims_at(clock))
    assert await bereft.reseal() == Resealed(unreadable=1)
    await bereft.rotate()
    await verified(bereft, token)
    await verified(bereft, await bereft.sign(claims_at(clock)))


async def test_without_any_key_nothing_is_signed(clock: SteadyClock, cipher: MasterKeys) -> None:
    keys = SigningKeys(_Held(clock=clock), keyring=cipher, clock=clock)
    with pytest.raises(Unavailable, match="configuration_changing"):
        await keys.sign(claims_at(clock))


async def test_a_key_signs_for_ninety_days_and_then_a_new_one_does(
    keys: SigningKeys, clock: SteadyClock
) -> None:
    first = await keys.sign(claims_at(clock))
    clock.move(seconds=90 * DAY - 1)
    last = await keys.sign(claims_at(clock, lives=DAY))
    assert kid_of(last) == kid_of(first)
    clock.move(seconds=2)
    fresh = await keys.sign(claims_at(clock))
    assert kid_of(fresh) != kid_of(first)
    await verified(keys, last)


async def test_a_token_outlives_the_rotation_of_its_key_but_not_itself(
    keys: SigningKeys, clock: SteadyClock
) -> None:
    token = await keys.sign(claims_at(clock, lives=DAY))
    kid = await keys.rotate()
    assert kid_of(await keys.sign(claims_at(clock))) == kid
    clock.move(seconds=DAY - 1)
    await verified(keys, token)
    clock.move(seconds=1)
    await refused(keys, token)


async def test_an_old_key_is_published_for_as_long_as_what_it_signed_lives(
    keys: SigningKeys, clock: SteadyClock
) -> None:
    old = kid_of(await keys.sign(claims_at(clock, lives=DAY)))

    async def published() -> set[str]:
        listed = (await keys.jwks())["keys"]
        assert isinstance(listed, Sequence)
        return {str(one["kid"]) for one in listed if isinstance(one, Mapping)}

    new = await keys.rotate()
    assert await published() == {old, new}
    clock.move(seconds=DAY)
    assert await published() == {old, new}
    clock.move(seconds=600)
    assert await published() == {new}


async def test_a_revoking_rotation_ends_what_was_signed_before(
    keys: SigningKeys, database: Database, cipher: MasterKeys, clock: SteadyClock
) -> None:
    elsewhere = SigningKeys(StoredSigningKeys(database), keyring=cipher, clock=clock)
    token = await keys.sign(claims_at(clock))
    await verified(elsewhere, token)
    await keys.rotate(revoke=True)
    await refused(keys, token)
    clock.move(seconds=5.1)
    await refused(elsewhere, token)
    await verified(keys, await keys.sign(claims_at(clock)))


async def test_a_key_made_elsewhere_is_found_at_the_first_token_it_signed(
    keys: SigningKeys, database: Database, cipher: MasterKeys, clock: SteadyClock
) -> None:
    elsewhere = SigningKeys(StoredSigningKeys(database), keyring=cipher, clock=clock)
    await keys.sign(claims_at(clock))
    await elsewhere.rotate()
    clock.move(seconds=1.1)
    await verified(keys, await elsewhere.sign(claims_at(clock)))


async def test_unknown_keys_have_ours_read_once_a_second_at_most(
    keys: SigningKeys, records: CountingRecords, clock: SteadyClock
) -> None:
    token = await keys.sign(claims_at(clock))
    header, rest = token.split(".", 1)
    clock.move(seconds=1.1)
    before = records.read
    for number in range(50):
        unknown = f"{encoded({**decoded(header), 'kid': f'kid-{number}'})}.{rest}"
        await refused(keys, unknown)
    assert records.read == before + 1
    clock.move(seconds=1.1)
    await refused(keys, f"{encoded({**decoded(header), 'kid': 'another'})}.{rest}")
    assert records.read == before + 2


async def test_known_keys_are_not_read_again_for_seconds(
    keys: SigningKeys, records: CountingRecords, clock: SteadyClock
) -> None:
    token = await keys.sign(claims_at(clock))
    before = records.read
    for _ in range(20):
        await verified(keys, token)
        await keys.jwks()
        await keys.sign(claims_at(clock))
    assert records.read == before
    clock.move(seconds=5.1)
    await verified(keys, token)
    assert records.read == before + 1


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "HS256"},
        {"alg": "RS256"},
        {"alg": "ES384"},
        {"alg": ["ES256"]},
        {"alg": None},
        {"jku": "https://evil.test/jwks"},
        {"jwk": {"kty": "EC"}},
        {"x5u": "https://evil.test/cert"},
        {"x5c": ["MII"]},
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": False},
        {"typ": "JWT"},
        {"typ": None},
        {"kid": None},
        {"kid": ["a"]},
        {"kid": ""},
        {"zip": "DEF"},
    ],
)
async def test_no_header_chooses_another_algorithm_or_key(
    keys: SigningKeys, clock: SteadyClock, header: Mapping[str, object]
) -> None:
    """The signature is real, over the very header that is tried."""
    private, published = await _own_key(keys, clock)
    told = {"alg": "ES256", "kid": published.kid, "typ": "at+jwt", **header}
    await refused(keys, _signed(private, told, claims_at(clock)))
    good = {"alg": "ES256", "kid": published.kid, "typ": "at+jwt"}
    await verified(keys, _signed(private, good, claims_at(clock)))


async def _own_key(
    keys: SigningKeys, clock: SteadyClock
) -> tuple[ec.EllipticCurvePrivateKey, SigningKeyRecord]:
    """Put a key whose private half the test has among those that verify."""
    private = ec.generate_private_key(ec.SECP256R1())
    record = keys._made(clock.now())  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - for its shape
    numbers = private.public_key().public_numbers()
    jwk = {**record.jwk} | {
        name: base64.urlsafe_b64encode(value.to_bytes(32)).rstrip(b"=").decode()
        for name, value in (("x", numbers.x), ("y", numbers.y))
    }
    record = replace(record, jwk=jwk)
    await keys._records.add(record, retired_until=clock.now(), only_if_due=False)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - as another process would
    return private, record


def _signed(
    private: ec.EllipticCurvePrivateKey, header: Mapping[str, object], claims: JsonObject
) -> str:
    algorithm = PyJWS().get_algorithm_by_name("ES256")
    signing_input = f"{encoded(header)}.{encoded(claims)}"
    signature = algorithm.sign(signing_input.encode(), private)
    return f"{signing_input}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


async def test_the_public_key_is_no_shared_secret(keys: SigningKeys, clock: SteadyClock) -> None:
    kid = kid_of(await keys.sign(claims_at(clock)))
    published = (await keys.jwks())["keys"]
    assert isinstance(published, Sequence)
    for secret in (json.dumps(published[0]).encode(), kid.encode(), b""):
        body = (
            f"{encoded({'alg': 'HS256', 'kid': kid, 'typ': 'at+jwt'})}.{encoded(claims_at(clock))}"
        )
        mac = hmac.new(secret, body.encode(), hashlib.sha256).digest()
        await refused(keys, f"{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}")


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b", "a.b.c.d", "é.é.é", "a" * 9000, "{}.{}.{}"]
)
async def test_what_is_no_token_is_refused(keys: SigningKeys, token: str) -> None:
    await refused(keys, token)


async def test_an_unsigned_token_is_refused(keys: SigningKeys, clock: SteadyClock) -> None:
    header, payload, _ = (await keys.sign(claims_at(clock))).split(".")
    await refused(keys, f"{header}.{payload}.")
    await refused(keys, f"{encoded({**decoded(header), 'alg': 'none'})}.{payload}.")


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://evil.test"},
        {"iss": ISSUER + "/"},
        {"aud": "https://sallyport.test/api"},
        {"iat": None},
        {"exp": None},
        {"exp": True},
        {"iat": 1.5},
        {"exp": "never"},
        {"nbf": 99_999_999_999},
        {"nbf": "soon"},
        {"iat": 99_999_999_999},
        {"aud": [AUDIENCE, "https://evil.test"]},
    ],
)
async def test_a_token_for_others_or_for_another_time_is_refused(
    keys: SigningKeys, clock: SteadyClock, changed: Mapping[str, Json]
) -> None:
    private, published = await _own_key(keys, clock)
    header = {"alg": "ES256", "kid": published.kid, "typ": "at+jwt"}
    await refused(keys, _signed(private, header, claims_at(clock) | dict(changed)))


async def test_a_token_of_another_kind_is_refused(keys: SigningKeys, clock: SteadyClock) -> None:
    token = await keys.sign(claims_at(clock), typ="logout+jwt")
    await refused(keys, token)
    assert await keys.verified(token, issuer=ISSUER, audience=AUDIENCE, typ="logout+jwt")


@pytest.mark.parametrize(
    "changed", [{"iss": None}, {"aud": [AUDIENCE]}, {"iat": None}, {"exp": 0}, {"exp": 10**12}]
)
async def test_what_would_not_be_believed_is_not_signed(
    keys: SigningKeys, clock: SteadyClock, changed: Mapping[str, Json]
) -> None:
    with pytest.raises(ValueError, match="a token"):
        await keys.sign(claims_at(clock) | dict(changed))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=st.data())
async def test_no_changed_token_is_believed(
    keys: SigningKeys, clock: SteadyClock, draw: st.DataObject
) -> None:
    token = await keys.sign(claims_at(clock, scope="tools:call"))
    at = draw.draw(st.integers(0, len(token) - 1))
    letter = draw.draw(st.sampled_from("ABCXYZabcxyz0189-_."))
    changed = token[:at] + letter + token[at + 1 :]
    if changed != token:
        await refused(keys, changed)

"""The port to Teams, kept by both adapters: whose activities come in, by whose keys."""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.domain.canonical import JsonObject
from core.errors import Unauthenticated, Unavailable
from tests.oidc_provider import new_key
from tests.teams.login import (
    APP_ID,
    TENANT,
    Key,
)
from tests.teams.peer import Peer

pytestmark = pytest.mark.together("teams")


async def refused(peer: Peer, authorization: str | None, activity: JsonObject | None = None) -> str:
    """Return why an activity was refused."""
    wire = await peer.wire()
    with pytest.raises(Unauthenticated) as caught:
        await wire.parse(activity or peer.activity, authorization=authorization)
    assert caught.value.code == "teams_not_signed"
    return str(caught.value.facts["detail"])


async def test_a_token_longer_than_any_is_refused(peer: Peer) -> None:
    assert (
        await refused(peer, peer.login.signed(peer.claims(more="x" * 16_000))) == "it has no token"
    )


async def test_what_teams_has_signed_passes(peer: Peer) -> None:
    wire = await peer.wire()
    await wire.parse(peer.activity, authorization=peer.login.signed(peer.claims()))


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer x.y.z",
        "Bearer x",
        "Basic eDp5",
        "Bearer e30.e30.e30",
        "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6Im9uZSJ9.W10.e30",
        "Bearer \u00e9.\u00e9.\u00e9",
    ],
)
async def test_what_is_no_token_is_refused(peer: Peer, authorization: str | None) -> None:
    await refused(peer, authorization)


async def test_the_scheme_is_written_once_and_with_one_space(peer: Peer) -> None:
    token = peer.login.signed(peer.claims())
    await refused(peer, token.removeprefix("Bearer "))
    await refused(peer, token.replace(" ", "  "))
    await refused(peer, f"{token}, {token}")


@pytest.mark.parametrize("seconds", [-301, -86_400])
async def test_an_expired_token_is_refused(peer: Peer, seconds: int) -> None:
    now = int(time.time())
    await refused(peer, peer.login.signed(peer.claims(exp=now + seconds, nbf=now - 90_000)))


async def test_a_token_of_later_is_refused(peer: Peer) -> None:
    await refused(peer, peer.login.signed(peer.claims(nbf=int(time.time()) + 330)))


async def test_clocks_may_be_five_minutes_apart(peer: Peer) -> None:
    wire, now = await peer.wire(), int(time.time())
    early = peer.claims(nbf=now + 270)
    late = peer.claims(nbf=now - 3600, exp=now - 270)
    for claims in (early, late):
        await wire.parse(peer.activity, authorization=peer.login.signed(claims))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aud", "another-app"),
        ("aud", f"api://{APP_ID}"),
        ("aud", [APP_ID]),
        ("aud", None),
        ("iss", "https://api.botframework.us"),
        ("iss", None),
        # Tokens that we send out ourselves are of these: whoever gets one must not be Teams to us.
        ("iss", "https://sts.windows.net/d6d49420-f39b-4df7-a1dc-d59a935871db/"),
        ("iss", "https://sts.windows.net/f8cdef31-a31e-4b4a-93e4-5f571e91255a/"),
        ("iss", f"https://login.microsoftonline.com/{TENANT}/v2.0"),
        ("exp", None),
        ("exp", "soon"),
        ("nbf", None),
        ("nbf", "then"),
        ("serviceurl", None),
        ("serviceurl", "https://smba.trafficmanager.net/emea/"),
        ("serviceurl", 1),
    ],
)
async def test_a_token_that_says_something_else_is_refused(
    peer: Peer, name: str, value: object
) -> None:
    claims = peer.claims(ver="1.0", appid=APP_ID) | {name: value}
    claims = {key: told for key, told in claims.items() if told is not None}
    await refused(peer, peer.login.signed(claims))


@pytest.mark.parametrize(
    "service_url",
    [
        "https://evil.example/",
        "https://smba.trafficmanager.net.evil.example/",
        "https://evil.trafficmanager.net/amer/",
        "https://evilbotframework.com/",
        "https://smba.trafficmanager.net@evil.example/",
        "https://evil@smba.trafficmanager.net/amer/",
        "https://smba.trafficmanager.net:8443/amer/",
        "https://smba.trafficmanager.net/amer/?x=",
        "https://smba.trafficmanager.net/{amer}/",
        "http://smba.trafficmanager.net/amer/",
        "ftp://127.0.0.1/",
        "https://[::1/",
        "https://smba.trafficmanager.net/amer/\n",
        " https://smba.trafficmanager.net/amer/",
        "https://smba.traffic\tmanager.net/amer/",
        "https://a\x01b.botframework.com/",
        "https://evil.example\\.botframework.com/",
        "https://evil.example%2f.botframework.com/",
        "https://\u212a.botframework.com/",
        "",
        None,
        7,
    ],
)
async def test_a_service_that_is_not_microsofts_is_refused_even_when_signed(
    peer: Peer, service_url: object
) -> None:
    activity = {**peer.activity, "serviceUrl": service_url}
    token = peer.login.signed(peer.claims(serviceurl=service_url))
    assert await refused(peer, token, activity) == "its service is not Microsoft's"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "service_url",
    [
        "https://smba.trafficmanager.net/amer/",
        "https://smba.trafficmanager.net/teams/72f988bf-86f1-41af-91ab-2d7cd011db47/",
        "https://smba.infra.gov.teams.microsoft.us/gov/",
        "https://smba.infra.gcc.teams.microsoft.com/teams",
        "https://europe.api.botframework.com",
    ],
)
async def test_microsofts_services_pass(peer: Peer, service_url: str) -> None:
    wire = await peer.wire(replace(peer.login.registration(), allows_loopback=True))
    token = peer.login.signed(peer.claims(serviceurl=service_url))
    await wire.parse({**peer.activity, "serviceUrl": service_url}, authorization=token)


@pytest.mark.parametrize("channel", ["webchat", "directline", "emulator", "", None])
async def test_another_channel_of_the_same_bot_is_refused(peer: Peer, channel: str | None) -> None:
    activity = {**peer.activity, "channelId": channel}
    await refused(peer, peer.login.signed(peer.claims()), activity)


async def test_an_unsigned_token_is_refused(peer: Peer) -> None:
    await refused(peer, peer.login.signed(peer.claims(), algorithm="none"))


async def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(peer: Peer) -> None:
    public = peer.login.keys["one"].private.public_key()
    secret = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, claims = (
        base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=")
        for one in ({"alg": "HS256", "kid": "one"}, peer.claims())
    )
    # By hand: the library would not sign with such a key.
    signature = hmac.new(secret, head + b"." + claims, hashlib.sha256).digest()
    signed = base64.urlsafe_b64encode(signature).rstrip(b"=")
    await refused(peer, f"Bearer {b'.'.join((head, claims, signed)).decode()}")


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
async def test_only_rs256_counts(peer: Peer, algorithm: str) -> None:
    await refused(peer, peer.login.signed(peer.claims(), algorithm=algorithm))


async def test_a_token_of_another_key_is_refused(peer: Peer) -> None:
    await refused(peer, peer.login.signed(peer.claims(), key=new_key()))


async def test_a_changed_token_is_refused(peer: Peer) -> None:
    head, _, signature = peer.login.signed(peer.claims()).split(".")
    _, changed, _ = peer.login.signed(peer.claims(extra=1)).split(".")
    await refused(peer, f"{head}.{changed}.{signature}")


@pytest.mark.parametrize("kid", [None, "another", ""])
async def test_a_key_that_is_not_published_is_refused(peer: Peer, kid: str | None) -> None:
    await refused(peer, peer.login.signed(peer.claims(), kid=kid))


async def test_a_token_that_brings_its_own_key_is_refused(peer: Peer) -> None:
    own = {"jku": f"{peer.login.url}/mine", "kid": "mine"}
    await refused(peer, peer.login.signed(peer.claims(), key=new_key(), headers=own))


@pytest.mark.parametrize("endorsements", [None, [], ["webchat", "directline"]])
async def test_a_key_that_is_not_endorsed_for_teams_is_refused(
    peer: Peer, endorsements: list[str] | None
) -> None:
    peer.login.keys["one"].endorsements = endorsements
    await refused(peer, peer.login.signed(peer.claims()))


async def test_nothing_of_tokens_and_addresses_is_logged(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for name in ("httpx", "httpx2"):
        caplog.set_level(logging.WARNING, logger=name)  # as the process sets them
    wire = await peer.wire()
    token = peer.login.signed(peer.claims())
    await wire.parse(peer.activity, authorization=token)
    for wrong in (peer.login.signed(peer.claims(exp=1)), "Bearer x.y.z"):
        with pytest.raises(Unauthenticated):
            await wire.parse(peer.activity, authorization=wrong)
    await wire.send(peer.to(), {"type": "message", "text": "hello"})
    assert [(one.name, one.getMessage()) for one in caplog.records] == []


# Microsoft's keys


async def test_keys_are_fetched_once_and_anew_after_a_day(peer: Peer) -> None:
    wire = await peer.wire()
    token = peer.login.signed(peer.claims())
    for seconds in (0, 3600, 82_000):
        peer.clock.move(seconds=seconds)
        await wire.parse(peer.activity, authorization=token)
    assert peer.login.asked == ["configuration", "keys"]
    peer.clock.move(seconds=1000)
    await wire.parse(peer.activity, authorization=token)
    assert peer.login.asked == ["configuration", "keys"] * 2


async def test_made_up_key_ids_have_keys_fetched_once_a_minute_at_most(peer: Peer) -> None:
    wire = await peer.wire()
    await wire.parse(peer.activity, authorization=peer.login.signed(peer.claims()))
    peer.clock.move(seconds=61)
    for number in range(20):
        token = peer.login.signed(peer.claims(), kid=f"made-up-{number}")
        with pytest.raises(Unauthenticated):
            await wire.parse(peer.activity, authorization=token)
    assert peer.login.asked == ["configuration", "keys"] * 2


async def test_tokens_for_others_have_no_keys_fetched(peer: Peer) -> None:
    await refused(peer, peer.login.signed(peer.claims(aud="another-app")))
    await refused(peer, "Bearer x.y.z")
    assert peer.login.asked == []


async def test_a_new_key_is_taken_within_a_minute(peer: Peer) -> None:
    wire = await peer.wire()
    await wire.parse(peer.activity, authorization=peer.login.signed(peer.claims()))
    peer.login.keys["two"] = Key(private=new_key())
    token = peer.login.signed(peer.claims(), kid="two", key=peer.login.keys["two"].private)
    peer.clock.move(seconds=61)
    await wire.parse(peer.activity, authorization=token)


async def test_a_key_that_was_withdrawn_does_not_count_any_more(peer: Peer) -> None:
    wire = await peer.wire()
    token = peer.login.signed(peer.claims())
    await wire.parse(peer.activity, authorization=token)
    peer.login.keys = {"two": Key(private=new_key())}
    peer.clock.move(seconds=86_401)
    with pytest.raises(Unauthenticated):
        await wire.parse(peer.activity, authorization=token)


async def test_without_keys_teams_is_told_to_come_back(peer: Peer) -> None:
    wire = await peer.wire()
    peer.login.status = 503
    token = peer.login.signed(peer.claims())
    for _ in range(3):
        with pytest.raises(Unavailable, match="teams_unavailable"):
            await wire.parse(peer.activity, authorization=token)
    assert peer.login.asked == ["configuration"]


async def test_known_keys_are_good_while_microsoft_is_away(peer: Peer) -> None:
    wire = await peer.wire()
    token = peer.login.signed(peer.claims())
    await wire.parse(peer.activity, authorization=token)
    peer.login.status = 503
    peer.clock.move(seconds=86_401)
    await wire.parse(peer.activity, authorization=token)


async def test_keys_of_another_issuer_are_not_taken(peer: Peer) -> None:
    wire = await peer.wire()
    peer.login.issuer = "https://login.evil.example"
    with pytest.raises(Unavailable):
        await wire.parse(peer.activity, authorization=peer.login.signed(peer.claims()))


async def test_twenty_at_once_fetch_keys_once(peer: Peer) -> None:
    wire = await peer.wire()
    token = peer.login.signed(peer.claims())
    await asyncio.gather(*(wire.parse(peer.activity, authorization=token) for _ in range(20)))
    assert peer.login.asked == ["configuration", "keys"]

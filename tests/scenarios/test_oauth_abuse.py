"""What an attacker tries at sign-in, and that each of it leads nowhere."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import httpx2
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt import PyJWK, PyJWS

from core.domain.canonical import Json
from core.domain.principal import Audience, Principal, Role
from core.errors import Unauthenticated
from core.identity.access import AccessTokens
from core.store.database import Database
from tests.builders import SteadyClock, make_person, make_tenant
from tests.databases import Urls
from tests.front_desk import CALLBACK, ISSUER, Desk, Login, Shelf, desk_on, parts_on, told

DOCUMENT = "https://client.test/client.json"


@pytest.fixture
async def desk(database: Database, clock: SteadyClock) -> AsyncGenerator[Desk]:
    async with desk_on(parts_on(database, clock=clock)) as desk:
        yield desk


@pytest.fixture
async def alice(database: Database) -> Principal:
    return await make_person(database, await make_tenant(database), "alice@acme.test")


@pytest.fixture
async def carol(database: Database) -> Principal:
    tenant = await make_tenant(database, "initech")
    return await make_person(database, tenant, "carol@initech.test", Role.ADMIN)


def refused(answer: httpx2.Response, error: str, *, status: int = 400) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.headers["cache-control"] == "no-store"


async def shut_out(desk: Desk, token: str) -> None:
    with pytest.raises(Unauthenticated) as error:
        await desk.caller(token)
    assert (error.value.code, dict(error.value.facts)) == ("invalid_token", {})


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:  # Any: JSON
    """Return header and claims of a JWT, believing them."""
    header, claims, _ = token.split(".")
    return tuple(json.loads(base64.urlsafe_b64decode(part + "==")) for part in (header, claims))


def coded(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


# --- wrong audience, other tenant --------------------------------------------------------------


async def test_a_token_for_another_resource_does_not_open_ours(
    desk: Desk, alice: Principal
) -> None:
    _, tokens = await desk.signed_in(alice)
    _, claims = parts_of(tokens["access_token"])
    for wrong in (f"{ISSUER}/api", f"{ISSUER}/mcp/", "https://other.test/mcp", ISSUER):
        await shut_out(desk, await desk.parts.keys.sign({**claims, "aud": wrong}))
    await shut_out(desk, await desk.parts.keys.sign({**claims, "iss": "https://other.test"}))


async def test_a_token_for_mcp_does_not_open_the_api(desk: Desk, alice: Principal) -> None:
    _, tokens = await desk.signed_in(alice)
    with pytest.raises(Unauthenticated):
        await desk.parts.tokens.authenticate(tokens["access_token"], audience=Audience.API)


@pytest.mark.parametrize(
    "resource", [None, "", f"{ISSUER}/mcp/", f"{ISSUER}/api", "https://other.test/mcp"]
)
async def test_nobody_asks_for_a_token_for_another_resource(
    desk: Desk, resource: str | None
) -> None:
    answer = told(await desk.authorize(await desk.login(), resource=resource))
    assert answer["error"] == "invalid_target"


async def test_a_code_gives_no_token_for_another_resource(desk: Desk, alice: Principal) -> None:
    login, cookie = await desk.login(), desk.parts.doorman.let_in(alice)
    code = await desk.code(login, cookie=cookie)
    refused(await desk.redeem(login, code, resource="https://other.test/mcp"), "invalid_target")


async def test_a_refresh_gives_no_token_for_another_resource(desk: Desk, alice: Principal) -> None:
    login, tokens = await desk.signed_in(alice)
    answer = await desk.refresh(login, tokens["refresh_token"], resource="https://other.test/mcp")
    refused(answer, "invalid_target")


async def test_a_token_that_names_another_tenant_is_nobodys(
    desk: Desk, alice: Principal, carol: Principal
) -> None:
    _, tokens = await desk.signed_in(alice)
    _, claims = parts_of(tokens["access_token"])
    there = {"tenant_id": str(carol.tenant_id)}
    await shut_out(desk, await desk.parts.keys.sign({**claims, **there}))
    await shut_out(desk, await desk.parts.keys.sign({**claims, **there, "sub": str(carol.id)}))
    await shut_out(desk, await desk.parts.keys.sign({**claims, "sub": str(carol.id)}))


async def test_a_sign_in_opens_its_persons_tenant_and_no_other(
    desk: Desk, alice: Principal, carol: Principal
) -> None:
    _, hers = await desk.signed_in(alice)
    _, theirs = await desk.signed_in(carol)
    assert (await desk.caller(hers["access_token"])).principal == alice
    assert (await desk.caller(theirs["access_token"])).principal == carol


# --- codes -------------------------------------------------------------------------------------


async def test_a_code_that_comes_twice_ends_what_it_gave(desk: Desk, alice: Principal) -> None:
    login, cookie = await desk.login(), desk.parts.doorman.let_in(alice)
    code = await desk.code(login, cookie=cookie)
    tokens = (await desk.redeem(login, code)).json()
    refused(await desk.redeem(login, code), "invalid_grant")
    await shut_out(desk, tokens["access_token"])
    refused(await desk.refresh(login, tokens["refresh_token"]), "invalid_grant")
    assert desk.parts.notebook.actions() == ["client.allowed", "client.ended_by_reuse"]


async def test_a_replay_that_comes_before_the_tokens_are_kept_leaves_none(
    desk: Desk, alice: Principal, clock: SteadyClock
) -> None:
    login, cookie = await desk.login(), desk.parts.doorman.let_in(alice)
    code = await desk.code(login, cookie=cookie)
    digest = hashlib.sha256(code.encode()).digest()
    # The first one has taken the code, and is about to keep what it gives; now comes the second.
    records = desk.parts.stored_families
    taken = await records.take_code(digest, at=clock.now())
    assert taken is not None
    again = await records.take_code(digest, at=clock.now())
    assert again is not None
    assert (taken.is_replay, again.is_replay) == (False, True)
    login, tokens = await desk.signed_in(alice)
    found = await records.refresh_token(hashlib.sha256(tokens["refresh_token"].encode()).digest())
    assert found is not None
    family = replace(found.family, id=taken.code.family_id)
    issue, _ = desk.parts.families._issue(family, scopes=family.scopes)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - the moment in between
    assert not await records.begin(issue, code_hash=digest)


async def test_a_code_is_worth_nothing_with_another_verifier(desk: Desk, alice: Principal) -> None:
    for wrong in ("w" * 64, "short", "w" * 129, "ä" * 43):
        login, cookie = await desk.login(), desk.parts.doorman.let_in(alice)
        code = await desk.code(login, cookie=cookie)
        refused(await desk.redeem(login, code, code_verifier=wrong), "invalid_grant")
        # Whoever guesses has one guess.
        refused(await desk.redeem(login, code), "invalid_grant")


async def test_a_code_wants_a_verifier(desk: Desk, alice: Principal) -> None:
    login, cookie = await desk.login(), desk.parts.doorman.let_in(alice)
    code = await desk.code(login, cookie=cookie)
    refused(await desk.redeem(login, code, code_verifier=None), "invalid_request")


@pytest.mark.parametrize(
    "changed",
    [
        {"code_challenge": None},
        {"code_challenge": "tooshort"},
        {"code_challenge_method": None},
        {"code_challenge_method": "plain"},
    ],
)
async def test_no_code_is_given_without_s256(desk: Desk, changed: dict[str, str | None]) -> None:
    login = await desk.login()
    answer = told(await desk.authorize(login, cookie="", **changed))
    assert (answer["error"], answer["state"]) == ("invalid_request", login.state)


async def test_a_code_of_one_client_is_worth_nothing_to_another(
    desk: Desk, alice: Principal
) -> None:
    login, cookie = await desk.login(), desk.parts.doorman.let_in(alice)
    code = await desk.code(login, cookie=cookie)
    other = (await desk.register())["client_id"]
    refused(await desk.redeem(login, code, client_id=other), "invalid_grant")


async def test_a_code_is_worth_nothing_with_another_redirect(desk: Desk, alice: Principal) -> None:
    login, cookie = await desk.login(), desk.parts.doorman.let_in(alice)
    code = await desk.code(login, cookie=cookie)
    refused(await desk.redeem(login, code, redirect_uri=f"{CALLBACK}/x"), "invalid_grant")


# --- redirects ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://evil.test/callback",
        f"{CALLBACK}/../evil",
        f"{CALLBACK}?x=1",
        f"{CALLBACK}#x",
        "https://client.test:8443/callback",
        "https://client.test@evil.test/callback",
        "https://CLIENT.test/callback",
        "http://client.test/callback",
        "javascript:alert(1)",
        "//evil.test",
        "",
    ],
)
async def test_nobody_is_sent_where_the_client_has_not_registered(
    desk: Desk, alice: Principal, redirect_uri: str
) -> None:
    login = replace(await desk.login(), redirect_uri=redirect_uri)
    cookie = desk.parts.doorman.let_in(alice)
    # Two are registered, so that leaving it out says nothing either.
    login = replace(login, client_id=(await desk.register(CALLBACK, f"{CALLBACK}2"))["client_id"])
    for changed in ({}, {"response_type": "token"}, {"scope": "no:such"}, {"resource": "x"}):
        answer = await desk.authorize(login, cookie=cookie, **changed)
        assert answer.status_code == 400
        assert "location" not in answer.headers
        assert "evil" not in answer.text
        assert answer.headers["x-frame-options"] == "DENY"


async def test_an_unknown_client_is_told_on_a_page(desk: Desk) -> None:
    login = replace(await desk.login(), client_id="spc_<script>alert(1)</script>")
    answer = await desk.authorize(login)
    assert (answer.status_code, "location" in answer.headers) == (400, False)
    assert "<script>" not in answer.text


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "http://client.test/callback",
        "http://127.0.0.1.evil.test/callback",
        "https://client.test/callback#fragment",
        "https://user:password@client.test/callback",
        "https://*.client.test/callback",
        "https://client.test;script-src *//callback",
        "https://client.test;script-src/callback",
        "https:///callback",
        "https://client.test/call back",
        "https://client.test\\@evil.test/",
        "https://client.test/callback?iss=https://other.test",
        "myapp:callback",
        "/callback",
        "",
    ],
)
async def test_no_client_registers_an_address_that_could_be_anybodys(
    desk: Desk, redirect_uri: str
) -> None:
    answer = await desk.http.post("/oauth/register", json={"redirect_uris": [redirect_uri]})
    refused(answer, "invalid_redirect_uri")


async def test_a_loopback_client_may_take_any_port_and_nothing_else(
    desk: Desk, alice: Principal
) -> None:
    client = await desk.register("http://127.0.0.1:1/callback")
    login = replace(await desk.login(), client_id=client["client_id"])
    cookie = desk.parts.doorman.let_in(alice)
    free = "http://127.0.0.1:54321/callback"
    path, page = await desk.consent_page(replace(login, redirect_uri=free), cookie=cookie)
    assert "form-action 'self' http://127.0.0.1:54321;" in page.headers["content-security-policy"]
    assert told(await desk.answer(path, cookie=cookie), at=free)["code"]
    for wrong in (
        "http://127.0.0.1:1/x",
        "http://localhost:1/callback",
        "https://127.0.0.1:1/callback",
    ):
        assert (await desk.authorize(login, redirect_uri=wrong)).status_code == 400


# --- refresh tokens ----------------------------------------------------------------------------


async def test_a_refresh_token_that_comes_twice_ends_the_family(
    desk: Desk, alice: Principal
) -> None:
    login, first = await desk.signed_in(alice)
    second = (await desk.refresh(login, first["refresh_token"])).json()
    assert (await desk.caller(second["access_token"])).principal == alice
    refused(await desk.refresh(login, first["refresh_token"]), "invalid_grant")
    for tokens in (first, second):
        await shut_out(desk, tokens["access_token"])
        refused(await desk.refresh(login, tokens["refresh_token"]), "invalid_grant")
    assert desk.parts.notebook.actions() == ["client.allowed", "client.ended_by_reuse"]


async def test_a_refresh_token_is_worth_nothing_to_another_client(
    desk: Desk, alice: Principal
) -> None:
    login, tokens = await desk.signed_in(alice)
    other = await desk.login()
    refused(await desk.refresh(other, tokens["refresh_token"]), "invalid_grant")
    # Nor can the other one end it that way.
    assert (await desk.refresh(login, tokens["refresh_token"])).status_code == 200


async def test_of_two_refreshes_at_once_one_ends_the_family(
    desk: Desk, alice: Principal, clock: SteadyClock
) -> None:
    _, tokens = await desk.signed_in(alice)
    records = desk.parts.stored_families
    digest = hashlib.sha256(tokens["refresh_token"].encode()).digest()
    found = await records.refresh_token(digest)
    assert found is not None
    issue = desk.parts.families._issue  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - the moment in between
    one, _ = issue(found.family, scopes=found.family.scopes)
    other, _ = issue(found.family, scopes=found.family.scopes)
    assert await records.roll(found, issue=one, at=clock.now())
    assert not await records.roll(found, issue=other, at=clock.now())


# --- scopes ------------------------------------------------------------------------------------


async def test_a_refresh_cannot_ask_for_more_than_was_allowed(desk: Desk, alice: Principal) -> None:
    login, tokens = await desk.signed_in(alice, scope="tools:call runs:read")
    answer = await desk.refresh(login, tokens["refresh_token"], scope="tools:call runs:start")
    refused(answer, "invalid_scope")
    fewer = (await desk.refresh(login, tokens["refresh_token"], scope="runs:read")).json()
    assert fewer["scope"] == "runs:read"
    assert (await desk.caller(fewer["access_token"])).scopes == {"runs:read"}
    # What was allowed stays so: it is the token that has less.
    whole = (await desk.refresh(login, fewer["refresh_token"])).json()
    assert whole["scope"] == "runs:read tools:call"


async def test_a_token_opens_what_was_allowed_whatever_it_says(
    desk: Desk, carol: Principal
) -> None:
    _, tokens = await desk.signed_in(carol, scope="runs:read")
    _, claims = parts_of(tokens["access_token"])
    assert claims["scope"] == "runs:read"
    more = await desk.parts.keys.sign({**claims, "scope": "runs:read tenant:admin"})
    assert (await desk.caller(more)).scopes == {"runs:read"}


async def test_a_sign_in_gives_nothing_that_the_person_does_not_hold(
    desk: Desk, alice: Principal
) -> None:
    _, tokens = await desk.signed_in(alice, scope="tools:call tenant:admin audit:read")
    assert tokens["scope"] == "tools:call"
    cookie = desk.parts.doorman.let_in(alice)
    login = await desk.login()
    sent = await desk.authorize(login, cookie=cookie, scope="tenant:admin")
    answer = told(
        await desk.http.get(sent.headers["location"], headers={"cookie": f"who={cookie}"})
    )
    assert answer["error"] == "invalid_scope"


@pytest.mark.parametrize("scope", ["approvals:decide", "tools:call approvals:decide", "no:such"])
async def test_no_sign_in_gives_deciding(desk: Desk, scope: str) -> None:
    assert told(await desk.authorize(await desk.login(), scope=scope))["error"] == "invalid_scope"


# --- expired, and ended otherwise --------------------------------------------------------------


async def test_a_code_lives_for_a_minute(desk: Desk, alice: Principal, clock: SteadyClock) -> None:
    login, cookie = await desk.login(), desk.parts.doorman.let_in(alice)
    code = await desk.code(login, cookie=cookie)
    clock.move(seconds=60)
    refused(await desk.redeem(login, code), "invalid_grant")


async def test_an_access_token_lives_for_ten_minutes(
    desk: Desk, alice: Principal, clock: SteadyClock
) -> None:
    _, tokens = await desk.signed_in(alice)
    assert tokens["expires_in"] == 600
    clock.move(seconds=599)
    await desk.caller(tokens["access_token"])
    clock.move(seconds=1)
    await shut_out(desk, tokens["access_token"])


async def test_a_refresh_token_lives_for_thirty_days(
    desk: Desk, alice: Principal, clock: SteadyClock
) -> None:
    login, tokens = await desk.signed_in(alice)
    clock.move(seconds=30 * 86_400)
    refused(await desk.refresh(login, tokens["refresh_token"]), "invalid_grant")


async def test_refreshing_goes_on_for_ninety_days_at_most(
    desk: Desk, alice: Principal, clock: SteadyClock
) -> None:
    login, tokens = await desk.signed_in(alice)
    for _ in range(3):
        clock.move(seconds=29 * 86_400)
        tokens = (await desk.refresh(login, tokens["refresh_token"])).json()
    clock.move(seconds=3 * 86_400)
    refused(await desk.refresh(login, tokens["refresh_token"]), "invalid_grant")


async def test_a_disabled_persons_tokens_are_worth_nothing(
    desk: Desk, alice: Principal, urls: Urls
) -> None:
    login, tokens = await desk.signed_in(alice)
    cookie = desk.parts.doorman.let_in(alice)
    code = await desk.code(login, cookie=cookie)
    with psycopg.connect(urls.privileged) as connection:
        connection.execute("update principals set disabled_at = now()")
    await shut_out(desk, tokens["access_token"])
    refused(await desk.refresh(login, tokens["refresh_token"]), "invalid_grant")
    refused(await desk.redeem(login, code), "invalid_grant")


# --- signatures --------------------------------------------------------------------------------


async def test_an_unsigned_token_is_no_token(desk: Desk, alice: Principal) -> None:
    _, tokens = await desk.signed_in(alice)
    header, claims = parts_of(tokens["access_token"])
    assert header["alg"] == "ES256"
    for alg in ("none", "None", "NONE", ""):
        unsigned = f"{coded({**header, 'alg': alg})}.{coded(claims)}."
        await shut_out(desk, unsigned)
        await shut_out(desk, f"{unsigned}{tokens['access_token'].rpartition('.')[2]}")


async def test_a_public_key_is_no_secret_to_sign_with(desk: Desk, alice: Principal) -> None:
    _, tokens = await desk.signed_in(alice)
    header, claims = parts_of(tokens["access_token"])
    (jwk,) = (await desk.http.get("/oauth/jwks.json")).json()["keys"]
    public = PyJWK.from_dict(jwk).key
    assert isinstance(public, ec.EllipticCurvePublicKey)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for secret in (pem, pem.strip(), json.dumps(jwk).encode(), jwk["x"].encode()):
        signed = f"{coded({**header, 'alg': 'HS256'})}.{coded(claims)}"
        mark = hmac.digest(secret, signed.encode(), "sha256")
        await shut_out(desk, f"{signed}.{base64.urlsafe_b64encode(mark).rstrip(b'=').decode()}")


async def test_a_token_brings_no_key_of_its_own(desk: Desk, alice: Principal) -> None:
    _, tokens = await desk.signed_in(alice)
    header, claims = parts_of(tokens["access_token"])
    theirs = ec.generate_private_key(ec.SECP256R1())
    jwk = json.loads(PyJWS().get_algorithm_by_name("ES256").to_jwk(theirs.public_key()))
    for brought in (
        {},
        {"jwk": jwk},
        {"jku": "https://evil.test/jwks.json"},
        {"x5u": "https://evil.test/cert.pem"},
        {"kid": "another"},
        {"kid": "../../../dev/null"},
    ):
        headers: dict[str, Json] = {**header, **brought}
        forged = PyJWS().encode(
            json.dumps(claims).encode(), theirs, algorithm="ES256", headers=headers
        )
        await shut_out(desk, forged)


async def test_another_installations_keys_sign_nothing_for_us(desk: Desk, alice: Principal) -> None:
    _, tokens = await desk.signed_in(alice)
    head, _, mark = tokens["access_token"].split(".")
    _, claims = parts_of(tokens["access_token"])
    await shut_out(desk, f"{head}.{coded({**claims, 'scope': 'tenant:admin'})}.{mark}")


async def test_a_signed_token_that_was_never_issued_is_none(desk: Desk, alice: Principal) -> None:
    _, tokens = await desk.signed_in(alice)
    _, claims = parts_of(tokens["access_token"])
    for changed in ({"jti": str(alice.id)}, {"jti": "x"}, {"sid": None}, {"tenant_id": 1}):
        await shut_out(desk, await desk.parts.keys.sign({**claims, **changed}))


async def test_a_refresh_token_opens_no_door(desk: Desk, alice: Principal) -> None:
    _, tokens = await desk.signed_in(alice)
    await shut_out(desk, tokens["refresh_token"])


# --- consent -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"form_token": ""},
        {"form_token": "csrf-of-somebody"},
        {"form_token": "ä"},
        {"origin": None},
        {"origin": "null"},
        {"origin": "https://evil.test"},
        {"origin": f"{ISSUER}:8443"},
        {"origin": "http://sallyport.test"},
        {"answer": "perhaps"},
    ],
)
async def test_only_our_own_page_answers(
    desk: Desk, alice: Principal, changed: dict[str, str | None]
) -> None:
    login, cookie = await desk.login(), desk.parts.doorman.let_in(alice)
    path, _ = await desk.consent_page(login, cookie=cookie)
    answer = await desk.answer(path, cookie=cookie, **changed)  # pyright: ignore[reportArgumentType] - as above
    assert (answer.status_code, "location" in answer.headers) == (403, False)
    # The request still waits for the person's own answer.
    assert told(await desk.answer(path, cookie=cookie))["code"]


async def test_nobody_answers_what_another_was_shown(
    desk: Desk, alice: Principal, carol: Principal
) -> None:
    login, cookie = await desk.login(), desk.parts.doorman.let_in(alice)
    path, _ = await desk.consent_page(login, cookie=cookie)
    for other in (desk.parts.doorman.let_in(carol), desk.parts.doorman.let_in(alice)):
        assert (await desk.answer(path, cookie=other)).status_code == 400
        page = await desk.http.get(path, headers={"cookie": f"who={other}"})
        assert page.status_code == 400
    assert (await desk.answer(path, cookie="")).status_code == 403
    assert told(await desk.answer(path, cookie=cookie))["code"]


async def test_a_request_is_answered_once_and_in_time(
    desk: Desk, alice: Principal, clock: SteadyClock
) -> None:
    login, cookie = await desk.login(), desk.parts.doorman.let_in(alice)
    path, _ = await desk.consent_page(login, cookie=cookie)
    assert told(await desk.answer(path, cookie=cookie, answer="deny"))["error"] == "access_denied"
    assert (await desk.answer(path, cookie=cookie)).status_code == 400
    path, _ = await desk.consent_page(login, cookie=cookie)
    clock.move(seconds=600)
    assert (await desk.answer(path, cookie=cookie)).status_code == 400


async def test_nobody_frames_or_keeps_the_page(desk: Desk, alice: Principal) -> None:
    login, cookie = await desk.login(), desk.parts.doorman.let_in(alice)
    path, page = await desk.consent_page(login, cookie=cookie)
    assert page.headers["x-frame-options"] == "DENY"
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' https://client.test;" in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "same-origin"
    sent = await desk.answer(path, cookie=cookie)
    assert (sent.status_code, sent.headers["referrer-policy"]) == (303, "no-referrer")


# --- clients known by a document ---------------------------------------------------------------


@pytest.mark.parametrize(
    "client_id",
    [
        "https://127.0.0.1/client.json",
        "https://localhost/client.json",
        "https://10.0.0.1/client.json",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/client.json",
        "https://[::ffff:127.0.0.1]/client.json",
        "https://0x7f000001/client.json",
        "http://127.0.0.1/client.json",
        "https://user@client.test/client.json",
        "https://client.test",
        "https://client.test/",
        "https://client.test/a/../client.json",
        "https://client.test/client.json#x",
        "https://client.test:x/client.json",
        f"https://client.test/{'x' * 500}",
    ],
)
async def test_no_document_is_fetched_from_a_private_address(desk: Desk, client_id: str) -> None:
    login = replace(await desk.login(), client_id=client_id)
    answer = await desk.authorize(login)
    assert (answer.status_code, "location" in answer.headers) == (400, False)


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "https://other.test/client.json"},
        {"client_id": None},
        {"redirect_uris": None},
        {"redirect_uris": []},
        {"redirect_uris": ["javascript:alert(1)"]},
        {"redirect_uris": ["https://evil.test/callback"]},
        {"token_endpoint_auth_method": "client_secret_post"},
        {"client_secret": "known to all"},
        {"client_name": 5},
    ],
)
async def test_a_document_speaks_for_its_own_address_only(
    database: Database, clock: SteadyClock, changed: dict[str, object]
) -> None:
    whole = {"client_id": DOCUMENT, "redirect_uris": [CALLBACK], "client_name": "Claude"}
    document = json.dumps({**whole, **changed}).encode()
    assert await shown_for(document, database=database, clock=clock) == 400
    assert await shown_for(json.dumps(whole).encode(), database=database, clock=clock) == 302


@pytest.mark.parametrize("document", [b"", b"[]", b"[" * 20_000, b"\xff"])
async def test_a_document_that_is_none_is_refused(
    database: Database, clock: SteadyClock, document: bytes
) -> None:
    assert await shown_for(document, database=database, clock=clock) == 400


async def shown_for(document: bytes, *, database: Database, clock: SteadyClock) -> int:
    """Return the status of a request of the client that has this document."""
    shelf = Shelf()
    shelf.documents[DOCUMENT] = document
    async with desk_on(parts_on(database, clock=clock, documents=shelf)) as desk:
        answers = [await desk.authorize(Login(client_id=DOCUMENT)) for _ in range(2)]
    assert shelf.fetched == [DOCUMENT]
    assert {"location" in answer.headers for answer in answers} == {answers[0].status_code == 302}
    return answers[1].status_code


async def test_another_audiences_reader_takes_no_token_of_ours(
    desk: Desk, alice: Principal
) -> None:
    _, tokens = await desk.signed_in(alice)
    elsewhere = AccessTokens(desk.parts.keys, issuer=ISSUER, resource=f"{ISSUER}/api/v1")
    with pytest.raises(Unauthenticated):
        await elsewhere.read(tokens["access_token"])

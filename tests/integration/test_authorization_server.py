"""The authorization server from outside: documents, clients, consent, tokens given back, sweeps."""

import base64
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import psycopg
import pytest
from psycopg import sql

from core.domain.principal import Principal, Role
from core.domain.sign_in import How
from core.errors import Unauthenticated
from core.store.database import Database
from core.store.principals import StoredPeople
from tests.builders import SteadyClock, make_person, make_tenant
from tests.databases import Urls
from tests.front_desk import CALLBACK, ISSUER, Desk, Login, desk_on, parts_on, told

ORDINARY = "approvals:read runs:read runs:start tools:call"


@pytest.fixture
async def desk(database: Database, clock: SteadyClock) -> AsyncGenerator[Desk]:
    async with desk_on(parts_on(database, clock=clock, most_unanswered=3)) as desk:
        yield desk


@pytest.fixture
async def alice(database: Database) -> Principal:
    return await make_person(database, await make_tenant(database), "alice@acme.test", Role.ADMIN)


def count(urls: Urls, table: str) -> int:
    with psycopg.connect(urls.privileged) as connection:
        query = sql.SQL("select count(*) from {}").format(sql.Identifier(table))
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("path", ["", "/mcp"])
async def test_documents_are_where_clients_of_every_revision_look(desk: Desk, path: str) -> None:
    resource = await desk.http.get(f"/.well-known/oauth-protected-resource{path}")
    server = await desk.http.get(f"/.well-known/oauth-authorization-server{path}")
    assert resource.json()["resource"] == f"{ISSUER}/mcp"
    assert resource.json()["authorization_servers"] == [ISSUER]
    told_of = server.json()
    assert told_of["issuer"] == ISSUER
    assert told_of["code_challenge_methods_supported"] == ["S256"]
    assert "none" in told_of["token_endpoint_auth_methods_supported"]
    assert told_of["authorization_response_iss_parameter_supported"] is True
    assert told_of["client_id_metadata_document_supported"] is True
    assert "approvals:decide" not in resource.text + server.text


async def test_pages_of_other_origins_may_ask_what_no_cookie_opens(desk: Desk) -> None:
    for path in (
        "/oauth/token",
        "/oauth/register",
        "/oauth/revoke",
        "/oauth/jwks.json",
        "/.well-known/oauth-authorization-server",
    ):
        asked = await desk.http.options(path, headers={"origin": "https://inspector.test"})
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, "*")
    for path in ("/oauth/authorize", "/oauth/consent"):
        asked = await desk.http.options(path, headers={"origin": "https://inspector.test"})
        assert "access-control-allow-origin" not in asked.headers


async def test_no_private_half_of_a_key_is_published(desk: Desk) -> None:
    (key,) = (await desk.http.get("/oauth/jwks.json")).json()["keys"]
    assert key["alg"] == "ES256"
    assert "d" not in key


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_client_with_a_secret_must_bring_it(
    desk: Desk, alice: Principal, method: str, urls: Urls
) -> None:
    client = await desk.register(token_endpoint_auth_method=method)
    login, cookie = Login(client_id=client["client_id"]), desk.parts.doorman.let_in(alice)
    for sent in ({}, {"client_secret": "wrong"}):
        code = await desk.code(login, cookie=cookie)
        refused = await desk.redeem(login, code, **sent)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
        assert refused.headers["www-authenticate"].startswith("Basic")
    code = await desk.code(login, cookie=cookie)
    good = await with_secret(desk, login, client, code=code, method=method)
    assert good.status_code == 200
    other = {"client_secret_basic": "client_secret_post"}.get(method, "client_secret_basic")
    code = await desk.code(login, cookie=cookie)
    assert (await with_secret(desk, login, client, code=code, method=other)).status_code == 401
    with psycopg.connect(urls.privileged) as connection:
        rows = connection.execute("select secret_hash::text from oauth_clients").fetchall()
    assert client["client_secret"] not in str(rows)


async def with_secret(
    desk: Desk,
    login: Login,
    client: dict[str, Any],  # Any: JSON
    *,
    code: str,
    method: str,
) -> httpx2.Response:
    pair = f"{client['client_id']}:{client['client_secret']}".encode()
    sent = {
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": login.verifier,
        "redirect_uri": CALLBACK,
    }
    if method == "client_secret_basic":
        basic = f"Basic {base64.b64encode(pair).decode()}"
        return await desk.post("/oauth/token", sent, authorization=basic)
    proof = {"client_id": login.client_id, "client_secret": client["client_secret"]}
    return await desk.post("/oauth/token", {**sent, **proof})


@pytest.mark.parametrize(
    ("sent", "headers", "error"),
    [
        ({}, {}, "invalid_request"),
        ({"grant_type": "password"}, {}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code", "client_id": "spc_x"}, {}, "invalid_client"),
        ({"grant_type": "refresh_token"}, {"authorization": "Basic !"}, "invalid_client"),
        ({"grant_type": "refresh_token"}, {"authorization": "Bearer eDp5"}, "invalid_client"),
        (
            {"grant_type": "refresh_token", "client_secret": "x"},
            {"authorization": "Basic eDp5"},
            "invalid_request",
        ),
        ({"grant_type": "a", "resource": "x\0"}, {}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "spr_x"}, {}, "invalid_grant"),
        (
            {"grant_type": "authorization_code", "code": "x", "code_verifier": "x"},
            {},
            "invalid_grant",
        ),
        (
            {"grant_type": "refresh_token", "client_id": "https://c.test/d", "client_secret": "x"},
            {},
            "invalid_client",
        ),
    ],
)
async def test_what_a_client_sends_wrong_is_told_in_the_rfcs_words(
    desk: Desk, sent: dict[str, str | None], headers: dict[str, str], error: str
) -> None:
    client = {} if headers else {"client_id": (await desk.login()).client_id}
    answer = await desk.post("/oauth/token", {**client, **sent}, **headers)
    assert answer.json()["error"] == error


@pytest.mark.parametrize(
    "body",
    ["grant_type=a&grant_type=b", "&".join(f"a{n}=1" for n in range(60)), "a=" + "x" * 70_000],
)
async def test_a_form_that_is_none_is_refused(desk: Desk, body: str) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    for headers in (form, {"content-type": "application/json"}):
        answer = await desk.http.post("/oauth/token", content=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "said",
    [
        {"redirect_uris": "https://client.test"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"grant_types": ["client_credentials"]},
        {"response_types": ["token"]},
        {"client_name": 5},
    ],
)
async def test_a_client_that_cannot_be_served_is_told_so(
    desk: Desk, said: dict[str, object]
) -> None:
    answer = await desk.http.post("/oauth/register", json={"redirect_uris": [CALLBACK], **said})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")


async def test_a_name_that_hides_something_is_shown_without_it(desk: Desk) -> None:
    client = await desk.register(client_name="Cla\u202eude\n\u200b  " + "x" * 100)
    assert client["client_name"] == ("Cla ude " + "x" * 100)[:60]


async def test_a_person_is_asked_once_for_the_same(desk: Desk, alice: Principal) -> None:
    login, cookie = await desk.login(), desk.parts.doorman.let_in(alice)
    await desk.code(login, cookie=cookie, scope="tools:call runs:read")
    _, again = await desk.consent_page(login, cookie=cookie, scope="runs:read")
    assert told(again)["code"]
    for changed in ({"scope": "runs:read runs:start"}, {"scope": "runs:read", "prompt": "consent"}):
        _, page = await desk.consent_page(login, cookie=cookie, **changed)
        assert page.status_code == 200
    assert desk.parts.pages.shown[-1]["scopes"] == ("runs:read",)


async def test_a_program_on_this_machine_is_never_let_in_unasked(
    desk: Desk, alice: Principal
) -> None:
    for uri in ("http://127.0.0.1/callback", "cursor://anysphere.cursor-mcp/oauth/callback"):
        client = await desk.register(uri)
        login = Login(client_id=client["client_id"], redirect_uri=uri)
        cookie = desk.parts.doorman.let_in(alice)
        for _ in range(2):
            path, page = await desk.consent_page(login, cookie=cookie)
            assert page.status_code == 200
            assert told(await desk.answer(path, cookie=cookie), at=uri)["code"]


async def test_whoever_is_not_signed_in_is_sent_there_and_comes_back(desk: Desk) -> None:
    sent = await desk.authorize(await desk.login())
    assert sent.headers["location"].startswith("/sign-in?return_to=%2Foauth%2Fconsent%3Frequest%3D")
    page = await desk.http.get("/oauth/consent?request=x")
    assert page.headers["location"].startswith("/sign-in?")
    refused = told(await desk.authorize(await desk.login(), prompt="none"))
    assert refused["error"] == "login_required"


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"state": "x" * 5000}, "invalid_request"),
    ],
)
async def test_what_a_client_asks_wrong_is_told_to_it(
    desk: Desk, changed: dict[str, str | None], error: str
) -> None:
    login = await desk.login()
    answer = told(await desk.authorize(login, cookie="", **changed))
    assert (answer["error"], answer["state"]) == (error, changed.get("state", login.state))


async def test_one_registered_address_need_not_be_named(desk: Desk, alice: Principal) -> None:
    login, cookie = await desk.login(), desk.parts.doorman.let_in(alice)
    code = await desk.code(
        login, cookie=cookie, redirect_uri=None, state=None, scope="offline_access"
    )
    tokens = (await desk.redeem(login, code, redirect_uri=None, resource=None)).json()
    assert tokens["scope"] == ORDINARY


async def test_a_refresh_token_that_is_given_back_ends_the_sign_in(
    desk: Desk, alice: Principal
) -> None:
    login, tokens = await desk.signed_in(alice)
    other = await desk.login()
    for who, token in (
        (other, tokens["refresh_token"]),
        (other, tokens["access_token"]),
        (login, "spr_unknown"),
        (login, "a.b.c"),
    ):
        gone = await desk.post("/oauth/revoke", {"token": token, "client_id": who.client_id})
        assert gone.status_code == 200
    assert (await desk.caller(tokens["access_token"])).principal == alice
    back = {"token": tokens["refresh_token"], "client_id": login.client_id}
    assert (await desk.post("/oauth/revoke", back)).status_code == 200
    with pytest.raises(Unauthenticated):
        await desk.caller(tokens["access_token"])
    assert (await desk.refresh(login, tokens["refresh_token"])).status_code == 400
    assert desk.parts.notebook.actions() == ["client.allowed", "client.signed_out"]


async def test_an_access_token_that_is_given_back_is_worth_nothing(
    desk: Desk, alice: Principal
) -> None:
    login, tokens = await desk.signed_in(alice)
    back = {"token": tokens["access_token"], "client_id": login.client_id}
    assert (await desk.post("/oauth/revoke", back)).status_code == 200
    with pytest.raises(Unauthenticated):
        await desk.caller(tokens["access_token"])
    assert (await desk.refresh(login, tokens["refresh_token"])).status_code == 200


async def test_whoever_tries_too_often_waits(desk: Desk, clock: SteadyClock) -> None:
    wrong = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": "spc_x"}
    for _ in range(60):
        assert (await desk.post("/oauth/token", wrong)).status_code == 401
    held = await desk.post("/oauth/token", wrong)
    assert (held.status_code, held.headers["retry-after"]) == (429, "61")
    clock.move(seconds=60)
    assert (await desk.post("/oauth/token", wrong)).status_code == 401


async def test_strangers_fill_no_table(desk: Desk, urls: Urls, clock: SteadyClock) -> None:
    logins: list[Login] = []
    for _ in range(5):
        logins.append(await desk.login())
        clock.move(seconds=1)
    assert count(urls, "oauth_clients") == 3
    for _ in range(5):
        await desk.authorize(logins[-1])
        clock.move(seconds=1)
    assert count(urls, "oauth_requests") == 3
    assert (await desk.authorize(logins[0])).status_code == 400


async def test_what_has_ended_is_swept_away_and_what_is_in_use_stays(
    desk: Desk, alice: Principal, urls: Urls, clock: SteadyClock
) -> None:
    login, tokens = await desk.signed_in(alice)
    await desk.authorize(await desk.login())
    clock.move(seconds=2 * 86_400)
    await swept(desk, alice, clock)
    left = {
        table: count(urls, table)
        for table in ("oauth_clients", "oauth_requests", "oauth_codes", "access_tokens")
    }
    assert left == {
        "oauth_clients": 1,
        "oauth_requests": 0,
        "oauth_codes": 0,
        "access_tokens": 0,
    }
    assert (await desk.refresh(login, tokens["refresh_token"])).status_code == 200
    clock.move(seconds=timedelta(days=101).total_seconds())
    await swept(desk, alice, clock)
    for table in ("oauth_clients", "oauth_families", "oauth_refresh_tokens", "access_tokens"):
        assert count(urls, table) == 0


async def test_all_clients_of_a_person_end_at_once_and_nobody_elses(
    desk: Desk, alice: Principal, database: Database, clock: SteadyClock
) -> None:
    bob = await StoredPeople(database).create_principal(
        alice.tenant_id, email="bob@acme.test", roles=(Role.MEMBER,), groups=()
    )
    hers = [await desk.signed_in(alice) for _ in range(2)]
    waiting = await desk.login()
    code = await desk.code(waiting, cookie=desk.parts.doorman.let_in(alice))
    login, his = await desk.signed_in(bob)
    end = desk.parts.stored_families.end_all_of
    assert await end(alice.tenant_id, principal_id=alice.id, at=clock.now()) == 2
    for her_login, tokens in hers:
        with pytest.raises(Unauthenticated):
            await desk.caller(tokens["access_token"])
        assert (await desk.refresh(her_login, tokens["refresh_token"])).status_code == 400
    assert (await desk.redeem(waiting, code)).status_code == 400
    assert (await desk.caller(his["access_token"])).principal.id == bob.id
    assert (await desk.refresh(login, his["refresh_token"])).status_code == 200
    assert await end(alice.tenant_id, principal_id=alice.id, at=clock.now()) == 0


async def test_what_a_provider_vouched_for_ends_with_it_and_nothing_else(
    desk: Desk, alice: Principal, urls: Urls, clock: SteadyClock
) -> None:
    login, tokens = await desk.signed_in(alice, how=How.PROVIDER)
    linked_login, linked = await desk.signed_in(alice)
    waiting = await desk.login()
    cookie = desk.parts.doorman.let_in(alice, how=How.PROVIDER)
    code = await desk.code(waiting, cookie=cookie)
    end = desk.parts.stored_families.end_all_by_provider
    assert await end(alice.tenant_id, at=clock.now()) == 1
    with pytest.raises(Unauthenticated):
        await desk.caller(tokens["access_token"])
    assert (await desk.refresh(login, tokens["refresh_token"])).status_code == 400
    assert (await desk.redeem(waiting, code)).status_code == 400
    assert (await desk.caller(linked["access_token"])).principal.id == alice.id
    assert (await desk.refresh(linked_login, linked["refresh_token"])).status_code == 200
    with psycopg.connect(urls.privileged) as connection:
        connection.execute("update oauth_families set how = null where revoked_at is null")
    assert await end(alice.tenant_id, at=clock.now()) == 1


async def swept(desk: Desk, person: Principal, clock: SteadyClock) -> None:
    await desk.parts.stored_authorization.forget_strangers(at=clock.now())
    await desk.parts.stored_families.forget_ended(person.tenant_id, at=clock.now())


async def test_sweeping_makes_no_verdict_stale(
    desk: Desk, alice: Principal, urls: Urls, clock: SteadyClock
) -> None:
    await desk.signed_in(alice)
    with psycopg.connect(urls.privileged) as connection:
        connection.execute("update access_tokens set expires_at = now() - interval '1 year'")
        before = connection.execute("select epoch from tenants").fetchone()
    await swept(desk, alice, clock)
    with psycopg.connect(urls.privileged) as connection:
        assert connection.execute("select epoch from tenants").fetchone() == before
        assert connection.execute("select count(*) from access_tokens").fetchone() == (0,)


async def test_every_secret_is_kept_as_its_digest(desk: Desk, alice: Principal, urls: Urls) -> None:
    login, cookie = await desk.login(), desk.parts.doorman.let_in(alice)
    path, _ = await desk.consent_page(replace(login), cookie=cookie)
    code = told(await desk.answer(path, cookie=cookie))["code"]
    tokens = (await desk.redeem(login, code)).json()
    secrets = (code, tokens["refresh_token"], tokens["access_token"], path.partition("=")[2])
    with psycopg.connect(urls.privileged) as connection:
        for table in ("oauth_codes", "oauth_refresh_tokens", "oauth_requests", "access_tokens"):
            query = sql.SQL("select * from {}").format(sql.Identifier(table))
            rows = connection.execute(query).fetchall()
            assert not any(secret in str(rows) for secret in secrets)

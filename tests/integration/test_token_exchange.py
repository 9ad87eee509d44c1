"""Token exchange over HTTP: a program that proves who it is gets a token to act for a person."""

from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta
from typing import Any, Final

import httpx2
import pytest

from core.domain.principal import Audience, Principal, Role, scopes_held
from core.identity.delegation import GRANT_TYPE, TOKEN_TYPE
from core.store.database import Database
from tests.builders import SteadyClock, make_person, make_tenant
from tests.front_desk import ISSUER, Desk, desk_on, parts_on

Json = dict[str, Any]  # Any: an answer, looked into by the test
DAY: Final = timedelta(days=1)
MCP: Final = f"{ISSUER}/mcp"


@pytest.fixture
async def desk(database: Database, clock: SteadyClock) -> AsyncGenerator[Desk]:
    async with desk_on(parts_on(database, clock=clock)) as desk:
        yield desk


@pytest.fixture
async def bob(database: Database) -> Principal:
    tenant = await make_tenant(database)
    return await make_person(database, tenant, "bob@acme.test", Role.APPROVER)


async def an_agent(desk: Desk) -> tuple[str, str]:
    """Return id and secret of a program that can prove who it is."""
    agent = await desk.register(token_endpoint_auth_method="client_secret_post")
    return agent["client_id"], agent["client_secret"]


async def exchanged(
    desk: Desk, agent: tuple[str, str], subject: str, **changed: str | None
) -> httpx2.Response:
    client_id, secret = agent
    sent: Mapping[str, str | None] = {
        "grant_type": GRANT_TYPE,
        "client_id": client_id,
        "client_secret": secret,
        "subject_token": subject,
        "subject_token_type": TOKEN_TYPE,
        **changed,
    }
    return await desk.post("/oauth/token", sent)


async def test_an_agent_acts_for_who_signed_in(desk: Desk, bob: Principal) -> None:
    _, signed_in = await desk.signed_in(bob)
    agent = await an_agent(desk)
    answer = await exchanged(desk, agent, signed_in["access_token"], scope="tools:call runs:read")
    assert answer.status_code == 200, answer.text
    given: Json = answer.json()
    assert given | {"access_token": ""} == {
        "access_token": "",
        "issued_token_type": TOKEN_TYPE,
        "token_type": "Bearer",
        "expires_in": 600,
        "scope": "runs:read tools:call",
    }
    assert answer.headers["cache-control"] == "no-store"
    caller = await desk.caller(given["access_token"])
    assert (caller.principal, caller.actors) == (bob, (agent[0],))
    assert caller.scopes == {"tools:call", "runs:read"}


async def test_an_agent_hands_on_less(desk: Desk, bob: Principal) -> None:
    _, signed_in = await desk.signed_in(bob)
    first, second = await an_agent(desk), await an_agent(desk)
    one: Json = (await exchanged(desk, first, signed_in["access_token"], scope="tools:call")).json()
    two: Json = (await exchanged(desk, second, one["access_token"])).json()
    assert two["scope"] == "tools:call"
    caller = await desk.caller(two["access_token"])
    assert caller.actor == f"{second[0]} for {first[0]} on behalf of bob@acme.test"


async def test_ending_the_sign_in_ends_what_was_made_of_it(desk: Desk, bob: Principal) -> None:
    login, signed_in = await desk.signed_in(bob)
    given: Json = (await exchanged(desk, await an_agent(desk), signed_in["access_token"])).json()
    await desk.post(
        "/oauth/revoke",
        {"token": signed_in["refresh_token"], "client_id": login.client_id},
    )
    desk.parts.tokens.forget(given["access_token"])
    again = await exchanged(desk, await an_agent(desk), given["access_token"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_request")


async def test_an_agent_gives_back_its_own_and_the_sign_in_stays(
    desk: Desk, bob: Principal
) -> None:
    _, signed_in = await desk.signed_in(bob)
    agent = await an_agent(desk)
    given: Json = (await exchanged(desk, agent, signed_in["access_token"])).json()
    back = await desk.post(
        "/oauth/revoke",
        {"token": given["access_token"], "client_id": agent[0], "client_secret": agent[1]},
    )
    assert back.status_code == 200, back.text
    assert (await exchanged(desk, agent, given["access_token"])).status_code == 400
    assert (await exchanged(desk, agent, signed_in["access_token"])).status_code == 200


@pytest.mark.parametrize(
    ("changed", "error", "status"),
    [
        ({"client_secret": "wrong"}, "invalid_client", 401),
        ({"subject_token": "sp_mcp_" + "A" * 43}, "invalid_request", 400),
        ({"subject_token": None}, "invalid_request", 400),
        ({"subject_token_type": None}, "invalid_request", 400),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request", 400),
        (
            {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
            "invalid_request",
            400,
        ),
        ({"actor_token": "x"}, "invalid_request", 400),
        ({"audience": "mcp"}, "invalid_request", 400),
        ({"resource": "https://evil.test/mcp"}, "invalid_target", 400),
        ({"resource": f"{ISSUER}/api/v1"}, "invalid_target", 400),
        ({"scope": "approvals:decide"}, "invalid_scope", 400),
        ({"scope": "tenant:admin"}, "invalid_scope", 400),
    ],
)
async def test_what_is_wrong_with_an_exchange_is_told_in_the_rfcs_words(
    desk: Desk, bob: Principal, changed: dict[str, str | None], error: str, status: int
) -> None:
    _, signed_in = await desk.signed_in(bob)
    answer = await exchanged(desk, await an_agent(desk), signed_in["access_token"], **changed)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


async def test_who_cannot_prove_who_it_is_acts_for_nobody(desk: Desk, bob: Principal) -> None:
    """Else whoever has a token could put any program's name into the audit."""
    login, signed_in = await desk.signed_in(bob)
    for client_id in (login.client_id, "https://agent.test/client.json"):
        answer = await exchanged(
            desk, (client_id, ""), signed_in["access_token"], client_secret=None
        )
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_a_token_for_rest_is_exchanged_for_one_of_either_door(
    desk: Desk, bob: Principal
) -> None:
    tokens = desk.parts.tokens
    opaque = await tokens.issue(bob, audience=Audience.API, ttl=DAY)
    agent = await an_agent(desk)
    rest: Json = (await exchanged(desk, agent, opaque)).json()
    caller = await tokens.authenticate(rest["access_token"], audience=Audience.API)
    assert caller.scopes == scopes_held(bob) - {"approvals:decide"}
    over_mcp: Json = (await exchanged(desk, agent, opaque, resource=MCP)).json()
    assert (await desk.caller(over_mcp["access_token"])).via == "mcp"
    assert over_mcp["expires_in"] == 3600


async def test_the_servers_document_names_the_grant(desk: Desk) -> None:
    document: Json = (await desk.http.get("/.well-known/oauth-authorization-server")).json()
    assert GRANT_TYPE in document["grant_types_supported"]

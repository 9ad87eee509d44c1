"""Delegated tokens on real PostgreSQL: an agent acts for a person, with less at every hop."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwt import PyJWT
from sqlalchemy import text

from core.domain.audit import AuditRecord
from core.domain.canonical import Json
from core.domain.principal import Audience, Principal, Role, Tenant, scopes_held
from core.domain.token import Allowance
from core.errors import AuthorizationRefused, NotFound, Unauthenticated
from core.identity.access import AccessTokens
from core.identity.delegation import MOST_HOPS, Delegated, Delegations
from core.identity.master import MasterKeys
from core.identity.signing import SigningKeys
from core.identity.tokens import Tokens
from core.store.database import Database
from core.store.directory import Directory
from core.store.principals import StoredPeople
from core.store.signing import StoredSigningKeys
from core.store.tokens import StoredTokens
from tests.builders import SteadyClock, make_person, make_tenant

ISSUER: Final = "https://sallyport.test"
DAY: Final = timedelta(days=1)
SCOPES: Final = tuple(sorted(("tools:call", "runs:start", "runs:read", "approvals:read")))


class Recorded:
    """The auditor's records in a list."""

    def __init__(self) -> None:
        self.records: list[AuditRecord] = []

    async def record(self, *records: AuditRecord) -> None:
        self.records += records


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Everything that gives tokens out, on one test's database."""

    tokens: Tokens
    delegations: Delegations
    audit: Recorded
    alice: Principal
    bob: Principal

    async def api(self, person: Principal, *scopes: str, ttl: timedelta = DAY) -> str:
        return await self.tokens.issue(
            person, audience=Audience.API, scopes=frozenset(scopes) or None, ttl=ttl
        )


@pytest.fixture
async def acme(database: Database) -> Tenant:
    return await make_tenant(database)


@pytest.fixture
async def desk(database: Database, clock: SteadyClock, acme: Tenant) -> Desk:
    keys = SigningKeys(StoredSigningKeys(database), keyring=MasterKeys([b"k" * 32]), clock=clock)
    signed = {
        Audience.API: AccessTokens(keys, issuer=ISSUER, resource=f"{ISSUER}/api/v1"),
        Audience.MCP: AccessTokens(keys, issuer=ISSUER, resource=f"{ISSUER}/mcp"),
    }
    records = StoredTokens(database, directory=Directory(database))
    tokens = Tokens(records, clock=clock, signed=signed)
    audit = Recorded()
    return Desk(
        tokens=tokens,
        delegations=Delegations(
            tokens, records=records, signed=signed, recorder=audit, clock=clock
        ),
        audit=audit,
        alice=await make_person(database, acme, "alice@acme.test", Role.MEMBER),
        bob=await make_person(database, acme, "bob@acme.test", Role.APPROVER),
    )


def told_by(token: str) -> Mapping[str, Json]:
    return PyJWT().decode(token, options={"verify_signature": False})


async def refused(desk: Desk, token: str, *, audience: Audience = Audience.API) -> None:
    desk.tokens.forget(token)
    with pytest.raises(Unauthenticated, match="invalid_token"):
        await desk.tokens.authenticate(token, audience=audience)


async def test_a_delegated_token_says_who_acts_for_whom(
    desk: Desk, acme: Tenant, clock: SteadyClock
) -> None:
    subject = await desk.api(desk.alice)
    given_out = await desk.delegations.exchange(subject, actor="writer")
    claims = told_by(given_out.token)
    now = int(clock.now().timestamp())
    assert {**claims, "jti": "", "sid": ""} == {
        "iss": ISSUER,
        "aud": f"{ISSUER}/api/v1",
        "sub": str(desk.alice.id),
        "tenant_id": str(acme.id),
        "client_id": "writer",
        "act": {"sub": "writer"},
        "scope": " ".join(SCOPES),
        "iat": now,
        "exp": now + 3600,
        "jti": "",
        "sid": "",
    }
    caller = await desk.tokens.authenticate(given_out.token, audience=Audience.API)
    assert (caller.principal, caller.actors, caller.scopes) == (
        desk.alice,
        ("writer",),
        frozenset(SCOPES),
    )
    assert caller.actor == "writer on behalf of alice@acme.test"


async def test_every_hop_is_named_and_the_session_stays_the_same(desk: Desk) -> None:
    first = await desk.delegations.exchange(await desk.api(desk.alice), actor="planner")
    second = await desk.delegations.exchange(first.token, actor="writer")
    claims = told_by(second.token)
    assert claims["act"] == {"sub": "writer", "act": {"sub": "planner"}}
    assert claims["sid"] == told_by(first.token)["sid"]
    caller = await desk.tokens.authenticate(second.token, audience=Audience.API)
    assert caller.actor == "writer for planner on behalf of alice@acme.test"
    assert [record.actor for record in desk.audit.records] == [
        "planner on behalf of alice@acme.test",
        "writer for planner on behalf of alice@acme.test",
    ]


async def test_four_hops_are_the_most(desk: Desk) -> None:
    token = await desk.api(desk.alice)
    for hop in range(MOST_HOPS):
        token = (await desk.delegations.exchange(token, actor=f"agent-{hop}")).token
    with pytest.raises(AuthorizationRefused, match="invalid_request"):
        await desk.delegations.exchange(token, actor="one-too-many")


async def test_deciding_is_never_delegated(desk: Desk) -> None:
    subject = await desk.api(desk.bob)
    given_out = await desk.delegations.exchange(
        subject, actor="writer", scopes=frozenset({"approvals:decide", "runs:read"})
    )
    assert given_out.scopes == {"runs:read"}
    everything = await desk.delegations.exchange(subject, actor="writer")
    assert everything.scopes == scopes_held(desk.bob) - {"approvals:decide"}
    with pytest.raises(AuthorizationRefused, match="invalid_scope"):
        await desk.delegations.exchange(
            subject, actor="writer", scopes=frozenset({"approvals:decide"})
        )


async def test_nobody_delegates_what_they_hold_no_more(desk: Desk, database: Database) -> None:
    admin = await StoredPeople(database).create_principal(
        desk.alice.tenant_id, email="carol@acme.test", roles=[Role.ADMIN]
    )
    subject = await desk.api(admin)
    held_on = await desk.delegations.exchange(subject, actor="writer")
    assert "audit:read" in held_on.scopes
    await StoredPeople(database).change_roles(
        admin.tenant_id, principal_id=admin.id, roles=[Role.MEMBER]
    )
    assert "audit:read" not in (await desk.delegations.exchange(subject, actor="w")).scopes
    desk.tokens.forget(held_on.token)
    caller = await desk.tokens.authenticate(held_on.token, audience=Audience.API)
    assert caller.scopes == scopes_held(caller.principal)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    subject_scopes=st.sets(st.sampled_from(SCOPES), min_size=1),
    subject_seconds=st.integers(1, 10_000),
    hops=st.lists(
        st.tuples(
            st.sets(st.sampled_from((*SCOPES, "approvals:decide", "tenant:admin"))) | st.none(),
            st.integers(-10, 100_000),
        ),
        max_size=5,
    ),
)
async def test_no_hop_gains_a_scope_or_a_second(
    desk: Desk,
    clock: SteadyClock,
    subject_scopes: set[str],
    subject_seconds: int,
    hops: list[tuple[set[str] | None, int]],
) -> None:
    token = await desk.api(desk.bob, *subject_scopes, ttl=timedelta(seconds=subject_seconds))
    carried, ends = frozenset(subject_scopes), clock.now().timestamp() + subject_seconds
    for depth, (asked, seconds) in enumerate(hops, start=1):
        try:
            got: Delegated = await desk.delegations.exchange(
                token,
                actor=f"agent-{depth}",
                scopes=None if asked is None else frozenset(asked),
                ttl=timedelta(seconds=seconds),
            )
        except AuthorizationRefused:
            assert seconds <= 0 or depth > MOST_HOPS or not (carried & (asked or set()))
            return
        claims = told_by(got.token)
        expires = claims["exp"]
        assert isinstance(expires, int)
        assert got.scopes <= carried
        assert got.scopes == frozenset(str(claims["scope"]).split())
        assert asked is None or got.scopes == carried & asked
        assert expires <= min(ends, clock.now().timestamp() + min(seconds, 3600))
        caller = await desk.tokens.authenticate(got.token, audience=Audience.API)
        assert (caller.scopes, len(caller.actors)) == (got.scopes, depth)
        token, carried, ends = got.token, got.scopes, expires


async def test_a_delegated_token_ends_with_the_one_it_came_from(
    desk: Desk, clock: SteadyClock
) -> None:
    subject = await desk.api(desk.alice, ttl=timedelta(seconds=60))
    given_out = await desk.delegations.exchange(subject, actor="writer")
    assert given_out.expires_in_seconds == 60
    clock.move(seconds=60)
    await refused(desk, given_out.token)
    with pytest.raises(AuthorizationRefused, match="invalid_request"):
        await desk.delegations.exchange(subject, actor="writer")


@pytest.mark.parametrize("revoked_hop", [0, 1, 2])
async def test_revoking_a_token_ends_all_that_was_made_of_it(desk: Desk, revoked_hop: int) -> None:
    tokens = [await desk.api(desk.alice)]
    for hop in range(2):
        tokens.append((await desk.delegations.exchange(tokens[-1], actor=f"agent-{hop}")).token)
    callers = [await desk.tokens.authenticate(one, audience=Audience.API) for one in tokens]
    token_id = callers[revoked_hop].token_id
    assert token_id is not None
    await desk.tokens.revoke(desk.alice.tenant_id, token_id=token_id)
    for depth, (token, caller) in enumerate(zip(tokens, callers, strict=True)):
        if depth < revoked_hop:
            assert await desk.tokens.renew(caller) == caller
        else:
            with pytest.raises(Unauthenticated):
                await desk.tokens.renew(caller)
            await refused(desk, token)


async def test_a_token_whose_origin_is_gone_opens_nothing(desk: Desk, database: Database) -> None:
    subject = await desk.api(desk.alice)
    given_out = await desk.delegations.exchange(subject, actor="writer")
    caller = await desk.tokens.authenticate(subject, audience=Audience.API)
    async with database.for_tenant(desk.alice.tenant_id) as connection:
        await connection.execute(
            text("delete from access_tokens where id = :id"), {"id": caller.token_id}
        )
    await refused(desk, given_out.token)


async def test_a_token_for_mcp_never_becomes_one_for_rest(desk: Desk) -> None:
    turned = await desk.delegations.exchange(
        await desk.api(desk.alice), actor="writer", audience=Audience.MCP
    )
    assert (await desk.tokens.authenticate(turned.token, audience=Audience.MCP)).via == "mcp"
    await refused(desk, turned.token)
    with pytest.raises(AuthorizationRefused, match="invalid_target"):
        await desk.delegations.exchange(turned.token, actor="writer", audience=Audience.API)
    again = await desk.delegations.exchange(turned.token, actor="reader")
    assert again.actors == ("reader", "writer")


async def test_a_remembered_token_does_not_open_the_other_door(desk: Desk) -> None:
    given_out = await desk.delegations.exchange(await desk.api(desk.alice), actor="writer")
    await desk.tokens.authenticate(given_out.token, audience=Audience.API)
    with pytest.raises(Unauthenticated):
        await desk.tokens.authenticate(given_out.token, audience=Audience.MCP)


@pytest.mark.parametrize("actor", ["", "two words", "a" * 501, "nul\x00", "é"])
async def test_who_acts_has_a_name_that_the_audit_can_show(desk: Desk, actor: str) -> None:
    subject = await desk.api(desk.alice)
    with pytest.raises(AuthorizationRefused, match="invalid_request"):
        await desk.delegations.exchange(subject, actor=actor)


@pytest.mark.parametrize("token", ["", "sp_api_" + "A" * 43, "a.b.c"])
async def test_what_opens_nothing_is_exchanged_for_nothing(desk: Desk, token: str) -> None:
    with pytest.raises(AuthorizationRefused, match="invalid_request"):
        await desk.delegations.exchange(token, actor="writer")


async def test_a_token_for_a_few_calls_is_not_handed_on(desk: Desk) -> None:
    token = await desk.tokens.issue_capability(
        desk.alice,
        audience=Audience.API,
        tools=frozenset({"list_projects"}),
        allowance=Allowance(uses=1, amount_micros=0),
        ttl=timedelta(minutes=5),
    )
    with pytest.raises(AuthorizationRefused, match="invalid_request"):
        await desk.delegations.exchange(token, actor="writer")


async def test_a_token_that_says_another_person_opens_nothing(
    desk: Desk, database: Database
) -> None:
    """Signed by us or not: what the row says must be what the token says."""
    given_out = await desk.delegations.exchange(await desk.api(desk.alice), actor="writer")
    async with database.for_tenant(desk.alice.tenant_id) as connection:
        await connection.execute(
            text("update access_tokens set principal_id = :bob where cardinality(actors) > 0"),
            {"bob": desk.bob.id},
        )
    await refused(desk, given_out.token)


async def test_no_tenant_reaches_anothers_delegated_tokens(desk: Desk, database: Database) -> None:
    given_out = await desk.delegations.exchange(await desk.api(desk.alice), actor="writer")
    caller = await desk.tokens.authenticate(given_out.token, audience=Audience.API)
    assert caller.token_id is not None
    globex = await make_tenant(database, "globex")
    with pytest.raises(NotFound):
        await desk.tokens.revoke(globex.id, token_id=caller.token_id)
    assert await desk.tokens.page(globex.id) == ()

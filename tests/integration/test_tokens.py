"""Bearer tokens on real PostgreSQL: whom they let in, with which scopes, and until when."""

import hashlib
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import select, update

from core.domain.ids import TenantId, TokenId
from core.domain.principal import Audience, Caller, Principal, Role, Tenant, scopes_held
from core.errors import InvalidInput, NotFound, Unauthenticated
from core.identity.tokens import Tokens
from core.store.database import Database
from core.store.directory import Directory
from core.store.principals import StoredPeople
from core.store.tables import access_tokens
from core.store.tokens import StoredTokens
from tests.builders import SteadyClock, make_person, make_tenant
from tests.databases import Urls

HOUR = timedelta(hours=1)


@pytest.fixture
def tokens(database: Database, clock: SteadyClock) -> Tokens:
    return Tokens(StoredTokens(database, directory=Directory(database)), clock=clock)


@pytest.fixture
async def acme(database: Database) -> Tenant:
    return await make_tenant(database)


@pytest.fixture
async def bob(database: Database, acme: Tenant) -> Principal:
    return await make_person(database, acme, "bob@acme.example", Role.APPROVER)


class CountedEpochs(StoredTokens):
    """Counts how often an epoch is looked at."""

    looks = 0

    async def epoch(self, tenant_id: TenantId) -> int | None:
        self.looks += 1
        return await super().epoch(tenant_id)


async def entered(tokens: Tokens, bob: Principal, audience: Audience = Audience.API) -> Caller:
    token = await tokens.issue(bob, audience=audience, ttl=HOUR)
    return await tokens.authenticate(token, audience=audience)


async def refused(tokens: Tokens, token: str, *, audience: Audience = Audience.API) -> None:
    with pytest.raises(Unauthenticated) as error:
        await tokens.authenticate(token, audience=audience)
    assert (error.value.code, dict(error.value.facts)) == ("invalid_token", {})


def disable(urls: Urls, person: Principal) -> None:
    with psycopg.connect(urls.privileged) as connection:
        connection.execute("update principals set disabled_at = now() where id = %s", [person.id])


async def test_an_api_token_carries_every_scope_of_its_person(
    tokens: Tokens, bob: Principal
) -> None:
    token = await tokens.issue(bob, audience=Audience.API, ttl=HOUR)
    assert len(token) == len("sp_api_") + 43
    caller = await tokens.authenticate(token, audience=Audience.API)
    assert caller == Caller(
        principal=bob, scopes=scopes_held(bob), via="api", token_id=caller.token_id
    )
    assert caller.token_id is not None


async def test_an_mcp_token_never_carries_deciding(tokens: Tokens, bob: Principal) -> None:
    caller = await entered(tokens, bob, Audience.MCP)
    assert caller.scopes == scopes_held(bob) - {"approvals:decide"}
    assert caller.via == "mcp"


@pytest.mark.parametrize(
    ("audience", "scope"),
    [
        (Audience.MCP, "approvals:decide"),
        (Audience.API, "tenant:admin"),
        (Audience.API, "no:such"),
    ],
)
async def test_a_token_cannot_be_asked_to_carry_more(
    tokens: Tokens, bob: Principal, audience: Audience, scope: str
) -> None:
    with pytest.raises(InvalidInput) as error:
        await tokens.issue(
            bob, audience=audience, scopes=frozenset({"tools:call", scope}), ttl=HOUR
        )
    assert error.value.code == "scope_not_allowed"
    assert error.value.facts["scopes"] == [scope]


@pytest.mark.parametrize("scopes", [frozenset({"runs:read"}), frozenset[str]()])
async def test_a_narrowed_token_carries_only_what_it_was_given(
    tokens: Tokens, bob: Principal, scopes: frozenset[str]
) -> None:
    token = await tokens.issue(bob, audience=Audience.API, scopes=scopes, ttl=HOUR)
    assert (await tokens.authenticate(token, audience=Audience.API)).scopes == scopes


@pytest.mark.parametrize("ttl", [timedelta(), -HOUR, timedelta(days=367)])
async def test_a_token_lives_for_a_while_and_not_for_ever(
    tokens: Tokens, bob: Principal, ttl: timedelta
) -> None:
    with pytest.raises(InvalidInput, match="invalid_ttl"):
        await tokens.issue(bob, audience=Audience.API, ttl=ttl)


async def test_only_the_digest_of_a_token_is_stored(
    tokens: Tokens, database: Database, bob: Principal
) -> None:
    token = await tokens.issue(bob, audience=Audience.API, ttl=HOUR)
    async with database.for_tenant(bob.tenant_id) as connection:
        row = (await connection.execute(select(access_tokens))).one()
    assert row.token_hash == hashlib.sha256(token.encode()).digest()
    assert not any(token in str(value) or token[7:] in str(value) for value in row)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "sp_api_",
        "sp_api_" + "A" * 43,
        "sp_api_" + "A" * 44,
        "sp_mcp_" + "A" * 43,
        "sp_api_" + "A" * 42 + "é",
        "sp_api_" + "A" * 43 + "\n",
    ],
)
async def test_what_was_never_issued_is_refused(tokens: Tokens, token: str) -> None:
    await refused(tokens, token)


async def test_a_token_of_one_audience_does_not_open_the_other(
    tokens: Tokens, bob: Principal
) -> None:
    token = await tokens.issue(bob, audience=Audience.API, ttl=HOUR)
    await refused(tokens, token, audience=Audience.MCP)
    await refused(tokens, token.replace("sp_api_", "sp_mcp_"), audience=Audience.MCP)


async def test_the_stored_audience_counts_and_not_only_the_prefix(
    tokens: Tokens, bob: Principal, urls: Urls
) -> None:
    token = await tokens.issue(bob, audience=Audience.API, ttl=HOUR)
    with psycopg.connect(urls.privileged) as connection:
        connection.execute("update access_tokens set audience = 'mcp'")
    await refused(tokens, token)


async def test_an_expired_token_is_refused_remembered_or_not(
    tokens: Tokens, bob: Principal, clock: SteadyClock
) -> None:
    token = await tokens.issue(bob, audience=Audience.API, ttl=timedelta(seconds=3))
    await tokens.authenticate(token, audience=Audience.API)
    clock.move(seconds=3)
    await refused(tokens, token)
    clock.move(seconds=60)
    await refused(tokens, token)


async def test_a_revoked_token_is_refused_at_once(tokens: Tokens, bob: Principal) -> None:
    token = await tokens.issue(bob, audience=Audience.API, ttl=HOUR)
    caller = await tokens.authenticate(token, audience=Audience.API)
    assert caller.token_id is not None
    await tokens.revoke(bob.tenant_id, token_id=caller.token_id)
    await tokens.revoke(bob.tenant_id, token_id=caller.token_id)
    await refused(tokens, token)
    with pytest.raises(Unauthenticated):
        await tokens.renew(caller)


async def test_a_token_revoked_by_another_process_is_refused_after_a_second(
    tokens: Tokens, database: Database, bob: Principal, clock: SteadyClock
) -> None:
    token = await tokens.issue(bob, audience=Audience.API, ttl=HOUR)
    caller = await tokens.authenticate(token, audience=Audience.API)
    assert caller.token_id is not None
    elsewhere = Tokens(StoredTokens(database, directory=Directory(database)), clock=clock)
    await elsewhere.revoke(bob.tenant_id, token_id=caller.token_id)
    clock.move(seconds=1.1)
    await refused(tokens, token)


async def test_a_revocation_here_holds_at_once_for_all_that_was_made_of_the_token(
    tokens: Tokens, database: Database, bob: Principal
) -> None:
    token, child = [await tokens.issue(bob, audience=Audience.API, ttl=HOUR) for _ in range(2)]
    parent = await tokens.authenticate(token, audience=Audience.API)
    assert parent.token_id is not None
    async with database.for_tenant(bob.tenant_id) as connection:
        await connection.execute(
            update(access_tokens)
            .where(access_tokens.c.id != parent.token_id)
            .values(ancestors=[parent.token_id], actors=["writer"])
        )
    await tokens.authenticate(child, audience=Audience.API)
    await tokens.revoke(bob.tenant_id, token_id=parent.token_id)
    await refused(tokens, token)
    await refused(tokens, child)


async def test_a_person_disabled_by_another_process_is_refused_after_a_second(
    tokens: Tokens, bob: Principal, clock: SteadyClock, urls: Urls
) -> None:
    token = await tokens.issue(bob, audience=Audience.API, ttl=HOUR)
    await tokens.authenticate(token, audience=Audience.API)
    disable(urls, bob)
    clock.move(seconds=1.1)
    await refused(tokens, token)


async def test_a_change_of_one_tenant_forgets_nobody_of_another(
    tokens: Tokens, database: Database, bob: Principal, clock: SteadyClock
) -> None:
    other = await make_person(database, await make_tenant(database, "globex"), "dave@globex.test")
    token = await tokens.issue(other, audience=Audience.API, ttl=HOUR)
    first = await tokens.authenticate(token, audience=Audience.API)
    caller = await entered(tokens, bob)
    assert caller.token_id is not None
    await tokens.revoke(bob.tenant_id, token_id=caller.token_id)
    clock.move(seconds=1.1)
    assert await tokens.authenticate(token, audience=Audience.API) is first


async def test_the_epoch_is_looked_at_once_a_second_and_no_oftener(
    database: Database, bob: Principal, clock: SteadyClock
) -> None:
    records = CountedEpochs(database, directory=Directory(database))
    tokens = Tokens(records, clock=clock)
    issued = [await tokens.issue(bob, audience=Audience.API, ttl=HOUR) for _ in range(2)]
    for _ in range(30):
        for token in issued:
            await tokens.authenticate(token, audience=Audience.API)
        clock.move(seconds=0.1)
    assert records.looks == 2


async def test_revoking_raises_the_tenants_epoch(
    tokens: Tokens, database: Database, acme: Tenant, bob: Principal
) -> None:
    caller = await entered(tokens, bob)
    assert caller.token_id is not None
    before = (await StoredPeople(database).tenant(acme.id)).epoch
    await tokens.revoke(acme.id, token_id=caller.token_id)
    assert (await StoredPeople(database).tenant(acme.id)).epoch > before


async def test_a_disabled_person_is_refused(tokens: Tokens, bob: Principal, urls: Urls) -> None:
    token = await tokens.issue(bob, audience=Audience.API, ttl=HOUR)
    caller = await tokens.authenticate(token, audience=Audience.API)
    disable(urls, bob)
    with pytest.raises(Unauthenticated):
        await tokens.renew(caller)
    await refused(tokens, token)


async def test_a_lost_role_takes_its_scopes_from_the_token(
    tokens: Tokens, database: Database, bob: Principal
) -> None:
    token = await tokens.issue(bob, audience=Audience.API, ttl=HOUR)
    caller = await tokens.authenticate(token, audience=Audience.API)
    await StoredPeople(database).change_roles(
        bob.tenant_id, principal_id=bob.id, roles=[Role.MEMBER]
    )
    renewed = await tokens.renew(caller)
    assert renewed.principal.roles == {Role.MEMBER}
    assert "approvals:decide" not in renewed.scopes
    assert await tokens.authenticate(token, audience=Audience.API) == renewed


async def test_a_gained_role_does_not_widen_a_token(
    tokens: Tokens, database: Database, bob: Principal
) -> None:
    caller = await entered(tokens, bob)
    await StoredPeople(database).change_roles(
        bob.tenant_id, principal_id=bob.id, roles=[Role.ADMIN]
    )
    assert (await tokens.renew(caller)).scopes == scopes_held(bob)


async def test_a_remembered_token_asks_the_database_again_only_when_it_must(
    tokens: Tokens, database: Database, bob: Principal, clock: SteadyClock
) -> None:
    token = await tokens.issue(bob, audience=Audience.API, ttl=HOUR)
    first = await tokens.authenticate(token, audience=Audience.API)
    await StoredPeople(database).change_roles(
        bob.tenant_id, principal_id=bob.id, roles=[Role.MEMBER]
    )
    clock.move(seconds=1)
    assert await tokens.authenticate(token, audience=Audience.API) is first
    clock.move(seconds=0.1)
    second = await tokens.authenticate(token, audience=Audience.API)
    assert second.principal.roles == {Role.MEMBER}
    clock.move(seconds=5)
    assert await tokens.authenticate(token, audience=Audience.API) is second
    clock.move(seconds=0.1)
    assert await tokens.authenticate(token, audience=Audience.API) is not second
    tokens.forget(token)
    assert await tokens.authenticate(token, audience=Audience.API) == second


async def test_of_many_tokens_the_longest_unused_is_looked_up_again(
    database: Database, bob: Principal, clock: SteadyClock
) -> None:
    records = StoredTokens(database, directory=Directory(database))
    tokens = Tokens(records, clock=clock, remembered=2)
    issued = [await tokens.issue(bob, audience=Audience.API, ttl=HOUR) for _ in range(3)]
    first, second, _ = [
        await tokens.authenticate(token, audience=Audience.API)
        for token in (issued[0], issued[1], issued[0])
    ]
    await tokens.authenticate(issued[2], audience=Audience.API)
    assert await tokens.authenticate(issued[0], audience=Audience.API) is first
    assert await tokens.authenticate(issued[1], audience=Audience.API) is not second


async def test_a_caller_without_a_token_is_renewed_as_the_person_stands(
    tokens: Tokens, database: Database, bob: Principal, urls: Urls
) -> None:
    caller = Caller(principal=bob, scopes=scopes_held(bob), via="cli", on_behalf=True)
    await StoredPeople(database).change_roles(
        bob.tenant_id, principal_id=bob.id, roles=[Role.MEMBER]
    )
    renewed = await tokens.renew(caller)
    assert renewed.scopes == scopes_held(renewed.principal)
    assert (renewed.via, renewed.on_behalf) == ("cli", True)
    disable(urls, bob)
    with pytest.raises(Unauthenticated):
        await tokens.renew(caller)


async def test_nobody_lists_or_revokes_another_tenants_tokens(
    tokens: Tokens, database: Database, acme: Tenant, bob: Principal
) -> None:
    caller = await entered(tokens, bob)
    assert caller.token_id is not None
    globex = await make_tenant(database, "globex")
    with pytest.raises(NotFound):
        await tokens.revoke(globex.id, token_id=caller.token_id)
    assert await tokens.page(globex.id) == ()
    assert [record.id for record in await tokens.page(acme.id)] == [caller.token_id]


async def test_tokens_are_listed_page_by_page(
    tokens: Tokens, acme: Tenant, bob: Principal, urls: Urls
) -> None:
    ids = sorted([(await entered(tokens, bob)).token_id or TokenId(bob.id) for _ in range(3)])
    await tokens.revoke(acme.id, token_id=ids[2])
    disable(urls, bob)
    first = await tokens.page(acme.id, limit=2)
    rest = await tokens.page(acme.id, after=first[-1].id, limit=2)
    assert [record.id for record in (*first, *rest)] == ids
    assert [record.revoked_at is None for record in (*first, *rest)] == [True, True, False]
    assert first[0].principal == bob

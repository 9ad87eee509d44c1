"""A company's own access tokens, taken as they are: whose, for what, and never more than that."""

import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from core.domain.principal import Audience, Caller, scopes_held
from core.errors import Conflict, Unauthenticated
from tests.databases import Urls
from tests.oidc_provider import Claims, Provider, new_key, provider_here
from tests.pages import Site, site_on
from tests.world import Company

_AUDIENCE = "https://gate.acme.test/mcp"


@pytest.fixture
async def site(urls: Urls, tmp_path: Path) -> AsyncGenerator[Site]:
    async with site_on(urls, tmp_path) as made:
        yield made


@pytest.fixture
async def acme(site: Site) -> Company:
    return await site.world.company()


@pytest.fixture
async def provider(site: Site, acme: Company) -> AsyncGenerator[Provider]:
    async with provider_here() as made:
        await site.trust(acme, made, direct_audience=_AUDIENCE)
        yield made


def claims_of(provider: Provider, **changed: object) -> Claims:
    now = int(time.time())
    told: Claims = {
        "iss": provider.issuer,
        "aud": _AUDIENCE,
        "sub": "bob",
        "email": "bob@acme.test",
        "email_verified": True,
        "iat": now,
        "exp": now + 600,
    }
    return {key: value for key, value in {**told, **changed}.items() if value is not None}


async def verified(site: Site, token: str) -> Caller:
    return await site.world.assembly.sign_in.direct.verify(token, audience=Audience.MCP)


async def test_a_token_of_the_companys_own_is_its_person_but_never_decides(
    site: Site, acme: Company, provider: Provider
) -> None:
    caller = await verified(site, provider.sign(claims_of(provider)))
    assert caller.principal == acme.approver.principal
    assert caller.scopes == scopes_held(caller.principal) - {"approvals:decide"}
    assert (caller.via, caller.token_id) == ("mcp", None)


async def test_a_token_that_names_scopes_of_ours_has_no_others(
    site: Site, provider: Provider
) -> None:
    for narrowed in ({"scope": "openid runs:read"}, {"scp": ["runs:read", "approvals:decide"]}):
        caller = await verified(site, provider.sign(claims_of(provider, **narrowed)))
        assert caller.scopes == {"runs:read"}
    caller = await verified(site, provider.sign(claims_of(provider, scope="audit:read")))
    assert caller.scopes == frozenset()


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "sallyport-client"},
        {"aud": "https://other.test/mcp"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"exp": 1},
        {"exp": None},
        {"nbf": int(time.time()) + 3600},
        {"sub": None},
        {"email_verified": None},
        {"email": "bob@globex.test"},
        {"email": "nobody@acme.test"},
        {"email": None},
    ],
)
async def test_a_token_that_does_not_fit_opens_nothing(
    site: Site, provider: Provider, changed: Claims
) -> None:
    with pytest.raises(Unauthenticated, match="invalid_token"):
        await verified(site, provider.sign(claims_of(provider, **changed)))


async def test_a_signature_that_is_not_the_providers_opens_nothing(
    site: Site, provider: Provider
) -> None:
    good = provider.sign(claims_of(provider))
    provider.signs_with = new_key()
    forged = provider.sign(claims_of(provider))
    provider.algorithm = "none"
    unsigned = provider.sign(claims_of(provider))
    provider.algorithm = "HS256"
    confused = provider.sign(claims_of(provider))
    stripped = good.rpartition(".")[0] + "."
    for token in (forged, unsigned, confused, stripped, "a.b.c", "", "x" * 10_000):
        with pytest.raises(Unauthenticated, match="invalid_token"):
            await verified(site, token)
    assert (await verified(site, good)).principal.email == "bob@acme.test"


async def test_one_issuer_and_audience_belong_to_one_company(
    site: Site, acme: Company, provider: Provider
) -> None:
    globex = await site.world.company("globex")
    with pytest.raises(Conflict, match="direct_audience_taken"):
        await site.trust(globex, provider, direct_audience=_AUDIENCE)
    await site.trust(globex, provider, direct_audience="another")
    theirs = claims_of(provider, aud="another", email="bob@globex.test", sub="theirs")
    assert (await verified(site, provider.sign(theirs))).tenant_id == globex.tenant.id
    ours = claims_of(provider, aud="another")
    with pytest.raises(Unauthenticated):
        await verified(site, provider.sign(ours))
    assert acme.tenant.id != globex.tenant.id


async def test_a_company_that_takes_no_such_tokens_takes_none(
    site: Site, acme: Company, provider: Provider
) -> None:
    await site.trust(acme, provider)
    with pytest.raises(Unauthenticated):
        await verified(site, provider.sign(claims_of(provider)))

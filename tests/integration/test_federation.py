"""Sign-in through a company's own provider: whose word counts, for whom, and as what."""

import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from core.domain.principal import Role
from core.errors import NotFound
from core.store.tables import principals
from tests.databases import Urls
from tests.oidc_provider import CLIENT_ID, Claims, Provider, new_key, provider_here
from tests.pages import Browser, Site, site_on
from tests.world import Company

_ROLES = {"approvers": Role.APPROVER, "admins": Role.ADMIN}


@pytest.fixture
async def site(urls: Urls, tmp_path: Path) -> AsyncGenerator[Site]:
    async with site_on(urls, tmp_path) as made:
        yield made


@pytest.fixture
async def acme(site: Site) -> Company:
    return await site.world.company()


@pytest.fixture
async def provider() -> AsyncGenerator[Provider]:
    async with provider_here() as made:
        yield made


@pytest.fixture
async def browser(site: Site) -> AsyncGenerator[Browser]:
    async with site.browser() as made:
        yield made


async def test_a_person_signs_in_through_their_companys_provider(
    site: Site, acme: Company, provider: Provider, browser: Browser
) -> None:
    await site.trust(acme, provider)
    provider.is_account("bob@acme.test")
    page = await site.federated(browser, "bob@acme.test")
    assert (page.status, page.url) == (200, f"{site.url}/signin")
    assert "You are signed in" in page.shown
    assert "bob@acme.test" in page.shown
    (told,) = await site.audited(acme, "sign_in.succeeded")
    assert told["how"] == "provider"


async def test_somebody_new_is_created_as_a_member(
    site: Site, acme: Company, provider: Provider, browser: Browser
) -> None:
    await site.trust(acme, provider)
    provider.is_account("New.Hire@Acme.test", groups=("admins",))
    page = await site.federated(browser, "new.hire@acme.test")
    assert "new.hire@acme.test" in page.shown
    person = await site.world.assembly.people.by_email(acme.tenant.id, email="new.hire@acme.test")
    assert person.roles == {Role.MEMBER}


async def test_nobody_is_created_where_the_provider_may_not(
    site: Site, acme: Company, provider: Provider, browser: Browser
) -> None:
    await site.trust(acme, provider, creates_people=False)
    provider.is_account("new@acme.test")
    page = await site.federated(browser, "new@acme.test")
    assert (page.status, "person_unknown" in page.shown) == (404, True)
    with pytest.raises(NotFound):
        await site.world.assembly.people.by_email(acme.tenant.id, email="new@acme.test")


async def test_groups_are_roles_and_a_group_lost_is_a_role_lost(
    site: Site, acme: Company, provider: Provider, browser: Browser
) -> None:
    await site.trust(acme, provider, group_roles=_ROLES)
    people = site.world.assembly.people
    provider.is_account("alice@acme.test", groups=("approvers", "finance"))
    await site.federated(browser, "alice@acme.test")
    alice = await people.by_email(acme.tenant.id, email="alice@acme.test")
    assert (alice.roles, alice.groups) == (
        {Role.MEMBER, Role.APPROVER},
        {"approvers", "finance"},
    )
    before = (await people.tenant(acme.tenant.id)).epoch
    provider.is_account("alice@acme.test", groups=("finance",))
    async with site.browser() as another:
        await site.federated(another, "alice@acme.test")
    alice = await people.by_email(acme.tenant.id, email="alice@acme.test")
    assert (alice.roles, alice.groups) == ({Role.MEMBER}, {"finance"})
    assert (await people.tenant(acme.tenant.id)).epoch > before
    assert len(await site.audited(acme, "principal.changed")) == 2


async def test_groups_that_are_not_told_are_not_none(
    site: Site, acme: Company, provider: Provider, browser: Browser
) -> None:
    await site.trust(acme, provider, group_roles=_ROLES)
    provider.is_account("bob@acme.test")
    provider.tamper = lambda claims: {**claims, "_claim_names": {"groups": "src1"}}
    page = await site.federated(browser, "bob@acme.test")
    assert "groups_not_told" in page.shown
    bob = await site.world.assembly.people.by_email(acme.tenant.id, email="bob@acme.test")
    assert bob.roles == {Role.APPROVER}


def without(*keys: str) -> Callable[[Claims], Claims]:
    return lambda claims: {key: value for key, value in claims.items() if key not in keys}


def but(**changed: object) -> Callable[[Claims], Claims]:
    return lambda claims: {**claims, **changed}


@pytest.mark.parametrize(
    ("tamper", "code"),
    [
        (but(nonce="another"), "provider_refused"),
        (without("nonce"), "provider_refused"),
        (but(aud="somebody-else"), "provider_refused"),
        (but(aud=[CLIENT_ID, "other"]), "provider_refused"),
        (but(azp="other-client"), "provider_refused"),
        (but(iss="https://evil.example"), "provider_refused"),
        (but(exp=int(time.time()) - 3600), "provider_refused"),
        (but(nbf=int(time.time()) + 3600), "provider_refused"),
        (but(iat=int(time.time()) - 7200), "provider_refused"),
        (but(exp="soon"), "provider_refused"),
        (without("exp"), "provider_refused"),
        (without("iat"), "provider_refused"),
        (but(sub=""), "provider_refused"),
        (but(email_verified=False), "email_not_verified"),
        (without("email_verified"), "email_not_verified"),
        (but(email="bob@globex.test"), "email_not_allowed"),
        (but(email="bob@evil.test@acme.test.evil"), "email_not_verified"),
        (but(email=["bob@acme.test"]), "email_not_verified"),
    ],
)
async def test_a_token_that_cannot_be_believed_signs_nobody_in(
    site: Site,
    acme: Company,
    provider: Provider,
    browser: Browser,
    tamper: Callable[[Claims], Claims],
    code: str,
) -> None:
    await site.trust(acme, provider)
    provider.is_account("bob@acme.test")
    provider.tamper = tamper
    page = await site.federated(browser, "bob@acme.test")
    assert code in page.shown
    assert page.status == 403
    assert "Sign out" not in (await browser.get("/signin")).shown
    (told,) = await site.audited(acme, "sign_in.failed")
    assert told["code"] == code


async def test_a_key_that_the_provider_does_not_publish_signs_nobody_in(
    site: Site, acme: Company, provider: Provider, browser: Browser
) -> None:
    await site.trust(acme, provider)
    provider.is_account("bob@acme.test")
    provider.signs_with = new_key()
    page = await site.federated(browser, "bob@acme.test")
    assert (page.status, "provider_refused" in page.shown) == (403, True)


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
async def test_a_signature_of_another_kind_signs_nobody_in(
    site: Site, acme: Company, provider: Provider, browser: Browser, algorithm: str
) -> None:
    await site.trust(acme, provider)
    provider.is_account("bob@acme.test")
    provider.algorithm = algorithm
    page = await site.federated(browser, "bob@acme.test")
    assert (page.status, "provider_refused" in page.shown) == (403, True)


async def test_keys_that_are_new_are_fetched_once(
    site: Site, acme: Company, provider: Provider, browser: Browser
) -> None:
    await site.trust(acme, provider)
    provider.is_account("bob@acme.test")
    await site.federated(browser, "bob@acme.test")
    provider.kid = "two"
    for _ in range(3):
        async with site.browser() as another:
            await site.federated(another, "bob@acme.test")
    assert provider.asked.count("jwks") <= 2
    assert provider.asked.count("configuration") == 1


async def test_a_state_counts_once(
    site: Site, acme: Company, provider: Provider, browser: Browser
) -> None:
    await site.trust(acme, provider)
    provider.is_account("bob@acme.test")
    leaving = await browser.send(await browser.get("/signin"), email="bob@acme.test")
    cookies = dict(browser.http.cookies)
    redirect = await browser.get(leaving.read.links[-1], follow=False)
    callback = redirect.headers["location"]
    assert "You are signed in" in (await browser.get(callback)).shown
    browser.http.cookies.clear()
    browser.http.cookies.update(cookies)
    replayed = await browser.get(callback)
    assert (replayed.status, "sign_in_expired" in replayed.shown) == (401, True)


async def test_another_browser_cannot_finish_a_sign_in_and_does_not_spoil_it(
    site: Site, acme: Company, provider: Provider, browser: Browser
) -> None:
    await site.trust(acme, provider)
    provider.is_account("bob@acme.test")
    leaving = await browser.send(await browser.get("/signin"), email="bob@acme.test")
    redirect = await browser.get(leaving.read.links[-1], follow=False)
    callback = redirect.headers["location"]
    async with site.browser() as victim:
        without_cookie = await victim.get(callback)
        assert "sign_in_expired" in without_cookie.shown
        await victim.get("/signin")
        with_another = await victim.get(callback)
        assert (with_another.status, "sign_in_expired" in with_another.shown) == (401, True)
    assert "You are signed in" in (await browser.get(callback)).shown


@pytest.mark.parametrize(
    "query",
    ["", "?state=x&code=y", f"?state={'0' * 32}.{'a' * 43}&code=y", "?error=access_denied"],
)
async def test_a_callback_that_nobody_began_is_refused(browser: Browser, query: str) -> None:
    await browser.get("/signin")
    page = await browser.get(f"/signin/callback{query}")
    assert (page.status, "sign_in_expired" in page.shown) == (401, True)


async def test_an_answer_that_names_another_issuer_is_refused(
    site: Site, acme: Company, provider: Provider, browser: Browser
) -> None:
    await site.trust(acme, provider)
    provider.is_account("bob@acme.test")
    leaving = await browser.send(await browser.get("/signin"), email="bob@acme.test")
    redirect = await browser.get(leaving.read.links[-1], follow=False)
    mixed = redirect.headers["location"].rpartition("&iss=")[0] + "&iss=https://evil.example"
    page = await browser.get(mixed)
    assert (page.status, "another issuer" in page.shown) == (403, True)


async def test_what_the_provider_refuses_is_told_in_its_code_alone(
    site: Site, acme: Company, provider: Provider, browser: Browser
) -> None:
    await site.trust(acme, provider)
    provider.error = "access_denied"
    page = await site.federated(browser, "bob@acme.test")
    assert "access denied" in page.shown
    provider.error = "<script>alert(1)</script>"
    async with site.browser() as another:
        page = await site.federated(another, "bob@acme.test")
    assert "alert(1)" not in page.html


async def test_a_company_signs_in_nobody_of_another_company(
    site: Site, acme: Company, provider: Provider, browser: Browser
) -> None:
    globex = await site.world.company("globex")
    await site.trust(acme, provider)
    provider.is_account("dave@globex.test")
    await site.trust(globex, provider, domains=("globex.test",), creates_people=False)
    leaving = await browser.send(await browser.get("/signin?tenant=acme"), email="")
    page = await browser.get(leaving.read.links[-1])
    assert (page.status, "email_not_allowed" in page.shown) == (403, True)


async def test_the_same_address_in_two_companies_is_two_people(
    site: Site, acme: Company, provider: Provider, browser: Browser
) -> None:
    globex = await site.world.company("globex")
    await site.trust(acme, provider)
    await site.trust(globex, provider, domains=("acme.test",))
    provider.is_account("bob@acme.test")
    # Both speak for the domain, so the address alone says nothing.
    page = await browser.send(await browser.get("/signin"), email="bob@acme.test")
    assert "Ask your admin for a link" in page.shown
    leaving = await browser.send(await browser.get("/signin?tenant=globex"))
    await browser.get(leaving.read.links[-1])
    theirs = await site.world.assembly.people.by_email(globex.tenant.id, email="bob@acme.test")
    assert theirs.id != acme.approver.principal.id
    assert await site.audited(acme, "sign_in.succeeded") == []


async def test_somebody_who_is_disabled_stays_outside(
    site: Site, acme: Company, provider: Provider, browser: Browser
) -> None:
    await site.trust(acme, provider)
    provider.is_account("bob@acme.test")
    await site.federated(browser, "bob@acme.test")
    database = site.world.assembly.database
    async with database.for_tenant(acme.tenant.id) as connection:
        await connection.execute(
            update(principals)
            .where(principals.c.id == acme.approver.principal.id)
            .values(disabled_at=site.world.assembly.clock.now())
        )
    assert "Sign out" not in (await browser.get("/signin")).shown
    page = await site.federated(browser, "bob@acme.test")
    assert (page.status, "person_disabled" in page.shown) == (404, True)


async def test_an_address_that_was_given_to_somebody_new_opens_nothing(
    site: Site, acme: Company, provider: Provider, browser: Browser
) -> None:
    await site.trust(acme, provider)
    provider.is_account("bob@acme.test", sub="the-first-bob")
    await site.federated(browser, "bob@acme.test")
    provider.is_account("bob@acme.test", sub="another-bob")
    async with site.browser() as another:
        page = await site.federated(another, "bob@acme.test")
    assert (page.status, "identity_mismatch" in page.shown) == (409, True)


async def test_an_account_keeps_its_person_when_the_address_changes(
    site: Site, acme: Company, provider: Provider, browser: Browser
) -> None:
    await site.trust(acme, provider)
    provider.is_account("bob@acme.test", sub="bob")
    await site.federated(browser, "bob@acme.test")
    provider.is_account("robert@acme.test", sub="bob")
    async with site.browser() as another:
        assert "bob@acme.test" in (await site.federated(another, "x@acme.test")).shown


async def test_a_provider_that_never_verifies_is_believed_where_the_operator_says_so(
    site: Site, acme: Company, provider: Provider, browser: Browser
) -> None:
    await site.trust(acme, provider, trusts_email=True)
    provider.claims = {"sub": "b", "preferred_username": "bob@acme.test"}
    assert "bob@acme.test" in (await site.federated(browser, "bob@acme.test")).shown
    provider.claims = {"sub": "b", "email": "bob@acme.test", "email_verified": False}
    async with site.browser() as another:
        page = await site.federated(another, "bob@acme.test")
    assert "email_not_verified" in page.shown


async def test_what_the_token_lacks_the_user_info_tells(
    site: Site, acme: Company, provider: Provider, browser: Browser
) -> None:
    await site.trust(acme, provider, group_roles=_ROLES)
    provider.claims = {"sub": "b"}
    provider.userinfo = {
        "sub": "b",
        "email": "bob@acme.test",
        "email_verified": "true",
        "groups": ["admins"],
    }
    page = await site.federated(browser, "bob@acme.test")
    assert "admin, member" in page.shown
    provider.userinfo["sub"] = "somebody-else"
    async with site.browser() as another:
        page = await site.federated(another, "bob@acme.test")
    assert "somebody else" in page.shown


@pytest.mark.parametrize(
    "configuration",
    [
        {"issuer": "https://another.example"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "http://plain.example/authorize"},
        {"token_endpoint": None},
        {"jwks_uri": "http://169.254.169.254/keys"},
    ],
)
async def test_a_provider_that_says_what_it_must_not_is_not_believed(
    site: Site, acme: Company, provider: Provider, browser: Browser, configuration: Claims
) -> None:
    await site.trust(acme, provider)
    provider.configuration = configuration
    page = await browser.send(await browser.get("/signin"), email="bob@acme.test")
    assert (page.status, "provider_refused" in page.shown) == (403, True)


async def test_a_provider_that_is_gone_is_said_to_be(
    site: Site, acme: Company, provider: Provider, browser: Browser
) -> None:
    provider.issuer = "http://127.0.0.1:9"
    await site.trust(acme, provider)
    page = await browser.send(await browser.get("/signin"), email="bob@acme.test")
    assert (page.status, "provider_unavailable" in page.shown) == (503, True)

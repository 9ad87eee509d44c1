"""Signing in by link, staying signed in, signing out; and what no page of ours lets happen."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from starlette.requests import Request

from console.rendering import Pages
from console.signin.consent import ConsentPages
from core.domain.sign_in import How, SignedIn
from core.errors import InvalidInput, Unauthenticated
from core.identity.browser_sessions import SESSION_LIFE, Sessions, own_path
from core.store.database import Database
from core.store.directory import Directory
from core.store.principals import StoredPeople
from core.store.sign_in import StoredSignIn
from core.store.sign_in_tables import one_time_links
from core.store.tables import principals
from sallyport.signing_in import FrontPages
from tests.builders import SteadyClock, make_person, make_tenant
from tests.databases import Urls
from tests.oidc_provider import provider_here
from tests.pages import Browser, Page, Site, served_at, site_on
from tests.world import Company


@pytest.fixture
async def site(urls: Urls, tmp_path: Path) -> AsyncGenerator[Site]:
    async with site_on(urls, tmp_path) as made:
        yield made


@pytest.fixture
async def acme(site: Site) -> Company:
    return await site.world.company()


@pytest.fixture
async def browser(site: Site) -> AsyncGenerator[Browser]:
    async with site.browser() as made:
        yield made


def says(page: Page, *, status: int, code: str) -> bool:
    return page.status == status and f"Code: {code}" in page.shown


async def test_a_link_signs_its_person_in_once(site: Site, acme: Company, browser: Browser) -> None:
    path = await site.link(acme.approver.principal)
    landing = await browser.get(path)
    assert "Sign in as bob@acme.test?" in landing.shown
    signed_in = await browser.send(landing)
    assert "You are signed in" in signed_in.shown
    async with site.browser() as another:
        assert says(await another.get(path), status=401, code="link_not_valid")
        await another.get("/signin")
        url, fields = landing.form()
        _, visit = (await another.get("/signin")).form()
        reused = await another.post(url, {**fields, "form_token": visit["form_token"]})
        assert says(reused, status=401, code="link_not_valid")
    (told,) = await site.audited(acme, "sign_in.failed")
    assert told["code"] == "link_not_valid"


async def test_whoever_tries_too_often_waits_whatever_they_say_of_their_address(
    site: Site, browser: Browser
) -> None:
    for number in range(120):
        forwarded = {
            "x-forwarded-for": f"203.0.113.{number}",
            "forwarded": f"for=203.0.113.{number}",
        }
        tried = await browser.http.get(f"{site.url}/signin/link/x", headers=forwarded)
        assert tried.status_code == 401
    for path in ("/signin", "/signin/link/y", "/signin/callback?state=x"):
        held = await browser.http.get(f"{site.url}{path}", headers={"x-real-ip": "203.0.113.1"})
        assert held.status_code == 429
        assert 0 < int(held.headers["retry-after"]) <= 60
    held = await browser.http.post(f"{site.url}/signin", data={"email": "al@acme.test"})
    assert held.status_code == 429
    leaving = await browser.http.post(f"{site.url}/signin/out", data={"form_token": "x"})
    assert leaving.status_code == 403


async def test_a_link_leads_back_to_what_it_was_needed_for(
    site: Site, acme: Company, browser: Browser
) -> None:
    await browser.get("/signin?return_to=%2Fapprovals%2F1%3Fa%3Db")
    landing = await browser.get(await site.link(acme.approver.principal))
    url, fields = landing.form()
    gone_on = await browser.http.post(url, data=fields, follow_redirects=False)
    assert gone_on.headers["location"] == "/approvals/1?a=b"
    assert "sp_back" not in browser.http.cookies


@pytest.mark.parametrize("kept", ["Ly9ldmlsLnRlc3Q=", "aHR0cHM6Ly9ldmls", "%%", "w7bDtg=="])
async def test_where_a_browser_says_it_came_from_is_no_way_out(
    site: Site, acme: Company, browser: Browser, kept: str
) -> None:
    browser.http.cookies.set("sp_back", kept)
    signed_in = await browser.send(await browser.get(await site.link(acme.approver.principal)))
    assert "You are signed in" in signed_in.shown


async def test_looking_at_a_link_uses_nothing_up(
    site: Site, acme: Company, browser: Browser
) -> None:
    path = await site.link(acme.member.principal)
    for method in ("GET", "HEAD", "GET"):
        answer = await browser.http.request(method, f"{site.url}{path}")
        assert answer.status_code == 200
        assert "sp_session" not in answer.headers.get("set-cookie", "")
    assert "You are signed in" in (await browser.send(await browser.get(path))).shown


async def test_of_two_who_use_a_link_at_once_one_is_signed_in(site: Site, acme: Company) -> None:
    path = await site.link(acme.member.principal)
    async with site.browser() as one, site.browser() as two:
        landings = [await one.get(path), await two.get(path)]
        pages = await asyncio.gather(
            *(who.send(page) for who, page in zip((one, two), landings, strict=True))
        )
    assert sorted(page.status for page in pages) == [200, 401]


@pytest.mark.parametrize("secret", ["x", "a" * 43, "..%2f..", "%00" * 43])
async def test_a_link_of_nobodys_making_is_refused(browser: Browser, secret: str) -> None:
    page = await browser.get(f"/signin/link/{secret}")
    assert page.status in {401, 404}
    assert "You are signed in" not in page.html


async def test_an_expired_link_signs_nobody_in(site: Site, acme: Company, browser: Browser) -> None:
    landing = await browser.get(await site.link(acme.member.principal))
    database = site.world.assembly.database
    async with database.for_tenant(acme.tenant.id) as connection:
        now = site.world.assembly.clock.now()
        await connection.execute(update(one_time_links).values(expires_at=now))
    assert says(await browser.send(landing), status=401, code="link_not_valid")
    assert says(await browser.get(landing.url), status=401, code="link_not_valid")


async def test_signing_in_makes_a_new_session_and_ends_the_one_before(
    site: Site, acme: Company, browser: Browser
) -> None:
    await site.sign_in(browser, acme.member.principal)
    before = browser.http.cookies["sp_session"]
    await site.sign_in(browser, acme.approver.principal)
    assert browser.http.cookies["sp_session"] != before
    async with site.browser() as thief:
        thief.http.cookies.set("sp_session", before)
        assert "Signed in as" not in (await thief.get("/signin")).shown


async def test_a_session_that_an_attacker_chose_is_not_taken_over(
    site: Site, acme: Company, browser: Browser
) -> None:
    browser.http.cookies.set("sp_session", "A" * 43, domain="127.0.0.1")
    await site.sign_in(browser, acme.member.principal)
    async with site.browser() as attacker:
        attacker.http.cookies.set("sp_session", "A" * 43)
        assert "Signed in as" not in (await attacker.get("/signin")).shown


async def test_signing_out_ends_the_session_for_whoever_copied_it(
    site: Site, acme: Company, browser: Browser
) -> None:
    page = await site.sign_in(browser, acme.member.principal)
    copied = browser.http.cookies["sp_session"]
    url, fields = page.form(0)
    assert "You are signed out" in (await browser.post(url, fields)).shown
    assert "sp_session" not in browser.http.cookies
    async with site.browser() as thief:
        thief.http.cookies.set("sp_session", copied)
        assert "Signed in as" not in (await thief.get("/signin")).shown
    assert len(await site.audited(acme, "sign_in.ended")) == 1


async def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(
    site: Site, acme: Company, browser: Browser
) -> None:
    landing = await browser.get(await site.link(acme.member.principal))
    url, fields = landing.form()
    answer = await browser.http.post(url, data=fields)
    cookie = next(
        told for told in answer.headers.get_list("set-cookie") if told.startswith("sp_session=")
    )
    told = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/", "max-age=43200"} <= told
    assert "secure" not in told  # plain http, on this machine


async def test_over_https_cookies_are_secure_and_bound_to_the_host(
    site: Site, acme: Company
) -> None:
    async with served_at(site.world, public_url="https://gate.acme.test") as there:
        path = await site.link(acme.member.principal)
        async with there.browser() as browser:
            answer = await browser.get(path)
            told = answer.headers["set-cookie"]
    assert told.startswith("__Host-sp_visit=")
    assert "secure" in told.lower()


@pytest.mark.parametrize(
    "form", ["/signin", "/signin/out", "/signin/link/" + "a" * 43, "/approvals/" + "0" * 8]
)
async def test_no_form_is_taken_from_another_site_or_without_its_token(
    site: Site, acme: Company, browser: Browser, form: str
) -> None:
    page = await site.sign_in(browser, acme.approver.principal)
    _, fields = page.form(0)
    for origin in ("https://evil.example", "null", f"{site.url}.evil.example"):
        refused = await browser.post(form, fields, origin=origin)
        assert says(refused, status=403, code="form_not_ours"), refused.shown
    for token in ("", "0" * 64):
        refused = await browser.post(form, {**fields, "form_token": token})
        assert says(refused, status=403, code="form_not_ours"), refused.shown
    assert "Signed in as bob@acme.test" in (await browser.get("/signin")).shown


async def test_a_link_is_used_by_the_browser_that_saw_it_only(
    site: Site, acme: Company, browser: Browser
) -> None:
    landing = await browser.get(await site.link(acme.member.principal))
    async with site.browser() as victim:
        url, fields = landing.form()
        assert says(await victim.post(url, fields), status=403, code="form_not_ours")
    assert "You are signed in" in (await browser.send(landing)).shown


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"form_token=a&form_token=b", "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
        (b"a=" + b"x" * 70_000, "application/x-www-form-urlencoded"),
        (b"a=%ff", "application/x-www-form-urlencoded"),
        (b"\xff", "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=1" % n for n in range(50)), "application/x-www-form-urlencoded"),
    ],
)
async def test_what_is_no_form_is_refused(browser: Browser, body: bytes, content_type: str) -> None:
    await browser.get("/signin")
    answer = await browser.http.post(
        f"{browser.home}/signin", content=body, headers={"content-type": content_type}
    )
    assert (answer.status_code, "malformed_form" in answer.text) == (422, True)


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        " //evil.example",
        "javascript:alert(1)",
        "evil.example",
        "",
        "/" + "a" * 8192,
        "/ü",
        "/a b",
        "/a\\b",
    ],
)
async def test_nobody_is_sent_elsewhere(
    site: Site, acme: Company, browser: Browser, elsewhere: str
) -> None:
    with pytest.raises(InvalidInput, match="invalid_return_to"):
        own_path(elsewhere)
    await site.sign_in(browser, acme.member.principal)
    answer = await browser.http.get(f"{site.url}/signin", params={"return_to": elsewhere})
    assert "location" not in answer.headers
    assert answer.status_code in {200, 422}


async def test_whoever_is_signed_in_goes_straight_on(
    site: Site, acme: Company, browser: Browser
) -> None:
    there = "/oauth/authorize?client_id=https%3A%2F%2Fx.example%2Fc&state=a"
    await browser.send(await browser.get(await site.link(acme.member.principal)))
    answer = await browser.http.get(f"{site.url}/signin", params={"return_to": there})
    assert answer.headers["location"] == there
    other = await browser.http.get(
        f"{site.url}/signin", params={"return_to": there, "tenant": "globex"}
    )
    assert other.status_code == 200
    assert "of another company" in other.text


async def test_nobody_learns_who_is_known_here(acme: Company, browser: Browser) -> None:
    shown: set[str] = set()
    for email, tenant in (
        ("bob@acme.test", ""),
        ("nobody@nowhere.test", ""),
        ("bob@acme.test", acme.tenant.name),
        ("bob@acme.test", "no-such-company"),
    ):
        page = await browser.send(await browser.get("/signin"), email=email, tenant=tenant)
        assert page.status == 200
        shown.add(page.shown.replace(email, "E").replace(tenant or "COMPANY", "T"))
    assert len(shown) == 1


async def test_every_page_keeps_itself_to_itself(
    site: Site, acme: Company, browser: Browser
) -> None:
    async with provider_here() as provider:
        await site.trust(acme, provider)
        pages = [
            await browser.get("/signin"),
            await browser.send(await browser.get("/signin"), email="bob@acme.test"),
            await browser.send(await browser.get("/signin"), email="bob@else.test"),
            await browser.get("/signin/link/nothing"),
            await browser.get(await site.link(acme.approver.principal)),
            await site.sign_in(browser, acme.approver.principal),
            await browser.get("/approvals/none"),
        ]
    for page in pages:
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "form-action 'self'" in policy
        assert "unsafe" not in policy
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "same-origin"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert "script" not in page.read.tags
        assert "style=" not in page.html


async def test_the_style_is_there_for_good(browser: Browser) -> None:
    page = await browser.get("/signin")
    path = page.html.partition('rel="stylesheet" href="')[2].partition('"')[0]
    style = await browser.get(path)
    assert style.headers["content-type"].startswith("text/css")
    assert "immutable" in style.headers["cache-control"]


async def test_what_is_shown_cannot_be_markup(site: Site, acme: Company, browser: Browser) -> None:
    front: FrontPages = site.world.assembly.sign_in.pages(site.world.app, public_url=None)
    evil = '"><img src=x onerror=alert(1)><script>alert(2)</script>\u202egpj'
    answer = await front.consent.render(
        Request({"type": "http", "headers": []}),
        SignedIn(principal=acme.member.principal, session_id="s", how=How.LINK, csrf="c"),
        client_name=evil,
        redirect_host=evil,
        scopes=("tools:call", evil),
        resource=evil,
        form_token="token",
        action="/oauth/consent?x=1&y=2",
    )
    html = bytes(answer.body).decode()
    assert "<img" not in html
    assert "<script" not in html
    assert "\u202e" not in html
    assert "U+202E" in html
    page = Page(url="http://x/", status=200, headers=answer.headers, html=html)
    assert page.form() == ("http://x/oauth/consent?x=1&y=2", {"form_token": "token"})
    assert "Use the tools that you may use." in page.shown
    assert "at acme" in page.shown
    asked = await browser.send(
        await browser.get("/signin"), email="<script>alert(1)</script>@acme.test"
    )
    assert "<script" not in asked.html


@pytest.mark.parametrize(
    ("host", "is_local"),
    [("127.0.0.1:33418", True), ("localhost", True), ("[::1]:80", True), ("claude.ai", False)],
)
async def test_consent_says_whether_the_answer_leaves_the_machine(
    database: Database, host: str, *, is_local: bool
) -> None:
    tenant = await make_tenant(database)
    person = await make_person(database, tenant, "alice@acme.test")
    consent = ConsentPages(Pages(), tenants=StoredPeople(database))
    answer = await consent.render(
        Request({"type": "http", "headers": []}),
        SignedIn(principal=person, session_id="s", how=How.LINK, csrf="c"),
        client_name="Client",
        redirect_host=host,
        scopes=(),
        resource="https://gate.acme.test/mcp",
        form_token="token",
        action="/oauth/consent",
    )
    assert ("on this computer" in bytes(answer.body).decode()) is is_local
    # The answer leads to the client, wherever it listens: browsers would hold it to form-action.
    assert "form-action" not in answer.headers["content-security-policy"]


class _Audit:
    """Takes what the auditor would be told."""

    async def record(self, *_records: object) -> None:
        return None


async def test_a_session_lives_for_half_a_day_and_no_longer(
    database: Database, clock: SteadyClock
) -> None:
    tenant = await make_tenant(database)
    person = await make_person(database, tenant, "alice@acme.test")
    records = StoredSignIn(database, directory=Directory(database))
    sessions = Sessions(records, audit=_Audit(), clock=clock)
    secret = await sessions.begin(person, how=How.LINK)
    assert (who := await sessions.who(secret)) is not None
    assert who.principal == person
    assert [one.principal for one in await sessions.page(tenant.id)] == [person]
    clock.move(seconds=(SESSION_LIFE - timedelta(seconds=1)).total_seconds())
    assert await sessions.who(secret) is not None
    clock.move(seconds=1)
    assert await sessions.who(secret) is None
    assert await sessions.page(tenant.id) == ()


async def test_whoever_is_disabled_or_revoked_is_nobody_at_once(
    database: Database, clock: SteadyClock
) -> None:
    tenant = await make_tenant(database)
    alice = await make_person(database, tenant, "alice@acme.test")
    bob = await make_person(database, tenant, "bob@acme.test")
    records = StoredSignIn(database, directory=Directory(database))
    sessions = Sessions(records, audit=_Audit(), clock=clock)
    hers, his = await sessions.begin(alice, how=How.LINK), await sessions.begin(bob, how=How.LINK)
    link, _ = await sessions.make_link(alice, return_to="/signin")
    async with database.for_tenant(tenant.id) as connection:
        await connection.execute(
            update(principals).where(principals.c.id == alice.id).values(disabled_at=clock.now())
        )
    assert await sessions.who(hers) is None
    assert await records.link(b"0" * 32) is None
    with pytest.raises(Unauthenticated, match="link_not_valid"):
        await sessions.use(link)
    assert await sessions.revoke_all(bob) == 1
    assert await sessions.revoke_all(bob) == 0
    assert await sessions.who(his) is None

"""The page on which an account becomes somebody's: what it shows, and that no link ever does it."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from core.domain.account import Account, Shown
from core.domain.principal import Caller, Principal
from tests.chat import account_of, leave_workspace, make_workspace
from tests.databases import Urls
from tests.pages import Browser, Page, Site, site_on
from tests.world import Company

ALICE = account_of("U0ALICE")
OWN = Shown(name="Alice", email="alice@acme.test")
NOBODYS = Shown(name="Al <b>ice</b>\u202e", email="alice@home.test")


@pytest.fixture
async def site(urls: Urls, tmp_path: Path) -> AsyncGenerator[Site]:
    async with site_on(urls, tmp_path) as made:
        yield made


@pytest.fixture
async def acme(site: Site) -> Company:
    company = await site.world.company()
    await make_workspace(site.world.assembly.database, company.admin.principal)
    return company


@pytest.fixture
async def browser(site: Site) -> AsyncGenerator[Browser]:
    async with site.browser() as made:
        yield made


async def offered(site: Site, acme: Company, *, shown: Shown = OWN) -> str:
    """Return the path that the agent answers an account with."""
    linking = site.world.assembly.linking
    return (await linking.offer(acme.tenant.id, account=ALICE, shown=shown)).path


async def seen(site: Site, browser: Browser, who: Caller, path: str) -> Page:
    await site.sign_in(browser, who.principal)
    return await browser.get(path)


async def holder(site: Site, acme: Company, account: Account = ALICE) -> Principal | None:
    return await site.world.assembly.linking.person(acme.tenant.id, account=account)


async def test_the_page_says_which_account_would_be_whose(
    site: Site, acme: Company, browser: Browser
) -> None:
    page = await seen(site, browser, acme.member, await offered(site, acme, shown=NOBODYS))
    assert page.status == 200
    for told in (
        "Is this your Slack account?",
        "alice@acme.test",
        "Al <b>ice</b>",
        "U0ALICE",
        "alice@home.test",
        "Acme <Chat>",
        "T0ACME",
        "If somebody else gave you this link, close this page",
    ):
        assert told in page.shown, told
    assert "\u202e" not in page.html
    assert "script" not in page.read.tags
    assert page.headers["referrer-policy"] == "same-origin"
    assert page.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


async def test_whoever_confirms_is_connected_and_can_take_it_back(
    site: Site, acme: Company, browser: Browser
) -> None:
    page = await seen(site, browser, acme.member, await offered(site, acme))
    connected = await browser.send(page, answer="connect")
    assert (connected.status, "Connected" in connected.shown) == (200, True)
    assert await holder(site, acme) == acme.member.principal
    again = await browser.get(connected.url)
    assert "Connected" in again.shown
    gone = await browser.send(again, answer="disconnect")
    assert "Disconnected" in gone.shown
    assert await holder(site, acme) is None
    assert "Disconnected" in (await browser.send(again, answer="disconnect")).shown
    assert "link_offer_used" in (await browser.get(connected.url)).shown
    (told,) = await site.audited(acme, "account.unlinked")
    assert told["why"] == "by_person"


async def test_an_account_that_nobodys_email_speaks_for_wants_a_word_more(
    site: Site, acme: Company, browser: Browser
) -> None:
    page = await seen(site, browser, acme.member, await offered(site, acme, shown=NOBODYS))
    refused = await browser.send(page, answer="connect")
    assert (refused.status, "link_not_confirmed" in refused.shown) == (422, True)
    assert await holder(site, acme) is None
    assert "Connected" in (await browser.send(refused, answer="connect", mine="yes")).shown


async def test_a_link_alone_connects_nothing(site: Site, acme: Company, browser: Browser) -> None:
    path = await offered(site, acme)
    for _ in range(2):
        for query in ("", "?answer=connect", "?answer=connect&mine=yes"):
            assert (await browser.get(path + query)).status == 200
            assert (await browser.http.head(site.url + path + query)).status_code in {200, 303}
        await site.sign_in(browser, acme.member.principal)
    assert await holder(site, acme) is None
    assert "Is this your Slack account?" in (await browser.get(path)).shown


async def test_whoever_is_not_signed_in_signs_in_first_and_comes_back(
    site: Site, acme: Company, browser: Browser
) -> None:
    path = await offered(site, acme)
    page = await browser.get(path)
    assert "Sign in" in page.shown
    assert "U0ALICE" not in page.html
    assert page.form()[1]["return_to"] == path
    refused = await browser.post(path, {"answer": "connect", "mine": "yes"})
    assert "Sign in" in refused.shown
    assert await holder(site, acme) is None
    # A one-time link that leads nowhere, as the operator's: the browser has kept where it was.
    landing = await browser.get(await site.link(acme.member.principal))
    back = await browser.send(landing)
    assert back.url.endswith(path)
    assert "Is this your Slack account?" in back.shown
    assert "Connected" in (await browser.send(back, answer="connect")).shown


async def test_a_colleague_who_is_handed_the_link_connects_nothing(
    site: Site, acme: Company, browser: Browser
) -> None:
    path = await offered(site, acme)
    page = await seen(site, browser, acme.approver, path)
    assert (page.status, "account_of_another" in page.shown) == (403, True)
    assert len(page.read.forms) == 1  # signing out
    signed_in = await browser.get("/signin")
    fields = {"form_token": signed_in.form(0)[1]["form_token"], "answer": "connect", "mine": "yes"}
    refused = await browser.post(path, fields)
    assert (refused.status, "account_of_another" in refused.shown) == (403, True)
    assert await holder(site, acme) is None
    (told,) = await site.audited(acme, "account.link_refused")
    assert (told["code"], told["user"]) == ("account_of_another", "U0ALICE")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"form_token": "0" * 64}, 403, "form_not_ours"),
        ({"form_token": ""}, 403, "form_not_ours"),
        ({"answer": ""}, 422, "invalid_field"),
        ({"answer": "yes"}, 422, "invalid_field"),
    ],
)
async def test_what_is_no_answer_changes_nothing(
    site: Site, acme: Company, browser: Browser, change: dict[str, str], status: int, code: str
) -> None:
    page = await seen(site, browser, acme.member, await offered(site, acme))
    refused = await browser.send(page, **{"answer": "connect", **change})
    assert (refused.status, code in refused.shown) == (status, True), refused.shown
    assert await holder(site, acme) is None


async def test_another_site_connects_and_disconnects_nothing(
    site: Site, acme: Company, browser: Browser
) -> None:
    page = await seen(site, browser, acme.member, await offered(site, acme))
    for answer in ("connect", "disconnect"):
        url, fields = page.form()
        for origin in ("https://evil.example", "null"):
            refused = await browser.post(url, {**fields, "answer": answer}, origin=origin)
            assert (refused.status, "form_not_ours" in refused.shown) == (403, True)
        before = await holder(site, acme)
        assert (before is None) == (answer == "connect")
        await browser.send(page, answer="connect")


async def test_another_companys_link_is_not_there_and_the_page_says_what_to_do(
    site: Site, acme: Company, browser: Browser
) -> None:
    globex = await site.world.company("globex")
    path = await offered(site, acme)
    page = await seen(site, browser, globex.admin, path)
    assert (page.status, "link_offer_unknown" in page.shown) == (404, True)
    assert "U0ALICE" not in page.html
    assert "signed in as the wrong person" in page.shown
    unknown = await browser.get("/link/" + "A" * 43)
    assert unknown.status == 404
    for wrong in ("x", "%00", "A" * 500, "..%2f"):
        assert (await browser.get(f"/link/{wrong}")).status == 404


async def test_a_replayed_form_is_told_that_the_link_was_used(
    site: Site, acme: Company, browser: Browser
) -> None:
    page = await seen(site, browser, acme.member, await offered(site, acme))
    await browser.send(page, answer="connect")
    replayed = await browser.send(page, answer="connect")
    assert (replayed.status, "link_offer_used" in replayed.shown) == (409, True)
    await browser.send(page, answer="disconnect")
    replayed = await browser.send(page, answer="connect")
    assert (replayed.status, "link_offer_used" in replayed.shown) == (409, True)
    assert await holder(site, acme) is None


async def test_nothing_is_connected_in_a_workspace_that_was_left(
    site: Site, acme: Company, browser: Browser
) -> None:
    page = await seen(site, browser, acme.member, await offered(site, acme))
    await leave_workspace(site.world.assembly.database, acme.tenant.id)
    refused = await browser.send(page, answer="connect")
    assert (refused.status, "link_offer_unknown" in refused.shown) == (404, True)


async def test_somebody_disabled_between_looking_and_confirming_connects_nothing(
    site: Site, acme: Company, browser: Browser
) -> None:
    page = await seen(site, browser, acme.member, await offered(site, acme))
    parts = site.world.assembly
    await parts.enrolment.disable(acme.tenant.id, email="alice@acme.test", at=parts.clock.now())
    assert "Sign in" in (await browser.send(page, answer="connect")).shown
    assert await holder(site, acme) is None

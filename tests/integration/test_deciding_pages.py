"""The page on which a person decides: what it shows, who may, and that no link ever does."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from core.domain.approval import Approval, ApprovalState
from core.domain.principal import Caller
from core.domain.tool import CallState
from tests.databases import Urls
from tests.pages import Browser, Page, Site, site_on
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


async def asked(site: Site, who: Caller, *, tool: str, **arguments: str) -> Approval:
    """Have somebody ask for a call that needs people, and return the question."""
    await site.world.app.call_tool(who, tool=tool, arguments=arguments)
    await site.world.drive()
    return (await site.world.pending(who))[-1]


async def deletion(site: Site, acme: Company, *, by: Caller | None = None) -> Approval:
    return await asked(site, by or acme.member, tool="delete_task", task_id=str(acme.task_ids[0]))


async def seen(site: Site, browser: Browser, who: Caller, approval: Approval) -> Page:
    """Sign somebody in and have them look at the question."""
    await site.sign_in(browser, who.principal)
    return await browser.get(f"/approvals/{approval.id}")


async def state_of(site: Site, acme: Company, approval: Approval) -> ApprovalState:
    return (await site.world.app.approval(acme.admin, approval_id=approval.id)).state


async def test_the_page_shows_exactly_what_would_be_done(
    site: Site, acme: Company, browser: Browser
) -> None:
    approval = await deletion(site, acme)
    page = await seen(site, browser, acme.approver, approval)
    assert page.status == 200
    for told in (
        "Waiting for a decision",
        "destructive",
        "Write the report",
        "alice@acme.test",
        "delete_task",
        "an approver",
        str(acme.task_ids[0]),
        approval.reason,
        approval.digest[:16],
    ):
        assert told in page.shown, told


async def test_whoever_is_not_signed_in_signs_in_first_and_comes_back(
    site: Site, acme: Company, browser: Browser
) -> None:
    approval = await deletion(site, acme)
    page = await browser.get(f"/approvals/{approval.id}")
    assert "Sign in" in page.shown
    assert "Write the report" not in page.html
    assert page.form()[1]["return_to"] == f"/approvals/{approval.id}"
    refused = await browser.post(f"/approvals/{approval.id}", {"answer": "approve"})
    assert "Sign in" in refused.shown
    link = await site.link(acme.approver.principal, return_to=f"/approvals/{approval.id}")
    assert "Your decision" in (await browser.send(await browser.get(link))).shown


async def test_an_approval_makes_the_call_and_says_who_decided(
    site: Site, acme: Company, browser: Browser
) -> None:
    approval = await deletion(site, acme)
    page = await seen(site, browser, acme.approver, approval)
    decided = await browser.send(page, answer="approve", reason="Fine <b>by</b> me.")
    assert decided.status == 200
    assert "Approved" in decided.shown
    assert "bob@acme.test approved" in decided.shown
    assert "Fine <b>by</b> me." in decided.shown
    assert "closed" in decided.shown
    assert "Your decision" not in decided.shown
    await site.world.drive()
    view = await site.world.app.call(acme.member, call_id=approval.call_id)
    assert view.record.state is CallState.SUCCEEDED
    (told,) = await site.audited(acme, "approval.decided")
    assert (told["via"], told["by"]) == ("page", "bob@acme.test")


async def test_a_denial_is_kept_with_its_reason(
    site: Site, acme: Company, browser: Browser
) -> None:
    approval = await deletion(site, acme)
    page = await seen(site, browser, acme.approver, approval)
    decided = await browser.send(page, answer="deny", reason="Not now.")
    assert "bob@acme.test denied" in decided.shown
    assert await state_of(site, acme, approval) is ApprovalState.DENIED


async def test_an_approval_may_hold_for_the_rest_of_the_run(
    site: Site, acme: Company, browser: Browser
) -> None:
    approval = await deletion(site, acme)
    page = await seen(site, browser, acme.approver, approval)
    assert "for everybody in the company" not in page.shown
    decided = await browser.send(page, answer="approve", scope="run")
    assert "for the rest of this run" in decided.shown


async def test_only_an_admin_is_offered_to_allow_for_good(
    site: Site, acme: Company, browser: Browser
) -> None:
    approval = await deletion(site, acme)
    page = await seen(site, browser, acme.approver, approval)
    refused = await browser.send(page, answer="approve", scope="always")
    assert (refused.status, "scope_needs_admin" in refused.shown) == (403, True)
    assert await state_of(site, acme, approval) is ApprovalState.PENDING
    async with site.browser() as another:
        page = await seen(site, another, acme.admin, approval)
        assert "for everybody in the company" in page.shown


async def test_looking_decides_nothing(site: Site, acme: Company, browser: Browser) -> None:
    approval = await deletion(site, acme)
    await site.sign_in(browser, acme.approver.principal)
    there = f"/approvals/{approval.id}"
    for query in ("", "?answer=approve", f"?answer=approve&digest={approval.digest}"):
        assert (await browser.get(there + query)).status == 200
        assert (await browser.http.head(site.url + there + query)).status_code == 200
    assert await state_of(site, acme, approval) is ApprovalState.PENDING


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"form_token": "0" * 64}, 403, "form_not_ours"),
        ({"digest": "0" * 64}, 409, "wrong_digest"),
        ({"digest": ""}, 409, "wrong_digest"),
        ({"answer": ""}, 422, "invalid_field"),
        ({"answer": "happened"}, 422, "wrong_answer"),
        ({"scope": "forever"}, 422, "invalid_field"),
        ({"reason": "r" * 2001}, 422, "reason_too_long"),
    ],
)
async def test_what_is_no_answer_changes_nothing(
    site: Site,
    acme: Company,
    browser: Browser,
    change: dict[str, str],
    status: int,
    code: str,
) -> None:
    approval = await deletion(site, acme)
    page = await seen(site, browser, acme.approver, approval)
    refused = await browser.send(page, **{"answer": "approve", **change})
    assert (refused.status, code in refused.shown) == (status, True), refused.shown
    assert await state_of(site, acme, approval) is ApprovalState.PENDING


async def test_another_site_decides_nothing(site: Site, acme: Company, browser: Browser) -> None:
    approval = await deletion(site, acme)
    page = await seen(site, browser, acme.approver, approval)
    url, fields = page.form()
    for origin in ("https://evil.example", "null"):
        refused = await browser.post(url, {**fields, "answer": "approve"}, origin=origin)
        assert (refused.status, "form_not_ours" in refused.shown) == (403, True)
    assert await state_of(site, acme, approval) is ApprovalState.PENDING


async def test_nobody_decides_for_themselves_and_the_page_says_so(
    site: Site, acme: Company, browser: Browser
) -> None:
    approval = await deletion(site, acme, by=acme.approver)
    page = await seen(site, browser, acme.approver, approval)
    assert "You asked for this yourself" in page.shown
    assert len(page.read.forms) == 1  # signing out
    signed_in = await browser.get("/signin")
    fields = {
        "form_token": signed_in.form(0)[1]["form_token"],
        "digest": approval.digest,
        "answer": "approve",
    }
    refused = await browser.post(f"/approvals/{approval.id}", fields)
    assert (refused.status, "self_approval" in refused.shown) == (403, True)


async def test_the_requester_sees_the_question_and_cannot_answer_it(
    site: Site, acme: Company, browser: Browser
) -> None:
    approval = await deletion(site, acme)
    page = await seen(site, browser, acme.member, approval)
    assert "You asked for this yourself" in page.shown
    assert len(page.read.forms) == 1  # signing out


async def test_another_companys_question_is_not_there(
    site: Site, acme: Company, browser: Browser
) -> None:
    globex = await site.world.company("globex")
    approval = await deletion(site, acme)
    page = await seen(site, browser, globex.admin, approval)
    assert (page.status, "not_found" in page.shown) == (404, True)
    assert "Write the report" not in page.html
    for wrong in ("x", "0" * 32, "..%2f"):
        assert (await browser.get(f"/approvals/{wrong}")).status == 404


async def test_a_closed_question_is_shown_closed_and_stays_so(
    site: Site, acme: Company, browser: Browser
) -> None:
    approval = await deletion(site, acme)
    page = await seen(site, browser, acme.approver, approval)
    async with site.browser() as another:
        await another.send(await seen(site, another, acme.second_approver, approval), answer="deny")
    late = await browser.send(page, answer="approve")
    assert (late.status, "approval_closed" in late.shown) == (409, True)
    assert "beth@acme.test denied" in late.shown
    assert await state_of(site, acme, approval) is ApprovalState.DENIED


async def test_what_a_caller_sends_is_shown_as_text(
    site: Site, acme: Company, browser: Browser
) -> None:
    evil = "</pre><script>alert(1)</script><img src=x onerror=alert(2)> \u202etxt.exe\u200b"
    approval = await asked(
        site,
        acme.member,
        tool="send_message_to_user",
        recipient="bob@acme.test",
        text=evil,
    )
    page = await seen(site, browser, acme.admin, approval)
    assert "script" not in page.read.tags
    assert "img" not in page.read.tags
    assert "</pre><script>alert(1)</script>" in page.shown
    assert "\u202e" not in page.html
    assert "U+202E" in page.shown
    assert "U+200B" in page.shown

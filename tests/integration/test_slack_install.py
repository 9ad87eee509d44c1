"""Installing the app at Slack: who may, from where, how often; and whose the workspace is then."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from sqlalchemy import select, text, update

from core.domain.chat import Surface, Workspace, WorkspaceState
from core.domain.principal import Caller
from core.store.chat_tables import chat_install_states, chat_workspaces
from core.store.readiness import Readiness
from core.store.tables import principals
from sallyport.http import http_app
from sallyport.settings import HttpSettings, SlackSettings
from sallyport.slack import SlackParts
from tests.databases import Urls
from tests.pages import SCRIPT, Browser, LoopbackAssembly, Page, Site, audit_of
from tests.rest import listening
from tests.slack_api import CLIENT_ID, CLIENT_SECRET, SIGNING_SECRET, SlackApi, slack_here
from tests.world import Company, World, world_on


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """A company's site with Slack beside it."""

    site: Site
    slack: SlackApi
    parts: SlackParts
    acme: Company

    @property
    def world(self) -> World:
        return self.site.world

    @asynccontextmanager
    async def at(self, caller: Caller | None) -> AsyncGenerator[Browser]:
        """Enter a browser at which this person is signed in."""
        async with self.site.browser() as browser:
            if caller is not None:
                await self.site.sign_in(browser, caller.principal)
            yield browser

    async def leave(self, browser: Browser) -> str:
        """Begin an installation, and return the state that goes to Slack."""
        page = await browser.get("/slack/install", follow=False)
        assert page.status == 303, page.shown
        asked = parse_qs(urlsplit(page.headers["location"]).query)
        return asked["state"][0]

    async def arrive(self, browser: Browser, **told: str) -> Page:
        return await browser.get(f"/slack/oauth_redirect?{urlencode(told)}", follow=False)

    async def install(self, browser: Browser, team: str = "T0001", /, **changed: object) -> Page:
        state = await self.leave(browser)
        return await self.arrive(browser, state=state, code=self.slack.code(team, **changed))

    async def workspace(self, team: str = "T0001") -> Workspace | None:
        return await self.parts.workspaces.find(Surface.SLACK, workspace=team)

    async def audited(self, company: Company) -> list[str]:
        told = await audit_of(self.world, company)
        return [action for action, _ in told if action.startswith("slack.")]


@pytest.fixture
async def office(urls: Urls, tmp_path: Path) -> AsyncGenerator[Office]:
    async with (
        slack_here() as slack,
        world_on(urls, tmp_path, script=SCRIPT, kind=LoopbackAssembly) as world,
    ):
        assembly = world.assembly
        settings = SlackSettings.model_validate(
            {
                "slack_client_id": CLIENT_ID,
                "slack_client_secret": CLIENT_SECRET,
                "slack_signing_secret": SIGNING_SECRET,
                "slack_api_url": slack.url,
            }
        )
        parts = SlackParts(
            settings,
            database=assembly.database,
            directory=assembly.directory,
            workspaces=assembly.chat_workspaces,
            clock=assembly.clock,
        )
        front = assembly.sign_in.pages(world.app, public_url=None)
        routes = parts.routes(parts.events(lambda _: None), pages=front)
        asgi = http_app(
            app=world.app,
            tokens=assembly.tokens,
            mcp=None,
            readiness=Readiness(assembly.database).check,
            settings=HttpSettings(),
            clock=assembly.clock,
            pages=(*front.routes, *routes),
        )
        async with parts, listening(asgi) as url:
            site = Site(world=world, url=url)
            yield Office(site=site, slack=slack, parts=parts, acme=await world.company())


def says(page: Page, *, status: int, code: str) -> bool:
    return page.status == status and f"Code: {code}" in page.shown


async def test_an_admin_is_sent_to_slack_with_what_the_app_needs(office: Office) -> None:
    async with office.at(office.acme.admin) as browser:
        page = await browser.get("/slack/install", follow=False)
    there = urlsplit(page.headers["location"])
    asked = {name: value for name, (value,) in parse_qs(there.query).items()}
    assert f"{there.scheme}://{there.netloc}/api/" == office.slack.url
    assert there.path == "/oauth/v2/authorize"
    assert asked["client_id"] == CLIENT_ID
    assert {"chat:write", "commands", "assistant:write"} <= set(asked["scope"].split(","))
    assert asked["redirect_uri"] == f"{office.site.url}/slack/oauth_redirect"
    cookie = page.headers["set-cookie"].lower()
    assert {"httponly", "samesite=lax", "path=/", "max-age=600"} <= {
        part.strip() for part in cookie.split(";")
    }
    assert asked["state"] not in cookie


async def test_what_an_admin_installs_is_their_company_s(office: Office) -> None:
    async with office.at(office.acme.admin) as browser:
        page = await office.install(browser)
    assert page.status == 200
    assert "Slack is connected" in page.shown
    workspace = await office.workspace()
    assert workspace is not None
    assert workspace.tenant_id == office.acme.tenant.id
    assert workspace.state is WorkspaceState.ACTIVE
    assert (workspace.name, workspace.app, workspace.bot_user) == ("Team T0001", "A0001", "U0BOT")
    assert workspace.scopes == ("chat:write", "commands")
    assert workspace.installed_by == office.acme.admin.principal.id
    assert office.parts.workspaces.tokens(workspace).token.startswith("xoxe.xoxb-1-")
    assert await office.audited(office.acme) == ["slack.installed"]


async def test_an_install_for_a_whole_organisation_is_known_by_the_organisation(
    office: Office,
) -> None:
    enterprise = {"id": "E0001", "name": "Acme Group"}
    async with office.at(office.acme.admin) as browser:
        await office.install(browser, "T1", enterprise=enterprise)
        await office.install(browser, is_enterprise_install=True, enterprise=enterprise, team=None)
    one_team, whole = await office.workspace("T1"), await office.workspace("E0001")
    assert one_team is not None
    assert whole is not None
    assert whole.name == "Acme Group"


async def test_installed_again_it_has_new_tokens_and_its_settings_stay(office: Office) -> None:
    async with office.at(office.acme.admin) as browser:
        await office.install(browser)
        first = await office.workspace()
        assert first is not None
        async with office.world.assembly.database.for_tenant(first.tenant_id) as connection:
            await connection.execute(
                update(chat_workspaces).values(approvals_channel="C1", state="uninstalled")
            )
        await office.install(browser)
    again = await office.workspace()
    assert again is not None
    assert again.sealed != first.sealed
    assert (again.state, again.approvals_channel) == (WorkspaceState.ACTIVE, "C1")


async def test_whoever_is_nobody_signs_in_first(office: Office) -> None:
    async with office.at(None) as browser:
        page = await browser.get("/slack/install", follow=False)
        assert page.headers["location"] == "/signin?return_to=%2Fslack%2Finstall"
        back = await office.arrive(browser, state="a" * 43, code=office.slack.code())
        assert back.headers["location"] == "/signin?return_to=%2Fslack%2Finstall"
    assert office.slack.asked == []


async def test_a_member_may_not_install(office: Office) -> None:
    for who in (office.acme.member, office.acme.approver):
        async with office.at(who) as browser:
            page = await browser.get("/slack/install", follow=False)
            assert says(page, status=403, code="install_needs_admin")
    assert office.slack.asked == []


async def test_an_admin_who_is_none_any_more_brings_nothing_back(office: Office) -> None:
    async with office.at(office.acme.admin) as browser:
        state = await office.leave(browser)
        async with office.world.assembly.database.for_tenant(office.acme.tenant.id) as connection:
            await connection.execute(
                update(principals)
                .where(principals.c.id == office.acme.admin.principal.id)
                .values(roles=["member"])
            )
        page = await office.arrive(browser, state=state, code=office.slack.code())
    assert says(page, status=403, code="install_needs_admin")
    assert await office.workspace() is None


async def test_a_state_is_taken_once(office: Office) -> None:
    async with office.at(office.acme.admin) as browser:
        state = await office.leave(browser)
        cookie = browser.http.cookies["sp_slack_install"]
        await office.arrive(browser, state=state, code=office.slack.code())
        assert "sp_slack_install" not in browser.http.cookies
        browser.http.cookies.set("sp_slack_install", cookie)
        replayed = await office.arrive(browser, state=state, code=office.slack.code("T0002"))
    assert says(replayed, status=401, code="install_expired")
    assert await office.workspace("T0002") is None
    assert len(office.slack.asked) == 1


async def test_another_browser_cannot_bring_it_back_and_spoils_nothing(office: Office) -> None:
    async with office.at(office.acme.admin) as browser, office.at(office.acme.admin) as other:
        state = await office.leave(browser)
        without = await office.arrive(other, state=state, code=office.slack.code())
        assert says(without, status=401, code="install_expired")
        await office.leave(other)
        with_its_own = await office.arrive(other, state=state, code=office.slack.code())
        assert says(with_its_own, status=401, code="install_expired")
        assert office.slack.asked == []
        page = await office.arrive(browser, state=state, code=office.slack.code())
        assert page.status == 200


async def test_another_admin_in_the_same_browser_cannot_bring_it_back(office: Office) -> None:
    globex = await office.world.company("globex")
    async with office.at(office.acme.admin) as browser:
        state = await office.leave(browser)
        await office.site.sign_in(browser, globex.admin.principal)
        page = await office.arrive(browser, state=state, code=office.slack.code())
    assert says(page, status=401, code="install_expired")
    assert await office.workspace() is None


async def test_an_installation_is_over_after_ten_minutes(office: Office) -> None:
    async with office.at(office.acme.admin) as browser:
        state = await office.leave(browser)
        now = office.world.assembly.clock.now()
        async with office.world.assembly.database.for_tenant(office.acme.tenant.id) as connection:
            left = await connection.scalar(select(chat_install_states.c.expires_at))
            assert left is not None
            assert 590 < (left - now).total_seconds() <= 600
            await connection.execute(update(chat_install_states).values(expires_at=now))
        page = await office.arrive(browser, state=state, code=office.slack.code())
    assert says(page, status=401, code="install_expired")
    assert office.slack.asked == []


@pytest.mark.parametrize("state", ["", "x", "a" * 43, "a" * 5000, "\x00"])
async def test_a_state_of_nobody_s_making_is_refused(office: Office, state: str) -> None:
    async with office.at(office.acme.admin) as browser:
        await office.leave(browser)
        page = await office.arrive(browser, state=state, code=office.slack.code())
    assert says(page, status=401, code="install_expired")


async def test_looking_at_the_way_back_uses_nothing_up(office: Office) -> None:
    async with office.at(office.acme.admin) as browser:
        told = urlencode({"state": await office.leave(browser), "code": office.slack.code()})
        there = f"{office.site.url}/slack/oauth_redirect?{told}"
        assert (await browser.http.head(there)).status_code == 401
        assert (await browser.get(there)).status == 200


async def test_what_the_admin_denies_at_slack_changes_nothing(office: Office) -> None:
    async with office.at(office.acme.admin) as browser:
        state = await office.leave(browser)
        page = await office.arrive(browser, state=state, error="access_denied")
        assert says(page, status=403, code="install_denied")
        assert "access_denied" in page.shown
        again = await office.arrive(browser, state=state, code=office.slack.code())
        assert says(again, status=401, code="install_expired")
        state = await office.leave(browser)
        evil = await office.arrive(browser, state=state, error="<script>alert(1)</script>")
        assert "alert(1)" not in evil.html
    assert office.slack.asked == []
    assert await office.workspace() is None


@pytest.mark.parametrize("code", ["unknown", ""])
async def test_a_code_that_slack_does_not_take_changes_nothing(office: Office, code: str) -> None:
    async with office.at(office.acme.admin) as browser:
        page = await office.arrive(browser, state=await office.leave(browser), code=code)
    assert says(page, status=422, code="install_failed")
    assert await office.workspace() is None
    assert await office.audited(office.acme) == []


async def test_a_slack_that_cannot_be_reached_changes_nothing(office: Office) -> None:
    async with office.at(office.acme.admin) as browser:
        office.slack.down = True
        assert says(await office.install(browser), status=503, code="slack_unavailable")
        office.slack.down, office.slack.failing = False, "ratelimited"
        assert says(await office.install(browser), status=503, code="slack_unavailable")
    assert await office.workspace() is None


@pytest.mark.parametrize(
    "changed",
    [
        {"team": None},
        {"access_token": None},
        {"bot_user_id": "<U>"},
        {"is_enterprise_install": True},
        {"expires_in": "soon"},
    ],
    ids=lambda changed: next(iter(changed)),
)
async def test_an_answer_that_cannot_be_read_changes_nothing(
    office: Office, changed: dict[str, object]
) -> None:
    async with office.at(office.acme.admin) as browser:
        state = await office.leave(browser)
        page = await office.arrive(browser, state=state, code=office.slack.code(**changed))
    assert says(page, status=503, code="slack_unavailable")
    assert "xox" not in page.html
    assert await office.workspace() is None


async def test_a_workspace_is_of_one_company_and_no_other_takes_it(office: Office) -> None:
    globex = await office.world.company("globex")
    async with office.at(office.acme.admin) as browser:
        await office.install(browser)
    before = await office.workspace()
    async with office.at(globex.admin) as browser:
        page = await office.install(browser)
    assert says(page, status=409, code="workspace_taken")
    assert await office.workspace() == before
    assert await office.audited(globex) == []
    # Nor is anything taken back at Slack: that would take the app away from the first.
    assert set(office.slack.methods()) == {"oauth.v2.access"}


async def test_tokens_are_sealed_in_their_own_row_and_never_shown(
    office: Office, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    async with office.at(office.acme.admin) as browser:
        page = await office.install(browser)
    workspace = await office.workspace()
    assert workspace is not None
    assert workspace.sealed is not None
    tokens = office.parts.workspaces.tokens(workspace)
    async with office.world.assembly.database.for_tenant(workspace.tenant_id) as connection:
        rows = (await connection.execute(text("select t::text from chat_workspaces t"))).scalars()
        kept = repr(list(rows))
    said = kept + caplog.text + "".join(capsys.readouterr()) + page.html + repr(workspace)
    said += repr(await audit_of(office.world, office.acme))
    for secret in (tokens.token, tokens.refresh_token or "", CLIENT_SECRET):
        assert secret not in said
        assert secret.encode() not in workspace.sealed
        assert secret.encode().hex() not in kept
    assert tokens.token not in repr(tokens)

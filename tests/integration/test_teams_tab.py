"""The tab in Teams: it shows a person what is theirs, by a token of Entra's and by nothing else."""

import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from bots.teams.tab import LIBRARY, LIBRARY_DIGEST
from core.domain.account import Account
from core.domain.audit import audit_record
from core.domain.chat import Installation, Surface, Workspace, WorkspaceState
from core.domain.sign_in import How
from core.store.chat_tables import chat_link_offers
from sallyport.assembly import Assembly
from tests.databases import Urls
from tests.loopback import http_client
from tests.oidc_provider import new_key
from tests.pages import SCRIPT, LoopbackAssembly, Page
from tests.teams.entra import ALICE, APP, ENTRA, OTHER, Entra, entra_here
from tests.teams.tab import served_tab
from tests.world import Company, World, world_on

PUBLIC = "https://agents.acme.test"
ACCOUNT = Account(surface="teams", workspace=ENTRA, user=ALICE)
BOB = "6b1c1d5e-0000-4000-8000-000000000b0b"
HOSTILE = "hello <script>alert(1)</script> \u202e"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """A world whose tab is served, one company in it, and the Entra that speaks for its people."""

    world: World
    entra: Entra
    acme: Company
    url: str

    async def ask(
        self,
        path: str = "/view",
        *,
        token: str | None = None,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
    ) -> Page:
        sent = {"authorization": f"Bearer {token}"} if token is not None else {}
        async with http_client(base_url=self.url) as http:
            answer = await http.request(
                method, f"/teams/tab{path}", headers={**sent, **(headers or {})}
            )
        return Page(
            url=str(answer.url),
            status=answer.status_code,
            headers=answer.headers,
            html=answer.text,
        )

    async def workspace(self) -> Workspace:
        workspaces = self.world.assembly.chat_workspaces
        found = await workspaces.find(Surface.TEAMS, workspace=ENTRA)
        assert found is not None
        return found

    async def link(self, user: str = ALICE, *, to: str = "member") -> None:
        person = {"member": self.acme.member, "approver": self.acme.approver}[to].principal
        account = Account(surface="teams", workspace=ENTRA, user=user)
        await self.world.assembly.linking.bind(person, account=account, actor="operator")

    async def offers(self) -> int:
        query = select(func.count()).select_from(chat_link_offers)
        async with self.world.assembly.database.for_tenant(self.acme.tenant.id) as connection:
            return (await connection.execute(query)).scalar_one()


@pytest.fixture
async def tab(urls: Urls, tmp_path: Path) -> AsyncGenerator[Tab]:
    async with (
        world_on(urls, tmp_path, script=SCRIPT, kind=LoopbackAssembly) as world,
        entra_here() as entra,
    ):
        parts = world.assembly
        acme = await world.company()
        await allowed(parts, acme)
        async with served_tab(world, entra, app_id=APP, public_url=PUBLIC) as url:
            yield Tab(world=world, entra=entra, acme=acme, url=url)


async def allowed(parts: Assembly, acme: Company) -> None:
    admin, now = acme.admin.principal, parts.clock.now()
    await parts.chat_workspaces.keep(
        acme.tenant.id,
        installation=Installation(
            surface=Surface.TEAMS,
            workspace=ENTRA,
            name="Acme",
            app=APP,
            bot_user=f"28:{APP}",
            scopes=(),
            token="",
        ),
        installed_by=admin.id,
        at=now,
        audit=audit_record(
            admin.tenant_id, at=now, action="teams.allowed", actor=admin.email, content={}
        ),
    )


async def test_the_page_runs_teams_own_library_and_ours_in_teams_frames_alone(tab: Tab) -> None:
    page = await tab.ask("")
    assert page.status == 200
    assert "x-frame-options" not in page.headers
    assert "set-cookie" not in page.headers
    rules = dict(
        rule.strip().split(" ", 1) for rule in page.headers["content-security-policy"].split(";")
    )
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'self' {LIBRARY}"
    assert (rules["connect-src"], rules["form-action"]) == ("'self'", "'none'")
    assert "https://teams.microsoft.com" in rules["frame-ancestors"].split()
    assert all(site.startswith("https://") for site in rules["frame-ancestors"].split())
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page.html, re.DOTALL)
    assert [inside for _, inside in scripts] == ["", ""]
    assert f'src="{LIBRARY}"' in scripts[0][0]
    assert f'integrity="{LIBRARY_DIGEST}"' in scripts[0][0]
    assert not re.search(r"\son[a-z]+=|\sstyle=", page.html)
    async with http_client(base_url=tab.url) as http:
        ours = await http.get(re.findall(r'src="(/assets/[^"]+)"', page.html)[0])
    assert ours.status_code == 200
    assert ours.headers["content-type"].startswith("text/javascript")


async def test_outside_teams_the_page_leads_to_signing_in(tab: Tab) -> None:
    page = await tab.ask("")
    assert "This page belongs in Teams" in page.shown
    assert page.read.links[0] == f"{PUBLIC}/signin"


async def test_no_other_page_may_be_framed(tab: Tab) -> None:
    for path, token in (("/view", None), ("/view", tab.entra.token())):
        page = await tab.ask(path, token=token)
        assert page.headers["x-frame-options"] == "DENY"
        assert "script" not in page.read.tags


async def test_somebody_linked_finds_what_waits_for_them_and_their_last_runs(tab: Tab) -> None:
    await tab.link(BOB, to="approver")
    await tab.link(ALICE)
    call = {"task_id": str(tab.acme.task_ids[0])}
    await tab.world.app.call_tool(tab.acme.member, tool="delete_task", arguments=call)
    await tab.world.drive()
    (question,) = await tab.world.pending(tab.acme.approver)
    await tab.world.run(tab.acme.approver, "hello from Bob")
    bobs = await tab.ask(token=tab.entra.token(oid=BOB))
    assert bobs.status == 200
    assert f"{PUBLIC}/approvals/{question.id}" in bobs.read.links
    assert "Write the report" in bobs.shown
    assert "for alice@acme.test" in bobs.shown
    assert "hello from Bob" in bobs.shown
    alices = await tab.ask(token=tab.entra.token())
    assert "alice@acme.test, acme" in alices.shown
    assert "What waits for you Nothing." in alices.shown
    assert "hello from Bob" not in alices.shown


async def test_what_somebody_wrote_is_shown_and_does_nothing(tab: Tab) -> None:
    await tab.link()
    await tab.world.run(tab.acme.member, HOSTILE)
    page = await tab.ask(token=tab.entra.token())
    assert "hello <script>alert(1)</script> \N{LEFT-POINTING ANGLE BRACKET}U+202E" in page.shown
    assert "script" not in page.read.tags
    stranger = await tab.ask(token=tab.entra.token(oid=BOB, name=HOSTILE))
    assert "script" not in stranger.read.tags
    assert "\u202e" not in stranger.html


async def test_somebody_unknown_is_offered_a_link_when_they_ask_for_one(tab: Tab) -> None:
    token = tab.entra.token()
    page = await tab.ask(token=token)
    assert "Nobody here knows you yet" in page.shown
    assert "Alice (alice@acme.test)" in page.shown
    assert await tab.offers() == 0
    assert 'data-path="/teams/tab/link"' in page.html
    assert (await tab.ask("/link", token=token)).status == 405
    offered = await tab.ask("/link", token=token, method="POST")
    (there,) = offered.read.links
    assert there.startswith(f"{PUBLIC}/link/")
    linking, alice = tab.world.assembly.linking, tab.acme.member.principal
    await linking.accept(alice, secret=there.rpartition("/")[2], is_mine=False)
    assert await linking.person(tab.acme.tenant.id, account=ACCOUNT) == alice
    assert "The last runs" in (await tab.ask(token=token)).shown


async def test_links_are_made_so_often_and_no_oftener(tab: Tab) -> None:
    token = tab.entra.token()
    for _ in range(5):
        assert (await tab.ask("/link", token=token, method="POST")).status == 200
    refused = await tab.ask("/link", token=token, method="POST")
    assert (refused.status, "too_many_links" in refused.shown) == (429, True)
    assert int(refused.headers["retry-after"]) > 0


async def test_somebody_disabled_finds_nothing_and_is_offered_nothing(tab: Tab) -> None:
    await tab.link()
    await tab.world.run(tab.acme.member, "hello")
    parts, alice = tab.world.assembly, tab.acme.member.principal
    now = parts.clock.now()
    await parts.enrolment.disable(alice.tenant_id, email=alice.email, at=now)
    token = tab.entra.token()
    assert "hello" not in (await tab.ask(token=token)).shown
    refused = await tab.ask("/link", token=token, method="POST")
    assert (refused.status, "account_linked" in refused.shown) == (409, True)


async def test_a_token_is_for_the_app_by_either_of_its_names(tab: Tab) -> None:
    for audience in (APP, f"api://agents.acme.test/{APP}"):
        assert (await tab.ask(token=tab.entra.token(aud=audience))).status == 200


WRONG: dict[str, dict[str, object]] = {
    "expired": {"exp": 1_700_000_000},
    "not yet valid": {"nbf": 4_000_000_000},
    "for another app": {"aud": OTHER},
    "for nobody": {"aud": None},
    "of another issuer": {"iss": "https://login.test/v2.0"},
    "of no tenant": {"tid": None},
    "of a tenant that is none": {"tid": "common"},
    "of an app in its own name": {"scp": None, "roles": ["access_as_user"]},
    "for something else": {"scp": "access_as_user_too openid"},
    "of no account": {"oid": None},
    "of an account that is none": {"oid": "alice"},
}


async def test_a_token_that_is_not_right_in_all_is_nobody_s(tab: Tab) -> None:
    await tab.link()
    for claims in WRONG.values():
        await refused(tab, token=tab.entra.token(**claims))


async def test_a_token_that_the_tenant_has_not_signed_is_nobody_s(tab: Tab) -> None:
    await tab.link()
    entra = tab.entra.tenants[ENTRA]
    entra.signs_with = new_key()
    forged = tab.entra.token()
    entra.signs_with = None
    good = tab.entra.token()
    head, body, signature = good.split(".")
    entra.algorithm = "HS256"
    symmetric = tab.entra.token()
    entra.algorithm = "none"
    unsigned = tab.entra.token()
    # Signed with the same key, as all of Entra's, by a tenant that is let in nowhere.
    elsewhere = tab.entra.tenants[OTHER].sign(tab.entra.claims(iss=f"{tab.entra.url}/{OTHER}/v2.0"))
    for token in (
        forged,
        symmetric,
        unsigned,
        elsewhere,
        "x.y.z",
        f"{head}.{body}",
        f"{head}.{body[:-2]}.{signature}",
        "a.=.c",
        "a.W10.c",
        "a" * 40_000,
    ):
        await refused(tab, token=token)
    assert (await tab.ask(token=good)).status == 200


async def test_without_a_token_nothing_is_shown_whatever_else_is_brought(tab: Tab) -> None:
    await tab.link()
    secret = await tab.world.assembly.sign_in.sessions.begin(
        tab.acme.member.principal, how=How.LINK
    )
    cookie = f"__Host-sp_session={secret}"
    for headers in (
        {},
        {"cookie": cookie},
        {"authorization": f"Basic {tab.entra.token()}"},
        {"authorization": "Bearer"},
        {"authorization": tab.entra.token()},
    ):
        page = await tab.ask(headers=headers)
        assert (page.status, "tab_not_signed_in" in page.shown) == (401, True)


async def test_a_tenant_that_is_not_let_in_is_told_no_more_and_makes_nobody_ask(tab: Tab) -> None:
    stranger = tab.entra.token(tid=OTHER, iss=f"{tab.entra.url}/{OTHER}/v2.0")
    await refused(tab, token=stranger)
    assert tab.entra.asked == []
    await tab.link()
    token = tab.entra.token()
    assert (await tab.ask(token=token)).status == 200
    parts, workspace = tab.world.assembly, await tab.workspace()
    now = parts.clock.now()
    record = audit_record(
        workspace.tenant_id, at=now, action="teams.forgotten", actor="operator", content={}
    )
    assert await parts.chat_workspaces.left(
        workspace, state=WorkspaceState.UNINSTALLED, before=now, at=now, audit=record
    )
    await refused(tab, token=token)


GUESTS: tuple[dict[str, object], ...] = (
    {"acct": 1},
    {"acct": "1"},
    {"idp": f"https://sts.windows.net/{OTHER}/"},
    {"idp": "live.com"},
)


async def test_guests_have_no_tab_and_members_have(tab: Tab) -> None:
    await tab.link()
    for claims in GUESTS:
        for path, method in (("/view", "GET"), ("/link", "POST")):
            page = await tab.ask(path, token=tab.entra.token(**claims), method=method)
            assert (page.status, "account_guest" in page.shown) == (403, True), claims
    own = tab.entra.token(acct=0, idp=f"https://sts.windows.net/{ENTRA}/")
    assert (await tab.ask(token=own)).status == 200


async def test_where_entra_cannot_be_asked_only_what_may_be_good_is_told_so(tab: Tab) -> None:
    entra = tab.entra.tenants[ENTRA]
    entra.configuration = {"jwks_uri": "http://127.0.0.1:1/keys"}
    for wrong in ("expired", "of another issuer", "not yet valid"):
        await refused(tab, token=tab.entra.token(**WRONG[wrong]))
    entra.algorithm = "HS256"
    await refused(tab, token=tab.entra.token())
    entra.algorithm = "RS256"
    assert tab.entra.asked == []
    # Its keys are not looked for again with every token: it is no word on any of them.
    for _ in range(2):
        page = await tab.ask(token=tab.entra.token())
        assert (page.status, "provider_unavailable" in page.shown) == (503, True)
        assert int(page.headers["retry-after"]) > 0


async def refused(tab: Tab, *, token: str) -> None:
    """Say that a token opens nothing, is told no reason, and stands in no log."""
    with capture_logs() as logged:
        for path, method in (("/view", "GET"), ("/link", "POST")):
            page = await tab.ask(path, token=token, method=method)
            assert (page.status, "tab_not_signed_in" in page.shown) == (401, True), token
            assert page.headers["www-authenticate"] == "Bearer"
    assert token not in str(logged)
    assert await tab.offers() == 0

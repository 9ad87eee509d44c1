"""Tools that act as the person: a call carries the token of whom it is made for, and no other."""

import hashlib
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from structlog.testing import capture_logs

from core.domain.account import Account
from core.domain.principal import Caller
from core.domain.tool import Failed, Risk, Succeeded
from core.errors import InvalidInput
from core.identity.on_behalf_of import OnBehalfOf
from core.store.chat_links import StoredLinks
from sallyport.assembly import Assembly
from sallyport.settings import EgressSettings, Settings, TeamsSettings
from tests.databases import Urls, database_on
from tests.integration.test_teams_tab import BOB, PUBLIC, Tab, allowed
from tests.teams.entra import ALICE, APP, ENTRA, PASSWORD, Entra, entra_here
from tests.teams.tab import served_tab
from tests.upstreams import Server, UpstreamServers, accepted, settings_with
from tests.world import World

SCOPE = "api://wiki/access_as_user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A company whose wiki acts as the person, and its people at their tabs."""

    tab: Tab

    @property
    def entra(self) -> Entra:
        return self.tab.entra

    @property
    def parts(self) -> Assembly:
        return self.tab.world.assembly

    @property
    def alice(self) -> Caller:
        return self.tab.acme.member

    @property
    def bob(self) -> Caller:
        return self.tab.acme.approver

    async def lets(self, user: str, *, method: str = "POST", upstream: str = "wiki") -> str:
        """Have somebody let the agent act as them, or end it; return what the tab shows then."""
        token = self.entra.token(oid=user)
        return (await self.tab.ask(f"/act/{upstream}", token=token, method=method)).html

    async def came(self, caller: Caller) -> str:
        """Call the wiki for somebody; return the digest of the credential that came there."""
        view = await self.tab.world.app.call_tool(caller, tool="wiki__whoami", arguments={})
        result = view.record.result
        assert isinstance(result, Succeeded), result
        return json.dumps(dict(result.output), default=dict)

    async def code(self, caller: Caller) -> str:
        """Call the wiki for somebody in vain; return why."""
        view = await self.tab.world.app.call_tool(caller, tool="wiki__whoami", arguments={})
        result = view.record.result
        assert isinstance(result, Failed), result
        return result.code

    async def rows(self, query: str) -> list[str]:
        async with self.parts.database.for_tenant(self.tab.acme.tenant.id) as connection:
            return [str(row) for row in (await connection.execute(text(query))).all()]

    async def kept(self) -> list[str]:
        return await self.rows("select name, owner_id from credentials where owner_id is not null")


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def settings_at(folder: Path, *, server: Server, entra: Entra) -> Settings:
    """Return the settings of an app that is known at Entra, where both are on this machine."""
    made = settings_with(folder, {"wiki": {"url": server.url(), "private": True}})
    teams = TeamsSettings(
        teams_app_id=APP, teams_app_password=SecretStr(PASSWORD), teams_login_url=entra.url
    )
    egress = EgressSettings(allow_private_hosts=("127.0.0.1",))
    return made.model_copy(update={"teams": teams, "egress": egress})


@pytest.fixture
def server(upstream_servers: UpstreamServers) -> Server:
    return upstream_servers.fresh()


@pytest.fixture
async def place(urls: Urls, tmp_path: Path, server: Server) -> AsyncGenerator[Place]:
    async with entra_here() as entra:
        settings = settings_at(tmp_path, server=server, entra=entra)
        async with database_on(urls) as database:
            parts = Assembly(settings, url=urls.app, database=database)
            async with parts.upstream_tools.open():
                world = World(parts)
                acme = await world.company()
                await allowed(parts, acme)
                await accepted(
                    world, acme.admin, upstream="wiki", secret="company's own", whoami=Risk.SAFE
                )
                await parts.upstreams.act_as_person(acme.admin, upstream="wiki", scope=SCOPE)
                entra.consented.add(SCOPE)
                async with served_tab(world, entra, app_id=APP, public_url=PUBLIC) as url:
                    tab = Tab(world=world, entra=entra, acme=acme, url=url)
                    await tab.link(ALICE)
                    await tab.link(BOB, to="approver")
                    yield Place(tab=tab)


async def test_each_call_carries_the_token_of_whom_it_is_made_for(place: Place) -> None:
    await place.lets(ALICE)
    await place.lets(BOB)
    (alices,), (bobs,) = place.entra.given_to(ALICE), place.entra.given_to(BOB)
    for caller, token in ((place.alice, alices), (place.bob, bobs), (place.alice, alices)):
        assert digest(token) in await place.came(caller)


async def test_nobody_acts_as_who_has_not_said_so_nor_as_the_company(place: Place) -> None:
    await place.lets(BOB)
    assert await place.code(place.alice) == "acting_ended"
    assert await place.code(place.tab.acme.admin) == "acting_ended"


async def test_no_token_is_shown_logged_or_kept_unsealed(place: Place) -> None:
    with capture_logs() as logs:
        shown = await place.lets(ALICE)
        shown += await place.came(place.alice)
        assert "credential" in shown
    granted = place.entra.granted[0]
    every = await place.rows(
        "select to_jsonb(c) || to_jsonb(t) from credentials c, tool_calls t"
        " union all select to_jsonb(a) from audit_records a"
        " union all select to_jsonb(e) from run_events e"
    )
    kept = await place.rows("select encode(sealed, 'escape') from credentials")
    told = shown + json.dumps(logs, default=str) + "".join([*every, *kept])
    assert granted.access_token not in told
    assert granted.refresh_token not in told


async def test_the_tab_offers_it_and_shows_that_it_may_be_ended(place: Place) -> None:
    page = await place.tab.ask(token=place.entra.token())
    assert "Let the agent act as me" in page.shown
    assert "End it" in await place.lets(ALICE)
    assert "Let the agent act as me" in await place.lets(ALICE, method="DELETE")
    assert await place.code(place.alice) == "acting_ended"
    assert await place.kept() == []
    audit = await place.rows("select action, actor from audit_records where action like 'acting.%'")
    assert len(audit) == 2
    assert all("alice@acme.test" in one for one in audit)


async def test_whoever_is_unlinked_or_disabled_is_acted_as_no_more(place: Place) -> None:
    await place.lets(ALICE)
    await place.lets(BOB)
    tenant_id = place.tab.acme.tenant.id
    account = Account(surface="teams", workspace=ENTRA, user=ALICE)
    await place.parts.linking.unlink(tenant_id, account=account, actor="operator", why="operator")
    assert await place.code(place.alice) == "acting_ended"
    assert len(await place.kept()) == 1
    bobs, now = place.bob.principal.email, place.parts.clock.now()
    await place.parts.enrolment.disable(tenant_id, email=bobs, at=now)
    assert await place.kept() == []


async def test_a_token_kept_while_the_account_was_taken_away_is_worth_nothing(
    place: Place,
) -> None:
    person = place.alice.principal
    nobodys = Account(surface="teams", workspace=ENTRA, user=str(person.id))
    await place.parts.on_behalf_of.begin(
        person,
        account=nobodys,
        assertion=place.entra.token(),
        upstream="wiki",
        scope=SCOPE,
    )
    assert await place.code(place.alice) == "acting_ended"
    assert await place.kept() == []


async def test_a_token_that_is_nearly_over_is_renewed_until_entra_says_no(place: Place) -> None:
    place.entra.lasts_seconds = 60
    await place.lets(ALICE)
    came = await place.came(place.alice)
    first, *_, newest = place.entra.given_to(ALICE)
    assert digest(newest) in came
    assert digest(first) not in came
    place.entra.revoked.add(ALICE)
    assert await place.code(place.alice) == "acting_ended"


async def test_without_consent_the_tab_says_whose_it_is_to_give(place: Place) -> None:
    place.entra.consented.clear()
    assert "acting_consent_needed" in await place.lets(ALICE)
    assert await place.kept() == []


@pytest.mark.parametrize(
    ("told", "status", "code"),
    [
        ({"error": "interaction_required", "error_codes": [50076]}, 400, "acting_ended"),
        ({"error": "invalid_scope", "error_codes": [70011]}, 400, "acting_refused"),
        ({"error": "invalid_client", "error_codes": [7000215]}, 401, "acting_refused"),
        ({"error": "temporarily_unavailable"}, 503, "provider_unavailable"),
        ({"access_token": "no-time-is-told"}, 200, "acting_refused"),
    ],
)
async def test_what_entra_refuses_is_told_by_its_code(
    place: Place, told: dict[str, object], status: int, code: str
) -> None:
    place.entra.refuses, place.entra.status = told, status
    assert code in await place.lets(ALICE)
    assert await place.kept() == []


async def test_entra_away_while_a_token_is_renewed_sends_nothing(place: Place) -> None:
    place.entra.lasts_seconds = 60
    await place.lets(ALICE)
    place.entra.refuses, place.entra.status = {"error": "temporarily_unavailable"}, 503
    assert await place.code(place.alice) == "provider_unavailable"


async def test_another_scope_or_none_ends_what_people_have_said(place: Place) -> None:
    admin, upstreams = place.tab.acme.admin, place.parts.upstreams
    await place.lets(ALICE)
    await upstreams.act_as_person(admin, upstream="wiki", scope="api://wiki/other")
    assert await place.kept() == []
    assert await place.code(place.alice) == "acting_ended"
    await upstreams.act_as_person(admin, upstream="wiki", scope=None)
    assert digest("company's own") in await place.came(place.alice)
    assert "upstream_not_connected" in await place.lets(ALICE)
    audit = await place.rows(
        "select content from audit_records where action = 'upstream.acts_as_person' order by seq"
    )
    assert len(audit) == 3


async def test_what_one_person_is_shown_holds_no_tool_of_the_others(
    place: Place, server: Server
) -> None:
    await place.lets(ALICE)
    await place.lets(BOB)
    await place.came(place.alice)
    server.become(without=["add"])
    await place.came(place.bob)
    tool = await place.parts.upstreams.tool(place.tab.acme.admin, name="wiki__add")
    assert tool.state.value == "accepted"


async def test_a_tab_that_nobody_is_linked_at_lets_nobody_act(place: Place) -> None:
    nobody = "6b1c1d5e-0000-4000-8000-00000000dead"
    assert "account_not_linked" in await place.lets(nobody)
    page = await place.tab.ask("/act/wiki", token=None, method="POST")
    assert page.status == 401
    assert place.entra.granted == []


async def test_a_server_without_an_app_of_its_own_says_so(place: Place) -> None:
    parts = place.parts
    unable = OnBehalfOf(
        None, sealed=parts.vault, links=StoredLinks(parts.database), clock=parts.clock
    )
    person = place.alice.principal
    account = Account(surface="teams", workspace=ENTRA, user=ALICE)
    with pytest.raises(Exception, match="acting_not_set_up"):
        await unable.begin(person, account=account, assertion="x", upstream="wiki", scope=SCOPE)


@pytest.mark.parametrize("scope", ["", "two scopes", 'a"quote', "x" * 301])
async def test_a_scope_that_is_none_is_not_kept(place: Place, scope: str) -> None:
    with pytest.raises(InvalidInput, match="invalid_field"):
        await place.parts.upstreams.act_as_person(
            place.tab.acme.admin, upstream="wiki", scope=scope
        )

"""Whoever does something in Slack acts as their own person, as both stand now, or not at all."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bots import actions
from bots.arrivals import Home
from bots.linking import Linking
from bots.slack.identity import LEFT, RememberedProfiles, SlackPeople, SlackProfiles, Visitor
from bots.slack.linked import SlackTeller
from core.domain.account import Account, AccountLink, Linked
from core.domain.chat import Surface, Workspace, WorkspaceState
from core.domain.ids import TenantId
from core.domain.principal import Principal, Role
from core.domain.sign_in import IdentityProvider
from core.errors import Forbidden, NotFound, Unavailable
from core.store.chat_link_offers import StoredLinkOffers
from core.store.chat_links import StoredLinks
from core.store.database import Database
from core.store.enrolment import Enrolment
from core.store.grouped import GroupedWrites
from core.store.identity_providers import StoredProviders
from core.store.journal import StoredJournal
from tests.builders import SteadyClock, make_person, make_tenant
from tests.chat import WORKSPACE, account_of, make_workspace
from tests.nouns import a_person
from tests.rest import listening

Json = dict[str, Any]  # Any: what Slack answers


@dataclass(slots=True, kw_only=True)
class Slack:
    """``users.info``, and whoever hands out clients for it."""

    url: str = ""
    users: dict[str, Json] = field(default_factory=dict[str, Json])
    refusal: str | None = None
    status: int = 200
    words: str | None = None
    kind: str = "text/html"
    asked: int = 0
    died: list[str] = field(default_factory=list[str])
    workspace: Workspace | None = None

    async def answer(self, request: Request) -> Response:
        self.asked += 1
        user = self.users.get(request.query_params.get("user", ""))
        if self.words is not None:
            return Response(self.words, self.status, media_type=self.kind)
        if self.refusal is not None:
            return JSONResponse({"ok": False, "error": self.refusal}, self.status)
        if user is None:
            return JSONResponse({"ok": False, "error": "user_not_found"})
        return JSONResponse({"ok": True, "user": user})

    async def client_for(self, workspace: Workspace) -> AsyncWebClient:
        silent = logging.getLogger("tests.slack")
        silent.setLevel(logging.CRITICAL)
        return AsyncWebClient(
            token=f"xoxb-{workspace.workspace}", base_url=self.url, logger=silent, timeout=5
        )

    async def token_died(self, workspace: Workspace) -> bool:
        self.died.append(workspace.workspace)
        return True

    async def of_id(
        self, tenant_id: TenantId, *, surface: Surface, workspace: str
    ) -> Workspace | None:
        known = self.workspace
        is_there = known is not None and (known.tenant_id, known.surface, known.workspace) == (
            tenant_id,
            surface,
            workspace,
        )
        return known if is_there else None

    def add(self, user: str, *, email: str = "", **more: object) -> None:
        self.users[user] = {
            "id": user,
            "team_id": WORKSPACE,
            "name": user.lower(),
            "deleted": False,
            "is_bot": False,
            "is_restricted": False,
            "is_ultra_restricted": False,
            "is_email_confirmed": True,
            "profile": {"email": email, "display_name": user},
            **more,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Acme:
    """A company with people at Slack."""

    database: Database
    slack: Slack
    linking: Linking
    people: SlackPeople
    alice: Principal
    bob: Principal
    clock: SteadyClock

    async def who(self, user: str = "U0ALICE", *, user_team: str = "") -> Visitor:
        return await self.people.who(
            self.alice.tenant_id, workspace=WORKSPACE, deed=looks(user, team=user_team)
        )


def looks(user: str, *, team: str = "") -> Home:
    return Home(user=user, user_team=team, tab="home")


@pytest.fixture
async def slack() -> AsyncGenerator[Slack]:
    made = Slack()
    asgi = Starlette(routes=[Route("/users.info", made.answer, methods=["GET"])])
    asgi.state.stopping = asyncio.Event()
    async with listening(asgi) as url:
        made.url = f"{url}/"
        yield made


@pytest.fixture
async def acme(database: Database, clock: SteadyClock, slack: Slack) -> Acme:
    tenant = await make_tenant(database)
    alice = await make_person(database, tenant, "alice@acme.test")
    bob = await make_person(database, tenant, "bob@acme.test", Role.APPROVER)
    await make_workspace(database, bob)
    slack.workspace = Workspace(
        tenant_id=tenant.id,
        surface=Surface.SLACK,
        workspace=WORKSPACE,
        name="Acme",
        app="A0",
        bot_user="U0BOT",
        scopes=(),
        state=WorkspaceState.ACTIVE,
        approvals_channel=None,
        links_by_email=False,
        installed_by=bob.id,
        installed_at=clock.now(),
        changed_at=clock.now(),
        token_expires_at=None,
        sealed=b"sealed",
    )
    slack.add("U0ALICE", email="alice@acme.test")
    linking = Linking(
        StoredLinks(database),
        offers=StoredLinkOffers(database),
        audit=StoredJournal(database, writes=GroupedWrites(database)),
        clock=clock,
        tellers={"slack": SlackTeller()},
    )
    profiles = RememberedProfiles(SlackProfiles(slack, workspaces=slack), clock=clock)
    return Acme(
        database=database,
        slack=slack,
        linking=linking,
        people=SlackPeople(profiles, linking=linking),
        alice=alice,
        bob=bob,
        clock=clock,
    )


async def bound(acme: Acme, user: str = "U0ALICE") -> Account:
    await acme.linking.bind(acme.alice, account=account_of(user), actor="operator")
    return account_of(user)


async def test_whoever_is_linked_acts_as_their_person_with_their_rights_now(acme: Acme) -> None:
    await bound(acme)
    caller = (await acme.who()).caller
    assert (caller.principal, caller.via) == (acme.alice, "slack")
    assert "approvals:decide" not in caller.scopes
    assert not caller.on_behalf


async def test_whoever_is_not_linked_is_nobody_and_can_be_offered_a_link(acme: Acme) -> None:
    visitor = await acme.who()
    assert visitor.person is None
    assert (visitor.shown.name, visitor.shown.email) == ("U0ALICE", "alice@acme.test")
    with pytest.raises(Forbidden, match="account_not_linked"):
        _ = visitor.caller
    offered = await acme.linking.offer(
        acme.alice.tenant_id, account=visitor.account, shown=visitor.shown
    )
    secret = offered.path.removeprefix("/link/")
    with pytest.raises(Forbidden, match="account_of_another"):
        await acme.linking.accept(acme.bob, secret=secret, is_mine=True)
    await acme.linking.accept(acme.alice, secret=secret, is_mine=False)
    assert (await acme.who()).person == acme.alice


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"is_bot": True}, "account_is_bot"),
        ({"is_workflow_bot": True}, "account_is_bot"),
        ({"deleted": True}, "account_deactivated"),
        ({"is_restricted": True}, "account_guest"),
        ({"is_ultra_restricted": True}, "account_guest"),
        ({"is_stranger": True}, "account_outside"),
        ({"team_id": "T0ELSEWHERE"}, "account_outside"),
        ({"id": "U0BOB"}, "account_unknown"),
    ],
)
async def test_a_link_gives_nobody_rights_who_may_have_none(
    acme: Acme, said: Json, code: str
) -> None:
    await bound(acme)
    acme.slack.users["U0ALICE"] |= said
    with pytest.raises(Forbidden, match=code):
        await acme.who()


async def test_the_team_that_the_payload_tells_counts_too(acme: Acme) -> None:
    await bound(acme)
    assert (await acme.who(user_team=WORKSPACE)).person
    with pytest.raises(Forbidden, match="account_outside"):
        await acme.who(user_team="T0ELSEWHERE")


async def test_an_account_that_the_workspace_does_not_know_has_no_rights(acme: Acme) -> None:
    await bound(acme, "U0GONE")
    with pytest.raises(Forbidden, match="account_unknown"):
        await acme.who("U0GONE")


async def test_whoever_is_deactivated_loses_all_rights_at_once_and_for_good(acme: Acme) -> None:
    account = await bound(acme)
    assert (await acme.who()).person
    left = acme.people.left
    assert await left(acme.alice.tenant_id, workspace=WORKSPACE, user="U0ALICE")
    assert not await left(acme.alice.tenant_id, workspace=WORKSPACE, user="U0ALICE")
    assert (await acme.who()).person is None
    assert acme.slack.asked == 2
    assert await acme.linking.person(acme.alice.tenant_id, account=account) is None
    assert LEFT == "left_workspace"


async def test_where_no_event_came_a_guest_is_refused_within_a_minute(acme: Acme) -> None:
    await bound(acme)
    assert (await acme.who()).person
    acme.slack.users["U0ALICE"]["is_restricted"] = True
    assert (await acme.who()).person
    acme.clock.move(seconds=60)
    with pytest.raises(Forbidden, match="account_guest"):
        await acme.who()


async def test_rights_that_end_here_end_with_the_next_click(acme: Acme) -> None:
    account = await bound(acme)
    assert (await acme.who()).person
    tenant_id = acme.alice.tenant_id
    await Enrolment(acme.database).disable(tenant_id, email="alice@acme.test", at=acme.clock.now())
    assert (await acme.who()).person is None
    await Enrolment(acme.database).enable(tenant_id, email="alice@acme.test")
    assert (await acme.who()).person
    await acme.linking.unlink(tenant_id, account=account, why="by_person")
    assert (await acme.who()).person is None
    assert acme.slack.asked == 1


@pytest.mark.parametrize("refusal", ["ratelimited", "internal_error", "invalid_auth"])
async def test_where_slack_cannot_be_asked_nobody_has_rights(acme: Acme, refusal: str) -> None:
    await bound(acme)
    acme.slack.refusal = refusal
    acme.slack.status = 429 if refusal == "ratelimited" else 200
    for _ in range(2):
        with pytest.raises(Unavailable, match="slack_unavailable"):
            await acme.who()
    assert bool(acme.slack.died) == (refusal == "invalid_auth")
    acme.slack.refusal = None
    assert (await acme.who()).person


async def test_what_is_no_answer_of_slack_s_gives_nobody_rights(acme: Acme) -> None:
    for acme.slack.status, acme.slack.kind, acme.slack.words in product(
        (200, 404, 500),
        ("text/html", "text/plain", "application/json"),
        ("<html>upstream trouble</html>", "", "[]", "null", '"text"'),
    ):
        with pytest.raises(Unavailable, match="slack_unavailable"):
            await acme.who()
    assert acme.slack.died == []


async def test_where_nobody_answers_nobody_has_rights(acme: Acme) -> None:
    acme.slack.url = "http://127.0.0.1:1/"
    with pytest.raises(Unavailable, match="slack_unavailable"):
        await acme.who()


async def test_another_companys_workspace_is_not_there(acme: Acme, database: Database) -> None:
    other = await make_tenant(database, "globex")
    with pytest.raises(NotFound):
        await acme.people.who(other.id, workspace=WORKSPACE, deed=looks("U0ALICE"))


async def test_a_confirmed_email_alone_says_who_somebody_is_where_the_tenant_says_so(
    acme: Acme,
) -> None:
    tenant_id = acme.alice.tenant_id
    await StoredProviders(acme.database).set_provider(
        IdentityProvider(
            tenant_id=tenant_id,
            issuer="https://login.acme.test",
            client_id="c",
            credential=None,
            email_domains=("acme.test",),
            group_roles={},
        )
    )
    await make_workspace(acme.database, acme.bob, workspace="T0TRUSTED", links_by_email=True)
    assert acme.slack.workspace
    trusted = account_of("U0ALICE", workspace="T0TRUSTED")
    acme.slack.users["U0ALICE"] |= {"team_id": "T0TRUSTED", "is_email_confirmed": False}
    acme.slack.workspace = _moved(acme.slack.workspace, trusted.workspace)
    visitor = await acme.people.who(tenant_id, workspace="T0TRUSTED", deed=looks("U0ALICE"))
    assert visitor.person is None
    acme.slack.users["U0ALICE"]["is_email_confirmed"] = True
    acme.clock.move(seconds=60)
    visitor = await acme.people.who(tenant_id, workspace="T0TRUSTED", deed=looks("U0ALICE"))
    assert visitor.person == acme.alice


def _moved(workspace: Workspace, to: str) -> Workspace:
    return replace(workspace, workspace=to)


def test_the_note_tells_whose_an_account_is_now_and_carries_the_way_back(
    clock: SteadyClock,
) -> None:
    person = a_person(2)
    new, old = account_of("U0NEW"), account_of("U0OLD")
    link = AccountLink(account=new, person=person, how=Linked.PAGE, linked_at=clock.now())
    for told, address, words in (
        (new, "@U0NEW/", "This account is connected"),
        (old, "@U0OLD/", "Another account was connected to you, person2@acme.test: <@U0NEW>"),
    ):
        (wish,) = SlackTeller().linked(link, told=told)
        assert wish.place.address == address
        assert words in str(wish.payload["text"])
        payload: Json = json.loads(json.dumps(wish.payload))
        (row,) = (one for one in payload["blocks"] if one["type"] == "actions")
        (button,) = row["elements"]
        assert button["action_id"] == actions.UNLINK
        assert actions.account_of(actions.ids_of(button["value"])) == new

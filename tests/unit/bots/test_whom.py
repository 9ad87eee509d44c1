"""Where a question is put on a surface, and who is called there."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bots.projecting import Surface as Told
from bots.slack.calling import Caller as SlackCaller
from bots.slack.surface import SlackSurface
from bots.teams.calling import Caller as TeamsCaller
from bots.teams.rendering import TeamsRendering
from bots.teams.surface import TeamsSurface
from bots.whom import Whom
from core.domain.approval import Approval
from core.domain.canonical import JsonObject
from core.domain.chat import ChatReference, Surface, Workspace, WorkspaceState
from core.domain.delivery import FollowedRun, Place
from core.domain.ids import PrincipalId, RunId, TenantId
from core.domain.principal import Principal, Role
from core.store.chat_following import PutQuestion
from tests.builders import SteadyClock
from tests.chat_views import APPROVED, FRESH
from tests.nouns import NOON, TENANT, a_person, an_approval
from tests.teams_in_memory import KeptReferences, KeptWire

CHANNEL = "C0APPROVALS"
BOB, BETH, ADA = a_person(2), a_person(3, groups=["leads"]), a_person(4, Role.ADMIN)
PEOPLE = (BOB, BETH, ADA)


@dataclass(slots=True)
class Company:
    """Its people, their accounts, and its workspaces: two, one of which it has left."""

    asked: Sequence[Principal] = PEOPLE
    channel: str | None = None
    accounts: dict[PrincipalId, str] = field(default_factory=dict["PrincipalId", str])
    looked: int = 0

    def signs_up(self, *people: Principal, surface: Surface) -> None:
        """Give people accounts as the surface names them."""
        for one in people:
            of_entra, of_slack = str(one.id), f"U{one.id.int:09}"
            self.accounts[one.id] = of_slack if surface is Surface.SLACK else of_entra

    async def eligible(self, approval: Approval) -> Sequence[Principal]:
        del approval
        self.looked += 1
        return self.asked

    async def accounts_of(
        self, tenant_id: TenantId, *, principal_ids: Sequence[PrincipalId], workspace: str
    ) -> Sequence[str]:
        assert (tenant_id, workspace) == (TENANT, "W1")
        return [self.accounts[one] for one in principal_ids if one in self.accounts]

    async def of_tenant(self, tenant_id: TenantId, *, surface: Surface) -> Sequence[Workspace]:
        assert tenant_id == TENANT
        states = {"W1": WorkspaceState.ACTIVE, "W2": WorkspaceState.UNINSTALLED}
        return [
            a_workspace(name, surface=surface, state=state, channel=self.channel)
            for name, state in states.items()
        ]

    async def of_id(
        self, tenant_id: TenantId, *, surface: Surface, workspace: str
    ) -> Workspace | None:
        del tenant_id, surface, workspace
        return None

    async def client_for(self, workspace: Workspace) -> AsyncWebClient:
        raise AssertionError(workspace)

    async def token_died(self, workspace: Workspace) -> bool:
        raise AssertionError(workspace)


def a_workspace(
    name: str, *, surface: Surface, state: WorkspaceState, channel: str | None
) -> Workspace:
    return Workspace(
        tenant_id=TENANT,
        surface=surface,
        workspace=name,
        name=name,
        app="app",
        bot_user="bot",
        scopes=(),
        state=state,
        approvals_channel=channel,
        links_by_email=False,
        installed_by=ADA.id,
        installed_at=NOON,
        changed_at=NOON,
        token_expires_at=None,
        sealed=b"sealed",
    )


@pytest.fixture
def company() -> Company:
    return Company()


@pytest.fixture
def references() -> KeptReferences:
    return KeptReferences()


@pytest.fixture(params=list(Surface))
def surface(request: pytest.FixtureRequest, company: Company, references: KeptReferences) -> Told:
    company.signs_up(*PEOPLE, surface=request.param)
    whom = Whom(request.param, workspaces=company, people=company, accounts=company)
    if request.param is Surface.SLACK:
        return SlackSurface(SlackCaller(company, workspaces=company), whom=whom)
    caller = TeamsCaller(KeptWire(), workspaces=company, references=references, clock=SteadyClock())
    return TeamsSurface(caller, cards=TeamsRendering(), whom=whom, references=references)


def at(address: str, *, surface: Told, decides: bool = True) -> PutQuestion:
    place = Place(surface=surface.surface, workspace="W1", address=address)
    return PutQuestion(place=place, decides=decides)


async def put(surface: Told, approval: Approval) -> list[str]:
    return [
        one.place.address
        for one in await surface.places_for(approval, followed=None)
        if one.decides
    ]


async def card_at(surface: Told, where: PutQuestion) -> str:
    return str(await surface.question_payload(FRESH, approval=an_approval(), put=where))


async def test_a_question_stands_with_each_person_where_there_is_no_channel(
    surface: Told, company: Company
) -> None:
    everybody = [f"@{one}/" for one in company.accounts.values()]
    assert await put(surface, an_approval()) == everybody


async def test_people_without_an_account_there_are_left_out(
    surface: Told, company: Company
) -> None:
    del company.accounts[BETH.id]
    others = [f"@{company.accounts[one.id]}/" for one in (BOB, ADA)]
    assert await put(surface, an_approval()) == others


async def test_a_question_stands_in_the_channel_where_there_is_one(
    surface: Told, company: Company
) -> None:
    company.channel = CHANNEL
    assert await put(surface, an_approval()) == [f"{CHANNEL}/"]
    assert company.looked == 0


@pytest.mark.parametrize(("to", "told"), [("leads", BETH), ("", ADA)])
async def test_one_that_goes_on_to_others_stands_with_them_besides(
    surface: Told, company: Company, to: str, told: Principal
) -> None:
    company.channel = CHANNEL
    escalated = an_approval(escalated_at=NOON, escalated_to=to)
    assert await put(surface, escalated) == [f"{CHANNEL}/", f"@{company.accounts[told.id]}/"]


def asked_at(address: str, *, surface: Told) -> FollowedRun:
    return FollowedRun(
        tenant_id=TENANT,
        run_id=RunId(UUID(int=7)),
        place=at(address, surface=surface).place,
        asker="U1",
        told_seq=0,
        told_text=0,
    )


async def test_whoever_asked_reads_it_where_they_asked_without_buttons(surface: Told) -> None:
    followed = asked_at("C1/1", surface=surface)
    first, *_ = await surface.places_for(an_approval(), followed=followed)
    assert first == at("C1/1", surface=surface, decides=False)


async def test_whoever_may_answer_what_they_asked_has_buttons_in_their_own_chat(
    surface: Told, company: Company
) -> None:
    own = f"@{company.accounts[BOB.id]}/"
    places = await surface.places_for(an_approval(), followed=asked_at(own, surface=surface))
    assert [one for one in places if one.place.address == own] == [at(own, surface=surface)]


async def test_a_question_calls_those_who_are_asked_in_the_channel_only(
    surface: Told, company: Company
) -> None:
    company.asked = (BOB, BETH)
    in_channel = await card_at(surface, at(f"{CHANNEL}/", surface=surface))
    called = [company.accounts[one.id] in in_channel for one in PEOPLE]
    assert called == [True, True, False]
    for elsewhere in (
        at("C1/1", surface=surface, decides=False),
        at(f"@{company.accounts[BOB.id]}/", surface=surface),
    ):
        assert company.accounts[BETH.id] not in await card_at(surface, elsewhere)


async def test_a_closed_question_calls_nobody(surface: Told, company: Company) -> None:
    where = at(f"{CHANNEL}/", surface=surface)
    closed = await surface.question_payload(APPROVED, approval=an_approval(), put=where)
    assert company.looked == 0
    assert company.accounts[BOB.id] not in str(closed)


async def test_no_more_than_twenty_are_called(surface: Told, company: Company) -> None:
    many = [a_person(number) for number in range(100, 150)]
    company.asked = many
    company.signs_up(*many, surface=Surface(surface.surface))
    card = await card_at(surface, at(f"{CHANNEL}/", surface=surface))
    assert sum(company.accounts[one.id] in card for one in many) == 20


@pytest.mark.parametrize("surface", [Surface.TEAMS], indirect=True)
async def test_in_a_channel_of_teams_those_who_are_asked_see_buttons_and_nobody_else(
    surface: Told, company: Company, references: KeptReferences
) -> None:
    of_bob, of_beth, _ = company.accounts.values()
    references.kept = {
        f"@{account}/": a_reference(account, mri=mri)
        for account, mri in ((of_bob, "29:bob"), (of_beth, ""), ("someone", "29:someone"))
    }
    where = at(f"{CHANNEL}/", surface=surface)
    shared = card_of(await surface.question_payload(FRESH, approval=an_approval(), put=where))
    assert shared["refresh"]["userIds"] == ["29:bob"]
    assert "actions" not in shared
    mine = at(f"@{of_bob}/", surface=surface)
    own = card_of(await surface.question_payload(FRESH, approval=an_approval(), put=mine))
    assert own["actions"]


def a_reference(account: str, *, mri: str) -> ChatReference:
    return ChatReference(
        tenant_id=TENANT,
        surface=Surface.TEAMS,
        workspace="W1",
        address=f"@{account}/",
        conversation="a:1",
        service_url="https://teams.example/",
        mri=mri,
        seen_at=NOON,
    )


def card_of(payload: JsonObject) -> dict[str, Any]:  # Any: a card
    activity = cast("dict[str, Any]", payload["activity"])  # as above
    return activity["attachments"][0]["content"]

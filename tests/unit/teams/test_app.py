"""What Teams is answered: soon, with what is known by then, and never before it is kept."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from structlog.testing import capture_logs

from bots import actions
from bots.teams.answers import Answers
from bots.teams.app import TeamsEvents
from bots.teams.listeners import Listener
from bots.teams.notes import note, sign_in
from core.domain.canonical import JsonObject
from core.domain.chat import Surface, Workspace, WorkspaceState
from core.domain.ids import PrincipalId, TenantId
from core.errors import Forbidden, NotFound, SallyportError, Unavailable
from tests.teams.said import ALICE, TENANT, Payload, a_click, a_message, a_question_about

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
ACME = Workspace(
    tenant_id=TenantId(uuid4()),
    surface=Surface.TEAMS,
    workspace=TENANT,
    name="Acme",
    app="app",
    bot_user="28:app",
    scopes=(),
    state=WorkspaceState.ACTIVE,
    approvals_channel=None,
    links_by_email=False,
    installed_by=PrincipalId(uuid4()),
    installed_at=NOON,
    changed_at=NOON,
    token_expires_at=None,
    sealed=None,
)
CARD: JsonObject = {"type": "AdaptiveCard", "body": []}


@dataclass
class Edge:
    """The way in, with a tenant, an inbox in memory, and one card that everybody sees."""

    rows: dict[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    handles: Callable[[str], Awaitable[object]] | None = None
    takes: SallyportError | None = None
    looks: SallyportError | None = None
    wait_seconds: float = 0.05

    def __post_init__(self) -> None:
        self.answers = Answers(wait_seconds=self.wait_seconds)
        listener = Listener(inbox=self, is_ours=self.is_ours)
        self.events = TeamsEvents(
            workspaces=self,
            listener=listener,
            answers=self.answers,
            looking=self,
        )

    async def answers_to(self, payload: Payload) -> Any:  # noqa: ANN401 - JSON
        answer = await self.events.answer(payload)
        assert answer.status_code == 200
        return json.loads(bytes(answer.body) or b"{}")

    async def find(self, surface: Surface, *, workspace: str) -> Workspace | None:
        return ACME if (surface, workspace) == (Surface.TEAMS, TENANT) else None

    async def is_ours(self, _workspace: str, _address: str) -> bool:
        return False

    async def take(self, *, external_id: str, payload: JsonObject, **_row: object) -> bool:
        if self.takes is not None:
            raise self.takes
        if external_id in self.rows:
            return False
        self.rows[external_id] = payload
        if self.handles is not None:
            await self.handles(external_id)
        return True

    async def card(self, tenant_id: TenantId, *, user: str, channel: str, **_of: str) -> JsonObject:
        assert tenant_id == ACME.tenant_id
        self.asked.append((user, channel))
        if self.looks is not None:
            raise self.looks
        return CARD


async def test_whoever_clicks_is_shown_what_comes_of_it_soon() -> None:
    edge = Edge()
    form: JsonObject = {"card": {"type": "AdaptiveCard", "body": ["a form"]}, "title": "Deny"}
    edge.handles = lambda name: edge.answers.open("", name, form)
    opened = await edge.answers_to(a_click(actions.DENY))
    assert (opened["statusCode"], opened["value"]) == (200, form["card"])
    edge.handles = lambda name: edge.answers.tell("", name, note("Thank you."))
    told = await edge.answers_to(a_click(actions.STOP))
    assert told["value"] == "Thank you."
    # A note with something to press is shown whole, in a dialog as well.
    edge.handles = lambda name: edge.answers.tell("", name, sign_in("https://a.test/link/x"))
    for payload in (a_click(actions.APPROVE), a_question_about("Salaries")):
        assert "https://a.test/link/x" in json.dumps(await edge.answers_to(payload))
    assert edge.asked == []


async def test_what_is_handled_elsewhere_or_late_is_kept_and_the_card_shown_as_it_stands() -> None:
    edge = Edge()
    shown = await edge.answers_to(a_click(actions.APPROVE))
    assert (shown["statusCode"], shown["value"], len(edge.rows)) == (200, CARD, 1)
    # The same once more: it is kept already, and whoever handles it is not waited for.
    async with asyncio.timeout(30):
        again = await Edge(rows=edge.rows, wait_seconds=60).answers_to(a_click(actions.APPROVE))
    assert (again["value"], len(edge.rows)) == (CARD, 1)
    asked = await edge.answers_to(a_question_about("Salaries"))
    assert asked["task"]["type"] == "message"


async def test_a_click_that_is_kept_is_no_failure_though_teams_says_nobody_s_name() -> None:
    edge = Edge(looks=Unavailable("teams_unavailable", detail="no answer"))
    taken = await edge.answers_to(a_click(actions.APPROVE))
    assert taken["value"] == "Taken. What comes of it shows here in a moment."
    for looks in (edge.looks, Forbidden("account_guest")):
        edge.looks = looks
        assert (await edge.answers_to(a_click("refresh")))["statusCode"] == 403


async def test_a_card_is_looked_at_as_somebody_in_the_place_where_it_stands() -> None:
    edge = Edge()
    for where in ("personal", "groupChat", "channel"):
        await edge.answers_to(a_click("refresh", where=where))
    own, group, channel = [place for _, place in edge.asked]
    assert own.startswith("@")
    assert (group[:3], ";" in channel, edge.rows) == ("19:", False, {})
    for who in ({"id": "29:nobody"}, {"id": "28:bot", "role": "bot", "aadObjectId": ALICE}):
        answer = await edge.answers_to(a_click("refresh") | {"from": who})
        assert answer["statusCode"] == 403
    assert (len(edge.asked), edge.rows) == (3, {})


async def test_what_was_left_in_this_moment_is_taken_and_dropped() -> None:
    edge = Edge(takes=NotFound("unknown_workspace", workspace=TENANT))
    assert await edge.answers_to(a_message()) == {}
    assert (await edge.answers_to(a_click(actions.APPROVE)))["value"] == CARD


async def test_what_is_from_nobody_s_tenant_or_is_nothing_to_us_changes_nothing() -> None:
    edge, nobodys = Edge(), "0d9b6c1e-2f0b-4c0e-9d5f-6a2b9b0a0002"
    assert await edge.answers_to(a_message(tenant=nobodys)) == {}
    assert (await edge.answers_to(a_click(tenant=nobodys)))["statusCode"] == 403
    assert await edge.answers_to(a_message(where="groupChat")) == {}
    assert await edge.answers_to({**a_click(), "name": "task/fetch"}) == {}
    assert (edge.rows, edge.asked) == ({}, [])


async def test_what_an_activity_calls_itself_is_not_logged() -> None:
    stranger = {"conversation": {"id": "a:1", "tenantId": str(uuid4())}, "channelData": {}}
    with capture_logs() as logged:
        await Edge().answers_to({**a_message(), **stranger, "type": "it\nlies"})
        await Edge().answers_to({**a_message(), **stranger})
    assert [one["kind"] for one in logged] == ["another", "message"]

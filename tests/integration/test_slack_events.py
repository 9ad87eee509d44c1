"""Slack's two ways in, with the real Bolt behind them: acknowledged is what is kept."""

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import urlencode

import httpx2
import pytest
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext
from starlette.applications import Starlette
from starlette.routing import Route

from bots.slack.app import WORKSPACE, SlackEvents
from bots.slack.guard import SlackGuard
from bots.slack.socket_mode import socket_mode
from core.domain.chat import Workspace
from core.errors import Unavailable
from core.store.database import Database
from tests.builders import SteadyClock
from tests.loopback import http_client
from tests.rest import listening
from tests.slack_api import APP_TOKEN, SIGNING_SECRET, SlackApi, slack_here
from tests.slack_workspaces import Branch, branch_on
from tests.waiting import until

Json = dict[str, Any]  # Any: a payload, looked into by the test


class Listeners:
    """Takes what the real ones would write down; told to, it fails as they would."""

    def __init__(self) -> None:
        self.came: list[tuple[str, Workspace, Json]] = []
        self.error: Exception | None = None
        self.failed = asyncio.Event()

    def listen(self, app: AsyncApp) -> None:
        def taking(kind: str) -> Callable[..., Any]:
            async def take(ack: AsyncAck, body: Json, context: AsyncBoltContext) -> None:
                if self.error is not None:
                    self.failed.set()
                    raise self.error
                self.came.append((kind, cast("Workspace", context[WORKSPACE]), body))
                await ack()

            return take

        bolt = cast("Any", app)  # Any: what registers is untyped in parts
        for event in ("app_mention", "message", "app_uninstalled"):
            bolt.event(event)(taking(event))
        bolt.command("/sallyport")(taking("command"))
        # As ours are: whatever the name, it is looked into.
        bolt.action(re.compile(""))(taking("approve"))
        bolt.view(re.compile(""))(taking("view"))
        bolt.message_shortcut("ask")(taking("shortcut"))

    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.came]


class Street:
    """Posts what Slack would, signed."""

    def __init__(self, http: httpx2.AsyncClient, *, clock: SteadyClock) -> None:
        self.http = http
        self.clock = clock

    async def event(self, event: Json, **more: object) -> httpx2.Response:
        return await self.post(json.dumps(an_event(event, **more)), media_type="application/json")

    async def form(self, **fields: str) -> httpx2.Response:
        return await self.post(urlencode(fields), media_type="application/x-www-form-urlencoded")

    async def post(self, body: str, *, media_type: str) -> httpx2.Response:
        at = str(int(self.clock.now().timestamp()))
        signed = f"v0:{at}:{body}".encode()
        digest = hmac.new(SIGNING_SECRET.encode(), signed, hashlib.sha256).hexdigest()
        headers = {
            "content-type": media_type,
            "x-slack-request-timestamp": at,
            "x-slack-signature": f"v0={digest}",
            # Not signed by anybody, and obeyed by Bolt.
            "x-slack-bolt-lazy-only": "1",
        }
        return await self.http.post("/slack/events", content=body.encode(), headers=headers)


def an_event(event: Json, **more: object) -> Json:
    return {
        "type": "event_callback",
        "team_id": "T0001",
        "api_app_id": "A0001",
        "event_id": "Ev1",
        "event": {"type": "app_mention", "user": "U1", "channel": "C1", "ts": "1.1", **event},
        **more,
    }


@pytest.fixture
async def branch(database: Database, clock: SteadyClock) -> AsyncGenerator[Branch]:
    async with (
        slack_here() as slack,
        branch_on(database, slack=slack, clock=clock) as made,
    ):
        await made.installed()
        yield made


@pytest.fixture
def listeners() -> Listeners:
    return Listeners()


@pytest.fixture
def events(branch: Branch, listeners: Listeners) -> SlackEvents:
    return branch.parts.events(listeners.listen)


@pytest.fixture
async def street(events: SlackEvents, clock: SteadyClock) -> AsyncGenerator[Street]:
    guard = SlackGuard(events.answer, signing_secret=SIGNING_SECRET, clock=clock)
    asgi = Starlette(routes=[Route("/slack/events", guard)])
    asgi.state.stopping = asyncio.Event()
    async with listening(asgi) as url, http_client(base_url=url) as http:
        yield Street(http, clock=clock)


async def test_slack_is_answered_when_it_verifies_the_address(street: Street) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "3eZbrw1a"})
    answer = await street.post(body, media_type="application/json")
    assert (answer.status_code, answer.json()) == (200, {"challenge": "3eZbrw1a"})


async def test_an_event_reaches_its_listener_with_whose_workspace_it_is(
    street: Street, listeners: Listeners, branch: Branch
) -> None:
    assert (await street.event({"text": "hello"})).status_code == 200
    ((kind, workspace, body),) = listeners.came
    assert (kind, body["event"]["text"]) == ("app_mention", "hello")
    assert workspace.tenant_id == branch.admin.tenant_id


async def test_a_click_and_a_command_reach_their_listeners(
    street: Street, listeners: Listeners
) -> None:
    click = {
        "type": "block_actions",
        "team": {"id": "T0001"},
        "user": {"id": "U1", "team_id": "T0001"},
        "actions": [{"type": "button", "action_id": "approve", "block_id": "b", "value": "x"}],
    }
    assert (await street.form(payload=json.dumps(click))).status_code == 200
    command = {"command": "/sallyport", "team_id": "T0001", "user_id": "U1"}
    assert (await street.form(**command, text="explain the payload")).status_code == 200
    assert listeners.kinds() == ["approve", "command"]
    assert listeners.came[1][2]["text"] == "explain the payload"


async def test_an_event_of_a_whole_organisation_is_its_organisation_s(
    street: Street, listeners: Listeners, branch: Branch
) -> None:
    await branch.installed("E0001")
    whole = {"authorizations": [{"enterprise_id": "E0001", "team_id": "T0009"}]}
    whole["authorizations"][0]["is_enterprise_install"] = True  # pyright: ignore[reportArgumentType] - as Slack has it
    assert (await street.event({}, **whole)).status_code == 200
    # The same organisation's, where only one team of it has installed the app.
    one = {"enterprise_id": "E0001", "is_enterprise_install": False}
    assert (await street.event({}, **one)).status_code == 200
    assert [workspace.workspace for _, workspace, _ in listeners.came] == ["E0001", "T0001"]


async def test_what_nobody_could_keep_is_not_acknowledged(
    street: Street, listeners: Listeners
) -> None:
    for error in (Unavailable("database_unavailable"), ValueError("planted words")):
        listeners.error = error
        answer = await street.event({"text": "hello"})
        assert answer.status_code == 503
        assert answer.json()["code"] == "database_unavailable"
        assert "planted" not in answer.text
    listeners.error = None
    assert (await street.event({"text": "hello"})).status_code == 200
    assert listeners.kinds() == ["app_mention"]


async def test_what_concerns_nobody_here_is_taken_and_dropped(
    street: Street, listeners: Listeners
) -> None:
    for team in ("T0002", None, 5, {"id": "T0002"}):
        assert (await street.event({}, team_id=team)).status_code in {200, 400}
    assert (await street.event({"type": "reaction_added"})).status_code == 200
    assert (await street.form(command="/sallyport", team_id="T0002")).status_code == 200
    assert listeners.came == []


@pytest.mark.parametrize(
    "odd",
    [
        {"team": 5},
        {"event": "text"},
        {"event": None},
        {"authorizations": [5]},
        {"authorizations": "text"},
        {"view": 5, "type": "view_submission"},
        {"actions": [], "type": "block_actions", "team": {"id": "T0001"}},
        {"actions": 5, "type": "block_actions", "team": {"id": "T0001"}},
        {"actions": [{"action_id": 5}], "type": "block_actions", "team": {"id": "T0001"}},
        {"actions": [{"action_id": None}], "type": "block_actions", "team": {"id": "T0001"}},
        {"actions": [{"value": "x"}], "type": "block_actions", "team": {"id": "T0001"}},
        {"type": "block_actions", "team": {"id": "T0001"}},
        {"actions": [{"action_id": "approve"}, 5], "type": "block_actions"},
        {"view": {"callback_id": 5}, "type": "view_submission", "user": {"team_id": "T0001"}},
        {"callback_id": 5, "type": "message_action", "team": {"id": "T0001"}},
        {"enterprise": 5},
        {"user": 5},
        {},
    ],
    ids=str,
)
async def test_a_signed_payload_of_an_odd_shape_never_fails_on_our_side(
    street: Street, listeners: Listeners, odd: Json
) -> None:
    body = json.dumps({"team_id": "T0001", **odd})
    answer = await street.post(body, media_type="application/json")
    assert answer.status_code in {200, 400}, answer.text
    assert listeners.came == []


async def test_what_the_agent_has_said_itself_starts_nothing(
    street: Street, listeners: Listeners
) -> None:
    assert (await street.event({"type": "message", "user": "U0BOT"})).status_code == 200
    assert listeners.came == []


async def test_a_workspace_that_is_left_is_heard_of_only_to_say_so(
    street: Street, listeners: Listeners, branch: Branch
) -> None:
    await branch.parts.departures.app_uninstalled("T0001", at=branch.clock.now())
    assert (await street.event({"text": "hello"})).status_code == 200
    assert (await street.event({"type": "app_uninstalled"})).status_code == 200
    assert listeners.kinds() == ["app_uninstalled"]


async def test_nothing_that_people_wrote_is_logged(
    street: Street,
    branch: Branch,
    listeners: Listeners,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("DEBUG")
    await street.event({"text": "planted words"})
    await street.event({"type": "reaction_added", "text": "planted words"})
    await street.event({"text": "planted words"}, team_id="T0002")
    listeners.error = ValueError("planted words")
    await street.event({"text": "planted words"})
    # Bolt's loggers have the level that was the root's when they were made.
    loud = branch.parts.events(listeners.listen)
    await loud.told(an_event({"type": "message", "user": "U0BOT", "text": "planted words"}), {})
    said = caplog.text + "".join(capsys.readouterr())
    assert "slack.listener_failed" in said
    assert "planted" not in said


@asynccontextmanager
async def hearing(events: SlackEvents, branch: Branch) -> AsyncGenerator[SlackApi]:
    """Hear Slack over its socket; yield once the connection is open."""
    async with socket_mode(
        events,
        web=branch.parts.web,
        app_token=APP_TOKEN,
        clock=branch.clock,
        look_seconds=0.01,
    ) as is_open:
        await is_open.wait()
        yield branch.slack


def an_envelope(number: int, payload: Json, kind: str = "events_api") -> Json:
    return {
        "type": kind,
        "envelope_id": f"e{number}",
        "payload": payload,
        "accepts_response_payload": False,
    }


async def test_an_envelope_is_acknowledged_once_it_is_kept(
    events: SlackEvents, branch: Branch, listeners: Listeners
) -> None:
    async with hearing(events, branch) as slack:
        listeners.error = Unavailable("database_unavailable")
        slack.envelopes.put_nowait(an_envelope(1, an_event({"text": "lost?"})))
        slack.envelopes.put_nowait(an_envelope(2, {"text": "\0"}))
        assert (await slack.acknowledged.get())["envelope_id"] == "e2"
        await listeners.failed.wait()
        listeners.error = None
        slack.envelopes.put_nowait(an_envelope(3, an_event({"text": "again"})))
        assert (await slack.acknowledged.get())["envelope_id"] == "e3"
        command = {"command": "/sallyport", "text": "hello", "team_id": "T0001", "user_id": "U1"}
        slack.envelopes.put_nowait(an_envelope(4, command, "slash_commands"))
        assert (await slack.acknowledged.get())["envelope_id"] == "e4"
        slack.envelopes.put_nowait(None)
    assert listeners.kinds() == ["app_mention", "command"]


async def test_a_connection_that_is_lost_is_opened_anew(
    events: SlackEvents, branch: Branch, listeners: Listeners
) -> None:
    async with hearing(events, branch) as slack:
        slack.envelopes.put_nowait(None)

        async def opened_twice() -> bool:
            return slack.methods().count("apps.connections.open") == 2

        await until(opened_twice)
        slack.envelopes.put_nowait(an_envelope(1, an_event({"text": "hello"})))
        assert (await slack.acknowledged.get())["envelope_id"] == "e1"
        slack.envelopes.put_nowait(None)
    assert listeners.kinds() == ["app_mention"]


async def test_a_slack_that_is_down_is_waited_for(
    events: SlackEvents, branch: Branch, listeners: Listeners
) -> None:
    branch.slack.down = True
    async with socket_mode(
        events, web=branch.parts.web, app_token=APP_TOKEN, clock=branch.clock, look_seconds=0.01
    ) as is_open:

        async def tried() -> bool:
            return len(branch.slack.asked) >= 2

        await until(tried)
        branch.slack.down = False
        await is_open.wait()
        branch.slack.envelopes.put_nowait(None)
    assert listeners.came == []

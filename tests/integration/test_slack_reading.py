"""Forms opened and threads read at a Slack that is as strict as Slack."""

from collections.abc import AsyncGenerator
from uuid import UUID

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bots.slack.modals import feedback_form
from bots.slack.reading import moment_of
from bots.slack.threads import SlackThreads
from bots.slack.windows import SlackWindows
from core.domain.chat import Surface, Workspace, WorkspaceState
from core.domain.ids import PrincipalId, RunId, TenantId
from tests.nouns import NOON
from tests.slack.sdk import client_of
from tests.slack.web_api import serving
from tests.slack.workspace import ALICE, BOB, GENERAL, SECRET, Slack
from tests.slack.workspace import Workspace as AtSlack

FORM = feedback_form(RunId(UUID(int=7)))


class Installed:
    """One workspace where the app is installed, and its bot's client."""

    def __init__(self, slack: Slack, at: AtSlack) -> None:
        self._at = at
        self._client: AsyncWebClient = client_of(slack.api_url, at.token())

    async def find(self, surface: Surface, *, workspace: str) -> Workspace | None:
        if workspace != self._at.team:
            return None
        now = NOON
        return Workspace(
            tenant_id=TenantId(UUID(int=1)),
            surface=surface,
            workspace=workspace,
            name="Acme",
            app="A1",
            bot_user=self._at.bot_user,
            scopes=(),
            state=WorkspaceState.ACTIVE,
            approvals_channel=None,
            links_by_email=False,
            installed_by=PrincipalId(UUID(int=2)),
            installed_at=now,
            changed_at=now,
            token_expires_at=None,
            sealed=b"sealed",
        )

    async def client_for(self, workspace: Workspace) -> AsyncWebClient:
        assert workspace.workspace == self._at.team
        return self._client

    async def token_died(self, workspace: Workspace) -> bool:
        return workspace.is_active


@pytest.fixture
async def slack() -> AsyncGenerator[Slack]:
    async with serving(Slack()) as served:
        yield served


@pytest.fixture
def at(slack: Slack) -> AtSlack:
    return slack.company()


@pytest.fixture
def windows(slack: Slack, at: AtSlack) -> SlackWindows:
    installed = Installed(slack, at)
    return SlackWindows(installed, workspaces=installed)


@pytest.fixture
def threads(slack: Slack, at: AtSlack) -> SlackThreads:
    installed = Installed(slack, at)
    return SlackThreads(installed, workspaces=installed)


async def test_a_form_opens_in_front_of_who_clicked(windows: SlackWindows, at: AtSlack) -> None:
    assert await windows.open(at.team, at.trigger(ALICE), FORM)
    (view,) = at.views.values()
    assert (view.user, view.view["callback_id"]) == (ALICE, FORM["callback_id"])


async def test_a_form_opened_again_is_open(windows: SlackWindows, at: AtSlack) -> None:
    trigger = at.trigger(ALICE)
    assert [await windows.open(at.team, trigger, FORM) for _ in range(2)] == [True, True]
    assert len(at.views) == 1


async def test_a_trigger_that_has_expired_opens_nothing(windows: SlackWindows, at: AtSlack) -> None:
    trigger = at.trigger(ALICE)
    user, made = at.triggers[trigger]
    at.triggers[trigger] = (user, made - 60)
    assert not await windows.open(at.team, trigger, FORM)
    assert not await windows.open(at.team, "forged", FORM)
    assert not await windows.open("T0NOWHERE", at.trigger(ALICE), FORM)
    assert at.views == {}


async def test_a_thread_is_read_up_to_the_message(threads: SlackThreads, at: AtSlack) -> None:
    root = at.says(ALICE, "Who has the report?", channel=GENERAL)
    at.says(BOB, "I &amp; <@U0CAROL>", channel=GENERAL, thread_ts=root.ts)
    last = at.says(ALICE, "Sum this up", channel=GENERAL, thread_ts=root.ts)
    at.says(BOB, "Too late", channel=GENERAL, thread_ts=root.ts)
    said = await threads.said(at.team, channel=GENERAL, thread=root.ts, before=last.ts, limit=10)
    assert [(one.user, one.name, one.text, one.is_ours) for one in said] == [
        (ALICE, f"@{ALICE}", "Who has the report?", False),
        (BOB, f"@{BOB}", "I & @U0CAROL", False),
    ]
    assert said[0].at == moment_of(root.ts)


async def test_of_a_long_thread_the_last_messages_are_read(
    threads: SlackThreads, at: AtSlack
) -> None:
    root = at.says(ALICE, "0", channel=GENERAL)
    for number in range(1, 450):
        at.says(BOB, str(number), channel=GENERAL, thread_ts=root.ts)
    last = at.says(ALICE, "Sum this up", channel=GENERAL, thread_ts=root.ts)
    said = await threads.said(at.team, channel=GENERAL, thread=root.ts, before=last.ts, limit=3)
    assert [one.text for one in said] == ["447", "448", "449"]


async def test_what_the_agent_said_is_known_to_be_its_own(
    threads: SlackThreads, at: AtSlack
) -> None:
    root = at.says(ALICE, "Hello", channel=GENERAL)
    at.says(at.bot_user, "Here you are.", channel=GENERAL, thread_ts=root.ts)
    last = at.says(ALICE, "And now?", channel=GENERAL, thread_ts=root.ts)
    said = await threads.said(at.team, channel=GENERAL, thread=root.ts, before=last.ts, limit=3)
    assert [one.is_ours for one in said] == [False, True]


async def test_where_slack_does_not_tell_a_run_does_without(
    threads: SlackThreads, at: AtSlack
) -> None:
    for team, channel in ((at.team, SECRET), (at.team, "C0NOWHERE"), ("T0NOWHERE", GENERAL)):
        told = await threads.said(team, channel=channel, thread="1.0", before="2.0", limit=3)
        assert list(told) == []


@pytest.mark.parametrize("ts", ["", "x", "1.5", "99999999999.000000", "-1.000000", "1.0000000"])
def test_what_is_no_time_stamp_is_the_beginning_of_time(ts: str) -> None:
    assert moment_of(ts).timestamp() == 0

"""A whole server and a Slack that we did not write: install, ask, be asked, decide, read."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bots import actions
from bots.slack.manifest import BOT_SCOPES, EVENTS_PATH, INSTALL_PATH, REDIRECT_PATH
from tests.loopback import http_client
from tests.outside import Npm
from tests.pages import Browser
from tests.peers.serving import Served, Spawn, free_port, served_in
from tests.peers.slack_emulator import (
    BOT_USER,
    TEAM,
    SlackEmulator,
    message_of,
    picked,
    slack_emulator,
)
from tests.slack.people import People
from tests.slack.sdk import Json
from tests.slack.workspace import (
    ALICE,
    BOB,
    CAROL,
    CLIENT_ID,
    CLIENT_SECRET,
    GENERAL,
    SIGNING_SECRET,
)
from tests.waiting import until

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]

SCRIPT = """
scripts:
  - match: delete
    turns:
      - calls: [{tool: list_projects}]
      - calls:
          - tool: create_task
            arguments:
              project_id: "${{ results.list_projects.projects[name=Inbox].id }}"
              title: Old draft
      - calls:
          - tool: delete_task
            arguments: {task_id: "${{ results.create_task.task.id }}"}
      - when: {tool: delete_task, outcome: succeeded}
        say: The old draft is deleted.
      - when: {tool: delete_task}
        say: I left the old draft alone.
"""
IN, ACCOUNT = ("--tenant", "acme"), ("--workspace", TEAM, "--user")
COMPANY = {ALICE: "member", BOB: "approver", CAROL: "admin"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Acme:
    """A company on a running server, and the emulator's workspace in which its people are."""

    served: Served
    emulator: SlackEmulator
    people: People

    async def shown(self, holds: Callable[[Json], bool], *, channel: str, thread: str = "") -> Json:
        """Return the first message there that is as wanted, once there is one."""
        found: list[Json] = []

        async def is_there() -> bool:
            there = await self.emulator.messages(channel, thread_ts=thread or None)
            found[:] = [one for one in there if one["user"] == BOT_USER and holds(one)]
            return bool(found)

        await until(is_there, seconds=20)
        return found[0]


@asynccontextmanager
async def acme_in(folder: Path, *, npm: Npm, spawn: Spawn) -> AsyncGenerator[Acme]:
    """Start both, with the company and its people, whose accounts are nobody's yet."""
    script, port = folder / "script.yaml", free_port()
    script.write_text(SCRIPT, encoding="utf-8")
    served = await served_in(
        folder,
        spawn=spawn,
        SALLYPORT_SCRIPT=str(script),
        SALLYPORT_SLACK_CLIENT_ID=CLIENT_ID,
        SALLYPORT_SLACK_CLIENT_SECRET=CLIENT_SECRET,
        SALLYPORT_SLACK_SIGNING_SECRET=SIGNING_SECRET,
        SALLYPORT_SLACK_API_URL=f"http://127.0.0.1:{port}/api/",
    )
    events = f"{served.url}{EVENTS_PATH}"
    async with (
        slack_emulator(
            npm,
            events_url=events,
            redirect_uri=f"{served.url}{REDIRECT_PATH}",
            port=port,
            scopes=BOT_SCOPES,
        ) as emulator,
        http_client(timeout=30) as http,
    ):
        await asyncio.to_thread(served.sallyport, "tenant", "create", "acme")
        await at_once(
            served,
            *(
                ("principal", "create", *IN, "--email", email_of(user), "--role", role)
                for user, role in COMPANY.items()
            ),
        )
        yield Acme(served=served, emulator=emulator, people=emulator.people(http, url=events))


async def at_once(served: Served, *commands: tuple[str, ...]) -> None:
    async with asyncio.TaskGroup() as group:
        for command in commands:
            group.create_task(asyncio.to_thread(served.sallyport, *command))


def email_of(user: str) -> str:
    return f"{user.removeprefix('U0').lower()}@acme.test"


def has_button(told: Json, action: str) -> bool:
    return f"'action_id': '{action}'" in str(told.get("blocks"))


async def install(acme: Acme) -> str:
    """Have the admin sign in by a one-time link, go to Slack, allow it, and come back."""
    link = await asyncio.to_thread(
        acme.served.sallyport,
        *("signin", "link", *IN, "--as", email_of(CAROL), "--return-to", INSTALL_PATH),
    )
    async with http_client(timeout=30) as http:
        browser = Browser(http, home=acme.served.url)
        there = await browser.send(await browser.get(link["url"]))
        assert urlsplit(there.url).path == "/oauth/v2/authorize", there.shown
        back = await browser.get(await picked(http, there, user=CAROL))
        assert back.status == 200, back.shown
        return back.shown


async def test_from_installing_to_the_answer_with_a_slack_that_is_not_ours(
    npm: Npm, tmp_path: Path, spawned: Spawn
) -> None:
    async with acme_in(tmp_path, npm=npm, spawn=spawned) as acme:
        assert "Acme" in await install(acme)
        await at_once(
            acme.served,
            *(
                ("account", "link", *IN, "--as", email_of(user), *ACCOUNT, user)
                for user in (ALICE, BOB)
            ),
        )

        said = await acme.emulator.says(
            f"<@{BOT_USER}> please delete the old draft", by=ALICE, channel=GENERAL
        )
        bobs = await acme.emulator.im(BOB)
        card = await acme.shown(lambda one: has_button(one, actions.APPROVE), channel=bobs)
        assert "Old draft" in str(card["blocks"])
        await acme.people.clicks(message_of(card, people=acme.people), actions.APPROVE, by=BOB)

        answer = await acme.shown(
            lambda one: "The old draft is deleted." in str(one.get("blocks")),
            channel=GENERAL,
            thread=said["ts"],
        )
        assert has_button(answer, actions.UNDO)
        locked = await acme.shown(
            lambda one: one["ts"] == card["ts"] and not has_button(one, actions.APPROVE),
            channel=bobs,
        )
        assert email_of(BOB) in str(locked["blocks"])
        asked = ("approvals", "list", *IN, "--state", "approved")
        (decided,) = (await asyncio.to_thread(acme.served.sallyport, *asked))["items"]
        assert decided["tool"] == "delete_task"
        assert {one["status_code"] for one in await acme.emulator.deliveries()} == {200}

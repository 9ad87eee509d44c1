"""A whole server and a Teams that we did not write: ask, watch, be asked, decide, take back.

The playground has one person. Whose account it is, is for the operator to say, so that the one who
asks and the one who decides sit there in turns. With ``--update-pictures`` the guide's pictures of
it are taken anew.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bots.teams.app import MESSAGES_PATH
from tests.outside import ROOT, Npm
from tests.peers.playground import ALEX, TENANT, Playground, Seen, playground
from tests.peers.serving import Served, Spawn, served_in
from tests.waiting import until

pytestmark = [pytest.mark.peer, pytest.mark.timeout(400)]

PICTURES = ROOT / "docs" / "images" / "teams"
SCRIPT = """
scripts:
  - match: Tidy up
    turns:
      - say: I look at what is left of the relaunch, and remove what nobody needs any more.
        calls: [{tool: list_projects}]
      - calls:
          - tool: create_task
            arguments:
              project_id: "${{ results.list_projects.projects[name=Inbox].id }}"
              title: Old draft
      - calls:
          - tool: delete_task
            arguments: {task_id: "${{ results.create_task.task.id }}"}
      - when: {tool: delete_task, outcome: succeeded}
        say: "The project is **tidy**: one old draft is deleted."
      - when: {tool: delete_task}
        say: I left the old draft alone.
  - match: Tell Carol
    turns:
      - calls:
          - tool: send_message_to_user
            arguments: {recipient: carol@acme.test, text: The relaunch is off.}
      - {say: She knows.}
"""
ASKED = "Tidy up the Website relaunch, please."
ANSWER = "The project is tidy"
MESSAGE = "Send a message"
DECIDING = {"Approve", "Deny", "Edit and approve"}
DELETION = 'Delete the task "Old draft"'
ALICE, BOB, CAROL = "alice@acme.test", "bob@acme.test", "carol@acme.test"
IN, ACCOUNT = ("--tenant", "acme"), ("--surface", "teams", "--workspace", TENANT, "--user", ALEX)
COMPANY = {ALICE: "member", BOB: "approver", CAROL: "admin"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Acme:
    """A company on a running server, and the playground in which Alex is one of its people."""

    served: Served
    teams: Playground
    takes_pictures: bool

    async def sits_down(self, email: str) -> None:
        """Make Alex's account somebody's that was somebody else's; they are told so."""

        def is_theirs(seen: Seen) -> bool:
            return f"you do as {email}" in seen.text

        before = sum(map(is_theirs, await self.teams.messages()))
        await self.operator("account", "unlink", *IN, *ACCOUNT)
        await self.operator("account", "link", *IN, "--as", email, *ACCOUNT)

        async def is_told() -> bool:
            return sum(map(is_theirs, await self.teams.messages())) > before

        await until(is_told)

    async def operator(self, *arguments: str) -> None:
        await asyncio.to_thread(self.served.sallyport, *arguments)

    async def pictured(self, name: str, *of: str) -> None:
        """Take a picture of messages for the guide, where it is to be taken anew."""
        if self.takes_pictures:
            await self.teams.pictures(*of, path=PICTURES / f"playground-{name}.png")


@pytest.fixture
def takes_pictures(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-pictures"))


@asynccontextmanager
async def acme_in(
    folder: Path, *, npm: Npm, spawn: Spawn, sdk: str, takes_pictures: bool = False
) -> AsyncGenerator[Acme]:
    """Start both, with the company and its people; Alex's account is Alice's."""
    script = folder / "script.yaml"
    script.write_text(SCRIPT, encoding="utf-8")
    served = await served_in(
        folder,
        spawn=spawn,
        SALLYPORT_SCRIPT=str(script),
        SALLYPORT_TEAMS_ANONYMOUS="1",
        SALLYPORT_TEAMS_SDK=sdk,
    )
    for command in (
        ("tenant", "create", "acme"),
        *(("principal", "create", *IN, "--email", who, "--role", COMPANY[who]) for who in COMPANY),
        ("teams", "allow", TENANT, *IN, "--as", CAROL, "--name", "Acme"),
        ("account", "link", *IN, "--as", ALICE, *ACCOUNT),
    ):
        await asyncio.to_thread(served.sallyport, *command)
    messages_url = f"{served.url}{MESSAGES_PATH}"
    async with playground(npm, folder, spawn=spawn, messages_url=messages_url) as teams:
        yield Acme(served=served, teams=teams, takes_pictures=takes_pictures)


def is_under_way(seen: Seen) -> bool:
    return seen.by != "" and "I look at what is left" in seen.text


@pytest.mark.parametrize("sdk", ["botbuilder", "teams-sdk"])
async def test_from_the_task_to_the_answer_in_a_teams_that_is_not_ours(
    npm: Npm, tmp_path: Path, spawned: Spawn, sdk: str, *, takes_pictures: bool
) -> None:
    async with acme_in(
        tmp_path, npm=npm, spawn=spawned, sdk=sdk, takes_pictures=takes_pictures
    ) as acme:
        teams = acme.teams
        await teams.says(ASKED)
        await teams.shown(is_under_way)
        await teams.shown(lambda one: "Needed from people" in one.text and "Stop" in one.buttons)
        told = await teams.shown(lambda one: "Waiting for approval" in one.text)
        assert DELETION in told.text
        assert not DECIDING & {*told.buttons}
        await acme.pictured("progress", "Needed from people")

        await acme.sits_down(BOB)
        await teams.says("approvals")
        asked = await teams.shown(lambda one: {*one.buttons} >= DECIDING)
        assert DELETION in asked.text
        await teams.clicks("Approve", on="waiting for your answer")

        answer = await teams.shown(lambda one: ANSWER in one.text)
        assert answer.is_marked
        told = await teams.shown(lambda one: f"{BOB} approved" in one.text)
        assert not DECIDING & {*told.buttons}
        await teams.shown(lambda one: f"Approved by {BOB}" in one.text)
        assert not any("Approve" in one.buttons for one in await teams.messages())

        await acme.sits_down(ALICE)
        await acme.pictured("answer", ANSWER, "Take back")
        await teams.clicks("Undo", on="Take back")
        await teams.clicks("Undo it", on="Take back")
        await teams.shown(lambda one: "Bring back the task" in one.text)


async def test_whoever_decides_is_asked_and_says_why_not_or_changes_the_call(
    npm: Npm, tmp_path: Path, spawned: Spawn, *, takes_pictures: bool
) -> None:
    async with acme_in(
        tmp_path, npm=npm, spawn=spawned, sdk="botbuilder", takes_pictures=takes_pictures
    ) as acme:
        teams = acme.teams
        await teams.says("help")
        await acme.sits_down(BOB)

        await acme.operator("run", "start", *IN, "--as", ALICE, ASKED)
        await teams.shown(lambda one: {*one.buttons} >= DECIDING)
        await teams.clicks("Deny", on=DELETION)
        await teams.types("It is needed for the audit.", into="Reason", on=DELETION)
        await acme.pictured("deny", DELETION)
        await teams.clicks("Deny", on=DELETION)
        denied = await teams.shown(lambda one: f"Denied by {BOB}" in one.text)
        assert "It is needed for the audit." in denied.text
        assert not DECIDING & {*denied.buttons}

        await acme.operator("run", "start", *IN, "--as", ALICE, "Tell Carol, please.")
        await teams.shown(lambda one: "Edit and approve" in one.buttons)
        await teams.clicks("Edit and approve", on=MESSAGE)
        await teams.shown(lambda one: "See what it does" in one.buttons)
        await teams.types("The relaunch is on.", into="Text", on=MESSAGE)
        await teams.clicks("See what it does", on=MESSAGE)
        seen = await teams.shown(lambda one: "This is what it would do" in one.text)
        assert "+ text: The relaunch is on." in seen.text
        await acme.pictured("confirm", MESSAGE)
        await teams.clicks("Approve", on=MESSAGE)
        locked = await teams.shown(lambda one: f"Approved by {BOB}" in one.text)
        assert "The relaunch is on." in locked.text
        await acme.pictured("locked", MESSAGE)
        asked = ("approvals", "list", *IN, "--state", "approved")
        (decided,) = (await asyncio.to_thread(acme.served.sallyport, *asked))["items"]
        assert decided["tool"] == "send_message_to_user"

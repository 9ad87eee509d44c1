"""A Slack that we did not write: the emulator of npm's ``emulate``, with our app in its workspace.

What it does not do, and what the launcher adds to it, is told in ``tests/peers/README.md``.
"""

import asyncio
import json
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urljoin

import httpx2

from tests.loopback import http_client
from tests.outside import ENVIRONMENT, Npm
from tests.pages import Browser, Page
from tests.peers.serving import free_port
from tests.slack.people import People
from tests.slack.sdk import Sdk, client_of
from tests.slack.workspace import (
    ALICE,
    APP,
    APPROVALS,
    BOB,
    CAROL,
    CLIENT_ID,
    CLIENT_SECRET,
    GENERAL,
    GUEST,
    LEFT,
    SIGNING_SECRET,
    Channel,
    Message,
    Slack,
)

Json = dict[str, Any]  # Any: what Slack takes and gives

TEAM: Final = "T000000001"
BOT_USER, BOT = "U0SALLYBOT", "B0SALLYBOT"
EVENTS: Final = ("message", "app_mention")
_HERE = Path(__file__).parent
_SECONDS = 60.0
_PEOPLE = {ALICE: "alice", BOB: "bob", CAROL: "carol", GUEST: "guest", LEFT: "left"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackEmulator:
    """The running emulator. The same people as in ``tests.slack.workspace`` are in its one team."""

    url: str
    process: Process

    @property
    def api_url(self) -> str:
        """The base of its Web API."""
        return f"{self.url}/api/"

    def client(self, who: str) -> Sdk:
        """Return a client of a person's, or the app's bot's (``BOT_USER``)."""
        return client_of(self.api_url, token_of(who))

    async def says(self, text: str, *, by: str, channel: str, thread_ts: str | None = None) -> Json:
        """Have a person say something; our server has been told of it when this returns."""
        posted = await self.client(by).chat_postMessage(
            channel=channel, text=text, thread_ts=thread_ts
        )
        return posted["message"] | {"channel": posted["channel"]}

    async def im(self, user: str) -> str:
        """Return the direct message between a person and the bot."""
        opened = await self.client(user).conversations_open(users=BOT_USER)
        return str(opened["channel"]["id"])

    async def messages(self, channel: str, *, thread_ts: str | None = None) -> list[Json]:
        """Return what stands in a channel or thread, the oldest first."""
        bot = self.client(BOT_USER)
        if thread_ts is not None:
            found = (await bot.conversations_replies(channel=channel, ts=thread_ts))["messages"]
        else:
            found = (await bot.conversations_history(channel=channel))["messages"][::-1]
        return [one | {"channel": channel} for one in found]

    async def deliveries(self) -> list[Json]:
        """Return what was sent to our server, and with which status it answered."""
        return await self._asked("deliveries")

    async def ephemeral(self) -> list[Json]:
        """Return what was shown to one person only."""
        return await self._asked("ephemeral")

    async def views(self) -> list[Json]:
        """Return homes and modals, as they stand."""
        return await self._asked("views")

    async def allow(self, url: str, *, by: str) -> str:
        """Open the address that an installation begins with, pick a person, return where to go on.

        The address returned is our own redirect address with code and state.
        """
        async with http_client(timeout=_SECONDS) as http:
            page = await Browser(http, home=self.url).get(url)
            return await picked(http, page, user=by)

    def people(self, http: httpx2.AsyncClient, *, url: str) -> People:
        """Return the same people, for what the emulator has not: clicks, modals and commands.

        What is clicked on is one of ``message_of``; triggers are the emulator's own.
        """
        slack = Slack()
        slack.url = self.url
        at = slack.company(TEAM)
        at.bot_user, at.bot = BOT_USER, BOT
        return People(http, slack=slack, at=at, url=url, trigger=self.trigger)

    async def trigger(self, user: str) -> str:
        """Return what a click lets the app open a modal with."""
        made = await self.client(BOT_USER).api_call(
            "views.generateTriggerId", json={"user_id": user}
        )
        return str(made["trigger_id"])

    async def _asked(self, what: str) -> Any:  # noqa: ANN401 - JSON
        cast("asyncio.StreamWriter", self.process.stdin).write(f'"{what}"\n'.encode())
        return await _line(self.process)


async def picked(http: httpx2.AsyncClient, page: Page, *, user: str) -> str:
    """Send the form of one person on a page that asks who somebody is; do not follow."""
    for action, fields in page.read.forms:
        if fields.get("user_id") == user:
            answer = await http.post(urljoin(page.url, action), data=fields)
            assert answer.has_redirect_location, answer.text
            return answer.headers["location"]
    raise AssertionError(page.shown)


def message_of(told: Json, *, people: People) -> Message:
    """Return a message of the emulator's as something to click on."""
    channel = told["channel"]
    if channel not in people.at.channels:
        people.at.channels[channel] = Channel(id=channel, name="", members=set(), user=ALICE)
    return Message(
        channel=channel,
        ts=told["ts"],
        user=told["user"],
        text=told.get("text", ""),
        blocks=told.get("blocks", []),
        thread_ts=told.get("thread_ts"),
        bot=BOT if told["user"] == BOT_USER else None,
    )


def token_of(who: str) -> str:
    """Return the token that somebody is known by."""
    return f"token-of-{who}"


@asynccontextmanager
async def slack_emulator(
    npm: Npm,
    *,
    events_url: str | None = None,
    redirect_uri: str = "",
    port: int | None = None,
    scopes: Sequence[str] = ("chat:write",),
) -> AsyncGenerator[SlackEmulator]:
    """Run it for as long as the block lasts; events go to ``events_url``, signed.

    ``scopes`` are what the app may ask for when it is installed.
    """
    settings = {
        "port": port or free_port(),
        "events": events_url,
        "kinds": EVENTS,
        "users": [
            {
                "id": user,
                "name": name,
                "email": f"{name}@acme.test",
                "more": {"deleted": True} if user == LEFT else {},
            }
            for user, name in _PEOPLE.items()
        ],
        "channels": {"general": GENERAL, "approvals": APPROVALS},
        "seed": {
            "team": {"name": "Acme", "domain": "acme"},
            "channels": [{"name": "approvals"}],
            "signing_secret": SIGNING_SECRET,
            "oauth_apps": [
                {
                    "client_id": CLIENT_ID,
                    "client_secret": CLIENT_SECRET,
                    "app_id": APP,
                    "name": "Sallyport",
                    "redirect_uris": [redirect_uri],
                    "scopes": [*scopes],
                    "bot_id": BOT,
                    "bot_user_id": BOT_USER,
                    "bot_name": "sallyport",
                }
            ],
            "tokens": [
                {"token": token_of(user), "user_id": user, "type": "user"} for user in _PEOPLE
            ]
            + [
                {
                    "token": token_of(BOT_USER),
                    "user_id": BOT_USER,
                    "type": "bot",
                    "app_id": APP,
                    "bot_id": BOT,
                    "bot_user_id": BOT_USER,
                }
            ],
        },
    }
    # A module finds its imports from where it lies.
    script = await asyncio.to_thread(shutil.copyfile, _HERE / "slack.mjs", npm.folder / "slack.mjs")
    process = await asyncio.create_subprocess_exec(
        npm.node, str(script), env=dict(ENVIRONMENT), stdin=PIPE, stdout=PIPE, limit=2**24
    )
    try:
        typed = cast("asyncio.StreamWriter", process.stdin)
        typed.write(f"{json.dumps(settings)}\n".encode())
        started = await _line(process)
        yield SlackEmulator(url=started["url"], process=process)
    finally:
        cast("asyncio.StreamWriter", process.stdin).close()
        await process.wait()


async def _line(process: Process) -> Any:  # noqa: ANN401 - JSON
    async with asyncio.timeout(_SECONDS):
        told = await cast("asyncio.StreamReader", process.stdout).readline()
    assert told, "the emulator ended"
    return json.loads(told)

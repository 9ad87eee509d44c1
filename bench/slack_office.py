"""A company at Slack for benchmarks: our server, and a Slack of ours in a process of its own."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import cast

import httpx2

from bench.chat_office import Counted, Office, serving, started
from bots.actions import APPROVE
from bots.slack.manifest import EVENTS_PATH
from core.domain.chat import Surface
from tests.slack import workspace as slacks
from tests.slack.office import install
from tests.slack.people import People
from tests.slack.workspace import ALICE, BOB, CAROL, GENERAL, Slack


@asynccontextmanager
async def office_in(folder: Path) -> AsyncGenerator[Office]:
    """Serve a company whose people are at Slack, all in ``folder``, until the block is left."""
    async with AsyncExitStack() as stack:
        command = [sys.executable, "-m", "tests.slack.web_api"]
        slack, told = await started(stack, command, log=folder / "slack.log")
        stack.callback(cast("asyncio.StreamWriter", slack.stdin).close)
        settings = {
            "SALLYPORT_SLACK_CLIENT_ID": slacks.CLIENT_ID,
            "SALLYPORT_SLACK_CLIENT_SECRET": slacks.CLIENT_SECRET,
            "SALLYPORT_SLACK_SIGNING_SECRET": slacks.SIGNING_SECRET,
            "SALLYPORT_SLACK_API_URL": told["api_url"],
        }
        at = Slack().company()
        server = await stack.enter_async_context(
            serving(
                folder,
                settings,
                surface=Surface.SLACK,
                workspace=at.team,
                users=(ALICE, BOB, CAROL),
                puts=lambda parts, admin: install(parts, at, by=admin, token=told["token"]),
            )
        )
        http = await stack.enter_async_context(httpx2.AsyncClient(timeout=30, trust_env=False))
        url = f"{server.url}{EVENTS_PATH}"
        people = People(http, slack=Slack(), at=at, url=url)

        async def counted() -> Counted:
            said = (await http.get(f"{told['url']}/told")).json()
            calls = sum(sum(one.values()) for one in said["calls"].values())
            return Counted(calls=calls, excesses=said["excesses"])

        words = "please delete the old draft"
        yield Office(
            server=server,
            load=("tests.slack.load", "--url", url, "--action-id", APPROVE),
            ask=partial(people.mentions, words, by=ALICE, channel=GENERAL),
            counted=counted,
        )

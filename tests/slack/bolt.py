"""A plain Bolt application that hears everything: what Slack's own library makes of it."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.app.async_app import AsyncApp
from starlette.applications import Starlette
from starlette.routing import Route

from tests.slack.workspace import SIGNING_SECRET

Bolt = Any  # Bolt's types are partly unknown
Json = dict[str, Any]  # Any: what Slack takes and gives


@dataclass(slots=True)
class Heard:
    """What Bolt made of it."""

    bodies: list[Json] = field(default_factory=list[Json])

    @property
    def events(self) -> list[str]:
        return [f"{body['event']['type']}:{body['event'].get('subtype')}" for body in self.bodies]


def app_on(heard: Heard, *, api_url: str, token: str) -> Starlette:
    """Return a plain Bolt application that hears everything."""
    bolt: Bolt = AsyncApp(
        token=token,
        signing_secret=SIGNING_SECRET,
        process_before_response=True,
    )
    bolt.client.base_url = api_url

    async def hear(body: Json, ack: Bolt) -> None:
        heard.bodies.append(body)
        await ack()

    async def refuse(body: Json, ack: Bolt) -> None:
        heard.bodies.append(body)
        await ack(response_action="errors", errors={"reason": "Say more."})

    kinds = ("message", "app_mention", "app_home_opened", "agent_session_stopped")
    for kind in (*kinds, "app_uninstalled", "tokens_revoked"):
        bolt.event(kind)(hear)
    bolt.action("approve")(hear)
    bolt.command("/agent")(hear)
    bolt.shortcut("ask")(hear)
    bolt.view("why")(refuse)
    bolt.view_closed("why")(hear)
    route = Route("/slack/events", AsyncSlackRequestHandler(bolt).handle, methods=["POST"])
    made = Starlette(routes=[route])
    made.state.stopping = asyncio.Event()
    return made

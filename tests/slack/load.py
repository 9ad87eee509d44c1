"""Slack at its busiest, from a process of its own: so many deliveries a second, whatever happens.

Usage: python -m tests.slack.load --url http://127.0.0.1:8080/slack/events --rate 500 --seconds 60
"""

import json
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import click

from tests import open_loop
from tests.open_loop import Delivery, post
from tests.slack import events
from tests.slack.workspace import SIGNING_SECRET, Channel, Message, Slack, Workspace

Json = dict[str, Any]  # Any: what Slack takes and gives

_NEAREST: Final = 60
_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
_BUTTON: Json = {"type": "button", "text": {"type": "plain_text", "text": "Approve"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to offer. Shares are of all deliveries, from 0 to 1.

    ``teams``: workspaces in turn; ``users``: who speaks and clicks in each. ``action_id`` and
    ``value`` are those of the button that is clicked.
    """

    url: str
    rate: float
    seconds: float
    duplicates: float = 0.05
    clicks: float = 0.2
    teams: Sequence[str] = ("T0ACME",)
    users: Sequence[str] = ("U0ALICE", "U0BOB", "U0CAROL")
    action_id: str = "approve"
    value: str = "load"
    secret: str = SIGNING_SECRET
    connections: int = 256
    seed: int = 1


def planned(plan: Plan, *, begins: float) -> list[Delivery]:
    """Make every request of a run that begins at this (wall clock) time."""
    chance, run = random.Random(plan.seed), os.urandom(4).hex()  # noqa: S311 - no secret
    workspaces = [_peopled(team, plan.users) for team in plan.teams]
    made: list[tuple[str, bytes, str]] = []
    due: list[Delivery] = []
    for number in range(round(plan.rate * plan.seconds)):
        at = number / plan.rate
        if made and chance.random() < plan.duplicates:
            external_id, body, kind = chance.choice(made[-_NEAREST:])
            again = kind == _JSON  # interactions are never sent again by Slack, but by thumbs
        else:
            external_id, body, kind = _one(plan, workspaces, number, run=run, chance=chance)
            made.append((external_id, body, kind))
            again = False
        seal = events.sealed(body, secret=plan.secret, at=int(begins + at))
        request = _request(plan.url, body, kind=kind, seal=seal, again=again)
        due.append(Delivery(external_id, request, at))
    return due


def _peopled(team: str, users: Sequence[str]) -> Workspace:
    workspace = Slack().workspace(team, name="Acme")
    for user in users:
        workspace.add(user, name=user.lower())
        workspace.im(user)
    return workspace


def _one(
    plan: Plan, workspaces: Sequence[Workspace], number: int, *, run: str, chance: random.Random
) -> tuple[str, bytes, str]:
    at = workspaces[number % len(workspaces)]
    user = at.users[chance.choice(plan.users)]
    channel: Channel = at.im(user.id)
    if chance.random() >= plan.clicks:
        said = Message(channel=channel.id, ts=at.ts(), user=user.id, text=f"List it ({number})")
        told = events.envelope(at, events.said(at, said), channel=channel)
        told["event_id"] = f"EvL{run}{number:07d}"
        return f"event:{at.team}:{told['event_id']}", json.dumps(told).encode(), _JSON
    card = Message(channel=channel.id, ts=at.ts(), user=at.bot_user, text="Sure?", bot=at.bot)
    element = _BUTTON | {"action_id": plan.action_id, "value": plan.value}
    act = events.action(element, block_id="answers", ts=at.ts(), chosen=None)
    payload = (
        events.interaction(at, "block_actions", by=user, trigger_id=f"{number}.{run}.load")
        | events.in_message(at, card, response_url=f"{plan.url}/nowhere")
        | {"actions": [act]}
    )
    external_id = f"click:{at.team}:{user.id}:{act['action_ts']}:{plan.action_id}"
    return external_id, urlencode({"payload": json.dumps(payload)}).encode(), _FORM


def _request(url: str, body: bytes, *, kind: str, seal: dict[str, str], again: bool) -> bytes:
    retried = {"X-Slack-Retry-Num": "1", "X-Slack-Retry-Reason": "http_timeout"} if again else {}
    return post(url, body, headers={"Content-Type": kind, **seal, **retried})


async def offer(plan: Plan) -> Json:
    """Offer a load, and tell how it was taken: see ``tests/open_loop.py``."""
    return await open_loop.offer(
        lambda begins: planned(plan, begins=begins),
        url=plan.url,
        rate=plan.rate,
        connections=plan.connections,
    )


@click.command()
@click.option("--url", required=True, help="where Slack's requests go")
@click.option("--rate", default=500.0, show_default=True, help="deliveries a second")
@click.option("--seconds", default=60.0, show_default=True)
@click.option("--duplicates", default=0.05, show_default=True, help="share that came before")
@click.option("--clicks", default=0.2, show_default=True, help="share that are clicks")
@click.option("--team", "teams", multiple=True, default=("T0ACME",), show_default=True)
@click.option("--user", "users", multiple=True, default=("U0ALICE", "U0BOB", "U0CAROL"))
@click.option("--action-id", default="approve", show_default=True, help="of the button clicked")
@click.option("--value", default="load", show_default=True, help="of the button clicked")
@click.option("--secret", default=SIGNING_SECRET, show_default=True, help="to sign with")
@click.option("--connections", default=256, show_default=True, help="at most so many")
@click.option("--seed", default=1, show_default=True, help="of what is chance")
def main(**given: Any) -> None:  # noqa: ANN401 - a plan's, by click
    """Offer a load to a server, and print how it took it as one line of JSON."""
    open_loop.run(offer(Plan(**given)))


if __name__ == "__main__":
    main()

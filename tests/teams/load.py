"""Teams at its busiest, from a process of its own: so many activities a second, whatever happens.

Like Microsoft's service it shows the same few tokens over and over, each with thousands of
activities; they were signed by whoever starts it.

Usage: python -m tests.teams.load --url http://127.0.0.1:8080/api/messages --rate 500 --seconds 60
"""

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from tests import open_loop
from tests.open_loop import Delivery, post
from tests.teams.conversations import ALICE, BOB, CAROL, Teams
from tests.teams.events import Events

Json = dict[str, Any]  # Any: what Teams takes and gives

_NEAREST: Final = 60
_OLD_CARD: Final = "1700000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to offer. Shares are of all activities, from 0 to 1.

    ``service_url`` is what they say as theirs, and ``authorizations`` the headers shown in turn.
    ``users``: who speaks and clicks; ``verb`` and ``ids`` are those of the button clicked.
    """

    url: str
    rate: float
    seconds: float
    service_url: str
    authorizations: Sequence[str]
    duplicates: float = 0.05
    clicks: float = 0.2
    users: Sequence[str] = (ALICE, BOB, CAROL)
    verb: str = "approve"
    ids: str = "load"
    connections: int = 1024
    seed: int = 1


def planned(plan: Plan) -> list[Delivery]:
    """Make every request of a run."""
    chance = random.Random(plan.seed)  # noqa: S311 - no secret
    events = Events(Teams(), service_url=plan.service_url, first=time.time_ns())
    made: list[tuple[str, bytes]] = []
    due: list[Delivery] = []
    for number in range(round(plan.rate * plan.seconds)):
        if made and chance.random() < plan.duplicates:
            external_id, body = chance.choice(made[-_NEAREST:])
        else:
            told = _one(plan, events, number, chance=chance)
            external_id, body = _external_id(told), json.dumps(told).encode()
            made.append((external_id, body))
        shown = plan.authorizations[number % len(plan.authorizations)]
        headers = {"Content-Type": "application/json; charset=utf-8", "Authorization": shown}
        request = post(plan.url, body, headers=headers)
        due.append(Delivery(external_id, request, number / plan.rate))
    return due


def _one(plan: Plan, events: Events, number: int, *, chance: random.Random) -> Json:
    user = chance.choice(plan.users)
    if chance.random() >= plan.clicks:
        return events.activity("message", by=user, text=f"List it ({number})")
    return events.clicked(plan.verb, ids=plan.ids, by=user, message=_OLD_CARD)


def _external_id(activity: Json) -> str:
    kind = "invoke" if activity["type"] == "invoke" else "event"
    tenant, conversation = activity["channelData"]["tenant"]["id"], activity["conversation"]["id"]
    return f"{kind}:{tenant}:{conversation}:{activity['id']}"


async def offer(plan: Plan) -> Json:
    """Offer a load, and tell how it was taken: see ``tests/open_loop.py``."""
    return await open_loop.offer(
        lambda _begins: planned(plan), url=plan.url, rate=plan.rate, connections=plan.connections
    )


@click.command()
@click.option("--url", required=True, help="where Teams' activities go")
@click.option("--service-url", required=True, help="where they say that they come from")
@click.option("--authorization", "authorizations", multiple=True, required=True)
@click.option("--rate", default=500.0, show_default=True, help="activities a second")
@click.option("--seconds", default=60.0, show_default=True)
@click.option("--duplicates", default=0.05, show_default=True, help="share that came before")
@click.option("--clicks", default=0.2, show_default=True, help="share that are clicks")
@click.option("--user", "users", multiple=True, default=(ALICE, BOB, CAROL))
@click.option("--verb", default="approve", show_default=True, help="of the button clicked")
@click.option("--ids", default="load", show_default=True, help="of the button clicked")
@click.option("--connections", default=1024, show_default=True, help="at most so many")
@click.option("--seed", default=1, show_default=True, help="of what is chance")
def main(**given: Any) -> None:  # noqa: ANN401 - a plan's, by click
    """Offer a load to a server, and print how it took it as one line of JSON."""
    open_loop.run(offer(Plan(**given)))


if __name__ == "__main__":
    main()

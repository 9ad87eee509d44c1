"""views.*: what opens over a conversation, and everybody's own page."""

import time
from typing import Any, cast

from tests.slack.arguments import Asked
from tests.slack.block_kit import faults_of_view, is_too_large
from tests.slack.chat import invalid
from tests.slack.workspace import SlackError, View

Json = dict[str, Any]  # Any: what Slack takes and gives

_MOST_STACKED = 3


def opened(asked: Asked) -> Json:
    view = _checked(asked, kind="modal")
    made = _made(asked, view, user=_triggered(asked))
    return {"view": made.told(team=asked.at.team)}


def pushed(asked: Asked) -> Json:
    view = _checked(asked, kind="modal")
    user = _triggered(asked)
    below = [one for one in asked.at.views.values() if one.user == user]
    if not below:
        raise SlackError("view_not_found")
    if len(below) >= _MOST_STACKED:
        raise SlackError("push_limit_reached")
    made = _made(asked, view, user=user)
    made.previous = below[-1].id
    return {"view": made.told(team=asked.at.team)}


def updated(asked: Asked) -> Json:
    view = _checked(asked, kind="modal")
    named = asked.text("view_id")
    external = asked.text("external_id")
    found = asked.at.views.get(named) or next(
        (one for one in asked.at.views.values() if external == one.view.get("external_id", "\0")),
        None,
    )
    if found is None:
        raise SlackError("not_found")
    _unchanged(asked, found)
    found.view, found.hash = view, _hash(asked)
    return {"view": found.told(team=asked.at.team)}


def published(asked: Asked) -> Json:
    view = _checked(asked, kind="home")
    user = asked.text("user_id")
    if user not in asked.at.users:
        raise SlackError("user_not_found")
    known = asked.at.homes.get(user)
    if known is not None:
        _unchanged(asked, known)
    made = View(
        id=known.id if known else f"V{asked.at.number():08d}",
        user=user,
        view=view,
        hash=_hash(asked),
    )
    asked.at.homes[user] = made
    return {"view": made.told(team=asked.at.team)}


def _checked(asked: Asked, *, kind: str) -> Json:
    view = asked.json("view", error="invalid_arguments")
    if not isinstance(view, dict) or cast("Json", view).get("type") != kind:
        raise invalid("invalid_arguments", [f"view must be of type {kind}"])
    given = cast("Json", view)
    faults = faults_of_view(given)
    if faults:
        raise invalid("invalid_arguments", faults)
    if is_too_large(given):
        raise SlackError("view_too_large")
    return given


def _triggered(asked: Asked) -> str:
    trigger = asked.text("trigger_id") or asked.text("interactivity_pointer")
    if trigger in asked.at.used_triggers:
        raise SlackError("exchanged_trigger_id")
    user, until = asked.at.triggers.get(trigger, ("", 0.0))
    if not user:
        raise SlackError("invalid_trigger_id")
    if time.monotonic() > until:
        raise SlackError("expired_trigger_id")
    asked.at.used_triggers.add(trigger)
    return user


def _made(asked: Asked, view: Json, *, user: str) -> View:
    external = view.get("external_id")
    if external and any(one.view.get("external_id") == external for one in asked.at.views.values()):
        raise SlackError("duplicate_external_id")
    made = View(id=f"V{asked.at.number():08d}", user=user, view=view, hash=_hash(asked))
    asked.at.views[made.id] = made
    return made


def _unchanged(asked: Asked, view: View) -> None:
    if asked.has("hash") and asked.text("hash") != view.hash:
        raise SlackError("hash_conflict")


def _hash(asked: Asked) -> str:
    return f"{asked.at.number()}.{asked.at.number():08x}"

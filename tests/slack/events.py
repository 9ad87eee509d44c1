"""What Slack sends to an app, as data: events, interactions and commands, and their seal."""

import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.slack.workspace import APP, Channel, Message, User, View, Workspace

Json = dict[str, Any]  # Any: what Slack takes and gives

_VERIFICATION_TOKEN: Final = "verification-token-that-nobody-should-trust"


def sealed(body: bytes, *, secret: str, at: int | None = None) -> dict[str, str]:
    """Return the headers that prove that a body is Slack's."""
    stamp = str(int(time.time()) if at is None else at)
    digest = hmac.new(secret.encode(), b"v0:%s:%s" % (stamp.encode(), body), hashlib.sha256)
    return {
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={digest.hexdigest()}",
    }


def envelope(at: Workspace, event: Json, *, channel: Channel | None = None) -> Json:
    """Wrap an event as the Events API does; each call is another delivery with an id of its own."""
    number = at.number()
    authorization: Json = {
        "enterprise_id": at.enterprise or None,
        "team_id": at.team,
        "user_id": at.bot_user,
        "is_bot": True,
        "is_enterprise_install": False,
    }
    return {
        "token": _VERIFICATION_TOKEN,
        "team_id": at.team,
        "context_team_id": at.team,
        "context_enterprise_id": at.enterprise or None,
        "api_app_id": APP,
        "event": event,
        "type": "event_callback",
        "event_id": f"Ev{at.team[1:]}{number:09d}",
        "event_time": int(time.time()),
        "authorizations": [authorization],
        "is_ext_shared_channel": channel is not None and channel.is_ext_shared,
        "event_context": f"4-{number:09d}",
    }


def said(at: Workspace, message: Message, *, kind: str = "message", **more: Any) -> Json:  # noqa: ANN401 - JSON
    """Return the event of a message that somebody has sent; ``kind`` may be ``app_mention``."""
    channel = at.channels[message.channel]
    author = at.users.get(message.user)
    elsewhere = author is not None and author.team != at.team
    event: Json = {
        "type": kind,
        "user": message.user,
        "ts": message.ts,
        "client_msg_id": f"00000000-0000-4000-8000-{int(message.ts.replace('.', '')):012x}"[:36],
        "text": message.text,
        "team": author.team if author is not None else at.team,
        "blocks": [typed(message.text)],
        "channel": message.channel,
        "event_ts": message.ts,
    }
    if kind == "message":
        event["channel_type"] = channel_type(channel)
    if message.thread_ts is not None:
        parent = at.messages.get((message.channel, message.thread_ts))
        event["thread_ts"] = message.thread_ts
        event["parent_user_id"] = parent.user if parent is not None else message.user
    if elsewhere:
        event |= {"user_team": event["team"], "source_team": event["team"]}
    return event | more


def changed(at: Workspace, message: Message, *, before: Message, ts: str, **more: Any) -> Json:  # noqa: ANN401 - JSON
    """Return the event of a message that is another now; ``more`` stands in the new one."""
    return {
        "type": "message",
        "subtype": "message_changed",
        "hidden": True,
        "message": message.told() | more,
        "previous_message": before.told(),
        "channel": message.channel,
        "channel_type": channel_type(at.channels[message.channel]),
        "ts": ts,
        "event_ts": ts,
    }


def deleted(at: Workspace, message: Message, *, ts: str) -> Json:
    return {
        "type": "message",
        "subtype": "message_deleted",
        "hidden": True,
        "previous_message": message.told(),
        "deleted_ts": message.ts,
        "channel": message.channel,
        "channel_type": channel_type(at.channels[message.channel]),
        "ts": ts,
        "event_ts": ts,
    }


def interaction(at: Workspace, kind: str, *, by: User, trigger_id: str) -> Json:
    """Return what every interaction carries."""
    return {
        "type": kind,
        "user": {
            "id": by.id,
            "username": by.name,
            "name": by.name,
            "team_id": by.team,
        },
        "api_app_id": APP,
        "token": _VERIFICATION_TOKEN,
        "trigger_id": trigger_id,
        "team": {"id": at.team, "domain": at.name.lower()},
        "enterprise": {"id": at.enterprise, "name": at.name} if at.enterprise else None,
        "is_enterprise_install": False,
    }


def in_message(at: Workspace, message: Message, *, response_url: str) -> Json:
    """Return where in a conversation somebody clicked."""
    channel = at.channels[message.channel]
    container: Json = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": message.channel,
        "is_ephemeral": message.seen_by is not None,
    }
    if message.thread_ts is not None:
        container["thread_ts"] = message.thread_ts
    return {
        "container": container,
        "channel": {"id": channel.id, "name": "directmessage" if channel.is_im else channel.name},
        "message": message.told(),
        "state": {"values": {}},
        "response_url": response_url,
    }


def in_view(at: Workspace, view: View, *, values: Json | None = None) -> Json:
    """Return on which page or modal somebody clicked."""
    told = view.told(team=at.team) | {"state": {"values": values or {}}}
    return {"container": {"type": "view", "view_id": view.id}, "view": told}


def action(element: Mapping[str, Any], *, block_id: str, ts: str, chosen: str | None) -> Json:
    """Return one act on an interactive element; ``chosen``: the value of one of its options."""
    kind = str(element["type"])
    told: Json = {
        "type": kind,
        "action_id": element["action_id"],
        "block_id": block_id,
        "action_ts": ts,
    }
    if kind == "feedback_buttons":
        pressed = next(
            element[one]
            for one in ("positive_button", "negative_button")
            if element[one]["value"] == chosen
        )
        return told | {"text": pressed["text"], "value": pressed["value"]}
    if "options" in element or kind.startswith("static_select"):
        option = next(one for one in element.get("options", []) if one["value"] == chosen)
        return told | {"selected_option": option}
    for name in ("text", "value", "style"):
        if name in element:
            told[name] = element[name]
    return told


def filled(blocks: Sequence[Json], values: Mapping[str, str]) -> Json:
    """Return the state of a modal in which these inputs, by block id, hold these values."""
    state: Json = {}
    for block in blocks:
        if block.get("type") != "input":
            continue
        element: Json = block["element"]
        value = values.get(block["block_id"], element.get("initial_value"))
        told: Json = {"type": element["type"]}
        if "options" in element:
            option = next((one for one in element["options"] if one["value"] == value), None)
            told["selected_option"] = option or element.get("initial_option")
        else:
            told["value"] = value
        state[block["block_id"]] = {element["action_id"]: told}
    return state


def command(at: Workspace, text: str, *, name: str, by: User, channel: Channel) -> dict[str, str]:
    """Return the form of a slash command."""
    return {
        "token": _VERIFICATION_TOKEN,
        "team_id": at.team,
        "team_domain": at.name.lower(),
        **({"enterprise_id": at.enterprise} if at.enterprise else {}),
        "channel_id": channel.id,
        "channel_name": "directmessage" if channel.is_im else channel.name,
        "user_id": by.id,
        "user_name": by.name,
        "command": name,
        "text": text,
        "api_app_id": APP,
        "is_enterprise_install": "false",
    }


def channel_type(channel: Channel) -> str:
    if channel.is_im:
        return "im"
    return "group" if channel.is_private else "channel"


def typed(text: str) -> Json:
    """Return the rich text that Slack makes of what is typed."""
    inside = {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}
    return {"type": "rich_text", "block_id": "typed", "elements": [inside]}

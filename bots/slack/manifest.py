"""The app as Slack is told of it: what it may do, what it hears, and where it is reached."""

import json
from typing import Final

import yaml

from core.domain.canonical import Json, JsonObject

EVENTS_PATH: Final = "/slack/events"
INSTALL_PATH: Final = "/slack/install"
REDIRECT_PATH: Final = "/slack/oauth_redirect"

COMMAND: Final = "/sallyport"
ASK_SHORTCUT: Final = "ask_about_this"

BOT_SCOPES: Final = (
    "app_mentions:read",  # somebody asks it in a channel
    "assistant:write",  # the agent's own view: status, title, suggested prompts
    "channels:history",  # what is said in a thread that it takes part in
    "chat:write",
    "commands",
    "groups:history",  # the same in private channels that it was invited to
    "im:history",  # what is said to it alone
    "im:write",  # to put a question to somebody who may answer it
    "users:read",  # who is a guest, a bot, or gone
    "users:read.email",  # to link an account to a person, where an admin allows that
)
"""What the bot may do; each with what it is for."""

BOT_EVENTS: Final = (
    "agent_session_stopped",  # without it nobody gets a Stop button
    "app_home_opened",
    "app_mention",
    "app_uninstalled",
    "message.channels",
    "message.groups",
    "message.im",
    "tokens_revoked",
    "user_change",
)
"""What the app is told of."""

_NAME: Final = "Sallyport"
_DESCRIPTION: Final = "The agent of your company, behind one door with two gates: policy and people"
# Slack takes 174 to 4000 characters.
_LONG_DESCRIPTION: Final = (
    "Ask Sallyport in a direct message, by mentioning it in a channel, or about any message. "
    "It works with the tools that your company has given it, shows each step, and asks people "
    "before it does what the policy says somebody must approve. Every call of a tool passes one "
    "door with two gates, policy and people, and stands in the audit. What it did by mistake can "
    "be undone with a button."
)
_PROMPTS: Final = (
    ("What can you do?", "What can you do for me?"),
    ("What waits for me?", "Which approvals wait for my decision?"),
    ("My tasks", "Which tasks are assigned to me?"),
)


def manifest(url: str | None, *, socket_mode: bool) -> JsonObject:
    """Return the manifest of the app that is reached at ``url``.

    In Socket Mode Slack needs no address of ours for what happens, and none at all where the app is
    installed from its page at Slack; its tokens do not expire then, for want of a way to renew.
    """
    events = None if socket_mode or url is None else f"{url}{EVENTS_PATH}"
    there: dict[str, Json] = {} if events is None else {"request_url": events}
    return {
        "_metadata": {"major_version": 2, "minor_version": 1},
        "display_information": {
            "name": _NAME,
            "description": _DESCRIPTION,
            "long_description": _LONG_DESCRIPTION,
            "background_color": "#1d2b3a",
        },
        "features": {
            "agent_view": {
                "agent_description": _DESCRIPTION,
                "suggested_prompts": [
                    {"title": title, "message": message} for title, message in _PROMPTS
                ],
            },
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": _NAME, "always_online": True},
            "shortcuts": [
                {
                    "name": "Ask about this",
                    "type": "message",
                    "callback_id": ASK_SHORTCUT,
                    "description": "Ask Sallyport about this message",
                }
            ],
            "slash_commands": [
                {
                    "command": COMMAND,
                    "description": "Ask the agent, or see what waits for you",
                    "usage_hint": "[what you want] | runs | approvals | tools | help",
                    "should_escape": True,
                    **({} if events is None else {"url": events}),
                }
            ],
        },
        "oauth_config": {
            **({} if url is None else {"redirect_urls": [f"{url}{REDIRECT_PATH}"]}),
            "scopes": {"bot": [*BOT_SCOPES]},
        },
        "settings": {
            "event_subscriptions": {**there, "bot_events": [*BOT_EVENTS]},
            "interactivity": {"is_enabled": True, **there},
            "org_deploy_enabled": True,
            "socket_mode_enabled": socket_mode,
            "token_rotation_enabled": url is not None,
        },
    }


def as_json(document: JsonObject) -> str:
    """Return a manifest as JSON, to be read and pasted."""
    return json.dumps(document, indent=2)


def as_yaml(document: JsonObject) -> str:
    """Return a manifest as YAML."""
    return yaml.safe_dump(document, sort_keys=False, width=100)

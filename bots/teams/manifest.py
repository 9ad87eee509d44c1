"""The app as Teams is told of it: what it may do, what people find, and where it is reached."""

from typing import Final
from urllib.parse import urlsplit

from core.domain.canonical import Json, JsonObject

TAB_PATH: Final = "/teams/tab"

ASK_SHORTCUT: Final = "ask_about_this"
NAME: Final = "Sallyport"
FIRST_VERSION: Final = "1.0.0"

COLOR_ICON: Final = "color.png"
OUTLINE_ICON: Final = "outline.png"

# No version before 1.27 has prompts among the commands.
_MANIFEST_VERSION: Final = "1.29"
_SCHEMA: Final = (
    "https://developer.microsoft.com/json-schemas/teams/"
    f"v{_MANIFEST_VERSION}/MicrosoftTeams.schema.json"
)
_DESCRIPTION: Final = "Your company's agent, behind one door with two gates: policy, then people"
_LONG_DESCRIPTION: Final = (
    "Ask Sallyport in a chat, by mentioning it in a channel, or about any message. "
    "It works with the tools that your company has given it, shows each step, and asks people "
    "before it does what the policy says somebody must approve. Every call of a tool passes one "
    "door with two gates, policy and people, and stands in the audit. What it did by mistake can "
    "be undone with a button."
)
_ACCENT: Final = "#1d2b3a"
_SCOPES: Final = ("personal", "team", "groupChat")

_COMMANDS: Final = (
    ("runs", "What you asked for last"),
    ("approvals", "What waits for your decision"),
    ("tools", "What I can do for you"),
    ("help", "How to talk to me"),
)
_PROMPTS: Final = (
    ("What can you do?", "What can you do for me?"),
    ("What waits for me?", "Which approvals wait for my decision?"),
    ("My tasks", "Which tasks are assigned to me?"),
)

_REPLIES: Final = (
    "ChannelMessage.Read.Group",  # what is said in the channels of a team that added it
    "ChatMessage.Read.Chat",  # what is said in a chat that added it
)
"""Without these Teams tells a bot of those messages alone that mention it."""


def manifest(
    *, app_id: str, url: str, name: str = NAME, version: str = FIRST_VERSION, hears_replies: bool
) -> JsonObject:
    """Return the manifest of the app of that id at Entra, reached at ``url`` (``https://HOST``).

    ``version`` (``1.2.3``) has to rise with every change that is uploaded. Where it
    ``hears_replies``, people may go on in its threads without a mention; Teams then tells it all
    that is said wherever it was added, and whoever adds it is asked whether they agree.
    """
    told: dict[str, Json] = {
        "$schema": _SCHEMA,
        "manifestVersion": _MANIFEST_VERSION,
        "version": version,
        "id": app_id,
        "developer": {
            "name": NAME,
            "websiteUrl": url,
            "privacyUrl": url,
            "termsOfUseUrl": url,
        },
        "name": {"short": name, "full": name},
        "description": {"short": _DESCRIPTION, "full": _LONG_DESCRIPTION},
        "icons": {"color": COLOR_ICON, "outline": OUTLINE_ICON},
        "accentColor": _ACCENT,
        "defaultInstallScope": "personal",
        "bots": [_bot(app_id)],
        "composeExtensions": [_message_menu(app_id)],
        "staticTabs": [_tab(url)],
        "permissions": ["identity", "messageTeamMembers"],
        "validDomains": [_host(url)],
        "webApplicationInfo": {"id": app_id, "resource": resource_of(app_id, url=url)},
    }
    if hears_replies:
        needed = [{"name": one, "type": "Application"} for one in _REPLIES]
        told["authorization"] = {"permissions": {"resourceSpecific": needed}}
    return told


def resource_of(app_id: str, *, url: str) -> str:
    """Return the application id URI, for which the tab is given tokens."""
    return f"api://{urlsplit(url).netloc}/{app_id}"


def _bot(app_id: str) -> JsonObject:
    commands: list[Json] = [
        {"type": "basic", "title": title, "description": what} for title, what in _COMMANDS
    ]
    prompts: list[Json] = [
        {"type": "prompt", "title": title, "prompt": prompt} for title, prompt in _PROMPTS
    ]
    return {
        "botId": app_id,
        "scopes": [*_SCOPES],
        "isNotificationOnly": False,
        "supportsFiles": False,
        "supportsCalling": False,
        "supportsVideo": False,
        "commandLists": [
            {"scopes": ["personal"], "commands": [*commands, *prompts]},
            {"scopes": ["team", "groupChat"], "commands": commands},
        ],
    }


def _message_menu(app_id: str) -> JsonObject:
    return {
        "botId": app_id,
        "commands": [
            {
                "id": ASK_SHORTCUT,
                "type": "action",
                "context": ["message"],
                "title": "Ask about this",
                "description": "Ask Sallyport about this message",
                "fetchTask": True,
            }
        ],
    }


def _tab(url: str) -> JsonObject:
    return {
        "entityId": "home",
        "name": "For you",
        "contentUrl": f"{url}{TAB_PATH}",
        "websiteUrl": f"{url}{TAB_PATH}",
        "scopes": ["personal"],
    }


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""

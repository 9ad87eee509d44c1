"""Slack as our tests have it: workspaces with people, channels, messages and views in them.

What it answers over HTTP is in ``web_api.py`` and the modules of its methods; a test looks at, and
changes, what is here. Where it follows Slack's reference it says so by Slack's own codes; where the
reference is silent, it is as strict as it can be.
"""

import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.slack.limits import Meter
from tests.slack.mishaps import Mishaps

Json = dict[str, Any]  # Any: what Slack takes and gives

CLIENT_ID: Final = "1111.2222"
CLIENT_SECRET: Final = "client-secret-of-the-app"
SIGNING_SECRET: Final = "signing-secret-of-the-app"
APP: Final = "A0SALLYPORT"
TRIGGER_SECONDS: Final = 3.0
ROTATION_SECONDS: Final = 43_200

ALICE, BOB, CAROL, GUEST = "U0ALICE", "U0BOB", "U0CAROL", "U0GUEST"
LEFT, OTHER_BOT, STRANGER = "U0LEFT", "U0OTHERBOT", "U0STRANGER"
GENERAL, APPROVALS, SECRET = "C0GENERAL", "C0APPROVALS", "G0SECRET"


class SlackError(Exception):
    """A refusal, by Slack's code; ``more`` stands beside it in the answer."""

    def __init__(self, code: str, **more: Any) -> None:  # noqa: ANN401 - JSON
        super().__init__(code)
        self.code = code
        self.more = more


@dataclass(slots=True, kw_only=True)
class User:
    """Somebody of a workspace, or seen from it."""

    id: str
    name: str
    email: str
    team: str
    is_bot: bool = False
    deleted: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False

    def told(self) -> Json:
        return {
            "id": self.id,
            "team_id": self.team,
            "name": self.name,
            "real_name": self.name.title(),
            "deleted": self.deleted,
            "is_bot": self.is_bot,
            "is_admin": False,
            "is_app_user": False,
            "is_restricted": self.is_restricted,
            "is_ultra_restricted": self.is_ultra_restricted,
            **({"is_stranger": True} if self.is_stranger else {}),
            "tz": "Europe/Berlin",
            "tz_offset": 3600,
            "profile": {
                "display_name": self.name,
                "real_name": self.name.title(),
                **({} if self.is_bot or self.is_stranger else {"email": self.email}),
            },
        }


@dataclass(slots=True, kw_only=True)
class Channel:
    """A channel, or a direct message with ``user``."""

    id: str
    name: str
    members: set[str]
    is_private: bool = False
    is_archived: bool = False
    is_ext_shared: bool = False
    user: str | None = None

    @property
    def is_im(self) -> bool:
        return self.user is not None

    def told(self, *, team: str) -> Json:
        return {
            "id": self.id,
            "name": self.name,
            "context_team_id": team,
            "is_channel": not self.is_private and not self.is_im,
            "is_group": self.is_private,
            "is_im": self.is_im,
            "is_mpim": False,
            "is_private": self.is_private or self.is_im,
            "is_archived": self.is_archived,
            "is_ext_shared": self.is_ext_shared,
            **({"user": self.user} if self.user else {}),
        }


@dataclass(slots=True, kw_only=True)
class Message:
    """A message as it is now. ``seen_by``: an ephemeral one's only reader.

    ``streams`` while a stream is open; ``mode`` is what its first content was, ``markdown`` or
    ``chunks``; ``tasks`` are its task cards by id, as they stand.
    """

    channel: str
    ts: str
    user: str
    text: str = ""
    blocks: list[Json] = field(default_factory=list[Json])
    thread_ts: str | None = None
    seen_by: str | None = None
    bot: str | None = None
    metadata: Json | None = None
    edits: int = 0
    streams: bool = False
    mode: str | None = None
    tasks: dict[str, Json] = field(default_factory=dict[str, Json])
    plan: str = ""
    files: list[str] = field(default_factory=list[str])
    reactions: set[str] = field(default_factory=set[str])

    def told(self) -> Json:
        return {
            "type": "message",
            "user": self.user,
            "text": self.text,
            "ts": self.ts,
            **({"blocks": self.blocks} if self.blocks else {}),
            **({"thread_ts": self.thread_ts} if self.thread_ts else {}),
            **({"bot_id": self.bot, "app_id": APP} if self.bot else {}),
            **({"metadata": self.metadata} if self.metadata else {}),
            **({"edited": {"user": self.user, "ts": self.ts}} if self.edits else {}),
            **({"files": [{"id": file} for file in self.files]} if self.files else {}),
        }


@dataclass(slots=True, kw_only=True)
class Token:
    """Whose word an access token is; ``refused`` is the code that it is turned away with."""

    value: str
    user: str
    scopes: frozenset[str] | None = None
    expires_at: float | None = None
    refused: str = ""


@dataclass(slots=True, kw_only=True)
class View:
    """A modal or a home, as somebody sees it."""

    id: str
    user: str
    view: Json
    hash: str
    previous: str | None = None

    def told(self, *, team: str) -> Json:
        known = {"id": self.id, "hash": self.hash, "team_id": team, "app_id": APP}
        stack = {"root_view_id": self.id, "previous_view_id": self.previous}
        empty: Json = {"private_metadata": "", "callback_id": "", "state": {"values": {}}}
        return empty | self.view | known | stack


@dataclass(slots=True, kw_only=True)
class Call:
    """One call as it came, and what it was told. ``at`` is monotonic; ``team`` empty: nobody's."""

    at: float
    method: str
    arguments: Json
    team: str = ""
    status: int = 0
    answer: Json = field(default_factory=dict[str, Any])

    @property
    def error(self) -> str:
        return str(self.answer.get("error", ""))


class Workspace:
    """One workspace: everything that Slack holds for it."""

    def __init__(self, team: str, *, name: str, stamps: "Stamps", enterprise: str = "") -> None:
        self.team, self.name, self.enterprise = team, name, enterprise
        self.bot_user, self.bot = f"UB{team[1:]}", f"B{team[1:]}"
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.messages: dict[tuple[str, str], Message] = {}
        self.deleted: list[Message] = []
        self.views: dict[str, View] = {}
        self.homes: dict[str, View] = {}
        self.sessions: dict[tuple[str, str], str] = {}
        self.statuses: dict[tuple[str, str], str] = {}
        self.prompts: dict[str, Json] = {}
        self.groups: dict[str, tuple[str, list[str]]] = {}
        self.tokens: dict[str, Token] = {}
        self.refresh_tokens: set[str] = set()
        self.triggers: dict[str, tuple[str, float]] = {}
        self.used_triggers: set[str] = set()
        self.uploads: dict[str, bytes | None] = {}
        self._stamps = stamps

    def ts(self) -> str:
        """Return the next time stamp: later than every one before."""
        return self._stamps.ts()

    def number(self) -> int:
        return self._stamps.number()

    def token(self, *, user: str | None = None, scopes: Iterable[str] | None = None) -> str:
        """Return a new access token: the app's bot's, unless somebody else is named."""
        value = f"xox-{self.team}-{self.number()}"
        granted = None if scopes is None else frozenset(scopes)
        self.tokens[value] = Token(value=value, user=user or self.bot_user, scopes=granted)
        return value

    def revoke(self, code: str = "token_revoked") -> None:
        """Turn every token away from now on."""
        for token in self.tokens.values():
            token.refused = code

    def add(self, user: str, *, name: str, team: str = "", **more: bool) -> User:
        """Add somebody; ``more`` are flags, such as ``is_bot=True``."""
        email = f"{name}@{self.name.lower()}.test"
        made = User(id=user, name=name, email=email, team=team or self.team, **more)
        self.users[user] = made
        return made

    def im(self, user: str) -> Channel:
        """Return the direct message between somebody and the app's bot."""
        found = next((one for one in self.channels.values() if one.user == user), None)
        if found is None:
            members = {user, self.bot_user}
            found = Channel(id=f"D{user[1:]}", name="", members=members, user=user)
            self.channels[found.id] = found
        return found

    def says(self, user: str, text: str, *, channel: str, thread_ts: str | None = None) -> Message:
        """Put a person's message there, as if they had typed it."""
        said = Message(channel=channel, ts=self.ts(), user=user, text=text, thread_ts=thread_ts)
        self.messages[channel, said.ts] = said
        return said

    def delete(self, channel: str, ts: str) -> None:
        """Take a message away."""
        self.deleted.append(self.messages.pop((channel, ts)))

    def end_stream(self, channel: str, ts: str) -> None:
        """Close a stream, as Slack does when nothing comes for minutes or a person stops it."""
        self.messages[channel, ts].streams = False

    def trigger(self, user: str) -> str:
        """Return what a click lets the app open a modal with: once, for three seconds."""
        value = f"{self.number()}.{self.number()}.trigger"
        self.triggers[value] = (user, time.monotonic() + TRIGGER_SECONDS)
        return value

    def of_bot(self, channel: str | None = None, *, thread_ts: str | None = None) -> list[Message]:
        """Return what our bot has said and not taken back, in order; ephemeral ones too."""
        return [
            one
            for one in self.messages.values()
            if one.bot == self.bot
            and channel in (None, one.channel)
            and thread_ts in (None, one.thread_ts)
        ]


class Stamps:
    """Time stamps and numbers that never come twice on one Slack."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._last = 0
        self._numbers = itertools.count(1)

    def ts(self) -> str:
        self._last = max(int(self._clock() * 1e6), self._last + 1)
        return f"{self._last // 1_000_000}.{self._last % 1_000_000:06d}"

    def number(self) -> int:
        return next(self._numbers)


class Slack:
    """The platform: its workspaces, every call in the order it came, and how it misbehaves.

    ``enforces_limits``: calls over the limits are answered by 429, and not only counted.
    ``trusts_threads``: whatever thread is named is there, said by people in another process.
    ``rotates``: tokens expire and come with a refresh token. ``worries`` are calls that Slack takes
    but that show badly.
    """

    def __init__(self, *, meter: Meter | None = None) -> None:
        self.url = ""
        self.workspaces: dict[str, Workspace] = {}
        self.calls: list[Call] = []
        self.meter = meter or Meter()
        self.mishaps = Mishaps()
        self.codes: dict[str, tuple[str, Json]] = {}
        self.enforces_limits = False
        self.rotates = False
        self.stops_agents = True
        self.trusts_threads = False
        self.worries: list[str] = []
        self.responses: list[tuple[str, Json]] = []
        self._stamps = Stamps()

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/"

    def workspace(self, team: str, *, name: str, enterprise: str = "") -> Workspace:
        """Lay out a workspace in which nobody is but the app's bot."""
        made = Workspace(team, name=name, stamps=self._stamps, enterprise=enterprise)
        made.add(made.bot_user, name="sallyport", is_bot=True)
        self.workspaces[team] = made
        return made

    def company(self, team: str = "T0ACME", *, name: str = "Acme") -> Workspace:
        """Lay out a workspace with all kinds of people, two channels and a private one."""
        made = self.workspace(team, name=name)
        made.add(ALICE, name="alice")
        made.add(BOB, name="bob")
        made.add(CAROL, name="carol")
        made.add(GUEST, name="guest", is_restricted=True)
        made.add(LEFT, name="left", deleted=True)
        made.add(OTHER_BOT, name="other", is_bot=True)
        made.add(STRANGER, name="stranger", team="T0ELSEWHERE", is_stranger=True)
        everybody = {ALICE, BOB, CAROL, GUEST, OTHER_BOT, made.bot_user}
        for channel, called, members in (
            (GENERAL, "general", everybody | {STRANGER}),
            (APPROVALS, "approvals", {BOB, CAROL, made.bot_user}),
            (SECRET, "secret", {CAROL}),
        ):
            made.channels[channel] = Channel(
                id=channel, name=called, members=set(members), is_private=channel == SECRET
            )
        return made

    def whose(self, token: str) -> tuple[Workspace, Token]:
        """Return whose token this is.

        Raises:
            SlackError: nobody's, or no longer.
        """
        for workspace in self.workspaces.values():
            known = workspace.tokens.get(token)
            if known is None:
                continue
            if known.refused:
                raise SlackError(known.refused)
            if known.expires_at is not None and known.expires_at <= time.time():
                raise SlackError("token_expired")
            return workspace, known
        raise SlackError("invalid_auth" if token else "not_authed")

    def called(self, method: str | None = None) -> list[Call]:
        """Return the calls of a method, of all where none is named, in order."""
        return [call for call in self.calls if method in (None, call.method)]

    def taken(self, method: str) -> list[Call]:
        """Return the calls of a method that Slack took."""
        return [call for call in self.called(method) if call.answer.get("ok")]

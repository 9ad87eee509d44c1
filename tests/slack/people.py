"""People at Slack: what they say and click arrives at our server, signed, as Slack sends it."""

import copy
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast
from urllib.parse import urlencode

import httpx2

from tests.slack import events
from tests.slack.workspace import SIGNING_SECRET, Message, Slack, User, View, Workspace

Json = dict[str, Any]  # Any: what Slack takes and gives

_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A delivery: what was sent, and what our server said to it."""

    body: Json
    status: int
    text: str

    @property
    def event_id(self) -> str:
        return str(self.body["event_id"])

    @property
    def action_ts(self) -> str:
        return str(self.body["actions"][0]["action_ts"])

    @property
    def json(self) -> Json:
        """What was answered; empty where nothing was."""
        return json.loads(self.text) if self.text else {}


class People:
    """Everybody in one workspace. ``url`` is where Slack would send what they do.

    ``trigger``: where a click's trigger comes from; from the workspace, where none is given.
    """

    def __init__(
        self,
        http: httpx2.AsyncClient,
        *,
        slack: Slack,
        at: Workspace,
        url: str,
        secret: str = SIGNING_SECRET,
        trigger: Callable[[str], Awaitable[str]] | None = None,
    ) -> None:
        self._http = http
        self.slack = slack
        self.at = at
        self._url = url
        self._secret = secret
        self._trigger = trigger

    async def says(
        self,
        text: str,
        *,
        by: str,
        channel: str | None = None,
        thread_ts: str | None = None,
        **more: Any,  # noqa: ANN401 - of the event
    ) -> tuple[Message, Delivered]:
        """Say something in a channel, or to the bot alone where none is named."""
        message = self._typed(text, by=by, channel=channel, thread_ts=thread_ts)
        return message, await self.event(events.said(self.at, message, **more), of=message)

    async def mentions(
        self, text: str, *, by: str, channel: str, thread_ts: str | None = None
    ) -> tuple[Message, Delivered]:
        """Mention the bot in a channel: Slack tells that twice, as a message and as a mention."""
        words = f"<@{self.at.bot_user}> {text}"
        message = self._typed(words, by=by, channel=channel, thread_ts=thread_ts)
        await self.event(events.said(self.at, message), of=message)
        told = events.said(self.at, message, kind="app_mention")
        return message, await self.event(told, of=message)

    async def edits(self, message: Message, text: str) -> Delivered:
        """Change what was said."""
        before, message.text = copy.copy(message), text
        message.edits += 1
        return await self.event(
            events.changed(self.at, message, before=before, ts=self.at.ts()), of=message
        )

    async def is_unfurled(self, message: Message, *, link: str) -> Delivered:
        """Have Slack show a link of a message: a change in which nobody changed a word."""
        shown = [{"id": 1, "original_url": link, "from_url": link, "title": "A page"}]
        told = events.changed(
            self.at, message, before=copy.copy(message), ts=self.at.ts(), attachments=shown
        )
        return await self.event(told, of=message)

    async def deletes(self, message: Message) -> Delivered:
        self.at.delete(message.channel, message.ts)
        return await self.event(events.deleted(self.at, message, ts=self.at.ts()), of=message)

    async def shares_a_file(
        self, text: str, *, by: str, channel: str | None = None, name: str = "notes.txt"
    ) -> tuple[Message, Delivered]:
        file = f"F{self.at.number():08d}"
        url = f"{self.slack.url}/files/{file}/{name}"
        shared = {"id": file, "name": name, "mimetype": "text/plain", "url_private": url}
        return await self.says(
            text, by=by, channel=channel, subtype="file_share", files=[shared], upload=False
        )

    async def bot_says(self, text: str, *, by: str, channel: str) -> tuple[Message, Delivered]:
        """Have a bot say something; our own one's posts come back to us just so."""
        bot = self.at.bot if by == self.at.bot_user else f"B{by[1:]}"
        return await self.says(text, by=by, channel=channel, bot_id=bot, app_id=f"A{bot[1:]}")

    async def opens_home(self, *, by: str, tab: str = "home") -> Delivered:
        """Open the app: its page, or (``messages``) the conversation with it."""
        at = self.at.ts()
        event: Json = {"type": "app_home_opened", "user": by, "tab": tab, "event_ts": at}
        event["channel"] = self.at.im(by).id
        known = self.at.homes.get(by)
        if tab == "home" and known is not None:
            event["view"] = known.told(team=self.at.team)
        return await self.event(event)

    async def stops(self, message: Message, *, by: str) -> Delivered:
        """Press Stop on what the agent does for a message; Slack closes its streams there."""
        thread = message.thread_ts or message.ts
        open_ones = [
            one
            for one in self.at.messages.values()
            if one.streams and (one.channel, one.thread_ts) == (message.channel, thread)
        ]
        for one in open_ones:
            self.at.end_stream(one.channel, one.ts)
        return await self.event(
            {
                "type": "agent_session_stopped",
                "user": by,
                "channel": message.channel,
                "thread_ts": thread,
                "streaming_message_ts": [one.ts for one in open_ones],
                "event_ts": self.at.ts(),
            },
            of=message,
        )

    async def uninstall(self) -> list[Delivered]:
        """Remove the app: its tokens are dead, and Slack says so twice, in no certain order."""
        self.at.revoke("account_inactive")
        revoked = {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [self.at.bot_user]}}
        return [await self.event({"type": "app_uninstalled"}), await self.event(revoked)]

    async def event(self, event: Json, *, of: Message | None = None) -> Delivered:
        """Deliver any event, once."""
        channel = self.at.channels.get(of.channel) if of is not None else None
        return await self.again(events.envelope(self.at, event, channel=channel))

    async def again(self, envelope: Json, *, retry: int = 0, at: int | None = None) -> Delivered:
        """Deliver an envelope, for the first time or as Slack's retry of that number."""
        body = json.dumps(envelope).encode()
        retried = {"X-Slack-Retry-Num": str(retry), "X-Slack-Retry-Reason": "http_timeout"}
        status, text = await self.post(
            body, content_type=_JSON, at=at, headers=retried if retry else {}
        )
        return Delivered(body=envelope, status=status, text=text)

    async def clicks(
        self,
        place: Message | View,
        action_id: str,
        *,
        by: str,
        chosen: str | None = None,
        seen: list[Json] | None = None,
    ) -> Delivered:
        """Click what is shown there; ``seen`` are blocks that were shown before, still on screen.

        Raises:
            LookupError: there is no such thing to click.
        """
        blocks = place.blocks if isinstance(place, Message) else place.view["blocks"]
        block_id, element = found_in(seen if seen is not None else blocks, action_id)
        payload = await self._interaction("block_actions", by=by)
        if isinstance(place, View):
            payload |= events.in_view(self.at, place)
        else:
            shown = place if seen is None else replace(place, blocks=seen)
            payload |= events.in_message(self.at, shown, response_url=self._response_url())
        act = events.action(element, block_id=block_id, ts=self.at.ts(), chosen=chosen)
        return await self.interacts(payload | {"actions": [act]})

    async def submits(self, view: View, *, by: str, **values: str) -> Delivered:
        """Send a modal; ``values`` by block id. It closes, unless it is answered otherwise."""
        state = events.filled(view.view["blocks"], values)
        payload = await self._interaction("view_submission", by=by)
        payload["response_urls"] = []
        payload["view"] = events.in_view(self.at, view, values=state)["view"]
        delivered = await self.interacts(payload)
        match delivered.json.get("response_action"):
            case "update":
                view.view = delivered.json["view"]
            case "errors" | "push":
                pass
            case _:
                self.at.views.pop(view.id, None)
        return delivered

    async def closes(self, view: View, *, by: str) -> Delivered:
        payload = (await self._interaction("view_closed", by=by)) | {"is_cleared": False}
        payload["view"] = view.told(team=self.at.team)
        self.at.views.pop(view.id, None)
        return await self.interacts(payload)

    async def takes_shortcut(
        self, callback_id: str, *, by: str, on: Message | None = None
    ) -> Delivered:
        """Use a shortcut: a global one, or one of a message's."""
        payload = await self._interaction("shortcut" if on is None else "message_action", by=by)
        payload |= {"callback_id": callback_id, "action_ts": self.at.ts()}
        if on is not None:
            told = events.in_message(self.at, on, response_url=self._response_url())
            payload |= {name: told[name] for name in ("channel", "message", "response_url")}
            payload["message_ts"] = on.ts
        return await self.interacts(payload)

    async def commands(
        self, name: str, text: str = "", *, by: str, channel: str | None = None
    ) -> Delivered:
        """Type a slash command."""
        where = self.at.channels[channel] if channel is not None else self.at.im(by)
        form = events.command(self.at, text, name=name, by=self._user(by), channel=where)
        form |= {"response_url": self._response_url(), "trigger_id": await self._new_trigger(by)}
        return await self.sends_form(form)

    async def interacts(self, payload: Json, *, at: int | None = None) -> Delivered:
        """Deliver an interaction, for the first time or again."""
        status, text = await self.post(
            urlencode({"payload": json.dumps(payload)}).encode(), content_type=_FORM, at=at
        )
        return Delivered(body=payload, status=status, text=text)

    async def sends_form(self, form: Mapping[str, str]) -> Delivered:
        status, text = await self.post(urlencode(form).encode(), content_type=_FORM)
        return Delivered(body=dict(form), status=status, text=text)

    async def post(
        self,
        body: bytes,
        *,
        content_type: str,
        at: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """Send these very bytes, signed; ``headers`` are put over those that Slack sends."""
        told = {
            "Content-Type": content_type,
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            **events.sealed(body, secret=self._secret, at=at),
            **(headers or {}),
        }
        answer = await self._http.post(self._url, content=body, headers=told)
        return answer.status_code, answer.text

    def _typed(self, text: str, *, by: str, channel: str | None, thread_ts: str | None) -> Message:
        where = channel or self.at.im(by).id
        return self.at.says(by, text, channel=where, thread_ts=thread_ts)

    async def _interaction(self, kind: str, *, by: str) -> Json:
        trigger = await self._new_trigger(by)
        return events.interaction(self.at, kind, by=self._user(by), trigger_id=trigger)

    async def _new_trigger(self, by: str) -> str:
        return self.at.trigger(by) if self._trigger is None else await self._trigger(by)

    def _user(self, user: str) -> User:
        return self.at.users[user]

    def _response_url(self) -> str:
        return f"{self.slack.url}/actions/{self.at.team}/{self.at.number()}"


def found_in(blocks: list[Json], action_id: str) -> tuple[str, Json]:
    """Return the interactive element of that name, and the id of its block.

    Raises:
        LookupError: there is none.
    """
    for place, block in enumerate(blocks):
        for element in _inside(block):
            if element.get("action_id") == action_id:
                return str(block.get("block_id", f"block-{place}")), element
    raise LookupError(action_id)


def _inside(told: object) -> Iterator[Json]:
    if isinstance(told, dict):
        given = cast("Json", told)
        yield given
        for value in given.values():
            yield from _inside(value)
    elif isinstance(told, list):
        for one in cast("list[object]", told):
            yield from _inside(one)

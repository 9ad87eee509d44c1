"""People in Teams: what they say and click arrives at our server, signed as Microsoft signs it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import httpx2

from tests.teams.connector import Connector
from tests.teams.conversations import GENERAL, GROUP, Conversation
from tests.teams.events import BOT, Events
from tests.teams.login import Login

Json = dict[str, Any]  # Any: what Teams takes and gives

_CARD = "application/vnd.microsoft.card.adaptive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A delivery: what was sent, and what our server said to it."""

    activity: Json
    status: int
    text: str

    @property
    def json(self) -> Json:
        """What was answered; empty where nothing was."""
        return json.loads(self.text) if self.text else {}

    @property
    def card(self) -> Json:
        """The card that whoever clicked sees now."""
        told = self.json
        assert told["type"] == _CARD, told
        return told["value"]

    @property
    def words(self) -> str:
        """What whoever clicked is told in words."""
        told = self.json
        assert told["type"] == "application/vnd.microsoft.activity.message", told
        return str(told["value"])

    @property
    def dialog(self) -> Json:
        """The card of the dialog that opens."""
        task = self.json["task"]
        assert task["type"] == "continue", task
        return task["value"]["card"]["content"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A message of ours as it stands in a conversation."""

    conversation: Conversation
    id: str
    activity: Json

    @property
    def cards(self) -> list[Json]:
        attached = cast("list[Json]", self.activity.get("attachments") or [])
        return [one["content"] for one in attached if one["contentType"] == _CARD]

    @property
    def words(self) -> str:
        """Everything that stands there, as JSON in one text."""
        return json.dumps(self.activity, ensure_ascii=False)

    def button(self, verb: str) -> Json | None:
        """Return the action of a verb; None where there is none."""
        return next((one for card in self.cards for one in buttons_of(card, verb)), None)


def buttons_of(card: Any, verb: str) -> Iterator[Json]:  # noqa: ANN401 - JSON
    """Return the actions of a verb, wherever in a card they are."""
    if isinstance(card, dict):
        told = cast("Json", card)
        if told.get("type") in {"Action.Execute", "Action.Submit"}:
            named = told.get("verb") or told["data"].get("verb")
            if named == verb:
                yield told
        for one in told.values():
            yield from buttons_of(one, verb)
    elif isinstance(card, list):
        for one in cast("list[Any]", card):
            yield from buttons_of(one, verb)


class People:
    """Everybody in one Entra tenant. ``url`` is where Teams sends what they do."""

    def __init__(
        self, http: httpx2.AsyncClient, *, connector: Connector, login: Login, url: str
    ) -> None:
        self._http = http
        self._connector = connector
        self._login = login
        self._url = url
        self._events = Events(connector.teams, service_url=connector.service_url)

    # Any: of the activity
    def activity(self, kind: str, *, by: str, **fields: Any) -> Json:  # noqa: ANN401
        """Return an activity of somebody's, in their own chat where no other is given."""
        return self._events.activity(kind, by=by, **fields)

    async def says(
        self, text: str, *, by: str, at: Conversation | None = None, thread: str = ""
    ) -> Delivered:
        """Say something: to the bot alone, or in a channel or a group, mentioning it."""
        if at is None:
            return await self.sends(self.activity("message", by=by, text=text))
        ours = "<at>Sallyport</at>"
        mention = {"type": "mention", "mentioned": {"id": BOT, "name": "Sallyport"}, "text": ours}
        words = f"{ours} {text}"
        told = self._events.activity(
            "message", by=by, at=at, thread=thread, text=words, entities=[mention]
        )
        return await self.sends(told)

    async def presses(
        self,
        shown: Shown,
        verb: str,
        *,
        by: str,
        typed: Mapping[str, str] | None = None,
        card: Json | None = None,
        **fields: Any,  # noqa: ANN401 - of the activity
    ) -> Delivered:
        """Press a button of a message; ``card`` is the one they see in its place, if another."""
        found = next(buttons_of(card, verb), None) if card else shown.button(verb)
        assert found is not None, (verb, card or shown.words)
        return await self.clicks(
            verb, ids=found["data"]["ids"], by=by, at=shown, typed=typed, **fields
        )

    async def clicks(
        self,
        verb: str,
        *,
        ids: str,
        by: str,
        at: Shown,
        typed: Mapping[str, str] | None = None,
        trigger: str = "manual",
        **fields: Any,  # noqa: ANN401 - of the activity
    ) -> Delivered:
        """Send what a button would, whether or not there is one."""
        told = self._events.clicked(
            verb,
            ids=ids,
            by=by,
            at=at.conversation,
            message=at.id,
            typed=typed,
            trigger=trigger,
            **fields,
        )
        return await self.sends(told)

    async def looks_at(self, shown: Shown, *, by: str) -> Delivered:
        """Have Teams ask for somebody's own view of a card, as it does when they see it."""
        refresh = shown.cards[0]["refresh"]["action"]
        ids = refresh["data"]["ids"]
        return await self.clicks(refresh["verb"], ids=ids, by=by, at=shown, trigger="automatic")

    async def asks_about(
        self, text: str, *, by: str, author: str, at: Conversation | None = None
    ) -> Delivered:
        """Take "Ask about this" from the menu of somebody's message."""
        user = {"id": author, "displayName": self._connector.teams.people[author].name}
        message = {
            "id": "1764150000001",
            "createdDateTime": "2026-11-26T09:00:00.000Z",
            "from": {"user": user},
            "body": {"contentType": "html", "content": text},
        }
        value = {"commandId": "ask", "commandContext": "message", "messagePayload": message}
        name = "composeExtension/fetchTask"
        return await self.sends(self.activity("invoke", by=by, at=at, name=name, value=value))

    async def submits(
        self, card: Json, *, by: str, typed: Mapping[str, str], at: Conversation | None = None
    ) -> Delivered:
        """Send the form of a dialog."""
        (button,) = [one for one in card["actions"] if one["type"] == "Action.Submit"]
        value = {"data": {**button["data"], **typed}}
        name = "composeExtension/submitAction"
        return await self.sends(self.activity("invoke", by=by, at=at, name=name, value=value))

    async def rates(self, shown: Shown, *, by: str, good: bool, words: str = "") -> Delivered:
        """Press one of Teams' own thumbs below an answer."""
        told = {
            "reaction": "like" if good else "dislike",
            "feedback": json.dumps({"feedbackText": words}),
        }
        rated = self.activity(
            "invoke",
            by=by,
            at=shown.conversation,
            name="message/submitAction",
            replyToId=shown.id,
            value={"actionName": "feedback", "actionValue": told},
        )
        return await self.sends(rated)

    async def sends(self, activity: Json, *, authorization: str | None = None) -> Delivered:
        """Send an activity with a token of Microsoft's, or with another."""
        signed = authorization
        if signed is None:
            signed = self._login.signed(self._login.claims(activity["serviceUrl"]))
        headers = {"authorization": signed} if signed else {}
        answer = await self._http.post(self._url, json=activity, headers=headers)
        return Delivered(activity=activity, status=answer.status_code, text=answer.text)

    @property
    def general(self) -> Conversation:
        """The channel."""
        return self._connector.teams.conversations[GENERAL]

    @property
    def group(self) -> Conversation:
        """The group chat."""
        return self._connector.teams.conversations[GROUP]

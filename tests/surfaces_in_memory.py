"""Slack and Teams in memory, as far as messages go: what a call does there, and what stands."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from bots.limits import Rate
from bots.outbox import ApiCall, Never, Took
from bots.slack import delivering as slack
from bots.teams import delivering as teams
from core.domain.canonical import JsonObject
from core.domain.delivery import Parcel

Json = dict[str, Any]  # Any: what platforms take and give
BUTTON = "Approve"
Windows = Mapping[str, Sequence[tuple[float, int]]]


@dataclass(slots=True, kw_only=True)
class Message:
    """A message as people see it; while it streams it has no buttons."""

    text: str
    has_buttons: bool = False
    is_open: bool = False
    sequence: int = 0
    mark: object = None
    is_deleted: bool = False

    @property
    def seen(self) -> tuple[str, bool]:
        return self.text, self.has_buttons


class InMemory(Protocol):
    """A platform, and the half of its surface that is pure."""

    messages: dict[str, Message]

    @property
    def parts(self) -> int:
        """How many messages an answer is at most."""
        ...

    @property
    def finds_lost(self) -> bool:
        """Whether a message can be looked for whose acknowledgement was lost."""
        ...

    @property
    def rates(self) -> Mapping[str, Rate]: ...

    @property
    def windows(self) -> Windows:
        """What the platform takes at most, by the name of a use: in so many seconds so many."""
        ...

    def address(self, number: int) -> str:
        """Return a place where a run can be watched; each number is another one."""
        ...

    def payload(self, text: str, *, status: str = "", buttons: bool = False) -> JsonObject:
        """Return what a message should be; with a ``status`` that of a run."""
        ...

    def wished(self, payload: JsonObject) -> list[tuple[str, bool]]:
        """Return what people are to see: texts, and whether there are buttons, the main one first.

        What stands below the main one is not put there again where somebody deletes it.
        """
        ...

    def next_call(self, parcel: Parcel) -> ApiCall | None: ...

    def sent_after(
        self, parcel: Parcel, call: ApiCall, outcome: Took | Never
    ) -> JsonObject | None: ...

    def do(self, call: ApiCall) -> Took | Never: ...


@dataclass(slots=True)
class SlackInMemory:
    """Slack: a stream is told what is new, and a lost message can be looked for."""

    messages: dict[str, Message] = field(default_factory=dict[str, Message])
    _ids: "itertools.count[int]" = field(default_factory=itertools.count)

    parts = 1
    finds_lost = True
    rates = slack.RATES
    windows: Windows = field(
        default_factory=lambda: {
            "chat.startStream": ((60, 20),),
            "chat.update": ((60, 50),),
            "chat.appendStream": ((60, 100),),
            "message": ((1, 1),),
            "edit": ((3, 1),),
        }
    )
    next_call = staticmethod(slack.next_call)
    sent_after = staticmethod(slack.sent_after)

    def address(self, number: int) -> str:
        return f"C1/{number}"

    def payload(self, text: str, *, status: str = "", buttons: bool = False) -> JsonObject:
        blocks = [BUTTON] if buttons else []
        if not status:
            return {"text": text, "blocks": blocks}
        stream = {"title": "", "tasks": [], "text": text, "blocks": blocks}
        is_final = status == "active"
        return {
            "text": text,
            "blocks": blocks,
            "stream": cast("JsonObject", stream),
            "status": status,
            "final": is_final,
        }

    def wished(self, payload: JsonObject) -> list[tuple[str, bool]]:
        return [(str(payload["text"]), BUTTON in cast("Json", payload)["blocks"])]

    def do(self, call: ApiCall) -> Took | Never:
        told = cast("Json", call.arguments)
        match call.method:
            case "chat.postMessage" | "chat.startStream":
                return self._made(told)
            case "conversations.replies":
                found = [
                    {"ts": ts, "metadata": one.mark}
                    for ts, one in self.messages.items()
                    if one.mark and not one.is_deleted
                ]
                return Took(answer={"messages": cast("Sequence[JsonObject]", found)})
            case "agents.sessions.setStatus":
                return Took(answer={})
            case _:
                return self._changed(call.method, self.messages[told["ts"]], told)

    def _made(self, told: Json) -> Took:
        ts = f"1.{next(self._ids)}"
        is_open = "chunks" in told
        self.messages[ts] = Message(
            text=_added(told) if is_open else told["text"],
            has_buttons=BUTTON in told.get("blocks", ()),
            is_open=is_open,
            mark=told.get("metadata"),
        )
        return Took(answer={"ts": ts, "channel": told["channel"]})

    def _changed(self, method: str, message: Message, told: Json) -> Took | Never:
        if message.is_deleted:
            return Never(code="message_not_found")
        if message.is_open != (method != "chat.update"):
            return Never(code="message_not_in_streaming_state")
        if method == "chat.update":
            message.text, message.has_buttons = told["text"], BUTTON in told["blocks"]
            return Took(answer={})
        message.text += _added(told)
        message.is_open = method == "chat.appendStream"
        message.has_buttons = BUTTON in told.get("blocks", ())
        return Took(answer={})


@dataclass(slots=True)
class TeamsInMemory:
    """Teams: a stream is told all of it each time, and a lost message is lost."""

    messages: dict[str, Message] = field(default_factory=dict[str, Message])
    _ids: "itertools.count[int]" = field(default_factory=itertools.count)

    parts = 2
    finds_lost = False
    rates = teams.RATES
    windows: Windows = field(
        default_factory=lambda: {
            "app": ((1, 50),),
            "conversation": ((1, 7), (2, 8), (30, 60), (3600, 1800)),
            "stream": ((1, 1),),
            "edit": ((3, 1),),
        }
    )
    next_call = staticmethod(teams.next_call)
    sent_after = staticmethod(teams.sent_after)

    def address(self, number: int) -> str:
        return f"@{number}/"

    def payload(self, text: str, *, status: str = "", buttons: bool = False) -> JsonObject:
        card = {"attachments": [{"words": text, "buttons": buttons}]}
        if not status:
            return cast("JsonObject", {"activity": card})
        if status == "active":
            below = {"attachments": [{"words": "", "buttons": buttons}]}
            told: Json = {"activity": {"text": text}, "more": below, "final": True}
        else:
            told = {"activity": card, "stream": {"informative": "Looking", "text": text}}
        return {**told, "status": status}

    def wished(self, payload: JsonObject) -> list[tuple[str, bool]]:
        parts = [payload[name] for name in ("activity", "more") if name in payload]
        return [_shown(cast("Json", one)).seen for one in parts]

    def do(self, call: ApiCall) -> Took | Never:
        told = cast("Json", call.arguments)
        activity = told.get("activity", {})
        match call.method:
            case "conversations.create":
                return Took(answer={"conversation": f"a:{told['user']}"})
            case "activities.send" | "more.send":
                return self._made(_shown(activity))
            case "activities.update" | "more.update":
                return self._updated(self.messages[told["message"]], activity)
            case "stream.begin":
                if any(one.is_open for one in self.messages.values()):
                    return Never(code="ContentStreamNotAllowed")
                return self._made(Message(text=told["said"], is_open=True, sequence=1))
            case _:
                return self._streamed(activity)

    def _made(self, message: Message) -> Took:
        id_ = f"m{next(self._ids)}"
        self.messages[id_] = message
        return Took(answer={"id": id_, "began": 0.0})

    def _updated(self, message: Message, activity: Json) -> Took | Never:
        if message.is_deleted:
            return Never(code=teams.MESSAGE_GONE)
        assert not message.is_open
        shown = _shown(activity)
        message.text, message.has_buttons = shown.text, shown.has_buttons
        return Took(answer={})

    def _streamed(self, activity: Json) -> Took | Never:
        info = activity["entities"][-1]
        message = self.messages[info["streamId"]]
        if not message.is_open:
            return Never(code=teams.STREAM_OVER)
        is_end = info["streamType"] == "final"
        if not is_end and info["streamSequence"] <= message.sequence:
            return Took(answer={"id": ""})  # out of order: not refused, and not shown
        text = "" if info["streamType"] == "informative" else _shown(activity).text
        if not text.startswith(message.text):
            return Never(code="ContentStreamNotAllowed")
        message.text, message.is_open = text, not is_end
        message.sequence = info.get("streamSequence", 0)
        message.has_buttons = is_end and _shown(activity).has_buttons
        return Took(answer={"id": ""})


def _added(told: Json) -> str:
    return "".join(one["text"] for one in told.get("chunks", ()) if one["type"] == "markdown_text")


def _shown(activity: Json) -> Message:
    """Return what people see of an activity: Teams makes two of one with words and a card."""
    cards = activity.get("attachments")
    assert not (cards and "text" in activity)
    if cards:
        return Message(text=cards[0]["words"], has_buttons=cards[0]["buttons"])
    return Message(text=activity["text"])

"""A run as a person in a terminal follows it: what it says, does, needs, and what it costs."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from rich.console import Console, Group, RenderableType
from rich.text import Text

from core.domain.canonical import Json, JsonObject
from core.domain.event import EventKind, RunEvent, TextChunk

_MICROS_A_DOLLAR = 1_000_000


class Teller:
    """Prints what happens in one run, in order; text is printed as it comes, and only once."""

    def __init__(self, console: Console) -> None:
        """Take where to print."""
        self._console = console
        self._step = 0  # the one whose line is open; none where 0
        self._finished = 0
        self._said = ""
        self._last = ""
        self.seq = 0

    def tell(self, happened: RunEvent | TextChunk) -> None:
        """Print one event or piece of text; what was told before is left out."""
        match happened:
            case TextChunk():
                self._say(happened)
            case RunEvent(seq=seq) if seq > self.seq:
                self.seq = seq
                self._tell(happened)
            case RunEvent():
                pass

    def _say(self, chunk: TextChunk) -> None:
        if chunk.step <= self._finished:
            return
        self._open_line(chunk.step)
        self._said += chunk.text
        self._console.print(Text(chunk.text, style="cyan"), end="", soft_wrap=True)

    def _tell(self, event: RunEvent) -> None:
        if event.kind is EventKind.THOUGHT:
            self._finish_saying(event.data)
            return
        repeated = event.kind is EventKind.COMPLETED and event.data["result"] == self._last
        line = _closing(event) if repeated else line_of(event)
        if line is not None:
            self._close_line()
            self._console.print(line, soft_wrap=True)

    def _finish_saying(self, data: JsonObject) -> None:
        """Print what is left of an answer: pieces of it may have been lost on the way."""
        text = str(data["text"])
        self._finished, self._last = int(str(data["step"])), text
        if not text.startswith(self._said):
            self._close_line()
        self._open_line(self._finished)
        rest = text[len(self._said) :]
        calls = ", ".join(str(tool) for tool in cast("Sequence[Json]", data["calls"]))
        aside = f"{f'  -> {calls}' if calls else ''}  {dollars(data['cost_micros'])}"
        line = Text(rest, style="cyan").append(aside, style="dim not bold")
        self._console.print(line, end="", soft_wrap=True)
        self._close_line()

    def _open_line(self, step: int) -> None:
        if step == self._step:
            return
        self._close_line()
        self._step = step
        self._console.print(_who("agent", style="cyan"), end="")

    def _close_line(self) -> None:
        if self._step:
            self._console.print()
        self._step, self._said = 0, ""


def line_of(event: RunEvent) -> Text | None:
    """Return the line that tells of an event; None where another event tells it better."""
    told = _LINES.get(event.kind)
    if told is None:
        return None
    who, style, what = told
    return _who(who, style=style).append(what(event.data))


def preview_of(preview: JsonObject) -> RenderableType:
    """Return what a call would change, line by line, as a diff."""
    lines: list[RenderableType] = [Text(str(preview.get("summary", "")), style="white")]
    changes = cast("Sequence[Mapping[str, Json]]", preview.get("changes") or ())
    for change in changes:
        field, before, after = change["field"], change["before"], change["after"]
        if before is not None:
            lines.append(Text(f"- {field}: {before}", style="red"))
        if after is not None:
            lines.append(Text(f"+ {field}: {after}", style="green"))
    undo = "It can be undone." if preview.get("reversible") else "It cannot be undone."
    return Group(*lines, Text(undo, style="dim"))


def dollars(micros: Json) -> str:
    """Return micro-dollars as dollars: ``$0.0042``."""
    amount = int(str(micros or 0)) / _MICROS_A_DOLLAR
    return f"${amount:.4f}" if amount < 1 else f"${amount:.2f}"


def _closing(event: RunEvent) -> Text:
    """Return the line of an end whose result was just said."""
    cost = dollars(event.data["cost_micros"])
    return _who("result", style="blue").append(f"as said; {cost} in all")


def _what(data: JsonObject) -> str:
    """Return a call in words: its tool, and what it does where that is known."""
    tool, summary = data.get("tool"), data.get("summary")
    return f"{tool} ({str(summary).rstrip('.')})" if summary else str(tool)


def _people(data: JsonObject) -> str:
    by = data.get("approved_by")
    return ", ".join(str(one) for one in by) if isinstance(by, list) else ""


def _allowed(data: JsonObject) -> str:
    people = _people(data)
    return f"{_what(data)}: {f'{people} agreed' if people else 'the policy allows it'}"


def _decided(data: JsonObject) -> str:
    said = {"approve": "approved", "deny": "denied"}.get(str(data["answer"]), str(data["answer"]))
    because = f": {data['reason']}" if data.get("reason") else ""
    absent = f" for {data['for']}" if data.get("for") else ""
    return f"{data['by']}{absent}: {said}{because}"


def _edited(data: JsonObject) -> str:
    return f"{data['by']} changed it: {str(data['summary']).rstrip('.')}"


def _reminded(data: JsonObject) -> str:
    return f"{_what(data)}: still waits; people were reminded"


def _escalated(data: JsonObject) -> str:
    return f"{_what(data)}: nobody has decided yet; {data['to']} were told"


def _ended(data: JsonObject, *, words: str) -> str:
    return f"{data[words]}  ({dollars(data['cost_micros'])} in all)"


def _who(who: str, *, style: str) -> Text:
    return Text.assemble((f"  {who:<8}", f"bold {style}"))


_LINES: Mapping[EventKind, tuple[str, str, Callable[[JsonObject], str]]] = {
    EventKind.STARTED: (
        "run",
        "blue",
        lambda data: f"started, with {dollars(data['budget_micros'])} to spend at most",
    ),
    EventKind.CALL_ALLOWED: ("door", "green", _allowed),
    EventKind.CALL_SUCCEEDED: ("done", "green", _what),
    EventKind.CALL_FAILED: ("failed", "red", lambda data: f"{_what(data)}: {data['message']}"),
    EventKind.CALL_DENIED: ("refused", "red", lambda data: f"{_what(data)}: {data['reason']}"),
    EventKind.CALL_UNKNOWN: (
        "unknown",
        "yellow",
        lambda data: f"{_what(data)}: nobody knows whether it happened",
    ),
    EventKind.APPROVAL_ASKED: (
        "door",
        "yellow",
        lambda data: f"{_what(data)}: stopped. {data['reason']}",
    ),
    EventKind.APPROVAL_DECIDED: ("people", "magenta", _decided),
    EventKind.APPROVAL_EDITED: ("people", "magenta", _edited),
    EventKind.APPROVAL_REMINDED: ("people", "yellow", _reminded),
    EventKind.APPROVAL_ESCALATED: ("people", "yellow", _escalated),
    EventKind.APPROVAL_EXPIRED: (
        "people",
        "red",
        lambda data: f"nobody decided about {data['tool']} in time",
    ),
    EventKind.APPROVAL_WITHDRAWN: (
        "people",
        "magenta",
        lambda data: f"the same yes covers {data['tool']} here as well",
    ),
    EventKind.COMPLETED: ("result", "blue", lambda data: _ended(data, words="result")),
    EventKind.STOPPED: ("ended", "red", lambda data: _ended(data, words="message")),
}
"""Who speaks, in which colour, and what is said; the model's answers are told as they come."""

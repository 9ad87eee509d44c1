"""What Slack documents of Block Kit, checked on plain JSON, apart from Slack's own models."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

from core.domain.canonical import Json, JsonObject

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
TEXTS = {"header": 150, "section": 3000, "context": 3000, "markdown": 12_000}
SIZES = {
    "action_id": 255,
    "block_id": 255,
    "callback_id": 255,
    "value": 2000,
    "url": 3000,
    "private_metadata": 3000,
    "accessibility_label": 75,
    "initial_value": 3000,
}
COUNTS = {"actions": 25, "context": 10, "context_actions": 5}
DATE = re.compile(r"<!date\^\d+\^\{date_short_pretty\} at \{time\}\|[^<>|]+>")
SOURCE = re.compile(r"^\d+\. <https?://[^<>|\s]+\|[^<>|]*> \([^()]*\)$", re.MULTILINE)
MENTION = re.compile(
    r"<(?:!(?:channel|here|everyone|group|subteam)|@[UWB]|#[CG]|[a-z][a-z0-9+.-]*:[^>\s]*\|)"
    r"|(?<!\w)@(?:channel|here|everyone|group)\b",
    re.IGNORECASE,
)


def problems(rendered: JsonObject) -> list[str]:
    """Return where a message or view is not one that Slack takes; validate it with its models."""
    is_view = rendered.get("type") in {"modal", "home"}
    blocks = cast("Sequence[JsonObject]", rendered["blocks"])
    found = [*_view(rendered)] if is_view else [*_message(rendered)]
    for block in blocks:
        Block.parse(dict(block)).to_dict()  # pyright: ignore[reportOptionalMemberAccess, reportUnknownMemberType] # untyped
        found += _block(block)
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    if len(ids) != len(set(ids)):
        found.append("two blocks share an id")
    for key, value in leaves(rendered):
        if key in SIZES and size(value) > SIZES[key]:
            found.append(f"{key} of {size(value)}")
        if any("\ud800" <= letter <= "\udfff" or letter == "\0" for letter in value):
            found.append(f"{key} that cannot be sent")
    return found


def mentioned(rendered: Json, *, ours: Sequence[str] = ()) -> list[str]:
    """Return the texts that mention or link somebody, but for ``ours`` and for what is typed in.

    A source below an answer may be a link: its line says where it leads.
    """
    found: list[str] = []
    for key, value in leaves(rendered):
        if key in {"initial_value", "url"}:
            continue
        text = SOURCE.sub("", DATE.sub("", value))
        for own in ours:
            text = text.replace(own, "")
        if MENTION.search(text):
            found.append(value)
    return found


def leaves(node: Json, *, key: str = "") -> Iterator[tuple[str, str]]:
    """Return every text of a JSON value with the name it stands under."""
    if isinstance(node, str):
        yield key, node
    elif isinstance(node, Mapping):
        for name, value in node.items():
            yield from leaves(value, key=name)
    elif isinstance(node, Sequence):
        for value in node:
            yield from leaves(value, key=key)


def size(text: str) -> int:
    """Return how long ``text`` is in UTF-16, as the platform's clients count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _message(rendered: JsonObject) -> Iterator[str]:
    blocks = cast("Sequence[JsonObject]", rendered["blocks"])
    if not 1 <= len(blocks) <= MESSAGE_BLOCKS:
        yield f"{len(blocks)} blocks"
    if not 1 <= size(str(rendered["text"])) <= 4000:
        yield "the fallback's length"
    prose = sum(size(str(block["text"])) for block in blocks if block["type"] == "markdown")
    if prose > TEXTS["markdown"]:
        yield "more markdown in all than a message may have"


def _view(rendered: JsonObject) -> Iterator[str]:
    View(**dict(rendered)).to_dict()  # type: ignore[arg-type]
    if not 1 <= len(cast("Sequence[Json]", rendered["blocks"])) <= VIEW_BLOCKS:
        yield "blocks"
    for name in ("title", "submit", "close"):
        told = cast("JsonObject | None", rendered.get(name))
        if told is not None and not 1 <= size(str(told["text"])) <= 24:
            yield name


def _block(block: JsonObject) -> Iterator[str]:
    kind = str(block["type"])
    text = block.get("text")
    told = text["text"] if isinstance(text, Mapping) else text
    if told is not None and not 1 <= size(str(told)) <= TEXTS[kind]:
        yield f"{kind} of {size(str(told))}"
    elements = cast("Sequence[JsonObject]", block.get("elements", ()))
    if kind in COUNTS and not 1 <= len(elements) <= COUNTS[kind]:
        yield f"{kind} with {len(elements)} elements"
    fields = cast("Sequence[JsonObject]", block.get("fields", ()))
    if len(fields) > 10 or any(not 1 <= size(str(one["text"])) <= 2000 for one in fields):
        yield "fields"
    names = [one["action_id"] for one in elements if "action_id" in one]
    if len(names) != len(set(names)):
        yield "two actions of one block share a name"
    beside = cast("JsonObject | None", block.get("accessory"))
    for one in [*elements, *([beside] if beside else [])]:
        yield from _element(one)
    if kind == "input":
        yield from _input(block)


def _element(element: JsonObject) -> Iterator[str]:
    if element["type"] == "mrkdwn" and not 1 <= size(str(element["text"])) <= 3000:
        yield "a text of small print"
    if element["type"] != "button":
        return
    if not 1 <= size(_text(element, "text")) <= 75:
        yield "a button's label"
    confirm = cast("JsonObject | None", element.get("confirm"))
    if confirm is not None:
        for name, limit in {"title": 100, "text": 300, "confirm": 30, "deny": 30}.items():
            if not 1 <= size(_text(confirm, name)) <= limit:
                yield f"the {name} of what is asked again"


def _input(block: JsonObject) -> Iterator[str]:
    if not 1 <= size(_text(block, "label")) <= 2000:
        yield "a label"
    element = cast("JsonObject", block["element"])
    options = cast("Sequence[JsonObject]", element.get("options", ()))
    if len(options) > 100:
        yield "options"
    for one in options:
        if not 1 <= size(_text(one, "text")) <= 75 or not 1 <= size(str(one["value"])) <= 150:
            yield "an option"


def _text(holder: JsonObject, name: str) -> str:
    return str(cast("JsonObject", holder[name])["text"])

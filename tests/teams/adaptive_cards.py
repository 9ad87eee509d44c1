"""What Adaptive Cards 1.5 and Teams document of cards and messages, checked on plain JSON."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from bots import actions
from bots.teams.reading import REFRESH
from core.domain.canonical import Json, JsonObject

CARD = "application/vnd.microsoft.card.adaptive"
HEAVIEST = 25_000
VERBS = {
    *(actions.APPROVE, actions.DENY, actions.APPROVE_SIMILAR, actions.EDIT),
    *(actions.HAPPENED, actions.DID_NOT, actions.RETRY),
    *(actions.STOP, actions.UNDO, actions.UNLINK, REFRESH),
    *(actions.DENY_FORM, actions.EDIT_FORM, actions.ASK_FORM, actions.FEEDBACK_FORM),
}
_ELEMENT: Final = {"spacing", "separator"}
_INPUT: Final = _ELEMENT | {"id", "label", "isRequired", "errorMessage", "value"}
_ACTION: Final = {"title", "style", "tooltip"}
KNOWN: Mapping[str, set[str]] = {
    "AdaptiveCard": {
        *("$schema", "version", "fallbackText", "msteams", "refresh", "body", "actions")
    },
    "TextBlock": _ELEMENT | {"text", "wrap", "style", "weight"},
    "RichTextBlock": _ELEMENT | {"inlines"},
    "TextRun": {"text", "weight", "size", "isSubtle", "color", "fontType"},
    "Container": _ELEMENT | {"style", "items"},
    "ColumnSet": _ELEMENT | {"columns"},
    "Column": _ELEMENT | {"width", "items"},
    "ActionSet": _ELEMENT | {"actions"},
    "Input.Text": _INPUT | {"isMultiline", "maxLength", "placeholder", "regex"},
    "Input.Number": _INPUT,
    "Input.Date": _INPUT,
    "Input.ChoiceSet": _INPUT | {"choices", "style"},
    "Action.Execute": _ACTION | {"verb", "data", "associatedInputs"},
    "Action.Submit": _ACTION | {"data"},
    "Action.OpenUrl": _ACTION | {"url"},
    "Action.ShowCard": _ACTION | {"card"},
}
"""What each part may have; nothing else is known to be shown by Teams."""

FULL = {"body", "items", "columns", "inlines", "choices", "actions"}
MOMENT = re.compile(
    r"\{\{DATE\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ), SHORT\)\}\} at \{\{TIME\(\1\)\}\}"
)
MENTION = re.compile(r"<at>[^<>]{1,40}</at>")
READ = re.compile(
    r"\{\{|\$\{"
    r"|(?:<|&lt;?|&#0*60;?|&#x0*3c;?)[a-z/!?@]"
    r"|\]\(|!\[|^ {0,3}\[[^\]]*\]:",
    re.IGNORECASE | re.MULTILINE,
)
"""What a client would do more with than show it: templates, tags, links, pictures."""

TYPED = {"value", "url", "regex", "ids", "id"}


def cards_in(rendered: JsonObject) -> list[JsonObject]:
    """Return the cards of a message, of a form, or the card that it is."""
    if rendered.get("type") == "AdaptiveCard":
        return [rendered]
    if "card" in rendered:
        return [cast("JsonObject", rendered["card"])]
    return [
        cast("JsonObject", one["content"])
        for activity in activities_in(rendered)
        for one in cast("Sequence[JsonObject]", activity.get("attachments", ()))
        if one["contentType"] == CARD
    ]


def activities_in(rendered: JsonObject) -> list[JsonObject]:
    """Return the messages that a payload comes to, that which stands below last; none of a form."""
    told = (rendered.get("activity"), rendered.get("more"))
    return [cast("JsonObject", one) for one in told if one]


def problems(rendered: JsonObject) -> list[str]:
    """Return where a message, a form or a card is not one that Teams takes."""
    found: list[str] = []
    for told in activities_in(rendered) or [rendered]:
        size = len(json.dumps(told, ensure_ascii=False).encode("utf-8", "surrogatepass"))
        found += [f"{size} bytes"] if size > HEAVIEST else []
        found += _activity(told) if "activity" in rendered else []
    for card in cards_in(rendered):
        found += _card(card)
    for key, text in leaves(rendered):
        if any("\ud800" <= letter <= "\udfff" or letter == "\0" for letter in text):
            found.append(f"{key} that cannot be sent")
    return found


def hidden(rendered: Json) -> list[str]:
    """Return the texts in which a client would read more than text; what is typed in is none."""
    mentions = [text for key, text in leaves(rendered) if key == "text" and _is_mention(text)]
    found: list[str] = []
    for key, text in leaves(rendered):
        if key in TYPED:
            continue
        left = MOMENT.sub("", text)
        for one in mentions:
            left = left.replace(one, "")
        if READ.search(left):
            found.append(text)
    return found


def offered(node: Json) -> Iterator[str]:
    """Return the verbs of a card's buttons, and ``open`` for those that open an address."""
    for part in parts(node):
        match part.get("type"):
            case "Action.Execute":
                yield str(part["verb"])
            case "Action.Submit":
                yield str(cast("JsonObject", part["data"])["verb"])
            case "Action.OpenUrl":
                yield "open"
            case _:
                pass


def parts(node: Json) -> Iterator[JsonObject]:
    """Return every element and every button of a card, in order; not what its refresh does."""
    if isinstance(node, Mapping):
        if "type" in node:
            yield node
        for key, value in node.items():
            if key not in {"refresh", "msteams", "entities"}:
                yield from parts(value)
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for value in node:
            yield from parts(value)


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


def _is_mention(text: str) -> bool:
    return MENTION.fullmatch(text) is not None


def _activity(told: JsonObject) -> Iterator[str]:
    if told.get("type") != "message":
        yield "no message"
    if not 1 <= len(str(told.get("summary", ""))) <= 500:
        yield "what its notification says"
    if not told.get("text") and not told.get("attachments"):
        yield "nothing in it"
    if told.get("text") and told.get("attachments"):
        yield "two messages in one"
    if "text" in told and told.get("textFormat") != "markdown":
        yield "no format of its text"
    labels = cast("Sequence[JsonObject]", told.get("entities", ()))
    if len(labels) > 1:
        yield "more than one label"
    for label in labels:
        yield from _label(label, text=str(told.get("text", "")))


def _label(label: JsonObject, *, text: str) -> Iterator[str]:
    if label["additionalType"] != ["AIGeneratedContent"]:
        yield "no AI's"
    for at, claim in enumerate(cast("Sequence[JsonObject]", label.get("citation", ())), start=1):
        shown = cast("JsonObject", claim["appearance"])
        if claim["position"] != at or f"[{at}]" not in text:
            yield f"a source {at} that no text refers to"
        if not 1 <= len(str(shown["name"])) <= 80 or not 1 <= len(str(shown["abstract"])) <= 160:
            yield "what a source is called"


def _card(card: JsonObject) -> Iterator[str]:
    if card["version"] != "1.5" or card["type"] != "AdaptiveCard" or not card["fallbackText"]:
        yield "no card of 1.5"
    if not card["body"]:
        yield "an empty card"
    names = Counter(str(part["id"]) for part in parts(card) if "id" in part)
    yield from (f"two inputs are called {name}" for name, count in names.items() if count > 1)
    for part in parts(card):
        yield from _part(part)
    yield from _refresh(cast("JsonObject", card.get("refresh", {})))
    yield from _mentions(card)


def _part(part: JsonObject) -> Iterator[str]:
    kind = str(part["type"])
    strange = set(part) - KNOWN.get(kind, set()) - {"type"}
    if kind not in KNOWN or strange:
        yield f"{kind} with {sorted(strange)}"
    for name in FULL & set(part):
        if not part[name]:
            yield f"{kind} without {name}"
    if kind in {"TextBlock", "TextRun"} and not part["text"]:
        yield f"{kind} without words"
    if kind.startswith("Input."):
        yield from _input(part)
    if kind.startswith("Action."):
        yield from _action(part)
    if len(cast("Sequence[Json]", part.get("actions", ()))) > 6:
        yield "more buttons than Teams shows"


def _input(part: JsonObject) -> Iterator[str]:
    if not part.get("id") or not 1 <= len(str(part.get("label", ""))) <= 80:
        yield "an input without a name"
    choices = cast("Sequence[JsonObject]", part.get("choices", ()))
    values = [one["value"] for one in choices]
    if len(set(map(str, values))) != len(values) or any(not one["title"] for one in choices):
        yield "choices"
    if choices and "value" in part and part["value"] not in values:
        yield "a choice that there is not"
    if part.get("isRequired") and not part.get("errorMessage"):
        yield "an input that does not say what is wrong"
    longest = part.get("maxLength")
    if isinstance(longest, int) and len(str(part.get("value", ""))) > longest:
        yield "more than may be typed"


def _action(part: JsonObject) -> Iterator[str]:
    if not 1 <= len(str(part["title"])) <= 75 or part.get("tooltip") == "":
        yield "a button without a label"
    if part.get("style", "positive") not in {"positive", "destructive"}:
        yield "a button's style"
    data = cast("JsonObject", part.get("data", {}))
    verb = part.get("verb", data.get("verb"))
    if part["type"] in {"Action.Execute", "Action.Submit"} and verb not in VERBS:
        yield f"a button that does {verb}"
    if part["type"] == "Action.ShowCard":
        inner = cast("JsonObject", part["card"])
        if any(one["type"] == "Action.ShowCard" for one in parts(inner)):
            yield "a card unfolded in another"


def _refresh(refresh: JsonObject) -> Iterator[str]:
    if not refresh:
        return
    action = cast("JsonObject", refresh["action"])
    if action["type"] != "Action.Execute" or action["verb"] != REFRESH:
        yield "a refresh that does more than look"
    if len(cast("Sequence[Json]", refresh.get("userIds", [""]))) not in range(1, 61):
        yield "viewers"


def _mentions(card: JsonObject) -> Iterator[str]:
    teams = cast("JsonObject", card["msteams"])
    told = [str(part["text"]) for part in parts(card) if part["type"] == "TextBlock"]
    for one in cast("Sequence[JsonObject]", teams.get("entities", ())):
        who = cast("JsonObject", one["mentioned"])
        if not who["id"] or one["text"] != f"<at>{who['name']}</at>":
            yield "a mention of nobody"
        if not any(str(one["text"]) in text for text in told):
            yield "a mention that no text has"

"""The parts of Adaptive Cards 1.5, and the messages and forms that they make up, in one place.

Texts come in ready (``text.py``) and within their limits. Words of others stand in text runs,
where no client reads markdown; only our own words, and an agent's prose, stand in text blocks.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from bots import actions
from bots.sentences import Lead
from bots.teams.reading import IDS, REFRESH
from bots.teams.text import plain, spaced, weight
from bots.text import web_address, whole_lines
from core.domain.canonical import Json, JsonObject

Element = JsonObject
Button = JsonObject
Run = JsonObject | str
"""A piece of a paragraph: ``bold`` or ``mono`` of something, or a text as it is."""

Style = Literal["positive", "destructive"]

HEAVIEST: Final = 25_000
"""The most bytes of JSON that a message or a form may have: Teams takes 28 KB of a card."""

CARD: Final = "application/vnd.microsoft.card.adaptive"
VIEWERS: Final = 60
"""So many people may have a view of their own of a card."""

_SCHEMA: Final = "http://adaptivecards.io/schemas/adaptive-card.json"
_VERSION: Final = "1.5"
_LABEL: Final = 75
_HINT: Final = 300
_URL: Final = 500
_SUMMARY: Final = 500
_MENTIONED: Final = 20
_GUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """What somebody is asked again before a click counts."""

    text: str
    yes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewed:
    """A card that looks different to ``viewers`` (Teams' own ids): ``ids`` say what it is of."""

    ids: Mapping[str, str]
    viewers: Sequence[str]


def bold(text: str) -> JsonObject:
    """Return what stands out."""
    return _run(text, weight="Bolder")


def mono(text: str) -> JsonObject:
    """Return what a program is called by."""
    return _run(text, fontType="Monospace")


def lead(said: Lead) -> tuple[Run, ...]:
    """Return a sentence of ours with what stands out in it."""
    if not said.strong:
        return (f"{said.sign}{said.rest}",)
    sign = (f"{said.sign} ",) if said.sign else ()
    return (*sign, bold(said.strong), said.rest)


def paragraph(*runs: Run) -> Element:
    """Return a paragraph; no markdown is read in it."""
    return _rich(runs)


def aside(*runs: Run) -> Element:
    """Return small print; no markdown is read in it."""
    return _rich(runs, spacing="Small", size="Small", isSubtle=True)


def headline(text: str) -> Element:
    """Return one line in large letters, of any text."""
    return _rich((bold(text),), size="Large")


def heading(text: str) -> Element:
    """Return the title of a part, for screen readers, too; the words are ours."""
    told: dict[str, Json] = {"type": "TextBlock", "text": text, "style": "heading"}
    return {**told, "weight": "Bolder", "wrap": True, "separator": True, "spacing": "Medium"}


def prose(markdown: str) -> Element:
    """Return what an agent says, as markdown that ``text.markdown`` has made harmless."""
    return {"type": "TextBlock", "text": markdown, "wrap": True}


def listed(title: str, *, lines: Sequence[str], limit: int) -> Element:
    """Return a title and lines below it, as many as weigh no more than ``limit``."""
    told = whole_lines(list(lines), limit=limit, measure=weight)
    return _rich((bold(f"{title}\n"), told))


def facts(named: Sequence[tuple[str, str]]) -> list[Element]:
    """Return short facts, each with its name, two in a row."""
    cells = [_rich((bold(f"{name}\n"), told), spacing="None") for name, told in named]
    return [_row(cells[at : at + 2]) for at in range(0, len(cells), 2)]


def verbatim(title: str, *, text: str) -> list[Element]:
    """Return a title and a frame with exactly that text, every blank of it."""
    framed = _rich((mono(spaced(text) or "-"),), size="Small")
    return [paragraph(bold(title)), _frame((framed,), style="emphasis")]


def quotation(text: str) -> Element:
    """Return somebody's words, apart from ours."""
    return _frame((paragraph(text or "-"),), style="emphasis")


def warning(*runs: Run) -> Element:
    """Return what must not be overlooked."""
    return _frame((paragraph(*runs),), style="warning")


def button(
    label: str,
    *,
    verb: str,
    ids: Mapping[str, str],
    style: Style | None = None,
    spoken: str | None = None,
) -> Button:
    """Return a button; ``spoken`` is what a screen reader says where the label is not enough."""
    return {**_execute(label, verb=verb, ids=ids, style=style, spoken=spoken), **_NO_INPUTS}


def sends(label: str, *, form: str, ids: Mapping[str, str], style: Style | None = None) -> Button:
    """Return the button that sends what was typed, as the form of that name."""
    return _execute(label, verb=form, ids=ids, style=style)


def sends_dialog(label: str, *, form: str, ids: Mapping[str, str]) -> Button:
    """Return the button that sends a form from a dialog, where Teams knows no ``Execute``."""
    carried = {"verb": form, IDS: actions.carried(ids)}
    return {"type": "Action.Submit", "title": label, "style": "positive", "data": carried}


def opens(label: str, *, url: str | None) -> Button | None:
    """Return the button that opens an address of the web; None where it is none."""
    safe = web_address(url)
    if safe is None or weight(safe) > _URL:
        return None
    return {"type": "Action.OpenUrl", "title": label, "url": safe}


def asks_again(
    label: str,
    *,
    confirm: Confirm,
    verb: str,
    ids: Mapping[str, str],
    style: Style = "destructive",
    spoken: str | None = None,
) -> Button:
    """Return a button that unfolds what is asked again, and the button that counts."""
    yes = button(confirm.yes, verb=verb, ids=ids, style=style)
    return unfolds(label, body=[paragraph(confirm.text)], buttons=[yes], spoken=spoken)


def unfolds(
    label: str,
    *,
    body: Sequence[Element],
    buttons: Sequence[Button],
    style: Style | None = None,
    spoken: str | None = None,
) -> Button:
    """Return a button that unfolds more of the card."""
    folded: dict[str, Json] = {"type": "AdaptiveCard", "body": list(body), "actions": list(buttons)}
    told: dict[str, Json] = {"type": "Action.ShowCard", "title": label, "card": folded}
    return {**told, **_dressed(style=style, spoken=spoken)}


def block(elements: Sequence[Element]) -> Element:
    """Return parts that belong together, apart from what stands above them."""
    told: dict[str, Json] = {"type": "Container", "items": list(elements)}
    return {**told, "separator": True, "spacing": "Medium"}


def buttons(made: Sequence[Button]) -> Element:
    """Return a row of buttons inside a card."""
    return {"type": "ActionSet", "actions": list(made)}


def typed(
    label: str,
    *,
    element: JsonObject,
    name: str,
    hint: str = "",
    wrong: str = "",
    required: bool = False,
) -> list[Element]:
    """Return an input with its label, and what is wrong with what was typed, or else a hint.

    ``label``, ``hint`` and ``wrong`` may be anybody's words. What is ``required`` is asked for
    before anything is sent.
    """
    told = plain(label, limit=_LABEL)
    made: list[Element] = [
        {**element, "id": name, "label": told, **_required(told, is_so=required)}
    ]
    if wrong:
        made.append(_rich((f"⚠️ {plain(wrong, limit=_HINT)}",), spacing="Small", color="Attention"))
    elif hint:
        made.append(aside(plain(hint, limit=_HINT)))
    return made


def multiline(*, value: str = "", longest: int, placeholder: str = "") -> JsonObject:
    """Return an input for several lines; it has no name yet."""
    shown = {"placeholder": placeholder} if placeholder else {}
    kept = {"value": value} if value else {}
    return {"type": "Input.Text", "isMultiline": True, "maxLength": longest, **shown, **kept}


def card(
    *,
    body: Sequence[Element],
    buttons: Sequence[Button] = (),
    fallback: str,
    viewed: Viewed | None = None,
    mentioned: Sequence[str] = (),
) -> JsonObject:
    """Return an Adaptive Card; ``mentioned`` are accounts that it calls, ``viewed`` who sees more.

    ``fallback`` stands where a client shows no cards.
    """
    called = accounts_of(mentioned)
    entities: dict[str, Json] = {"entities": _mentions(called)} if called else {}
    told: dict[str, Json] = {
        "type": "AdaptiveCard",
        "$schema": _SCHEMA,
        "version": _VERSION,
        "fallbackText": plain(fallback, limit=_SUMMARY),
        "msteams": {"width": "Full", **entities},
        **({"refresh": _refresh(viewed)} if viewed else {}),
        "body": [*([prose(f"For {_called(called)}")] if called else []), *body],
    }
    return {**told, "actions": list(buttons)} if buttons else told


def message(summary: str, *, card: JsonObject) -> JsonObject:
    """Return a message that is a card; ``summary`` is what a notification says."""
    return {"activity": activity(summary, card=card)}


def activity(summary: str, *, card: JsonObject) -> JsonObject:
    """Return the activity of a message with a card."""
    attached = {"contentType": CARD, "content": card}
    return {"type": "message", "summary": plain(summary, limit=_SUMMARY), "attachments": [attached]}


def words(summary: str) -> JsonObject:
    """Return the activity of a message in markdown, but for its ``text``."""
    return {
        "type": "message",
        "summary": plain(summary, limit=_SUMMARY),
        "textFormat": "markdown",
    }


def form(
    title: str, *, body: Sequence[Element], buttons: Sequence[Button], fallback: str
) -> JsonObject:
    """Return a form: a card that is shown to whoever clicked, and to nobody else."""
    return {"title": title, "card": card(body=body, buttons=buttons, fallback=fallback)}


def bytes_of(told: Json) -> int:
    """Return how many bytes something takes as JSON."""
    return len(json.dumps(told, ensure_ascii=False).encode())


def accounts_of(mentioned: Sequence[str]) -> list[str]:
    """Return those that can be called: Entra's ids, each once."""
    found = [one for one in mentioned[:_MENTIONED] if _GUID.fullmatch(one)]
    return list(dict.fromkeys(found))


_NO_INPUTS: Final[JsonObject] = {"associatedInputs": "none"}


def _run(text: str, **looks: Json) -> JsonObject:
    return {"type": "TextRun", "text": text, **looks}


def _rich(runs: Sequence[Run], *, spacing: str = "Default", **looks: Json) -> Element:
    made = [one if isinstance(one, Mapping) else _run(one) for one in runs if one]
    dressed: list[Json] = [{**one, **looks} for one in made]
    placed = {} if spacing == "Default" else {"spacing": spacing}
    return {"type": "RichTextBlock", "inlines": dressed or [_run("-", **looks)], **placed}


def _row(cells: Sequence[Element]) -> Element:
    columns: list[Json] = [{"type": "Column", "width": "stretch", "items": [one]} for one in cells]
    return {"type": "ColumnSet", "columns": columns}


def _frame(items: Sequence[Element], *, style: str) -> Element:
    return {"type": "Container", "style": style, "items": list(items), "spacing": "Small"}


def _execute(
    label: str,
    *,
    verb: str,
    ids: Mapping[str, str],
    style: Style | None = None,
    spoken: str | None = None,
) -> Button:
    told: dict[str, Json] = {
        "type": "Action.Execute",
        "title": label,
        "verb": verb,
        "data": {IDS: actions.carried(ids)},
    }
    return {**told, **_dressed(style=style, spoken=spoken)}


def _dressed(*, style: Style | None, spoken: str | None) -> JsonObject:
    looks: dict[str, Json] = {"style": style} if style else {}
    return {**looks, "tooltip": plain(spoken, limit=_LABEL)} if spoken else looks


def _required(label: str, *, is_so: bool) -> JsonObject:
    return {"isRequired": True, "errorMessage": f"{label} is needed."} if is_so else {}


def _refresh(viewed: Viewed) -> JsonObject:
    action = {"type": "Action.Execute", "verb": REFRESH, "data": {IDS: actions.carried(viewed.ids)}}
    people: list[Json] = list(viewed.viewers[:VIEWERS])
    return {"action": action, "userIds": people} if people else {"action": action}


def _called(accounts: Sequence[str]) -> str:
    return ", ".join(f"<at>{_name(at, of=len(accounts))}</at>" for at in range(len(accounts)))


def _mentions(accounts: Sequence[str]) -> list[Json]:
    return [
        {
            "type": "mention",
            "text": f"<at>{_name(at, of=len(accounts))}</at>",
            "mentioned": {"id": account, "name": _name(at, of=len(accounts))},
        }
        for at, account in enumerate(accounts)
    ]


def _name(at: int, *, of: int) -> str:
    """Return what a mention says: who it is, Teams knows by their id."""
    return "approver" if of == 1 else f"approver {at + 1}"

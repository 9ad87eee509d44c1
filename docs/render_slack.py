"""Draws the pictures of docs/guides/slack.md from what the renderers make, in Slack's look.

The messages are the snapshots in tests/snapshots/slack; the pictures go to docs/images/slack. It
needs chromium, and no network. With --html it writes the pages only.
"""  # noqa: INP001 - a script

import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

from drawing import MEASURE, ROOT, put

SNAPSHOTS: Final = ROOT / "tests" / "snapshots" / "slack"
PICTURES: Final = ROOT / "docs" / "images" / "slack"

Node = Mapping[str, "str | bool | int | Node | Sequence[Node]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture: a snapshot, and the message that it answers, where there is one."""

    name: str
    snapshot: str
    before: str = ""


PICTURED: Final = (
    Picture(
        name="progress",
        snapshot="run_waiting",
        before="<span class=mention>@Sallyport</span> clean up the Website relaunch project: "
        "delete what nobody needs any more",
    ),
    Picture(name="approval", snapshot="approval_open"),
    Picture(name="locked", snapshot="approval_approved"),
    Picture(name="answer", snapshot="run_done"),
    Picture(name="home", snapshot="home"),
    Picture(name="deny", snapshot="form_deny"),
    Picture(name="edit", snapshot="form_edit"),
)

_MARKUP: Final = re.compile(r"<([^<>]+)>")
_SPANS: Final = (
    (re.compile(r"`([^`\n]+)`"), r"<code>\1</code>"),
    (re.compile(r"(?<![\w*])\*([^*\n]+)\*(?!\w)"), r"<b>\1</b>"),
    (re.compile(r"(?<!\w)_([^_\n]+)_(?!\w)"), r"<i>\1</i>"),
)


def page(picture: Picture) -> str:
    """Return a picture as a page that needs nothing else."""
    told = cast("Node", json.loads((SNAPSHOTS / f"{picture.snapshot}.json").read_text("utf-8")))
    style = (PICTURES / "style.css").read_text("utf-8")
    match told.get("type"):
        case "modal":
            body = _modal(told)
        case "home":
            tabs = "<div class=tabs><b>Home</b><span>Messages</span><span>About</span></div>"
            body = f"<div class='page home'>{tabs}{_blocks(told)}</div>"
        case _:
            asked = _message("Alice", picture.before, color="#2b8a6e") if picture.before else ""
            said = _message("Sallyport", _blocks(told), color="#4a154b", app=True)
            body = f"<div class=page>{asked}{said}</div>"
    head = f"<meta charset=utf-8><title></title><style>{style}</style>"
    return f"<!doctype html><html><head>{head}</head><body>{body}{MEASURE}</body></html>"


def _message(who: str, said: str, *, color: str, app: bool = False) -> str:
    badge = "<span class=app>APP</span>" if app else ""
    name = f"<span class=who>{who}</span>{badge}<span class=when>12:0{4 if app else 3}</span>"
    face = f"<div class=avatar style='background:{color}'>{who[0]}</div>"
    return f"<div class=message>{face}<div class=body>{name}<div>{said}</div></div></div>"


def _modal(told: Node) -> str:
    foot = (
        f"<span class=button>{_plain(told['close'])}</span>"
        f"<span class='button primary'>{_plain(told['submit'])}</span>"
    )
    inside = f"<div class=inside>{_blocks(told)}</div><div class=foot>{foot}</div>"
    return f"<div class=modal><h1>{_plain(told['title'])}</h1>{inside}</div>"


def _blocks(told: Node) -> str:
    return "".join(_BLOCKS[str(block["type"])](block) for block in _nodes(told, "blocks"))


def _header(block: Node) -> str:
    return f"<div class='block header'>{_plain(block['text'])}</div>"


def _section(block: Node) -> str:
    if "fields" in block:
        told = "".join(f"<div>{_marked(one)}</div>" for one in _nodes(block, "fields"))
        text = f"<div class=fields>{told}</div>"
    else:
        text = f"<div>{_marked(cast('Node', block['text']))}</div>"
    beside = _element(cast("Node", block["accessory"])) if "accessory" in block else ""
    return f"<div class='block section'>{text}{beside}</div>"


def _context(block: Node) -> str:
    told = "".join(f"<div>{_marked(one)}</div>" for one in _nodes(block, "elements"))
    return f"<div class='block context'>{told}</div>"


def _divider(_: Node) -> str:
    return "<hr>"


def _actions(block: Node) -> str:
    told = "".join(_element(one) for one in _nodes(block, "elements"))
    return f"<div class='block actions'>{told}</div>"


def _thumbs(_: Node) -> str:
    return "<div class='block thumbs'><span>👍</span><span>👎</span></div>"


def _prose(block: Node) -> str:
    parts: list[str] = []
    for part in str(block["text"]).split("\n\n"):
        safe = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", html.escape(part, quote=False))
        safe = re.sub(r"(?<![*\w])\*([^*\n]+)\*", r"<i>\1</i>", safe)
        if safe.startswith("- "):
            parts.append(
                f"<ul>{''.join(f'<li>{one[2:]}</li>' for one in safe.split(chr(10)))}</ul>"
            )
        else:
            parts.append(f"<p>{safe}</p>")
    return f"<div class='block prose'>{''.join(parts)}</div>"


def _rich(block: Node) -> str:
    told: list[str] = []
    for part in _nodes(block, "elements"):
        text = "".join(html.escape(str(one["text"])) for one in _nodes(part, "elements"))
        match part["type"]:
            case "rich_text_preformatted":
                told.append(f"<pre>{text}</pre>")
            case "rich_text_quote":
                told.append(f"<div class=quote>{text}</div>")
            case _:
                told.append(f"<b>{text}</b>")
    return f"<div class=block>{''.join(told)}</div>"


def _input(block: Node) -> str:
    optional = " <span>(optional)</span>" if block.get("optional") else ""
    hint = f"<div class=hint>{_plain(block['hint'])}</div>" if "hint" in block else ""
    element = _element(cast("Node", block["element"]))
    label = f"<label>{_plain(block['label'])}{optional}</label>"
    return f"<div class=block>{label}{element}{hint}</div>"


def _element(element: Node) -> str:
    match element["type"]:
        case "button":
            return (
                f"<span class='button {element.get('style', '')}'>{_plain(element['text'])}</span>"
            )
        case "radio_buttons":
            chosen = cast("Node", element.get("initial_option", {})).get("value")
            told = [
                f"{'◉' if one['value'] == chosen else '○'} {_plain(one['text'])}"
                for one in _nodes(element, "options")
            ]
            return "<br>".join(told)
        case _:
            return _typed(element)


def _typed(element: Node) -> str:
    option = cast("Node", element.get("initial_option", {}))
    value = element.get("initial_value") or element.get("initial_date")
    told = html.escape(str(value)) if value else ""
    if option:
        told = f"{_plain(option['text'])} ▾"
    if not told and "placeholder" in element:
        told = f"<span class=ghost>{_plain(element['placeholder'])}</span>"
    return f"<div class='input {'tall' if element.get('multiline') else ''}'>{told}</div>"


def _plain(node: object) -> str:
    return html.escape(str(cast("Node", node)["text"]))


def _marked(node: Node) -> str:
    told: list[str] = []
    for one in str(node["text"]).split("\n"):
        safe = _MARKUP.sub(_link, one.removeprefix(">"))
        for pattern, by in _SPANS:
            safe = pattern.sub(by, safe)
        told.append(f"<div class=quote>{safe}</div>" if one.startswith(">") else f"{safe}<br>")
    return "".join(told)


def _link(found: re.Match[str]) -> str:
    target, _, label = found[1].partition("|")
    if target.startswith("@"):
        return "<span class=mention>@Bob</span>"
    if target.startswith("!date^"):
        at = datetime.fromtimestamp(int(target.split("^")[1]), UTC)
        return f"<span class=date>{at:%b} {at.day}, {at.year} at {at:%H:%M}</span>"
    return f"<a>{label or target}</a>"


def _nodes(told: Node, name: str) -> Sequence[Node]:
    return cast("Sequence[Node]", told.get(name, ()))


_BLOCKS: Final[Mapping[str, Callable[[Node], str]]] = {
    "header": _header,
    "section": _section,
    "context": _context,
    "divider": _divider,
    "actions": _actions,
    "context_actions": _thumbs,
    "markdown": _prose,
    "rich_text": _rich,
    "input": _input,
}


def main() -> None:
    """Draw every picture, or write its page."""
    for picture in PICTURED:
        put(page(picture), target=PICTURES / f"{picture.name}.png")


if __name__ == "__main__":
    main()

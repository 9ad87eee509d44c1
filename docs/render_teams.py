"""Draws the pictures of docs/guides/teams.md from what the renderers make, in Teams' look.

The messages are the snapshots in tests/snapshots/teams, drawn by Adaptive Cards' own renderer
(npm's ``adaptivecards``, as the peer tests install it); the pictures go to docs/images/teams. It
needs chromium, and no network. With --html it writes the pages only.
"""  # noqa: INP001 - a script

import html
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from drawing import MEASURE, ROOT, put

SNAPSHOTS: Final = ROOT / "tests" / "snapshots" / "teams"
PICTURES: Final = ROOT / "docs" / "images" / "teams"
PACKAGES: Final = ROOT / ".peers" / "npm" / "node_modules"
SCRIPTS: Final = ("adaptivecards/dist/adaptivecards.min.js", "markdown-it/dist/markdown-it.min.js")

Node = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture: a snapshot, the message that it answers, and the button that is unfolded."""

    name: str
    snapshot: str
    before: str = ""
    unfolded: str = ""


PICTURED: Final = (
    Picture(
        name="progress",
        snapshot="run_working",
        before="Clean up the Website relaunch project: delete what nobody needs any more",
    ),
    Picture(name="approval", snapshot="approval_open"),
    Picture(name="deny", snapshot="approval_personal", unfolded="Deny"),
    Picture(name="shared", snapshot="approval_shared"),
    Picture(name="locked", snapshot="approval_approved"),
    Picture(name="answer", snapshot="run_done"),
    Picture(name="edit", snapshot="form_edit"),
    Picture(name="confirm", snapshot="form_confirm"),
)


def page(picture: Picture) -> str:
    """Return a picture as a page that needs nothing else."""
    told = cast("Node", json.loads((SNAPSHOTS / f"{picture.snapshot}.json").read_text("utf-8")))
    activity = cast("Node", told.get("activity", {}))
    style = (PICTURES / "style.css").read_text("utf-8")
    # No markup of a snapshot's ends the script that it stands in.
    data = json.dumps(
        {
            "card": _card(told, activity),
            "text": activity.get("text", ""),
            "unfolded": picture.unfolded,
            "host": json.loads((PICTURES / "host.json").read_text("utf-8")),
        }
    ).replace("<", r"\u003c")
    asked = f"<div class=asked>{html.escape(picture.before)}</div>" if picture.before else ""
    label = "<span class=label>AI generated</span>" if activity.get("entities") else ""
    thumbs = "<div class=thumbs>👍 👎</div>" if activity.get("channelData") else ""
    said = (
        f"<div class=message><div class=avatar>S</div><div class=body><div class=who>Sallyport"
        f"<span class=when>12:04 PM</span>{label}</div>"
        f"<div class=bubble><div id=text></div><div id=card></div></div>{thumbs}</div></div>"
    )
    ours = (PICTURES / "show.js").read_text("utf-8")
    scripts = [(PACKAGES / one).read_text("utf-8") for one in SCRIPTS]
    run = "".join(f"<script>{one}</script>" for one in [*scripts, f"const told = {data}; {ours}"])
    head = f"<meta charset=utf-8><title></title><style>{style}</style>"
    body = f"<div class=page>{asked}{said}</div>{run}{MEASURE}"
    return f"<!doctype html><html><head>{head}</head><body>{body}</body></html>"


def _card(told: Node, activity: Node) -> object:
    if "card" in told:
        return told["card"]
    if not activity:
        return told
    (attached,) = cast("list[Node]", activity["attachments"])
    return attached["content"]


def main() -> None:
    """Draw every picture, or write its page."""
    if not PACKAGES.is_dir():
        sys.exit("Adaptive Cards' renderer is not here: `make peers` installs it.")
    for picture in PICTURED:
        put(page(picture), target=PICTURES / f"{picture.name}.png")


if __name__ == "__main__":
    main()

"""Block Kit's parts, each made by Slack's own models, so that what they refuse is never sent.

Texts come in ready (``text.py``) and within their limits; data in labels is cut here once more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

# Any: the vendor's dictionaries have no types.
from typing import Any, Final, Literal, Protocol

from slack_sdk.models.blocks import (
    ActionsBlock,
    ButtonElement,
    ConfirmObject,
    ContextActionsBlock,
    ContextBlock,
    DividerBlock,
    FeedbackButtonObject,
    FeedbackButtonsElement,
    HeaderBlock,
    InputBlock,
    MarkdownBlock,
    MarkdownTextObject,
    PlainTextObject,
    RichTextBlock,
    SectionBlock,
)

from bots.slack.text import plain
from bots.text import whole_lines
from core.domain.canonical import JsonObject

Block = JsonObject

SECTION: Final = 3000
FIELD: Final = 2000
HEADER: Final = 150
LABEL: Final = 75
FIELDS: Final = 10
UNFURL_NOTHING: Final[JsonObject] = {"unfurl_links": False, "unfurl_media": False}
"""Goes with every message that is posted: no address in it is looked at for a picture."""

_ELEMENTS: Final = 25
_ASIDES: Final = 10
_FALLBACK: Final = 3000
_CONFIRM: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """What somebody is asked again before a click counts. ``text`` is Slack's own markup."""

    title: str
    text: str
    yes: str
    danger: bool = False


def message(text: str, *, blocks: Sequence[Block]) -> JsonObject:
    """Return a message: its blocks, and the text where blocks cannot be shown.

    It is posted with ``UNFURL_NOTHING``.
    """
    return {"text": whole_lines(text.split("\n"), limit=_FALLBACK), "blocks": list(blocks)}


def header(text: str) -> Block:
    """Return one line in large letters, of any text."""
    return told(HeaderBlock(text=_plain(text, limit=HEADER)))


def section(text: str, *, accessory: JsonObject | None = None) -> Block:
    """Return a paragraph in Slack's own markup, with a button beside it."""
    beside = None if accessory is None else dict(accessory)
    return told(SectionBlock(text=_marked(text), accessory=beside))


def fields(texts: Sequence[str]) -> Block:
    """Return short paragraphs side by side, two in a row."""
    return told(SectionBlock(fields=[_marked(one, limit=FIELD) for one in texts[:FIELDS]]))


def aside(*texts: str) -> Block:
    """Return small print, in Slack's own markup."""
    return told(ContextBlock(elements=[_marked(one, limit=FIELD) for one in texts[:_ASIDES]]))


def divider() -> Block:
    """Return a line."""
    return told(DividerBlock())


def prose(text: str) -> Block:
    """Return what an agent says, as markdown that ``text.markdown`` has made harmless."""
    return told(MarkdownBlock(text=text))


def verbatim(title: str, *, text: str) -> Block:
    """Return a bold title and a frame with exactly that text: Slack reads no markup in it."""
    head = {
        "type": "rich_text_section",
        "elements": [{"type": "text", "text": title, "style": {"bold": True}}],
    }
    frame = {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": text or "-"}]}
    return told(RichTextBlock(elements=[head, frame]))


def quotation(text: str) -> Block:
    """Return somebody's words, apart from ours: Slack reads no markup in them."""
    said = {"type": "rich_text_quote", "elements": [{"type": "text", "text": text or "-"}]}
    return told(RichTextBlock(elements=[said]))


def button(
    label: str,
    *,
    action: str,
    value: str | None = None,
    url: str | None = None,
    style: Literal["primary", "danger"] | None = None,
    confirm: Confirm | None = None,
    spoken: str | None = None,
) -> JsonObject:
    """Return a button; ``spoken`` is what a screen reader says where the label is not enough."""
    made = ButtonElement(
        text=_plain(label, limit=LABEL),
        action_id=action,
        value=value,
        url=url,
        style=style,
        confirm=None if confirm is None else _confirm(confirm),
        accessibility_label=None if spoken is None else plain(spoken, limit=LABEL),
    )
    return told(made)


def buttons(elements: Sequence[JsonObject]) -> Block:
    """Return a row of buttons; their actions must differ."""
    return told(ActionsBlock(elements=[dict(one) for one in elements[:_ELEMENTS]]))


def thumbs(*, action: str, up: str, down: str) -> Block:
    """Return the two buttons that say whether an answer was good."""
    pair = FeedbackButtonsElement(
        action_id=action,
        positive_button=FeedbackButtonObject(
            text="Good answer", accessibility_label="This answer was good", value=up
        ),
        negative_button=FeedbackButtonObject(
            text="Bad answer", accessibility_label="This answer was bad", value=down
        ),
    )
    return told(ContextActionsBlock(elements=[pair]))


def typed(
    label: str,
    *,
    element: JsonObject,
    block: str,
    hint: str | None = None,
    optional: bool = False,
) -> Block:
    """Return an input of a form. ``label`` and ``hint`` may be anybody's words."""
    made = InputBlock(
        block_id=block,
        label=_plain(label, limit=150),
        element=dict(element),
        hint=None if not hint else _plain(hint, limit=300),
        optional=optional,
    )
    return told(made)


def _confirm(asked: Confirm) -> ConfirmObject:
    return ConfirmObject(
        title=PlainTextObject(text=plain(asked.title, limit=100)),
        text=_marked(asked.text, limit=_CONFIRM),
        confirm=PlainTextObject(text=plain(asked.yes, limit=30)),
        deny=PlainTextObject(text="Cancel"),
        style="danger" if asked.danger else "primary",
    )


def _plain(text: str, *, limit: int) -> PlainTextObject:
    return PlainTextObject(text=plain(text, limit=limit), emoji=False)


def _marked(text: str, *, limit: int = SECTION) -> MarkdownTextObject:
    # Verbatim: Slack makes no links and mentions of its own in what tools and people say.
    told = whole_lines(text.split("\n"), limit=limit) or "-"
    return MarkdownTextObject(text=told, verbatim=True)


class _Model(Protocol):
    """What all of Slack's models have; theirs say nothing of what is in the dictionary."""

    def to_dict(self) -> dict[str, Any]: ...  # Any: as untyped as the vendor's


def told(made: _Model) -> JsonObject:
    """Return one of Slack's models as JSON; it must hold to the limits of its kind."""
    return made.to_dict()

"""The message of a run: a card while it is under way, streamed where Teams can, then the answer.

The card tells four things: what is done, what is being done, what is needed from people, and what
comes next. The answer is an ordinary message, marked as an AI's, with its sources; on a card below
it stands what was done, and what can be taken back.
"""

from collections.abc import Sequence
from typing import Final

from bots import actions, sentences
from bots.teams import elements, text
from bots.teams.elements import Confirm, Element, aside, bold, paragraph
from bots.text import web_address
from bots.views import Line, Mark, RunView, Source, Stage, Undoable
from bots.wording import NEXT, NOTHING_TO_ADD, TITLES, others
from core.domain.canonical import Json, JsonObject

_SETTLED: Final = frozenset({Mark.DONE, Mark.FAILED, Mark.REFUSED})
_LINES: Final = 2000
_SAID: Final = 4000
_SOURCES: Final = 10
_UNDO: Final = 6
_NAME: Final = 80
_ABSTRACT: Final = 160
_URL: Final = 400
_MARKS: Final = 200
_NOTHING: Final = "Nothing"


def run_card(view: RunView) -> JsonObject:
    """Return the activity of a run that is under way: a card."""
    short = sentences.run_in_short(view, markup=text)
    told = [*_story(view), *_said(view), aside(sentences.cost(view))]
    stop = elements.button("Stop", verb=actions.STOP, ids=actions.of_run(view.run_id))
    return elements.activity(short, card=elements.card(body=told, buttons=[stop], fallback=short))


def run_stream(view: RunView) -> JsonObject:
    """Return what a stream should have told by now.

    ``informative`` is one line on what is being done, shown until there is ``text``: markdown that
    only grows while the run works, and that the answer begins with.
    """
    doing = [one.title for one in view.lines if one.mark is Mark.DOING]
    title = TITLES[view.stage]
    now = f"{title}: {text.line(doing[-1], limit=600)}…" if doing else f"{title}…"
    said = text.markdown_so_far(view.text)
    return {"informative": now, "text": said if said.strip() else ""}


def closed_card(view: RunView) -> JsonObject:
    """Return the activity of a run that is answered below: a card of what was done."""
    short = sentences.run_in_short(view, markup=text)
    return elements.activity(
        short, card=elements.card(body=[*_said(view), *_closing(view)], fallback=short)
    )


def answer(view: RunView) -> JsonObject:
    """Return the activity of a run that has ended: its answer, or why it has none.

    It is words alone; where there is no ``closing`` they say the cost.
    """
    told: dict[str, Json] = {
        **elements.words(sentences.run_in_short(view, markup=text)),
        **_labelled(view),
        **({"channelData": {"feedbackLoop": {"type": "default"}}} if view.asks_feedback else {}),
    }
    room = elements.HEAVIEST - elements.bytes_of(told) - _MARKS
    return {**told, "text": _answer(view, limit=min(room, text.ANSWER))}


def closing(view: RunView) -> JsonObject | None:
    """Return the activity below an answer: what was done, Undo, cost; None where there is none."""
    if not (view.lines or view.undoable or view.url):
        return None
    cost = sentences.cost(view)
    return elements.activity(cost, card=elements.card(body=_closing(view), fallback=cost))


def _closing(view: RunView) -> list[Element]:
    told: list[Element] = []
    done = [_in_words(one) for one in view.lines if one.mark in _SETTLED]
    if done:
        told.append(elements.listed("What was done", lines=done, limit=_LINES))
    for one in view.undoable[:_UNDO]:
        told += _undo(view, undoable=one)
    if len(view.undoable) > _UNDO:
        told.append(aside(f"{others(len(view.undoable) - _UNDO)} that can be undone"))
    told.append(aside(sentences.cost(view)))
    there = elements.opens("All of this run", url=view.url)
    return [*told, elements.buttons([there])] if there else told


def _story(view: RunView) -> list[Element]:
    done = [_in_words(one) for one in view.lines if one.mark in _SETTLED]
    doing = [_in_words(one) for one in view.lines if one.mark not in _SETTLED]
    sign = "✋" if view.stage is Stage.WAITING else "⏳"
    now = doing or [f"{sign} {TITLES[view.stage]}"]
    needs = f"✋ {text.line(view.needs, limit=600)}" if view.needs.strip() else _NOTHING
    title = bold(f"{TITLES[view.stage]}: ")
    told: list[Element] = [paragraph(title, text.plain(view.task, limit=200))]
    if done:
        told.append(elements.listed("Done", lines=done, limit=_LINES))
    told.append(elements.listed("Doing now", lines=now, limit=_LINES))
    told += elements.facts([("Needed from people", needs), ("Next", NEXT[view.stage])])
    return told


def _said(view: RunView) -> list[Element]:
    said = text.markdown(view.text, limit=_SAID)
    return [elements.prose(said)] if said.strip() else []


def _answer(view: RunView, *, limit: int) -> str:
    cost = [] if closing(view) else [f"_{sentences.cost(view)}_"]
    after = [*_stopped(view), *_marked(view.sources, said=view.text), *cost]
    tail = "".join(f"\n\n{one}" for one in after)
    said = text.markdown(view.text, limit=limit - text.weight(tail))
    if not said.strip():
        said = "" if view.stage is Stage.STOPPED else f"✅ **Done.** {NOTHING_TO_ADD}"
    return f"{said}{tail}".strip()


def _stopped(view: RunView) -> list[str]:
    if view.stage is not Stage.STOPPED:
        return []
    return [text.leading(one) for one in sentences.stopped(view, markup=text)]


def _marked(sources: Sequence[Source], *, said: str) -> list[str]:
    """Return the marks of sources that the answer does not refer to: without one none is shown."""
    marks = [f"[{at}]" for at in range(1, len(sources[:_SOURCES]) + 1)]
    missing = [mark for mark in marks if mark not in said]
    if not missing:
        return []
    more = [others(len(sources) - _SOURCES)] if len(sources) > _SOURCES else []
    return [" ".join(["Sources:", *missing, *more])]


def _labelled(view: RunView) -> JsonObject:
    """Return the label that an AI wrote this, with what it rests on."""
    if not view.text.strip():
        return {}
    cited = [_citation(one, at=at) for at, one in enumerate(view.sources[:_SOURCES], start=1)]
    label: dict[str, Json] = {
        "type": "https://schema.org/Message",
        "@type": "Message",
        "@context": "https://schema.org",
        "@id": "",
        "additionalType": ["AIGeneratedContent"],
    }
    return {"entities": [{**label, "citation": cited} if cited else label]}


def _citation(source: Source, *, at: int) -> JsonObject:
    title = text.plain(source.title, limit=_NAME)
    leads_to = text.host(source.url)
    seen: dict[str, Json] = {
        "@type": "DigitalDocument",
        "name": title,
        "abstract": text.plain(leads_to or source.title, limit=_ABSTRACT),
    }
    url = web_address(source.url)
    if url and text.weight(url) <= _URL:
        seen["url"] = url
    return {"@type": "Claim", "position": at, "appearance": seen}


def _undo(view: RunView, *, undoable: Undoable) -> list[Element]:
    summary = text.plain(undoable.summary, limit=200)
    button = elements.asks_again(
        "Undo",
        confirm=Confirm(text=f"Take this back? {summary}", yes="Undo it"),
        verb=actions.UNDO,
        ids=actions.of_call(view.run_id, call_id=undoable.call_id),
        spoken=f"Undo: {undoable.summary}",
    )
    return [paragraph(f"↩️ {summary}"), elements.buttons([button])]


def _in_words(told: Line) -> str:
    return sentences.call_line(told, markup=text)

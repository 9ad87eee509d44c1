"""The message of a run: edited in place, or streamed; and what stands below an answer.

It tells four things while the run is under way: what is done, what is being done, what is needed
from people, and what comes next. Once there is an answer, the answer comes first.
"""

from collections.abc import Sequence
from typing import Final

from bots import actions, sentences
from bots.slack import blocks, text
from bots.slack.blocks import Block, Confirm
from bots.slack.text import line, link, literal, markdown, markdown_so_far, plain
from bots.text import whole_lines
from bots.views import Line, Mark, RunView, Stage, Undoable
from bots.wording import MARKS, NEXT, NOTHING_TO_ADD, TITLES
from core.domain.canonical import JsonObject

_STATUS: Final = {
    Mark.DOING: "in_progress",
    Mark.WAITING: "pending",
    Mark.DONE: "complete",
    Mark.FAILED: "error",
    Mark.REFUSED: "error",
}
_UNDER_WAY: Final = frozenset({Stage.WORKING, Stage.WAITING})
_SETTLED: Final = frozenset({Mark.DONE, Mark.FAILED, Mark.REFUSED})
_DONE_SHOWN: Final = 2000
_SOURCES: Final = 10
_UNDO: Final = 8
_TASKS: Final = 50
_TASK_TEXT: Final = 250
_TEXT: Final = 11_900
_NOTHING: Final = "Nothing"


def run_message(view: RunView) -> JsonObject:
    """Return the message as it should stand now: ``text`` and ``blocks``."""
    match view.stage:
        case Stage.WORKING | Stage.WAITING:
            told = [*_story(view), *_said(view), _cost(view), _stop(view)]
        case Stage.DONE:
            told = [*_said(view), *closing(view)]
        case Stage.STOPPED:
            told = [_stopped(view), *_said(view), *closing(view)]
    return blocks.message(sentences.run_in_short(view, markup=text), blocks=told)


def run_stream(view: RunView) -> JsonObject:
    """Return what a stream should have told by now, to be compared with what it has.

    ``title`` is the plan's, ``tasks`` have ``id``, ``title``, ``status`` (pending, in_progress,
    complete, error) and ``details``; ``text`` is markdown that only grows while the run works;
    ``blocks`` end the stream, and are empty until then.
    """
    under_way = view.stage in _UNDER_WAY
    said = markdown_so_far(view.text) if view.stage is Stage.WORKING else markdown(view.text)
    ended: list[Block] = [] if under_way else closing(view)
    if view.stage is Stage.STOPPED:
        ended = [_stopped(view), *ended]
    return {
        "title": _title(view),
        "tasks": _tasks(view),
        "text": said.strip() and said,
        "blocks": ended,
    }


def closing(view: RunView) -> list[Block]:
    """Return what stands below an answer: sources, what was done, Undo, cost and feedback."""
    told: list[Block] = []
    if view.sources:
        named = [
            f"{at}. {link(one.url, title=one.title)}"
            for at, one in enumerate(view.sources[:_SOURCES], start=1)
        ]
        told.append(blocks.aside("\n".join(["📎 *Sources*", *named, *_more(view.sources)])))
    done = [_in_words(one) for one in view.lines if one.mark in _SETTLED]
    if done:
        told.append(blocks.aside(whole_lines(["*What was done*", *done], limit=_DONE_SHOWN)))
    told += [_undo(view, undoable=one) for one in view.undoable[:_UNDO]]
    if len(view.undoable) > _UNDO:
        told.append(blocks.aside(f"… and {len(view.undoable) - _UNDO} more that can be undone"))
    told.append(_cost(view))
    if view.asks_feedback:
        run = actions.of_run(view.run_id)
        up, down = (actions.carried({**run, "v": one}) for one in (actions.UP, actions.DOWN))
        told.append(blocks.thumbs(action=actions.FEEDBACK, up=up, down=down))
    return told


def _story(view: RunView) -> list[Block]:
    done = [sentences.call_line(one, markup=text) for one in view.lines if one.mark in _SETTLED]
    doing = [
        sentences.call_line(one, markup=text) for one in view.lines if one.mark not in _SETTLED
    ]
    sign = "✋" if view.stage is Stage.WAITING else "⏳"
    now = whole_lines(doing, limit=_DONE_SHOWN) if doing else f"{sign} {TITLES[view.stage]}"
    needs = f"✋ {line(view.needs, limit=600)}" if view.needs.strip() else _NOTHING
    told: list[Block] = [blocks.section(f"*{TITLES[view.stage]}:* {line(view.task, limit=200)}")]
    if done:
        told.append(blocks.section(f"*Done*\n{whole_lines(done, limit=_DONE_SHOWN)}"))
    told.append(blocks.section(f"*Doing now*\n{now}"))
    told.append(blocks.fields([f"*Needed from people*\n{needs}", f"*Next*\n{NEXT[view.stage]}"]))
    return told


def _said(view: RunView) -> list[Block]:
    said = markdown(view.text, limit=_TEXT)
    if said.strip():
        return [blocks.prose(said)]
    return [blocks.section(f"✅ *Done.* {NOTHING_TO_ADD}")] if _is_done(view) else []


def _stopped(view: RunView) -> Block:
    why, then = sentences.stopped(view, markup=text)
    return blocks.section(f"{text.leading(why)}\n{text.leading(then).strip()}")


def _cost(view: RunView) -> Block:
    return blocks.aside(sentences.cost(view))


def _stop(view: RunView) -> Block:
    value = actions.carried(actions.of_run(view.run_id))
    return blocks.buttons([blocks.button("Stop", action=actions.STOP, value=value)])


def _undo(view: RunView, *, undoable: Undoable) -> Block:
    asked = Confirm(
        title="Take this back?",
        text=line(undoable.summary, limit=200),
        yes="Undo",
        danger=True,
    )
    button = blocks.button(
        "Undo",
        action=actions.UNDO,
        value=actions.carried(actions.of_call(view.run_id, call_id=undoable.call_id)),
        confirm=asked,
        spoken=f"Undo: {undoable.summary}",
    )
    return blocks.section(f"↩️ {line(undoable.summary)}", accessory=button)


def _in_words(told: Line) -> str:
    return sentences.call_line(told, markup=text)


def _tasks(view: RunView) -> list[JsonObject]:
    room = _TASKS if len(view.lines) <= _TASKS else _TASKS - 1
    told: list[JsonObject] = [_task(one) for one in view.lines[:room]]
    rest = view.lines[room:]
    if rest:
        open_still = any(one.mark not in _SETTLED for one in rest)
        title = f"{len(rest)} more"
        status = "in_progress" if open_still else "complete"
        told.append({"id": "more", "title": title, "status": status, "details": ""})
    return told


def _task(told: Line) -> JsonObject:
    word = MARKS[told.mark]
    detail = literal(told.detail, limit=_TASK_TEXT - 20).strip()
    return {
        "id": plain(told.id, limit=100),
        "title": plain(told.title, limit=_TASK_TEXT),
        "status": _STATUS[told.mark],
        "details": ": ".join(filter(None, [word, detail])),
    }


def _title(view: RunView) -> str:
    if view.stage is Stage.WAITING and view.needs.strip():
        return plain(f"{TITLES[view.stage]}: {view.needs[:_TASK_TEXT]}", limit=_TASK_TEXT)
    return TITLES[view.stage]


def _more(sources: Sequence[object]) -> list[str]:
    return [f"… and {len(sources) - _SOURCES} more"] if len(sources) > _SOURCES else []


def _is_done(view: RunView) -> bool:
    return view.stage is Stage.DONE

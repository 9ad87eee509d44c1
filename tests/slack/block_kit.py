"""Whether Slack would take these blocks: the SDK's own models, and what they leave unchecked."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block
from slack_sdk.models.messages.chunk import Chunk
from slack_sdk.models.views import View

Json = dict[str, Any]  # Any: what Slack takes and gives

MOST_IN_MESSAGE, MOST_IN_VIEW = 50, 100
LONGEST_MARKDOWN = 12_000
LONGEST_FIELD = 2_000
LONGEST_TASK_TITLE = 256
LARGEST_VIEW = 250_000
_MOST_ELEMENTS = {"actions": 25, "context": 10, "context_actions": 5}
_TASK_MARKS = frozenset({"pending", "in_progress", "complete", "error"})
_NESTED = ("tasks", "child_blocks")
# What the SDK's models take, and only partly give back.
_LOOSE = frozenset({"rich_text", "table", "video", "file", "call"})

# The SDK's parsers are typed for what is right already; what comes here may be anything.
_block, _chunk = cast("Any", Block), cast("Any", Chunk)


def faults_of_blocks(blocks: object, *, most: int = MOST_IN_MESSAGE) -> list[str]:
    """Return what is wrong with the blocks of a message or view, as Slack would say it."""
    given: list[Json] = _many(blocks)
    if not isinstance(blocks, list) or not _are_objects(given):
        return ["blocks must be an array of objects"]
    found = [f"no more than {most} items allowed"] if len(given) > most else []
    for place, block in enumerate(given):
        found += [f"{fault} [json-pointer:/blocks/{place}]" for fault in _of_block(block)]
    ids = [block["block_id"] for block in given if block.get("block_id")]
    if len(set(ids)) < len(ids):
        found.append("block_id is not unique")
    if sum(block.get("type") == "table" for block in given) > 1:
        found.append("only_one_table_allowed")
    return found


def markdown_in(blocks: Sequence[Json]) -> int:
    """Return how many characters of markdown there are in all: 12,000 at most in a message."""
    return sum(len(one.get("text", "")) for one in blocks if one.get("type") == "markdown")


def faults_of_view(view: object) -> list[str]:
    """Return what is wrong with a modal or a home."""
    if not isinstance(view, dict):
        return ["view must be an object"]
    given = cast("Json", view)
    if given.get("type") not in {"modal", "home"}:
        return ["type must be modal or home"]
    found = faults_of_blocks(given.get("blocks"), most=MOST_IN_VIEW)
    if given["type"] == "modal" and not given.get("title"):
        found.append("missing required field: title")
    has_input = any(block.get("type") == "input" for block in cast("list[Json]", given["blocks"]))
    if given["type"] == "modal" and has_input and not given.get("submit"):
        found.append("submit is needed where there is an input")
    return found or _formed(_new_view, given)


def faults_of_chunks(chunks: object) -> list[str]:
    """Return what is wrong with the chunks of a stream."""
    given: list[Json] = _many(chunks)
    if not isinstance(chunks, list) or not _are_objects(given):
        return ["chunks must be an array of objects"]
    found: list[str] = []
    for chunk in given:
        match chunk.get("type"):
            case "markdown_text":
                if not 0 < len(chunk.get("text", "")) <= LONGEST_MARKDOWN:
                    found.append("text of a markdown_text chunk is empty or too long")
            case "task_update":
                found += _of_task(chunk, name="id")
            case "plan_update":
                if not 0 < len(chunk.get("title", "")) <= LONGEST_TASK_TITLE:
                    found.append("title of a plan_update chunk is empty or too long")
            case "blocks":
                found += faults_of_blocks(chunk.get("blocks"))
            case other:
                found.append(f"unsupported chunk type: {other}")
        found += _formed(_chunk.parse, chunk)
    return found


def is_too_large(view: Json) -> bool:
    """Say whether a view has more than the 250 kB that Slack takes."""
    return len(json.dumps(view)) > LARGEST_VIEW


def _of_block(block: Json) -> list[str]:
    found = _formed(_block.parse, block)
    kind = str(block.get("type"))
    elements = block.get("elements")
    if isinstance(elements, list):
        inside = cast("list[Json]", elements)
        if len(inside) > _MOST_ELEMENTS.get(kind, len(inside)) or not inside:
            found.append(f"{kind} has {len(inside)} elements")
        names = [one["action_id"] for one in inside if one.get("action_id")]
        if len(set(names)) < len(names):
            found.append("action_id is not unique in its block")
    fields = cast("list[Json]", block.get("fields") or [])
    if any(len(field.get("text", "")) > LONGEST_FIELD for field in fields):
        found.append(f"a field has more than {LONGEST_FIELD} characters")
    if kind == "task_card":
        found += _of_task(block, name="task_id")
    for name in _NESTED:
        found += [fault for one in _many(block.get(name)) for fault in _of_block(one)]
    return found + [f"{where} is empty" for where in _empty_texts(block, where=kind)]


def _of_task(task: Json, *, name: str) -> list[str]:
    found = [f"missing required field: {one}" for one in (name, "title") if not task.get(one)]
    if len(task.get("title", "")) > LONGEST_TASK_TITLE:
        found.append(f"title of a task has more than {LONGEST_TASK_TITLE} characters")
    if task.get("status") not in _TASK_MARKS:
        found.append(f"unsupported status: {task.get('status')}")
    return found


def _formed(parse: Callable[[Json], Any], told: Json) -> list[str]:
    """Have the SDK read it and write it again: what it refuses or forgets is not Slack's."""
    try:
        read = parse(told)
        if read is None:
            return [f"unsupported type: {told.get('type')}"]
        written = read.to_dict()
    except SlackObjectFormationError as error:
        return [str(error)]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return [f"{told.get('type')}: {error}"]
    return [f"unknown field: {name}" for name in _forgotten(told, written)]


def _forgotten(told: object, written: object, *, where: str = "") -> Iterator[str]:
    if isinstance(told, dict) and isinstance(written, dict):
        before, after = cast("Json", told), cast("Json", written)
        if before.get("type") in _LOOSE:
            return
        for name, value in before.items():
            if value in (None, "", [], {}):
                continue
            if name not in after:
                yield f"{where}/{name}"
            else:
                yield from _forgotten(value, after[name], where=f"{where}/{name}")
    elif isinstance(told, list) and isinstance(written, list):
        pairs = zip(_many(cast("object", told)), _many(cast("object", written)), strict=False)
        for place, (before, after) in enumerate(pairs):
            yield from _forgotten(before, after, where=f"{where}/{place}")


def _empty_texts(told: object, *, where: str) -> Iterator[str]:
    if isinstance(told, dict):
        given = cast("Json", told)
        if given.get("type") in {"plain_text", "mrkdwn"} and not given.get("text"):
            yield where
        for name, value in given.items():
            yield from _empty_texts(value, where=f"{where}/{name}")
    elif isinstance(told, list):
        for one in _many(cast("object", told)):
            yield from _empty_texts(one, where=where)


def _many(told: object) -> list[Any]:
    return cast("list[Any]", told) if isinstance(told, list) else []


def _are_objects(told: Sequence[object]) -> bool:
    return all(isinstance(one, dict) for one in told)


def _new_view(told: Json) -> View:
    return View(**told)
